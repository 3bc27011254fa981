/**
 * FlatBuffers verifier of the index, driven by the schema (spec clause 6.2).
 *
 * The JavaScript FlatBuffers runtime reads past the end of a buffer without an error, so nothing may access an
 * index before this has run. It checks every offset, the vtable, the table and every vector in it, in the order of clause 15.2,
 * and is at least as strict as the verifiers of the C++ and Rust runtimes: what it accepts, they accept. What it leaves to its
 * caller: the meaning of the records (`records-read.ts`).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { type ErrorKind, fail } from "../../errors.ts";
import { toHex } from "./bytes.ts";
import { elementBytes, type Schema } from "./schema-types.ts";

/** The place of a vector: its first element, the number of elements, and the bytes of each. */
export interface Located {
  readonly start: number;
  readonly count: number;
  readonly size: number;
}

/**
 * Verifies `bytes` against `schema` and returns the place of each vector.
 *
 * @param bytes the whole index
 * @param base position of the index in the file, for error offsets
 * @param optional whether the file has the feature of the optional vectors; without it they are unknown fields, and ignored
 * @throws LqaError INDEX_TABLE, INDEX_VECTOR, INDEX_IDENTIFIER, INDEX_FIELD_MISSING
 */
export function verifyIndex(
  bytes: Uint8Array,
  schema: Schema,
  base = 0,
  optional = false,
): Map<string, Located> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.byteLength;
  const bad = (
    kind: ErrorKind,
    at: number,
    expected: string,
    actual: number | string,
    where = "index",
  ): never => fail(kind, { where, offset: base + at, expected, actual });

  /** Where the unsigned offset at `at` leads: to something that begins with four bytes. */
  const follow = (at: number, where: string): number => {
    const offset = view.getUint32(at, true);
    const target = at + offset;
    if (offset < 4 || target % 4 !== 0 || target > size - 4)
      bad(KIND.INDEX_TABLE, at, `an offset of 4 or more to a multiple of 4 up to ${size - 4}`, offset, where);
    return target;
  };

  if (size < 8) bad(KIND.INDEX_TABLE, 0, "at least 8 bytes", size);
  for (let i = 0; i < 4; i++)
    if (bytes[4 + i] !== schema.identifier.charCodeAt(i))
      bad(KIND.INDEX_IDENTIFIER, 4, schema.identifier, identifierText(bytes.subarray(4, 8)));

  const table = follow(0, `table ${schema.table}`);
  const vtable = table - view.getInt32(table, true);
  if (vtable < 0 || vtable % 2 !== 0 || vtable > size - 4)
    bad(KIND.INDEX_TABLE, table, `a vtable at an even position from 0 to ${size - 4}`, vtable);
  const vtableSize = view.getUint16(vtable, true);
  if (vtableSize < 4 || vtableSize % 2 !== 0 || vtableSize > size - vtable)
    bad(KIND.INDEX_TABLE, vtable, `an even vtable size from 4 to ${size - vtable}`, vtableSize);
  const tableSize = view.getUint16(vtable + 2, true);
  if (tableSize < 4 || tableSize > size - table)
    bad(KIND.INDEX_TABLE, vtable + 2, `a table size from 4 to ${size - table}`, tableSize);

  const found = new Map<string, Located>();
  for (const [slot, { name, element, optional: extra }] of schema.vectors.entries()) {
    if (extra && !optional) break;
    const where = `${schema.table}.${name}`;
    const entry = 4 + 2 * slot;
    const place = entry < vtableSize ? view.getUint16(vtable + entry, true) : 0;
    if (place === 0) bad(KIND.INDEX_FIELD_MISSING, vtable, "a vector", "none", where);
    if (place < 4 || place % 4 !== 0 || place > tableSize - 4)
      bad(KIND.INDEX_TABLE, vtable + entry, `a multiple of 4 from 4 to ${tableSize - 4}`, place, where);
    // No element is aligned to more than the four bytes of its vector's length.
    const at = follow(table + place, where);
    const count = view.getUint32(at, true);
    const each = elementBytes(schema, element);
    const most = Math.floor((size - at - 4) / each);
    if (count > most) bad(KIND.INDEX_VECTOR, at, `at most ${most} elements`, count, where);
    found.set(name, { start: at + 4, count, size: each });
  }
  return found;
}

/** Describes the bytes found instead of the identifier: usually the identifier of another version, or bytes that are not text. */
function identifierText(bytes: Uint8Array): string {
  const text = String.fromCharCode(...bytes);
  if (text === "LQA1") return "LQA1, of a draft before 1.0: encode the adapter again";
  return /^[ -~]*$/.test(text) ? text : toHex(bytes);
}
