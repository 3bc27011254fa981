/**
 * The fields of an index (spec clause 6): the offsets of its FlatBuffer, and of each vector the number of records and the
 * records field by field, named as the library names them.
 *
 * @module
 */
import { CODEC_NAMES } from "../../../../src/core/codecs/registry.ts";
import { ROTATIONS } from "../../../../src/core/codecs/rotation.ts";
import {
  BASE_LAYOUTS,
  COMPRESSIONS,
  ELEMENT_TYPES,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  TENSOR_ROLES,
} from "../../../../src/core/container/encoding-record.ts";
import { SCHEMA } from "../../../../src/core/container/generated/schema.ts";
import { type Located, readIndex, verifyIndex } from "../../../../src/core/container/index-read.ts";
import { PROLOGUE_BYTES, type Prologue, vectorsWith } from "../../../../src/core/container/prologue.ts";
import { SCALAR_BYTES, type Scalar, type VectorField } from "../../../../src/core/container/schema-types.ts";
import { type ByteField, field, gap, type Stretch } from "./field.ts";

/** Where everything in an index stands. */
export interface IndexMap {
  /** Where the index ends in the file. */
  readonly end: number;
  /** Pieces in order; each builds its fields on demand, from an offset on. */
  readonly pieces: readonly Piece[];
}

interface Piece {
  readonly offset: number;
  readonly end: number;
  fields(stretch: Stretch): Iterable<ByteField>;
}

/** Clauses of the vectors, and of a field where it has one of its own. */
const CLAUSES: Readonly<Record<string, string>> = {
  encodings: "6.4",
  bands: "6.5",
  plans: "6.5",
  types: "6.6",
  modules: "6.7",
  tensors: "6.8",
  dimensions: "6.8",
  sections: "6.9",
  names: "6.10",
  start: "8.8.1",
  positions: "8.8.1",
  parent: "8.9.1",
  parentModules: "8.9.1",
};
const FIELD_CLAUSES: Readonly<Record<string, string>> = {
  nameShared: "6.10",
  nameSuffix: "6.10",
  compression: "7.5",
  multiplier: "9.1",
  alpha: "9.1",
  rule: "9.1",
  rotation: "8.6.1",
  table: "8.6",
  axis: "9.4",
  reserved: "6.3",
};
/** What the numbers of a field stand for, by vector and field. */
const MEANINGS: Readonly<Record<string, readonly (string | undefined)[]>> = {
  "encodings.codec": CODEC_NAMES,
  "encodings.element": ELEMENT_TYPES,
  "encodings.scale": ELEMENT_TYPES,
  "encodings.rotation": ROTATIONS,
  "types.role": MODULE_ROLES,
  "types.baseLayout": BASE_LAYOUTS,
  "types.rule": MULTIPLIER_RULES,
  "tensors.compression": COMPRESSIONS,
  "tensors.element": ELEMENT_TYPES,
  "tensors.role": TENSOR_ROLES,
  "sections.compression": COMPRESSIONS,
};

/**
 * Maps an index.
 *
 * @param bytes exactly the index
 * @param prologue of the file: its features bring vectors
 * @throws LqaError as `verifyIndex`
 */
export function mapIndex(bytes: Uint8Array, prologue: Pick<Prologue, "required">): IndexMap {
  const located = verifyIndex(bytes, SCHEMA, PROLOGUE_BYTES, vectorsWith(prologue));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const table = view.getUint32(0, true);
  const vtable = table - view.getInt32(table, true);
  const pieces = [
    fixed(0, [
      [0, 4, "u32", "offset of the root table", "6.1"],
      [4, 4, "text", "file identifier", "6.1"],
    ]),
    fixed(vtable, [
      [0, 2, "u16", "vtable: its bytes", "6.2"],
      [2, 2, "u16", "vtable: bytes of the table", "6.2"],
      ...entries(view.getUint16(vtable, true)),
    ]),
    fixed(table, [
      [0, 4, "i32", "root table: distance of its vtable", "6.2"],
      ...SCHEMA.vectors.flatMap(({ name }, slot): Row[] => {
        if (!located.has(name)) return [];
        const place = view.getUint16(vtable + 4 + 2 * slot, true);
        return [[place, 4, "u32", `root table: offset of ${name}`, "6.3"]];
      }),
    ]),
    ...SCHEMA.vectors.flatMap((vector) => {
      const place = located.get(vector.name);
      return place === undefined ? [] : [vectorPiece(vector, place, bytes)];
    }),
  ];
  // Where vectors overlap, which nothing forbids, the first one is shown.
  return { end: PROLOGUE_BYTES + bytes.length, pieces: pieces.sort((x, y) => x.offset - y.offset) };
}

