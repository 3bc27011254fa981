/**
 * Parts of the library that have no public face, and that several tests use: to make files and adapters, to look into them, or as
 * the subject of more than one. No other test imports these modules, so that one that moves is changed here alone; programs that run
 * from dist/ import a few.
 */

export { RISKY_FIELD_NAMES } from "../../src/adapters/config-risks.ts";
export { fromFloat32, toFloat32 } from "../../src/adapters/elements.ts";
export { isGguf, readGguf } from "../../src/adapters/gguf/read.ts";
export { configurationMeter, type JsonValue, parseJson } from "../../src/adapters/json.ts";
export { isOnnxAdapter, readOnnxAdapter, writeOnnxAdapter } from "../../src/adapters/onnx/file.ts";
export { compilePatterns, lookUp, type PatternTable } from "../../src/adapters/peft/pattern.ts";
export { searchesLong } from "../../src/adapters/peft/slow-pattern.ts";
export { readSafetensors, type SafeTensor, writeSafetensors } from "../../src/adapters/safetensors.ts";
export { openSource } from "../../src/adapters/source.ts";
export { readTensorFile } from "../../src/adapters/tensor-file.ts";
export { checkPlane, checkScales, firstUnusedBit, type PlaneReport } from "../../src/core/codecs/check.ts";
export { decodeFactor } from "../../src/core/codecs/decode.ts";
export { type DecodeTarget, NOTHING } from "../../src/core/codecs/encoding.ts";
export {
  DecodeKernel,
  type FactorJob,
  type FactorPart,
} from "../../src/core/codecs/kernels/decode-kernel.ts";
export { CODEC_NAMES, registerCodec } from "../../src/core/codecs/registry.ts";
export { ROTATIONS } from "../../src/core/codecs/rotation.ts";
export {
  nextBlock,
  seedWords,
  type Twister,
  takeDraws,
  takeOutputs,
  twisterAt,
} from "../../src/core/codecs/start/mt19937.ts";
export { align, concat, crc32, crc32Portable, toHex } from "../../src/core/container/bytes.ts";
export { moduleContent, readTrailer, writeTrailer } from "../../src/core/container/digests.ts";
export {
  BASE_LAYOUTS,
  COMPRESSIONS,
  ELEMENT_TYPES,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  readEncoding,
  TENSOR_ROLES,
  writeEncoding,
} from "../../src/core/container/encoding-record.ts";
export { readIndex } from "../../src/core/container/index-read.ts";
export { writeIndex } from "../../src/core/container/index-write.ts";
export { checkChunkCrc, chunkCrc, layOut, type PlaneExtent } from "../../src/core/container/layout.ts";
export { decodeMeta } from "../../src/core/container/meta.ts";
export {
  compareNames,
  decodeName,
  encodeName,
  frontCode,
  nameReader,
  sortByName,
} from "../../src/core/container/names.ts";
export { createSha256, sha256 } from "../../src/core/container/sha256.ts";
export { loadZstd, loadZstdCodec, zstdOf } from "../../src/core/container/zstd.ts";
export { frameLength } from "../../src/core/container/zstd-frame.ts";
export {
  type ContainerInput,
  type ModuleInput as PackedModule,
  prepareFile,
} from "../../src/core/write/write.ts";
export { reparameterize } from "../../src/encode/quantize/reparameterize.ts";
export {
  bf16ToNumber,
  bitsToNumber,
  f16ToNumber,
  f32BitsToF16,
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
} from "../../src/floats.ts";
export { ELEMENT_BYTES, multiplierByRule } from "../../src/model/adapter.ts";
export { allTables, gpuProgramOf } from "../../src/webgpu/program.ts";
