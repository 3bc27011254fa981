/**
 * The names of the dialects: the one table. The command line reads it without loading a dialect.
 *
 * @module
 */

/** Names of the dialects, in the order in which lists show them. */
export const DIALECT_NAMES = [
  "peft",
  "kohya",
  "diffusers",
  "cloneofsimo",
  "loralib",
  "mlx",
  "gguf",
  "onnx",
] as const;

/** Name of a dialect. */
export type DialectName = (typeof DIALECT_NAMES)[number];
