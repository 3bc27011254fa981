/**
 * The inside of the format, for code that makes or applies packed factors: encoders, pools, shaders. Applications need `lqa`
 * alone. These names follow the format and its limits; they may change with any minor version of the package.
 *
 * @module
 */

export { nonfiniteElement } from "./codecs/check.ts";
export { decodePlain, decodePlanes } from "./codecs/decode.ts";
export { FLOAT_BYTES, fieldCount, groupCount, type Lowered, sizesOf } from "./codecs/encoding.ts";
export { type Factor, hasStart, lowerFactor, rankOf, vectorLengths } from "./codecs/packed.ts";
export { lower, planeSizes } from "./codecs/registry.ts";
export { rotateIntegers, rotateTransposed, rotateWeights, scaleOfRotated } from "./codecs/rotation.ts";
export {
  TRELLIS_TABLES,
  type TrellisTable,
  trellisRate,
  trellisSteps,
  trellisTable,
  WINDOW_BITS,
} from "./codecs/trellis.ts";
export {
  EXPERT_ALIGNMENT,
  payloadLength,
  planeExtents,
  splitPayload,
  walkPlanes,
} from "./container/layout.ts";
export { encodeMeta } from "./container/meta-write.ts";
export { assemblePayload } from "./container/payload.ts";
export {
  assertApplicable,
  factorsOf,
  type ResidentModule,
  type ResidentStart,
} from "./container/resident.ts";
export { createWriter, type ModuleInput, type PlannedModule, type SectionInput } from "./write/write.ts";
