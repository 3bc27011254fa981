/**
 * FlatBuffers verifier, driven by the schema (spec clause 6.2).
 *
 * The JavaScript FlatBuffers runtime reads past the end of a buffer without an error, so nothing may access an
 * index before this has run. It checks every offset, alignment, vtable, vector, string and required field that the
 * schema can reach, follows references with a work list rather than by recursion, and bounds both the depth and the
 * number of tables. It is at least as strict as the verifiers of the C++ and Rust runtimes: what it accepts, they
 * accept. What it leaves to its caller: the meaning of the records (`records-read.ts`).
 *
 * @module
 */
import { fail } from "../errors.ts";
import type { FieldType, Schema } from "./schema-types.ts";
import { SCALAR_BYTES } from "./schema-types.ts";

/** Deepest nesting of tables, as in the official verifiers. */
const MAX_DEPTH = 64;
/** Most tables in one buffer: shared tables would otherwise let a small file ask for exponential work. */
const MAX_TABLES = 1_000_000;

/** Where a field of the root table stands: first element and number of elements (1 if it is no vector). */
export interface Located {
  readonly start: number;
  readonly count: number;
}

interface Pending {
  readonly table: string;
  readonly at: number;
  readonly depth: number;
  readonly where: string;
}

/**
 * Verifies `bytes` against `schema` and returns where each present field of the root table stands.
 *
 * @param bytes the whole buffer; offsets in errors are relative to `base`, its position in the file
 * @throws LqaError INDEX_TABLE, INDEX_VECTOR, INDEX_IDENTIFIER, INDEX_FIELD_MISSING
 */
