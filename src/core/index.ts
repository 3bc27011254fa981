/**
 * LQA: the `.lqa` file format for quantized LoRA adapters. This entry opens, checks and decodes files, in every JavaScript
 * runtime, browsers included. Each other part of the package has its own entry: `lqa/encode`, `lqa/adapters`,
 * `lqa/serve`, `lqa/webgpu`, `lqa/report`, `lqa/node`; `lqa/format` is for code that makes or applies packed factors.
 *
 * ```ts
 * import { open } from "lqa";
 *
 * const file = await open(bytes); // or a Blob, a URL, ranges, a stream
 * const { multiplier, b, a } = await file.decode(file.modules[0].name); // ΔW = multiplier · B · A
 * console.log(b.shape, b.data); // [out, rank] and exact weights
 * ```
 *
 * @module
 */

import * as CATALOGUE from "../error-catalogue.ts";
import type { ErrorKind, ErrorName } from "../errors.ts";

/** Every error this library raises, by name: stable code, clause of spec/lqa-v1.md, meaning, and what to do. */
export const ERRORS: { readonly [Name in ErrorName]: ErrorKind<Name> } = CATALOGUE;

export {
  type ErrorClass,
  type ErrorDetails,
  type ErrorKind,
  type ErrorName,
  isLqaError,
  LqaError,
} from "../errors.ts";
export { type HttpOptions, type HttpSource, httpSource } from "../io/http.ts";
export type { AsyncBuffer, Input } from "../io/input.ts";
export type { Pieces } from "../io/pieces.ts";
export { type ByteSource, blobSource, memorySource } from "../io/source.ts";
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
export { checkBase } from "../model/base-shape.ts";
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
export type { ModuleStart, Start } from "./codecs/start/start.ts";
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
export {
  type DecodedFactor,
  type DecodedModule,
  DecodeMemory,
  type DecodeMemoryOptions,
  type DecodeOptions,
  type DeltaOptions,
  decodeDelta,
  decodeModule,
  type FactorArrays,
  type FactorLayout,
  type HalfArray,
  type WeightArrays,
  type WeightType,
} from "./read/decode.ts";
export type { StreamOptions } from "./read/engine.ts";
export type {
  EndEvent,
  HeaderEvent,
  LqaEvent,
  ModuleEvent,
  PackedModule,
  SectionEvent,
  TensorEvent,
} from "./read/events.ts";
export { open } from "./read/file.ts";
export type { DecodeAllOptions, LqaFile, OpenOptions, ReadOptions, VouchedBy } from "./read/lqa-file.ts";
export type { PlannedRange, PlanOptions } from "./read/ranges.ts";
export type { WatchOptions } from "./read/steps.ts";
export { type DecodeStreamOptions, decodeStream, type EventReceiver, LqaDecoder } from "./read/stream.ts";
export type { VerifiedIds } from "./read/verify.ts";
export { type BaseModel, type BaseSizes, compareWithBase } from "./validate/base.ts";
export { validate } from "./validate/validate.ts";
export {
  VALIDATION_LEVELS,
  type ValidateOptions,
  type Validation,
  type ValidationLevel,
  WARNINGS,
  type Warning,
  type WarningName,
} from "./validate/validation.ts";
