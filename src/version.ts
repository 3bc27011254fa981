/**
 * Version of this library, as written into the files it encodes (META, spec clause 10.2). A test compares it with
 * package.json.
 *
 * @module
 */
export const VERSION = "0.1.0";
