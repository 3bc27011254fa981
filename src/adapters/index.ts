/**
 * Adapter files of other programs: PEFT, kohya, diffusers, MLX, GGUF and others, read to an `Adapter` and written from one.
 *
 * @module
 */

export { type CalibrationFile, readCalibration } from "./calibration/index.ts";
export type { ConfigRisk } from "./config-risks.ts";
export type {
  Dialect,
  DialectName,
  ReadOptions,
  ReadSettings,
  SourceBytes,
  SourceFiles,
  WriteOptions,
} from "./dialect.ts";
export { type BaseDescription, baseFromConfig, baseFromGguf } from "./naming/base-description.ts";
export { DIALECTS, readAdapter, writeAdapter } from "./read-write.ts";