/** The fields of an index that begin before the end of a stretch, from its beginning on. */
export function* indexFields({ pieces, end }: IndexMap, stretch: Stretch): Generator<ByteField> {
  let at = PROLOGUE_BYTES;
  for (const piece of pieces) {
    if (piece.offset >= stretch.offset + stretch.bytes.length) break;
    yield* between(at, piece.offset, stretch);
    if (piece.end > stretch.offset) yield* piece.fields(stretch);
    at = Math.max(at, piece.end);
  }
  // Whatever lies between the last piece that is in sight and the next one is in sight as well.
  const next = pieces.find(({ offset }) => offset >= stretch.offset + stretch.bytes.length);
  yield* between(at, next?.offset ?? end, stretch);
}

const between = (from: number, end: number, stretch: Stretch): Iterable<ByteField> =>
  gap(from, end, "padding of the FlatBuffer", "6.2", stretch);

/** A name that shares its beginning with the one before may begin inside a character. */
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

type Row = readonly [at: number, length: number, type: Scalar | "i32" | "text", name: string, clause: string];

function entries(vtableSize: number): Row[] {
  return Array.from({ length: Math.max(0, (vtableSize - 4) / 2) }, (_, slot): Row => {
    const name = SCHEMA.vectors[slot]?.name ?? `unknown field ${slot}`;
    return [4 + 2 * slot, 2, "u16", `vtable: place of ${name}`, "6.2"];
  });
}

function fixed(base: number, rows: readonly Row[]): Piece {
  const offset = PROLOGUE_BYTES + base;
  const sorted = [...rows].sort(([x], [y]) => x - y);
  const [at, length] = sorted.at(-1)!;
  return {
    offset,
    end: offset + at + length,
    *fields(stretch) {
      for (const [at, length, type, name, clause] of sorted)
        yield field(offset + at, length, name, clause, stretch, (bytes) => scalarText(bytes, type));
    },
  };
}

function scalarText(bytes: Uint8Array, type: Row[2]): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case "u8":
      return String(view.getUint8(0));
    case "u16":
      return String(view.getUint16(0, true));
    case "u32":
      return String(view.getUint32(0, true));
    case "i32":
      return String(view.getInt32(0, true));
    case "f32":
      return String(view.getFloat32(0, true));
    case "text":
      return JSON.stringify(lenient.decode(bytes));
  }
}

function vectorPiece(
  { name, element }: VectorField,
  { start, count, size }: Located,
  index: Uint8Array,
): Piece {
  const first = PROLOGUE_BYTES + start;
  const clause = CLAUSES[name] ?? "6.3";
  return {
    offset: first - 4,
    end: first + count * size,
    *fields(stretch) {
      yield field(first - 4, 4, `${name}: number of elements`, clause, stretch, (b) => scalarText(b, "u32"));
      if (name === "names") {
        yield* nameFields(index, first, stretch);
        return;
      }
      const end = stretch.offset + stretch.bytes.length;
      for (let i = Math.max(0, Math.floor((stretch.offset - first) / size)); i < count; i++) {
        const at = first + i * size;
        if (at >= end) return;
        if ("scalar" in element)
          yield field(at, size, `${name}[${i}]`, clause, stretch, (b) => scalarText(b, element.scalar));
        else yield* recordFields(name, element.struct, i, at, stretch);
      }
    },
  };
}

function* recordFields(
  vector: string,
  struct: string,
  i: number,
  at: number,
  stretch: Stretch,
): Generator<ByteField> {
  for (const { name, offset, type } of SCHEMA.structs[struct]!.fields) {
    const clause = FIELD_CLAUSES[name] ?? CLAUSES[vector]!;
    const read = (bytes: Uint8Array): string => {
      if (name === "tag") return scalarText(bytes, "text");
      const value = scalarText(bytes, type);
      const meaning = MEANINGS[`${vector}.${name}`]?.[Number(value)];
      return meaning === undefined ? value : `${value}: ${meaning}`;
    };
    yield field(at + offset, SCALAR_BYTES[type], `${vector}[${i}].${name}`, clause, stretch, read);
  }
}

/** The suffixes of names, record by record. */
function* nameFields(index: Uint8Array, first: number, stretch: Stretch): Generator<ByteField> {
  const { vectors } = readIndex(index, PROLOGUE_BYTES);
  const heapEnd = first + vectors.names.length;
  let at = first;
  for (const [kind, records] of [
    ["module", vectors.modules],
    ["tensor", vectors.tensors],
  ] as const)
    for (const [i, { nameSuffix, nameShared }] of records.entries()) {
      const length = Math.min(nameSuffix, heapEnd - at);
      if (length > 0 && at + length > stretch.offset) {
        const name = `name of ${kind} ${i}, behind ${nameShared} shared bytes`;
        yield field(at, length, name, "6.10", stretch, (bytes) => scalarText(bytes, "text"));
      }
      at += length;
      if (at >= stretch.offset + stretch.bytes.length) return;
    }
}
