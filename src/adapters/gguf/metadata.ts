/**
 * The key-value pairs of a GGUF file: thirteen types by number, and arrays of any of them, nested arrays included.
 *
 * @module
 */
import { type Cursor, malformed, readCount, readName, readText, readU32, readU64, take } from "../cursor.ts";
import { quoteName } from "../json.ts";

/** An array of numbers of one type; bools are 0 and 1. */
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

/** A value. 64-bit integers are always bigints. */
export type GgufValue = number | bigint | boolean | string | GgufNumbers | readonly GgufValue[];

/** Deepest nesting of arrays. The format sets no limit, but no known key has an array of arrays. */
const MAX_DEPTH = 4;
/** Longest key that the format allows, in bytes. */
const MAX_KEY = 65535;

const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

interface NumberType {
  readonly bytes: number;
  get(view: DataView, at: number): number | bigint;
  /** An array of zeros. The caller has checked that the file has that many values. */
  make(length: number): GgufNumbers;
}

const NUMBERS: ReadonlyMap<number, NumberType> = new Map<number, NumberType>([
  [0, { bytes: 1, get: (view, at) => view.getUint8(at), make: (n) => new Uint8Array(n) }],
  [1, { bytes: 1, get: (view, at) => view.getInt8(at), make: (n) => new Int8Array(n) }],
  [2, { bytes: 2, get: (view, at) => view.getUint16(at, true), make: (n) => new Uint16Array(n) }],
  [3, { bytes: 2, get: (view, at) => view.getInt16(at, true), make: (n) => new Int16Array(n) }],
  [4, { bytes: 4, get: (view, at) => view.getUint32(at, true), make: (n) => new Uint32Array(n) }],
  [5, { bytes: 4, get: (view, at) => view.getInt32(at, true), make: (n) => new Int32Array(n) }],
  [6, { bytes: 4, get: (view, at) => view.getFloat32(at, true), make: (n) => new Float32Array(n) }],
  [BOOL, { bytes: 1, get: (view, at) => view.getUint8(at), make: (n) => new Uint8Array(n) }],
  [10, { bytes: 8, get: (view, at) => view.getBigUint64(at, true), make: (n) => new BigUint64Array(n) }],
  [11, { bytes: 8, get: (view, at) => view.getBigInt64(at, true), make: (n) => new BigInt64Array(n) }],
  [12, { bytes: 8, get: (view, at) => view.getFloat64(at, true), make: (n) => new Float64Array(n) }],
]);

/**
 * Reads all pairs.
 *
 * @throws LqaError TRUNCATED_SOURCE; SOURCE_HEADER for an unknown type, a repeated or overlong key, a bool that is
 *   neither 0 nor 1, text that is not UTF-8, and arrays nested too deep
 */
export function readMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const offset = cursor.at;
    const length = readU64(cursor, "the length of a key");
    if (length > MAX_KEY) malformed(cursor, `a key of at most ${MAX_KEY} bytes`, length, offset);
    const key = readName(cursor, length, "a key");
    if (metadata.has(key)) malformed(cursor, "distinct keys", `${quoteName(key)} a second time`, offset);
    metadata.set(key, readValue(cursor, readType(cursor), 0));
  }
  return metadata;
}

function readType(cursor: Cursor): number {
  const number = readU32(cursor, "a value type");
  if (NUMBERS.has(number) || number === STRING || number === ARRAY) return number;
  return malformed(cursor, "a value type from 0 to 12", number, cursor.at - 4);
}

function readValue(cursor: Cursor, type: number, depth: number): GgufValue {
  if (type === STRING) return readText(cursor, readU64(cursor, "the length of a text"), "a text");
  if (type === ARRAY) return readArray(cursor, depth);
  const value = readNumbers(cursor, type, 1)[0]!;
  return type === BOOL ? value === 1 : value;
}

function readArray(cursor: Cursor, depth: number): GgufNumbers | GgufValue[] {
  if (depth === MAX_DEPTH) malformed(cursor, `arrays at most ${MAX_DEPTH} deep`, "one more");
  const type = readType(cursor);
  // A text takes at least its length field; an array takes at least its type and its length.
  const least = NUMBERS.get(type)?.bytes ?? (type === STRING ? 8 : 12);
  const count = readCount(cursor, least, "a number of values");
  if (NUMBERS.has(type)) return readNumbers(cursor, type, count);
  const values: GgufValue[] = [];
  for (let i = 0; i < count; i++) values.push(readValue(cursor, type, depth + 1));
  return values;
}

function readNumbers(cursor: Cursor, type: number, count: number): GgufNumbers {
  const { bytes, get, make } = NUMBERS.get(type)!;
  const begin = take(cursor, bytes * count, "values");
  const values = make(count);
  for (let i = 0, at = begin; i < count; i++, at += bytes) values[i] = get(cursor.view, at);
  if (type !== BOOL) return values;
  const odd = values.findIndex((value: number | bigint) => value > 1);
  if (odd >= 0) malformed(cursor, "0 or 1 for a bool", Number(values[odd]), begin + odd);
  return values;
}
