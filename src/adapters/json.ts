/**
 * A strict JSON reader over bytes, for configuration files and safetensors headers.
 *
 * `JSON.parse` is not suitable for either: it keeps the last of two equal keys, moves integer-like keys to the front
 * (the order of `rank_pattern` decides which pattern wins), rounds integers above 2^53, turns 1e400 into Infinity,
 * accepts lone surrogates and reports no byte offset. Here objects become `Map`s in file order, and each of these cases
 * is an error. Nesting is capped, and a meter counts bytes and values: JSON with many small values takes eighty times its
 * size in objects.
 * @module
 */

import { decodeUtf8 } from "../common/bytes.ts";
import { type ErrorKind, fail } from "../errors.ts";
import { type WorkLimits, type WorkMeter, workMeter } from "../meter.ts";

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;

/** An object in file order. As a `Map` it can have a key like `__proto__`. */
export type JsonObject = Map<string, JsonValue>;

/** A position in JSON text, and how to report errors there. */
export interface JsonCursor {
  readonly bytes: Uint8Array;
  /** Next byte to read. Offsets in errors are positions in `bytes`. */
  at: number;
  /** First byte after the text. */
  readonly end: number;
  readonly kind: ErrorKind;
  readonly where: string;
  readonly meter: WorkMeter;
}

/**
 * Work limits of one configuration: parsing it, compiling its patterns and looking them up for all modules. The largest real
 * ones, with a pattern for each of 20,000 modules, have 3 MB and 60,000 values.
 */
const CONFIGURATION: WorkLimits = { bytes: 2 ** 22, objects: 2 ** 18, steps: 2 ** 25 };
/** An object or a list takes as much memory as this many other values. */
const CONTAINER = 4;

/** Makes the meter of one configuration. @param where its name in errors */
export function configurationMeter(where: string): WorkMeter {
  return workMeter(
    where,
    CONFIGURATION,
    "Check where this file comes from: configurations have some kilobytes. Leave out what the adapter does not need, and write layers by their names rather than by patterns.",
  );
}

/** Deepest nesting of a configuration. Stops a file of brackets from overflowing the stack. */
const MAX_DEPTH = 32;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Parses a whole JSON text.
 *
 * @param meter counts the bytes, and one object per value; default: a new {@link configurationMeter}
 * @throws LqaError of `kind` at the first byte that is not strict JSON, at a repeated key, a number that binary64
 * cannot represent, a lone surrogate, invalid UTF-8 (a byte order mark included) or nesting deeper than 32; BUDGET.
 */
export function parseJson(
  bytes: Uint8Array,
  kind: ErrorKind,
  where: string,
  meter: WorkMeter = configurationMeter(where),
): JsonValue {
  meter.charge("bytes", bytes.length);
  const cursor: JsonCursor = { bytes, at: 0, end: bytes.length, kind, where, meter };
  const value = readValue(cursor, 0);
  skipSpace(cursor);
  if (cursor.at < cursor.end) jsonFail(cursor, "the end of the text");
  return value;
}

/** Throws at the cursor (or at `offset`): `expected` against the byte at that place. */
export function jsonFail(cursor: JsonCursor, expected: string, actual?: string, offset?: number): never {
  const at = offset ?? cursor.at;
  return fail(cursor.kind, {
    where: cursor.where,
    expected,
    actual: actual ?? describeByte(cursor, at),
    offset: at,
  });
}

/** Skips space, tab, line feed and carriage return. */
export function skipSpace(cursor: JsonCursor): void {
  while (cursor.at < cursor.end) {
    const byte = cursor.bytes[cursor.at]!;
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
    cursor.at++;
  }
}

/** Skips space; if the next byte is `symbol`, consumes it and returns true. */
export function accept(cursor: JsonCursor, symbol: string): boolean {
  skipSpace(cursor);
  if (cursor.at >= cursor.end || cursor.bytes[cursor.at] !== symbol.charCodeAt(0)) return false;
  cursor.at++;
  return true;
}

/** Skips space and consumes `symbol`, or throws. */
export function expectSymbol(cursor: JsonCursor, symbol: string): void {
  if (!accept(cursor, symbol)) jsonFail(cursor, JSON.stringify(symbol));
}

/** Skips space and reads a string. */
export function readString(cursor: JsonCursor): string {
  expectSymbol(cursor, '"');
  const { bytes, end } = cursor;
  let text = "";
  let start = cursor.at;
  for (;;) {
    if (cursor.at >= end) jsonFail(cursor, "the closing quote of a string");
    const byte = bytes[cursor.at]!;
    if (byte < 0x20) jsonFail(cursor, "a string without raw control characters");
    if (byte !== QUOTE && byte !== BACKSLASH) {
      cursor.at++;
      continue;
    }
    text += textOf(cursor, start, cursor.at);
    cursor.at++;
    if (byte === QUOTE) return text;
    text += readEscape(cursor);
    start = cursor.at;
  }
}

function textOf(cursor: JsonCursor, start: number, stop: number): string {
  try {
    return decodeUtf8(cursor.bytes.subarray(start, stop));
  } catch {
    return jsonFail(cursor, "valid UTF-8", "a byte sequence that is not", start);
  }
}

