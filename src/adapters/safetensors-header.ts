/**
 * The safetensors header: eight bytes of length and a JSON object. This reader accepts exactly the format's grammar.
 *
 * The reference library accepts what serde accepts: repeated and unknown fields, arrays in place of objects and leading space
 * (its README forbids the first and the last). Each of these lets two readers see two different files, so all are errors here.
 * The grammar has a fixed depth, so there is no recursion and no intermediate tree. `safetensors.ts` checks what the entries
 * say about the data.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { workMeter } from "../meter.ts";
import {
  accept,
  expectSymbol,
  type JsonCursor,
  jsonFail,
  quoteName,
  readNumberToken,
  readString,
  readWord,
  skipSpace,
} from "./json.ts";

/** The reference library's limit for the header. Stops a length field from making a reader parse the whole file. */
export const MAX_HEADER_BYTES = 100_000_000;

const where = "safetensors header";

/** Work limit of a header: 400,000 tensors with two dimensions, more than any shard of a published model has. */
const MOST_OBJECTS = 2 ** 22;
/** An entry counts as this many objects, because it takes as much memory as this many numbers. */
const ENTRY = 8;

/** One tensor as the header declares it. */
export interface HeaderEntry {
  /** Element type, any string. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte of the data (`begin`) and the byte after the last (`end`), relative to the end of the header. */
  readonly begin: number;
  readonly end: number;
  /** Offset of the entry in the file, for messages. */
  readonly offset: number;
}

export interface SafetensorsHeader {
  /** Undefined if absent or null. */
  readonly metadata: Map<string, string> | undefined;
  /** In the order of the JSON text. */
  readonly entries: Map<string, HeaderEntry>;
  /** Offset in the file at which the data begins. */
  readonly dataStart: number;
}

/** Bytes of the length field. */
export const LENGTH_BYTES = 8;

/**
 * Length of the part before the data (length field and header), from the first eight bytes of a file.
 *
 * @throws LqaError TRUNCATED_SOURCE if there are fewer than eight bytes; SOURCE_HEADER for a header above 100 MB
 */
export function headerBytes(start: Uint8Array): number {
  if (start.length < LENGTH_BYTES) {
    fail(KIND.TRUNCATED_SOURCE, { where, expected: "at least 8 bytes", actual: start.length, offset: 0 });
  }
  const view = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES);
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (length > MAX_HEADER_BYTES) {
    fail(KIND.SOURCE_HEADER, {
      where,
      expected: `a length of at most ${MAX_HEADER_BYTES}`,
      actual: length,
      offset: 0,
    });
  }
  return LENGTH_BYTES + length;
}

/**
 * Reads the header of a safetensors file.
 *
 * @param bytes the file, or its first {@link headerBytes} bytes
 * @throws LqaError TRUNCATED_SOURCE if the file ends inside the header; SOURCE_HEADER, with the byte offset, for a
 * header above 100 MB and for everything that the grammar does not allow; BUDGET for a header with millions of entries
 */
export function readHeader(bytes: Uint8Array): SafetensorsHeader {
  const end = headerBytes(bytes);
  if (end > bytes.length) {
    fail(KIND.TRUNCATED_SOURCE, { where, expected: `${end} bytes`, actual: bytes.length, offset: 0 });
  }
  const meter = workMeter(
    where,
    { objects: MOST_OBJECTS },
    "Split the file: models of this size are stored in shards.",
  );
  const cursor: JsonCursor = { bytes, at: LENGTH_BYTES, end, kind: KIND.SOURCE_HEADER, where, meter };
  if (end === LENGTH_BYTES || bytes[8] !== 0x7b) jsonFail(cursor, '"{" as the first byte');
  const header = readTop(cursor);
  while (cursor.at < cursor.end && bytes[cursor.at] === 0x20) cursor.at++;
  if (cursor.at < cursor.end) jsonFail(cursor, "only spaces after the header object");
  return header;
}

