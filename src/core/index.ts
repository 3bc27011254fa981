/**
 * LQA: the `.lqa` file format for quantized LoRA adapters. This entry opens, checks and decodes files, in every JavaScript
 * runtime, browsers included. Each other part of the package has an entry of its own: `lqa/encode`, `lqa/adapters`,
 * `lqa/models`, `lqa/serve`, `lqa/webgpu`, `lqa/report`, `lqa/node`, `lqa/fleet`.
 *
 * ```ts
 * import { openLqa } from "lqa";
 *
 * const file = await openLqa(bytes);
 * const { b, a } = file.decodeModule(file.modules[0].name); // exact Float32Arrays, [out][rank] and [rank][in]
 * ```
 *
 * @module
 */

export { ERRORS } from "../error-list.ts";
export {
  type ErrorClass,
  type ErrorDetails,
  type ErrorKind,
  type ErrorName,
  isLqaError,
  LqaError,
} from "../errors.ts";
export type { LimitSet } from "../limits.ts";
export type {
  Adapter,
  BaseLayout,
  ElementType,
  LoraModule,
  MetaValue,
  ModuleRole,
  ModuleShape,
  MultiplierRule,
  Origin,
  PlainTensor,
  TensorRole,
} from "../model/adapter.ts";
export { inputLength, parameterCount } from "../model/adapter.ts";
export { VERSION } from "../version.ts";
export type {
  AffineEncoding,
  Encoding,
  FloatType,
  Planes,
  RawEncoding,
  ScaleType,
  SignEncoding,
  TrellisEncoding,
  ZeroEncoding,
} from "./codecs/encoding.ts";
export type { Band, PackedBand, PackedFactors } from "./codecs/packed.ts";
export { encodingLabel } from "./codecs/registry.ts";
export type { Rotation } from "./codecs/rotation.ts";
export type { MetaMap } from "./container/meta.ts";
export type { Prologue } from "./container/prologue.ts";
export type {
  ChunkRecord,
  CompressionName,
  ContainerIndex,
  Extent,
  ModuleRecord,
  SectionRecord,
  TensorRecord,
} from "./container/types.ts";
export type { Zstd, ZstdCodecFunctions } from "./container/zstd.ts";
export { type HttpOptions, type HttpSource, httpSource } from "./io/http.ts";
export type { AsyncBuffer, Input } from "./io/input.ts";
export type { Pieces } from "./io/pieces.ts";
export { type ByteSource, blobSource, memorySource } from "./io/source.ts";
export { checkBase } from "./read/base.ts";
export { type LqaCore, type OpenOptions, openCore } from "./read/core.ts";
export type { DecodedFactors, DecodeOptions, FactorLayout, HalfArray } from "./read/decode.ts";
export { type DecodeAllOptions, decodeAll, type ModuleSource } from "./read/decode-all.ts";
export { type DeltaOptions, decodeDelta } from "./read/delta.ts";
export type { StreamOptions } from "./read/engine.ts";
export type {
  EndEvent,
  HeaderEvent,
  LqaEvent,
  ModuleEvent,
  SectionEvent,
  TensorEvent,
} from "./read/events.ts";
export { DecodeMemory, type DecodeMemoryOptions } from "./read/memory.ts";
export { type LqaFile, openLqa } from "./read/open.ts";
export type { PlannedRange, PlanOptions } from "./read/plan.ts";
export { type EventReceiver, LqaDecoder } from "./read/push.ts";
export {
  type FetchOptions,
  openRemote,
  openSource,
  type RangedLqa,
  type SourceOptions,
} from "./read/ranged.ts";
export {
  type DecodeStreamOptions,
  decodeStream,
  lqaEvents,
  lqaStream,
  type StreamedModule,
} from "./read/stream.ts";
export type { VerifiedIds } from "./read/verify.ts";
export type { WatchOptions } from "./read/watch.ts";
export { type Repair, type Repaired, type RepairOptions, repairLqa } from "./repair.ts";
export { type BaseModel, type BaseSizes, compareWithBase } from "./validate/base.ts";
export {
  VALIDATION_LEVELS,
  type ValidateOptions,
  type Validation,
  type ValidationLevel,
  validate,
} from "./validate/validate.ts";
export { WARNINGS, type Warning, type WarningName } from "./validate/warnings.ts";
