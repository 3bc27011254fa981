/**
 * What the pool and the reports of this package need of reading. Not an entry of the package, and apart from `format.ts`, so that
 * shaders do not load the reader.
 *
 * @module
 */
export { pieceCount } from "./read/adapter-budget.ts";
export { FIRST_BYTES, keepingSource } from "./read/ranges.ts";