function readTop(cursor: JsonCursor): SafetensorsHeader {
  let metadata: Map<string, string> | undefined;
  const entries = new Map<string, HeaderEntry>();
  let metadataSeen = false;
  expectSymbol(cursor, "{");
  if (accept(cursor, "}")) return { metadata, entries, dataStart: cursor.end };
  do {
    const { key, offset } = readKey(cursor);
    if (key === "__metadata__") {
      if (metadataSeen) jsonFail(cursor, "distinct names", '"__metadata__" a second time', offset);
      metadataSeen = true;
      metadata = readMetadata(cursor);
    } else {
      if (entries.has(key)) jsonFail(cursor, "distinct names", `${quoteName(key)} a second time`, offset);
      cursor.meter.charge("objects", ENTRY);
      entries.set(key, readEntry(cursor, key, offset));
    }
  } while (accept(cursor, ","));
  expectSymbol(cursor, "}");
  return { metadata, entries, dataStart: cursor.end };
}

/** Reads a key and its colon. Rejects names that break some readers. */
function readKey(cursor: JsonCursor): { key: string; offset: number } {
  skipSpace(cursor);
  const offset = cursor.at;
  cursor.meter.charge("objects", 1);
  const key = readString(cursor);
  // No tool writes these, and each has broken a program: C strings, and JavaScript objects used as dictionaries.
  if (key === "" || key.includes("\0") || key === "__proto__") {
    jsonFail(cursor, "a name that is not empty, not __proto__ and has no NUL", quoteName(key), offset);
  }
  expectSymbol(cursor, ":");
  return { key, offset };
}

function readMetadata(cursor: JsonCursor): Map<string, string> | undefined {
  skipSpace(cursor);
  // MLX writes null here, and the reference library treats it as absent.
  if (cursor.at < cursor.end && cursor.bytes[cursor.at] === 0x6e) {
    readWord(cursor, "null", null);
    return undefined;
  }
  const metadata = new Map<string, string>();
  expectSymbol(cursor, "{");
  if (accept(cursor, "}")) return metadata;
  do {
    const { key, offset } = readKey(cursor);
    if (metadata.has(key))
      jsonFail(cursor, "distinct metadata keys", `${quoteName(key)} a second time`, offset);
    metadata.set(key, readString(cursor));
  } while (accept(cursor, ","));
  expectSymbol(cursor, "}");
  return metadata;
}

function readEntry(cursor: JsonCursor, name: string, offset: number): HeaderEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let span: number[] | undefined;
  expectSymbol(cursor, "{");
  do {
    const field = readKey(cursor);
    if (field.key === "dtype" && dtype === undefined) dtype = readString(cursor);
    else if (field.key === "shape" && shape === undefined) shape = readIntegers(cursor);
    else if (field.key === "data_offsets" && span === undefined) span = readIntegers(cursor);
    else jsonFail(cursor, "dtype, shape and data_offsets, once each", quoteName(field.key), field.offset);
  } while (accept(cursor, ","));
  expectSymbol(cursor, "}");
  if (dtype === undefined || shape === undefined || span === undefined) {
    return jsonFail(
      cursor,
      "dtype, shape and data_offsets",
      `tensor ${quoteName(name)} without one of them`,
      offset,
    );
  }
  const [begin, end] = span;
  if (span.length !== 2 || begin! > end!) {
    jsonFail(cursor, "two ascending data_offsets", `[${span.slice(0, 4).join(",")}]`, offset);
  }
  return { dtype, shape, begin: begin!, end: end!, offset };
}

function readIntegers(cursor: JsonCursor): number[] {
  const values: number[] = [];
  expectSymbol(cursor, "[");
  if (accept(cursor, "]")) return values;
  do {
    skipSpace(cursor);
    const start = cursor.at;
    const token = readNumberToken(cursor);
    const value = Number(token);
    if (!/^(0|[1-9]\d*)$/.test(token) || !Number.isSafeInteger(value)) {
      jsonFail(cursor, "an integer from 0 to 2^53-1", token, start);
    }
    cursor.meter.charge("objects", 1);
    values.push(value);
  } while (accept(cursor, ","));
  expectSymbol(cursor, "]");
  return values;
}
