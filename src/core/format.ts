/**
 * The inside of the format, for code that makes or applies packed factors: encoders, pools, shaders. Applications need `lqa`
 * alone. These names follow the format and its limits; they may change with any minor version of the package.
 *
 * @module
 */

export { bandsText } from "./codecs/bands-text.ts";
export { nonfiniteElement } from "./codecs/check.ts";
export { decodePlain, decodePlanes } from "./codecs/decode.ts";
export {
  FLOAT_BYTES,
  FLOAT_NUMBERS,
  fieldCount,
  groupCount,
  kindNumber,
  type Lowered,
  sizesOf,
} from "./codecs/encoding.ts";
export { FREE, kindOf, prepareTable, type TablePreparing } from "./codecs/kernels/encoding-kinds.ts";
export {
  type Factor,
  givenParent,
  hasStart,
  lowerFactor,
  rankOf,
  vectorLengths,
} from "./codecs/packed.ts";
export { lower, planeSizes } from "./codecs/registry.ts";
export { rotateIntegers, rotateTransposed, rotateWeights, scaleOfRotated } from "./codecs/rotation.ts";
export { decodeStarted } from "./codecs/start/decode-started.ts";
export { drawsOf, localStart } from "./codecs/start/draws.ts";
export { materialize } from "./codecs/start/materialize.ts";
export { addMixture, DRAW_UNIT, readMixture } from "./codecs/start/mixture.ts";
export {
  nextSeedWord,
  ownTwister,
  seedWords,
  skipDraws,
  type Twister,
  takeDraws,
  takeOutputs,
  takeSigns,
  twisterAt,
} from "./codecs/start/mt19937.ts";
export {
  MIX_BITS,
  mixEncoding,
  STATE_DRAWS,
  STATE_WORDS,
  startOperations,
} from "./codecs/start/start.ts";
export { checkSums } from "./codecs/sums.ts";
export {
  largestInteger,
  TRELLIS_TABLES,
  type TrellisTable,
  trellisRate,
  trellisSteps,
  trellisTable,
  WINDOW_BITS,
} from "./codecs/trellis.ts";
export { align, CRC_BYTES, concat, toHex } from "./container/bytes.ts";
export {
  EXPERT_ALIGNMENT,
  payloadLength,
  planeExtents,
  splitPayload,
  walkPlanes,
} from "./container/layout.ts";
export { encodeMeta } from "./container/meta-write.ts";
export { sortByName } from "./container/names.ts";
export { checkParentModule } from "./container/parent-module.ts";
export { assemblePayload } from "./container/payload.ts";
export { checkLimit, PROLOGUE_BYTES } from "./container/prologue.ts";
export {
  assertApplicable,
  factorsOf,
  type ResidentModule,
  type ResidentStart,
} from "./container/resident.ts";
export { sha256 } from "./container/sha256.ts";
export { growTo, KernelMemory, kernelMaker } from "./wasm/kernel.ts";
export {
  createWriter,
  type ModuleInput,
  type PlannedModule,
  type SectionInput,
} from "./write/write.ts";
