/**
 * Verifies the FlatBuffer of the index, and reads the vectors of its root table (spec clause 6.3): fields of records in place,
 * or whole records as plain objects.
 *
 * An index may have half a million records of four bytes. An object for each costs more than all its checks, so code that goes
 * over every record reads columns.
 *
 * @module
 */

import { toHex } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { type ErrorKind, fail } from "../../errors.ts";
import { type IndexVectors, SCHEMA } from "./generated/schema.ts";
import { elementBytes, type Scalar, type Schema } from "./schema-types.ts";

/** The records of an index, and the position of each. */
export interface ReadIndex {
  /** Every record as an object. Each vector is made at its first use. */
  readonly vectors: IndexVectors;
  /** The bytes of all names, as a view. */
  readonly names: Uint8Array;
  /** Number of entries of a vector. */
  count(name: keyof IndexVectors): number;
  /** A function from the number of an entry to one of its fields; without a field, to the entry of a vector of integers. */
  column(name: keyof IndexVectors, field?: string): (i: number) => number;
  /** A function from the number of an entry to its file offset. */
  locate(name: keyof IndexVectors): (i: number) => number;
  /**
   * A function to call with each entry of a vector in order, or with runs of contiguous entries. It returns false if an earlier
   * run has the same bytes.
   *
   * @param most most calls. Default: the number of entries
   */
  distinct(name: keyof IndexVectors, most?: number): (first: number, length?: number) => boolean;
}

/**
 * Verifies and reads an index.
 *
 * @param bytes exactly the index
 * @param base position of the index in the file, for error offsets
 * @param optional the optional vectors that the features of the file require (`vectorsWith`)
 * @throws LqaError as {@link verifyIndex}
 */
export function readIndex(bytes: Uint8Array, base = 0, optional: readonly string[] = []): ReadIndex {
  const located = verifyIndex(bytes, SCHEMA, base, optional);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (name: keyof IndexVectors) => located.get(name)!;
  const fieldsOf = (name: keyof IndexVectors) => {
    const { element } = SCHEMA.vectors.find((vector) => vector.name === name)!;
    return "struct" in element
      ? SCHEMA.structs[element.struct]!.fields
      : [{ name: undefined, offset: 0, type: element.scalar }];
  };
  const column: ReadIndex["column"] = (name, field) => {
    const { start, size } = at(name);
    const { offset, type } = fieldsOf(name).find((one) => one.name === field)!;
    return columnOf(view, start + offset, size, type);
  };
  const { start, count } = at("names");
  const names = bytes.subarray(start, start + count);
  const counted = (name: keyof IndexVectors): number => at(name).count;
  return {
    vectors: vectorsOf([...located.keys()] as (keyof IndexVectors)[], counted, fieldsOf, column, names),
    names,
    count: counted,
    column,
    locate(name) {
      const { start, size } = at(name);
      return (i) => base + start + i * size;
    },
    distinct(name, most) {
      const { start, size, count } = at(name);
      return distinctOf(bytes, start, size, most ?? count);
    },
  };
}

/**
 * A hash table of runs by their bytes, at most half full, without a text or object for each. The hash has a random seed, so
 * that nobody can craft a file whose runs all have the same hash.
 */
