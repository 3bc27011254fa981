/**
 * Index bytes → the vectors of the root table (spec clause 6.3). Verifies first, then copies every record into a
 * plain object; nothing that leaves here refers to the bytes any more except `names`, a view.
 *
 * @module
 */
import { type IndexVectors, SCHEMA } from "./generated/schema.ts";
import { verifyIndex } from "./index-verify.ts";
import type { Scalar } from "./schema-types.ts";

/** The records of an index, and where each of them stands. */
export interface ReadIndex {
  readonly vectors: IndexVectors;
  /** File offset of entry `i` of a vector. */
  locate(name: keyof IndexVectors, i: number): number;
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
  const vectors: Record<string, unknown> = {};
  for (const { name, element } of SCHEMA.vectors) {
    const { start, count, size } = located.get(name)!;
    const list = <T>(read: (at: number) => T): T[] =>
      Array.from({ length: count }, (_, i) => read(start + i * size));
    if ("struct" in element) {
      const { fields } = SCHEMA.structs[element.struct]!;
      vectors[name] = list((at) => {
        const record: Record<string, number> = {};
        for (const field of fields) record[field.name] = readScalar(view, at + field.offset, field.type);
        return record;
      });
    } else if (element.scalar === "u8") vectors[name] = bytes.subarray(start, start + count);
    else vectors[name] = list((at) => readScalar(view, at, element.scalar));
  }
  return {
    vectors: vectors as unknown as IndexVectors,
    locate(name, i) {
      const { start, size } = located.get(name)!;
      return base + start + i * size;
    },
  };
}

function readScalar(view: DataView, at: number, type: Scalar): number {
  switch (type) {
    case "u8":
      return view.getUint8(at);
    case "u16":
      return view.getUint16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "f32":
      return view.getFloat32(at, true);
  }
}
