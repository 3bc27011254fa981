/**
 * LQA: the `.lqa` file format and codec library for quantized LoRA adapters. This entry runs in every JavaScript
 * runtime, browsers included; file system helpers are in `lqa/node`.
 *
 * ```ts
 * import { encodeAdapter, openLqa, readAdapter, validateLqa } from "lqa";
 *
 * const adapter = readAdapter(files);                       // a PEFT directory, as a Map of names to bytes
 * const { bytes, report } = await encodeAdapter(adapter, { variant: "2@0.8" });
 * const file = await openLqa(bytes);
 * const { b, a } = file.decodeModule(file.modules[0].name); // exact Float32Arrays
 * ```
 *
 * @module
 */

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
export { encodingLabel } from "./codecs/encoding.ts";
export type { Band, PackedBand, PackedFactors } from "./codecs/packed.ts";
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
export { loadZstd, loadZstdCodec, type Zstd, type ZstdCodecFunctions } from "./container/zstd.ts";
export type {
  Dialect,
  DialectName,
  ReadOptions,
  ReadSettings,
  SourceBytes,
  SourceFiles,
  WriteOptions,
} from "../adapters/dialect.ts";
export { type ImportanceFile, readImportance } from "../adapters/importance/index.ts";
export { DIALECTS, readAdapter, writeAdapter } from "../adapters/index.ts";
export { type BaseDescription, baseFromConfig, baseFromGguf } from "../adapters/naming/base-description.ts";
export {
  type EncodeControls,
  type Encoded,
  type EncodeOptions,
  type EncodeReport,
  encodeAdapter,
  type ModuleReport,
} from "../encode/encode.ts";
export { ERROR_CLASSES } from "../error-catalogue.ts";
export { ERRORS } from "../error-list.ts";
export {
  type ErrorClass,
  type ErrorDetails,
  type ErrorKind,
  type ErrorName,
  isLqaError,
  LqaError,
} from "../errors.ts";
export {
  type Extracted,
  type ExtractedModule,
  type ExtractOptions,
  type ExtractReport,
  extractAdapter,
  type RestTensor,
} from "../models/extract/extract.ts";
export type { ShardedModel } from "../models/extract/model.ts";
export type { LayerChoice, RestReason } from "../models/extract/plan.ts";
export { type HttpOptions, type HttpSource, httpSource } from "./io/http.ts";
export type { Pieces } from "./io/pieces.ts";
export { type ByteSource, blobSource, memorySource } from "./io/source.ts";
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
export type { Importance, Moments } from "../model/importance.ts";
export type { Refine } from "../encode/quantize/loraquant.ts";
export {
  QUALITY_BITS,
  type QualityName,
  type QuantizedModule,
  type QuantizeOptions,
  type QuantizeSettings,
  resolveOptions,
} from "../encode/quantize/profile.ts";
export { type ModuleQuality, type Quality, TASK_RISK_ERROR } from "../encode/quantize/quality.ts";
export type { CodedSide, Wanted } from "../encode/quantize/rd/code-module.ts";
export type { Coded } from "../encode/quantize/rd/rates.ts";
export type { Fit } from "../encode/quantize/rd/rd.ts";
export type { FactorSurvey, Survey } from "../encode/quantize/rd/survey.ts";
export {
  type Executor,
  perform,
  type TaskInput,
  type TaskKind,
  type TaskOutput,
  type TaskWork,
} from "../encode/quantize/tasks.ts";
export type { NarrowedTensors, TensorPolicy } from "../encode/quantize/tensors.ts";
export type { HRule } from "../encode/quantize/variant.ts";
export { baseWeightShape, checkBase } from "./read/base.ts";
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
export { BYTE_KINDS, type ByteKind, type ByteMap } from "../report/byte-map.ts";
export type { CodeCounts } from "../report/code-counts.ts";
export {
  type ComparedMethod,
  type CompareOptions,
  type Comparison,
  compareAdapter,
  comparisonCurve,
  type Match,
  type Measured,
} from "../report/compare.ts";
export {
  type AdapterDiff,
  type DiffSide,
  diffAdapters,
  type FieldChange,
  type ModuleChange,
  type TensorChange,
} from "../report/diff.ts";
export {
  type InspectedModule,
  type Inspection,
  type InspectOptions,
  inspectLqa,
  inspectSource,
  type ModuleLoss,
  type SourceFindings,
} from "../report/inspection.ts";
export type { LayerPlace } from "../report/layers.ts";
export { drawReport, type ReportContext } from "../report/page/page.ts";
export { drawRdCurve, type RdCurve, type RdMethod, type RdPoint } from "../report/rd-curve-svg.ts";
export type { Activations, RowList } from "../serve/activations.ts";
export { type ApplyOptions, applyPacked } from "../serve/apply.ts";
export { applyBatch, type BatchResult } from "../serve/batch.ts";
export { AdapterLease } from "../serve/lease.ts";
export { AdapterPool } from "../serve/pool.ts";
export type { AcquireOptions, AdapterSource, PoolOptions, PoolStatistics } from "../serve/pool-options.ts";
export type { CachedDecoding, Counters } from "../serve/resident.ts";
export { type ResidentModule, residentModule } from "../serve/resident-module.ts";
export {
  type AdapterStore,
  httpStore,
  memoryStore,
  type ObjectReader,
  objectStore,
  type StoredAdapter,
} from "../serve/stores.ts";
export { type BaseModel, type BaseSizes, compareWithBase } from "./validate/base.ts";
export {
  MOST_FINDINGS,
  VALIDATION_LEVELS,
  type ValidateOptions,
  type Validation,
  type ValidationLevel,
  validateLqa,
  validateReader,
  validateSource,
} from "./validate/validate.ts";
export { WARNINGS, type Warning, type WarningName } from "./validate/warnings.ts";
export { type ByteReader, piecesReader, sourceReader } from "./validate/window.ts";
export { VERSION } from "../version.ts";
