/**
 * The vectors of the root table → index bytes, in the canonical layout (spec clause 12.2): identifier, vtable, root
 * table, then the vectors in slot order. The official builder writes back to front, so vectors are created last
 * first; all of them are always present, also when empty.
 *
 * @module
 */
import { Builder } from "flatbuffers";
import { type IndexVectors, SCHEMA } from "./generated/schema.ts";
import { SCALAR_BYTES, type Scalar } from "./schema-types.ts";

/** Serializes an index. The result depends on the vectors alone. */
export function writeIndex(vectors: IndexVectors): Uint8Array {
  const builder = new Builder(4096);
  builder.forceDefaults(true);
  const { fields } = SCHEMA.tables[SCHEMA.root]!;
  const offsets: number[] = [];
  for (let slot = fields.length - 1; slot >= 0; slot--) {
    const field = fields[slot]!;
    if (!("vector" in field.type)) throw new TypeError(`schema: ${field.name} is not a vector`);
    const element = field.type.vector;
    const values = vectors[field.name as keyof IndexVectors] as ArrayLike<number> | Record<string, number>[];
    if ("struct" in element) {
      const layout = SCHEMA.structs[element.struct]!;
      builder.startVector(layout.size, values.length, layout.align);
      for (let i = values.length - 1; i >= 0; i--) {
        const record = values[i] as Record<string, number>;
        builder.prep(layout.align, layout.size);
        // Structs of the schema have no gaps: every byte is a field.
        for (let f = layout.fields.length - 1; f >= 0; f--) {
          const { name, type } = layout.fields[f]!;
          writeScalar(builder, type, record[name]!);
        }
      }
    } else if ("scalar" in element) {
      builder.startVector(SCALAR_BYTES[element.scalar], values.length, SCALAR_BYTES[element.scalar]);
      for (let i = values.length - 1; i >= 0; i--) addScalar(builder, element.scalar, values[i] as number);
    } else throw new TypeError(`schema: ${field.name} holds neither structs nor scalars`);
    offsets[slot] = builder.endVector();
  }
  builder.startObject(fields.length);
  for (let slot = fields.length - 1; slot >= 0; slot--) builder.addFieldOffset(slot, offsets[slot]!, 0);
  builder.finish(builder.endObject(), SCHEMA.identifier);
  return builder.asUint8Array().slice();
}

/** Writes without alignment: the struct was prepared as a whole. */
function writeScalar(builder: Builder, type: Scalar, value: number): void {
  if (type === "f32") builder.writeFloat32(value);
  else if (SCALAR_BYTES[type] === 4) builder.writeInt32(value);
  else if (SCALAR_BYTES[type] === 2) builder.writeInt16(value);
  else builder.writeInt8(value);
}

function addScalar(builder: Builder, type: Scalar, value: number): void {
  if (type === "f32") builder.addFloat32(value);
  else if (SCALAR_BYTES[type] === 4) builder.addInt32(value);
  else if (SCALAR_BYTES[type] === 2) builder.addInt16(value);
  else builder.addInt8(value);
}
