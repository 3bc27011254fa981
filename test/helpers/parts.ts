/**
 * Parts of the library that tests make their inputs with, and that have no public face. A file that moves is changed here alone;
 * what a part does is tested in a file of its own.
 */
export { configurationMeter } from "../../src/adapters/json.ts";
export {
  readSafetensors,
  type SafeTensor,
  toFloat32,
  writeSafetensors,
} from "../../src/adapters/safetensors.ts";
export {
  f16ToNumber,
  f64ToF16,
  numberToBf16,
  numberToBits,
  numberToF16,
  packCodes,
  packedBytes,
  readBits,
  readElement,
  unpackCodes,
  unusedBits,
  writeBits,
} from "../../src/core/codecs/floats.ts";
export { align, concat, crc32, crc32Portable, toHex } from "../../src/core/container/bytes.ts";
export { encodeMeta } from "../../src/core/container/meta-write.ts";
export { createSha256, sha256 } from "../../src/core/container/sha256.ts";
export {
  type ContainerInput,
  type PackedModule,
  prepareFile,
  type SectionInput,
} from "../../src/core/write/write.ts";
