/**
 * The encoder: an adapter in, the bytes of an `.lqa` file and a report out. It runs in every JavaScript runtime.
 *
 * ```ts
 * import { readAdapter } from "lqa/adapters";
 * import { encodeAdapter } from "lqa/encode";
 *
 * const adapter = readAdapter(files);                       // a PEFT directory, as a Map of names to bytes
 * const { bytes, report } = await encodeAdapter(adapter, { quality: "balanced" });
 * ```
 *
 * @module
 */

export type {
  Calibration,
  Directions,
  Moments,
  Sensitivities,
  Sensitivity,
  TunedVectors,
  Tuning,
} from "../model/calibration.ts";
export {
  type EncodeControls,
  type Encoded,
  type EncodeOptions,
  encodeAdapter,
  paced,
} from "./encode.ts";
export type { Svd } from "./linalg/svd.ts";
export type { Outlook } from "./quantize/answers.ts";
export type { BoundComponent } from "./quantize/bound.ts";
export type { Coded } from "./quantize/coders.ts";
export type { Aligned, AlignedFactor, Noise, ParentFactors } from "./quantize/parent/align.ts";
export type { AlignedExpert } from "./quantize/parent/rest-vectors.ts";
export {
  QUALITY_BITS,
  type QualityName,
  type QuantizedModule,
  type QuantizeOptions,
  type QuantizeSettings,
  type RawOptions,
  type RdOptions,
  type RtnOptions,
  type SignOptions,
} from "./quantize/profile.ts";
export {
  compareModules,
  type ModuleQuality,
  type Quality,
} from "./quantize/quality.ts";
export type { CodedSide, Wanted } from "./quantize/rd/code-module.ts";
export type { Fit } from "./quantize/rd/gain.ts";
export type { FactorSurvey, Rotations, Survey } from "./quantize/rd/survey.ts";
export type { TaskWork } from "./quantize/rd/vectors.ts";
export type { Executor, TaskInput, TaskKind, TaskOutput } from "./quantize/tasks.ts";
export type { NarrowedTensors, TensorPolicy } from "./quantize/tensors.ts";
export type { EncodeReport, ModuleReport } from "./report.ts";
export type { UsedStart } from "./results.ts";
export type { StartChoice } from "./start/starts.ts";