export function verifyFlatBuffer(bytes: Uint8Array, schema: Schema, base = 0): Map<string, Located> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.byteLength;

  /** The position an unsigned 32-bit offset stored at `at` points to. */
  const follow = (at: number, where: string): number => {
    need(at, 4, 4, where);
    const offset = view.getUint32(at, true);
    if (offset < 4 || offset > size - at)
      fail("INDEX_TABLE", {
        where,
        offset: base + at,
        expected: `an offset from 4 to ${size - at}`,
        actual: offset,
      });
    return at + offset;
  };
  const need = (at: number, length: number, align: number, where: string): void => {
    if (at % align !== 0)
      fail("INDEX_TABLE", {
        where,
        offset: base + at,
        expected: `a position divisible by ${align}`,
        actual: at,
      });
    if (length > size - at)
      fail("INDEX_TABLE", {
        where,
        offset: base + at,
        expected: `at most ${size - at} bytes`,
        actual: length,
      });
  };
  /** Checks the vector at `at` and returns its elements. */
  const vector = (at: number, elementSize: number, align: number, where: string): Located => {
    need(at, 4, 4, where);
    const count = view.getUint32(at, true);
    const start = at + 4;
    if (count > (size - start) / elementSize)
      fail("INDEX_VECTOR", {
        where,
        offset: base + at,
        expected: `at most ${Math.floor((size - start) / elementSize)} elements`,
        actual: count,
      });
    if (count > 0 && start % align !== 0)
      fail("INDEX_VECTOR", {
        where,
        offset: base + start,
        expected: `elements aligned to ${align}`,
        actual: start,
      });
    return { start, count };
  };
  const string = (at: number, where: string): Located => {
    const located = vector(at, 1, 1, where);
    const end = located.start + located.count;
    if (end >= size || bytes[end] !== 0)
      fail("INDEX_VECTOR", { where, offset: base + end, expected: "a string that ends with a zero byte" });
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(located.start, end));
    } catch {
      fail("INDEX_VECTOR", { where, offset: base + located.start, expected: "valid UTF-8" });
    }
    return located;
  };

  need(0, 8, 4, "index");
  for (let i = 0; i < 4; i++)
    if (bytes[4 + i] !== schema.identifier.charCodeAt(i))
      fail("INDEX_IDENTIFIER", {
        offset: base + 4,
        expected: schema.identifier,
        actual: hex(bytes.subarray(4, 8)),
      });

  const found = new Map<string, Located>();
  const pending: Pending[] = [{ table: schema.root, at: follow(0, "index"), depth: 1, where: schema.root }];
  let tables = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { at, depth, where } = next;
    if (depth > MAX_DEPTH || ++tables > MAX_TABLES)
      fail("INDEX_TABLE", {
        where,
        offset: base + at,
        expected: `at most ${MAX_DEPTH} levels and ${MAX_TABLES} tables`,
      });
    need(at, 4, 4, where);
    const vtable = at - view.getInt32(at, true);
    if (vtable < 0 || vtable > size - 4)
      fail("INDEX_TABLE", {
        where,
        offset: base + at,
        expected: "a vtable inside the index",
        actual: vtable,
      });
    need(vtable, 4, 2, `vtable of ${where}`);
    const vtableSize = view.getUint16(vtable, true);
    const tableSize = view.getUint16(vtable + 2, true);
    if (vtableSize < 4 || vtableSize % 2 !== 0)
      fail("INDEX_TABLE", {
        where,
        offset: base + vtable,
        expected: "an even vtable size of at least 4",
        actual: vtableSize,
      });
    need(vtable, vtableSize, 2, `vtable of ${where}`);
    if (tableSize < 4)
      fail("INDEX_TABLE", {
        where,
        offset: base + vtable + 2,
        expected: "a table size of at least 4",
        actual: tableSize,
      });
    need(at, tableSize, 4, where);

    const isRoot = depth === 1;
    const { fields } = schema.tables[next.table]!;
    for (let slot = 0; slot < fields.length; slot++) {
      const field = fields[slot]!;
      const entry = vtable + 4 + 2 * slot;
      const offset = entry + 2 <= vtable + vtableSize ? view.getUint16(entry, true) : 0;
      const path = `${where}.${field.name}`;
      if (offset === 0) {
        if (field.required) fail("INDEX_FIELD_MISSING", { where: path, offset: base + at });
        continue;
      }
      const [inline, align] = inlineSize(field.type, schema);
      if (offset < 4 || offset + inline > tableSize)
        fail("INDEX_TABLE", {
          where: path,
          offset: base + entry,
          expected: `an offset from 4 to ${tableSize - inline}`,
          actual: offset,
        });
      const position = at + offset;
      need(position, inline, align, path);

      let located: Located = { start: position, count: 1 };
      const { type } = field;
      if ("string" in type) located = string(follow(position, path), path);
      else if ("table" in type)
        pending.push({ table: type.table, at: follow(position, path), depth: depth + 1, where: path });
      else if ("vector" in type) {
        const element = type.vector;
        const target = follow(position, path);
        if ("scalar" in element)
          located = vector(target, SCALAR_BYTES[element.scalar], SCALAR_BYTES[element.scalar], path);
        else if ("struct" in element) {
          const { size: bytesEach, align: alignEach } = schema.structs[element.struct]!;
          located = vector(target, bytesEach, alignEach, path);
        } else {
          located = vector(target, 4, 4, path);
          for (let i = 0; i < located.count; i++) {
            const item = `${path}[${i}]`;
            const to = follow(located.start + 4 * i, item);
            if ("string" in element) string(to, item);
            else pending.push({ table: element.table, at: to, depth: depth + 1, where: item });
          }
        }
      }
      if (isRoot) found.set(field.name, located);
    }
  }
  return found;
}

function inlineSize(type: FieldType, schema: Schema): [size: number, align: number] {
  if ("scalar" in type) return [SCALAR_BYTES[type.scalar], SCALAR_BYTES[type.scalar]];
  if ("struct" in type) return [schema.structs[type.struct]!.size, schema.structs[type.struct]!.align];
  return [4, 4];
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");
}
