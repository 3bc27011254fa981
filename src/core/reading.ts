/**
 * What the pool and the reports of this package need of reading. Not an entry of the package, and apart from `format.ts`, so that
 * shaders do not load the reader.
 *
 * @module
 */
export { Slots } from "./io/slots.ts";
export { assertNotAborted, assertRange } from "./io/source.ts";
export { pieceCount } from "./read/adapter-budget.ts";
export { FIRST_BYTES, keepingSource } from "./read/ranges.ts";