const ESCAPES: ReadonlyMap<number, string> = new Map(
  [...'"\\/bfnrt'].map((letter, index) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'[index]!]),
);

/** Reads an escape; the cursor is after the backslash. */
function readEscape(cursor: JsonCursor): string {
  const start = cursor.at - 1;
  const simple = cursor.at < cursor.end ? ESCAPES.get(cursor.bytes[cursor.at]!) : undefined;
  if (simple !== undefined) {
    cursor.at++;
    return simple;
  }
  const unit = readUnicodeEscape(cursor);
  if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
  const paired = unit < 0xdc00 && cursor.at < cursor.end && cursor.bytes[cursor.at] === BACKSLASH;
  if (!paired) return jsonFail(cursor, "a surrogate pair", "a lone surrogate", start);
  cursor.at++;
  const low = readUnicodeEscape(cursor);
  if (low < 0xdc00 || low > 0xdfff) return jsonFail(cursor, "a surrogate pair", "a lone surrogate", start);
  return String.fromCharCode(unit, low);
}

function readUnicodeEscape(cursor: JsonCursor): number {
  if (cursor.at >= cursor.end || cursor.bytes[cursor.at] !== 0x75) jsonFail(cursor, "a JSON escape");
  cursor.at++;
  let unit = 0;
  for (let digit = 0; digit < 4; digit++) {
    const byte = cursor.at < cursor.end ? cursor.bytes[cursor.at]! : 0;
    const value = Number.parseInt(String.fromCharCode(byte), 16);
    if (Number.isNaN(value)) jsonFail(cursor, "four hexadecimal digits");
    unit = unit * 16 + value;
    cursor.at++;
  }
  return unit;
}

const NUMBER_BYTES = new Set([..."+-.0123456789Ee"].map((letter) => letter.charCodeAt(0)));

/** Skips space and reads the bytes of a number token without checking its grammar; the caller does that. */
export function readNumberToken(cursor: JsonCursor): string {
  skipSpace(cursor);
  const start = cursor.at;
  while (cursor.at < cursor.end && NUMBER_BYTES.has(cursor.bytes[cursor.at]!)) cursor.at++;
  if (cursor.at === start) jsonFail(cursor, "a number");
  if (cursor.at - start > 400) jsonFail(cursor, "a number of at most 400 digits", "a longer one", start);
  return String.fromCharCode(...cursor.bytes.subarray(start, cursor.at));
}

function readNumber(cursor: JsonCursor): number {
  skipSpace(cursor);
  const start = cursor.at;
  const token = readNumberToken(cursor);
  if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(token)) jsonFail(cursor, "a JSON number", token, start);
  const value = Number(token);
  if (!Number.isFinite(value) || (/^-?\d+$/.test(token) && !Number.isSafeInteger(value))) {
    jsonFail(cursor, "a number that binary64 holds exactly", token, start);
  }
  return value + 0; // Turns -0 into 0: in no field of a configuration does minus zero mean anything.
}

function readValue(cursor: JsonCursor, depth: number): JsonValue {
  skipSpace(cursor);
  const byte = cursor.at < cursor.end ? cursor.bytes[cursor.at]! : 0;
  cursor.meter.charge("objects", byte === 0x7b || byte === 0x5b ? CONTAINER : 1);
  if (byte === QUOTE) return readString(cursor);
  if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return readNumber(cursor);
  if (byte === 0x6e) return readWord(cursor, "null", null);
  if (byte === 0x74) return readWord(cursor, "true", true);
  if (byte === 0x66) return readWord(cursor, "false", false);
  if (byte !== 0x7b && byte !== 0x5b) return jsonFail(cursor, "a JSON value");
  if (depth === MAX_DEPTH) jsonFail(cursor, `nesting of at most ${MAX_DEPTH}`, "deeper nesting");
  return byte === 0x7b ? readObject(cursor, depth + 1) : readArray(cursor, depth + 1);
}

/** Consumes exactly `word`. */
export function readWord<T>(cursor: JsonCursor, word: string, value: T): T {
  for (let index = 0; index < word.length; index++) {
    const at = cursor.at + index;
    if (at >= cursor.end || cursor.bytes[at] !== word.charCodeAt(index)) jsonFail(cursor, word);
  }
  cursor.at += word.length;
  return value;
}

function readArray(cursor: JsonCursor, depth: number): JsonValue[] {
  expectSymbol(cursor, "[");
  const items: JsonValue[] = [];
  if (accept(cursor, "]")) return items;
  do items.push(readValue(cursor, depth));
  while (accept(cursor, ","));
  expectSymbol(cursor, "]");
  return items;
}

function readObject(cursor: JsonCursor, depth: number): JsonObject {
  expectSymbol(cursor, "{");
  const object: JsonObject = new Map();
  if (accept(cursor, "}")) return object;
  do {
    skipSpace(cursor);
    const start = cursor.at;
    const key = readString(cursor);
    if (object.has(key)) jsonFail(cursor, "distinct keys", `${quoteName(key)} a second time`, start);
    expectSymbol(cursor, ":");
    object.set(key, readValue(cursor, depth));
  } while (accept(cursor, ","));
  expectSymbol(cursor, "}");
  return object;
}

function describeByte(cursor: JsonCursor, at: number): string {
  if (at >= cursor.end) return "the end of the text";
  const byte = cursor.bytes[at]!;
  if (byte > 0x20 && byte < 0x7f) return JSON.stringify(String.fromCharCode(byte));
  return `byte 0x${byte.toString(16).padStart(2, "0")}`;
}

/** A value as JSON text with two spaces of indentation, as Python's `json.dumps(indent=2)` writes it. */
export function formatJson(value: JsonValue, indent = ""): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => inner + formatJson(item, inner)).join(",\n")}\n${indent}]`;
  }
  if (!(value instanceof Map)) return JSON.stringify(value);
  if (value.size === 0) return "{}";
  const fields = [...value].map(
    ([key, item]) => `${inner}${JSON.stringify(key)}: ${formatJson(item, inner)}`,
  );
  return `{\n${fields.join(",\n")}\n${indent}}`;
}

/** A name in quotes for a message, cut to a length that fits a terminal: names come from the file and may be huge. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length <= 160 ? name : `${name.slice(0, 150)}…`);
}