function distinctOf(
  bytes: Uint8Array,
  start: number,
  size: number,
  most: number,
): (first: number, length?: number) => boolean {
  const slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * most + 2)));
  /** First byte, and end, of each run. Runs count from 1, because 0 marks an empty slot. */
  const begins = new Uint32Array(most + 1);
  const ends = new Uint32Array(most + 1);
  const seed = Math.floor(Math.random() * 2 ** 32);
  let runs = 0;
  const equal = (run: number, at: number, end: number): boolean => {
    const from = begins[run]!;
    if (ends[run]! - from !== end - at) return false;
    for (let k = at; k < end; k++) if (bytes[from + k - at] !== bytes[k]) return false;
    return true;
  };
  return (first, length = 1) => {
    const at = start + first * size;
    const end = at + length * size;
    let hash = seed;
    for (let k = at; k < end; k++) {
      hash = Math.imul(hash ^ bytes[k]!, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    let slot = hash & (slots.length - 1);
    for (; slots[slot] !== 0; slot = (slot + 1) & (slots.length - 1))
      if (equal(slots[slot]!, at, end)) return false;
    slots[slot] = ++runs;
    begins[runs] = at;
    ends[runs] = end;
    return true;
  };
}

/** A separate function for each type, so that each stays monomorphic for the engine. */
function columnOf(view: DataView, at: number, size: number, type: Scalar): (i: number) => number {
  switch (type) {
    case "u8":
      return (i) => view.getUint8(at + i * size);
    case "u16":
      return (i) => view.getUint16(at + i * size, true);
    case "u32":
      return (i) => view.getUint32(at + i * size, true);
    case "f32":
      return (i) => view.getFloat32(at + i * size, true);
  }
}

/** An object that makes each vector at its first use. */
function vectorsOf(
  present: readonly (keyof IndexVectors)[],
  count: (name: keyof IndexVectors) => number,
  fieldsOf: (name: keyof IndexVectors) => readonly { readonly name: string | undefined }[],
  column: ReadIndex["column"],
  names: Uint8Array,
): IndexVectors {
  const made = new Map<string, unknown>([["names", names]]);
  const make = (name: keyof IndexVectors): unknown => {
    const columns = fieldsOf(name).map((field) => [field.name, column(name, field.name)] as const);
    const [first] = columns;
    return Array.from({ length: count(name) }, (_, i) => {
      if (first![0] === undefined) return first![1](i);
      const record: Record<string, number> = {};
      for (const [field, read] of columns) record[field!] = read(i);
      return record;
    });
  };
  const vectors = {};
  for (const name of present)
    Object.defineProperty(vectors, name, {
      enumerable: true,
      get() {
        if (!made.has(name)) made.set(name, make(name));
        return made.get(name);
      },
    });
  return vectors as IndexVectors;
}

// FlatBuffers verifier of the index, driven by the schema (spec clause 6.2).
//
// The JavaScript FlatBuffers runtime reads past the end of a buffer without an error, so nothing may access an index before
// this has run. It checks every offset, the vtable, the table and every vector in it, in the order of clause 15.2. It is at
// least as strict as the verifiers of the C++ and Rust runtimes: these accept every index that it accepts. It does not check
// the meaning of the records; `records-read.ts` does.

/** The place of a vector: position of its first element in the index, number of elements, and bytes of each. */
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
 * @param optional the optional vectors that this file requires; it ignores the others as unknown fields
 * @throws LqaError INDEX_TABLE, INDEX_VECTOR, INDEX_IDENTIFIER, INDEX_FIELD_MISSING
 */
export function verifyIndex(
  bytes: Uint8Array,
  schema: Schema,
  base = 0,
  optional: readonly string[] = [],
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

  /** The target of the unsigned offset at `at`, which must have room for at least four bytes. */
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
    if (extra && !optional.includes(name)) continue;
    const where = `${schema.table}.${name}`;
    const entry = 4 + 2 * slot;
    const place = entry < vtableSize ? view.getUint16(vtable + entry, true) : 0;
    if (place === 0) bad(KIND.INDEX_FIELD_MISSING, vtable, "a vector", "none", where);
    if (place < 4 || place % 4 !== 0 || place > tableSize - 4)
      bad(KIND.INDEX_TABLE, vtable + entry, `a multiple of 4 from 4 to ${tableSize - 4}`, place, where);
    // No element needs more alignment than the four bytes of its vector's length.
    const at = follow(table + place, where);
    const count = view.getUint32(at, true);
    const each = elementBytes(schema, element);
    const most = Math.floor((size - at - 4) / each);
    if (count > most) bad(KIND.INDEX_VECTOR, at, `at most ${most} elements`, count, where);
    found.set(name, { start: at + 4, count, size: each });
  }
  return found;
}

/** Describes bytes that are not the identifier: often the identifier of a draft, or bytes that are not text. */
function identifierText(bytes: Uint8Array): string {
  const text = String.fromCharCode(...bytes);
  if (text === "LQA1") return "LQA1, of a draft before 1.0: encode the adapter again";
  return /^[ -~]*$/.test(text) ? text : toHex(bytes);
}
