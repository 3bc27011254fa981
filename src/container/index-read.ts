/**
 * Index bytes → the vectors of the root table (spec clause 6.3). Verifies first; then records are read where they stand, field
 * by field, or copied into plain objects. Only `names` and {@link ReadIndex.key} refer to the bytes.
 *
 * An index may have half a million records of four bytes, so that an object for each costs more than all checks of it:
 * who goes over every record reads columns.
 *
 * @module
 */
import { type IndexVectors, SCHEMA } from "./generated/schema.ts";
import { verifyIndex } from "./index-verify.ts";
import type { Scalar } from "./schema-types.ts";

/** The records of an index, and where each of them stands. */
export interface ReadIndex {
  /** Every record as an object. Each vector is made when it is first used. */
  readonly vectors: IndexVectors;
  /** Bytes of all names. A view. */
  readonly names: Uint8Array;
  /** Entries of a vector. */
  count(name: keyof IndexVectors): number;
  /** One field of all entries of a vector by their number; without a field, the entries of a vector of integers. */
  column(name: keyof IndexVectors, field?: string): (i: number) => number;
  /** File offset of entry `i` of a vector. */
  locate(name: keyof IndexVectors, i: number): number;
  /** The bytes of entry `i` of a vector, two a character: entries are equal if these texts are. Sizes of structs are even. */
  key(name: keyof IndexVectors, i: number): string;
}

/**
 * Verifies and reads an index.
 *
 * @param bytes exactly the index
 * @param base position of the index in the file, for error offsets
 * @throws LqaError as {@link verifyIndex}
 */
export function readIndex(bytes: Uint8Array, base = 0): ReadIndex {
  const located = verifyIndex(bytes, SCHEMA, base);
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
    vectors: vectorsOf(counted, fieldsOf, column, names),
    names,
    count: counted,
    column,
    locate(name, i) {
      const { start, size } = at(name);
      return base + start + i * size;
    },
    key(name, i) {
      const { start, size } = at(name);
      let text = "";
      for (let byte = start + i * size; byte < start + (i + 1) * size; byte += 2)
        text += String.fromCharCode(view.getUint16(byte, true));
      return text;
    },
  };
}

/** A function for each type, so that the engine has one way through each. */
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

/** Vectors that are made when they are first used, each by itself. */
function vectorsOf(
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
  for (const { name } of SCHEMA.vectors)
    Object.defineProperty(vectors, name, {
      enumerable: true,
      get() {
        if (!made.has(name)) made.set(name, make(name as keyof IndexVectors));
        return made.get(name);
      },
    });
  return vectors as IndexVectors;
}
