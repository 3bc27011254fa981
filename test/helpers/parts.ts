/**
 * Parts of the library that have no public face, and that several tests use: to make files and adapters, to look into them, or as
 * the subject of more than one. No other test imports these modules, so that one that moves is changed here alone; programs that run
 * from dist/ import a few.
 */

export { readTensorFile } from "../../src/adapters/tensor-file.ts";
export { crc32, crc32Portable, toHex } from "../../src/common/bytes.ts";
export { createSha256, sha256 } from "../../src/common/sha256.ts";
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
