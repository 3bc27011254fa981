/**
 * Index bytes → the vectors of the root table (spec clause 6.3). Verifies first, then copies every record into a
 * plain object; nothing that leaves here refers to the bytes any more except `names`, a view.
 *
 * @module
 */
import { type IndexVectors, SCHEMA } from "./generated/schema.ts";
import { verifyFlatBuffer } from "./index-verify.ts";
import { SCALAR_BYTES, type Scalar } from "./schema-types.ts";

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
 * @throws LqaError as {@link verifyFlatBuffer}
 */
export function readIndex(bytes: Uint8Array, base = 0): ReadIndex {
  const located = verifyFlatBuffer(bytes, SCHEMA, base);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const vectors: Record<string, unknown> = {};
  for (const field of SCHEMA.tables[SCHEMA.root]!.fields) {
    const { start, count } = located.get(field.name)!;
    if (!("vector" in field.type)) throw new TypeError(`schema: ${field.name} is not a vector`);
    const element = field.type.vector;
    if ("struct" in element) {
      const { size, fields } = SCHEMA.structs[element.struct]!;
      const records = new Array<Record<string, number>>(count);
      for (let i = 0; i < count; i++) {
        const record: Record<string, number> = {};
        for (const { name, offset, type } of fields)
          record[name] = readScalar(view, start + i * size + offset, type);
        records[i] = record;
      }
      vectors[field.name] = records;
    } else if ("scalar" in element) {
      const { scalar } = element;
      vectors[field.name] =
        scalar === "u8"
          ? bytes.subarray(start, start + count)
          : Array.from({ length: count }, (_, i) =>
              readScalar(view, start + i * SCALAR_BYTES[scalar], scalar),
            );
    } else throw new TypeError(`schema: ${field.name} holds neither structs nor scalars`);
  }
  return {
    vectors: vectors as unknown as IndexVectors,
    locate(name, i) {
      const { type } = SCHEMA.tables[SCHEMA.root]!.fields.find((field) => field.name === name)!;
      const element = (type as { vector: { struct: string } | { scalar: Scalar } }).vector;
      const size = "struct" in element ? SCHEMA.structs[element.struct]!.size : SCALAR_BYTES[element.scalar];
      return base + located.get(name)!.start + i * size;
    },
  };
}

function readScalar(view: DataView, at: number, type: Scalar): number {
  switch (type) {
    case "u8":
      return view.getUint8(at);
    case "i8":
      return view.getInt8(at);
    case "u16":
      return view.getUint16(at, true);
    case "i16":
      return view.getInt16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "i32":
      return view.getInt32(at, true);
    case "f32":
      return view.getFloat32(at, true);
  }
}
