/**
 * Writes an index in the canonical layout (spec clause 12.2): identifier, vtable, root table, then the vectors in slot order.
 * The official builder writes back to front, so this file creates the last vector first. It writes all required vectors, even
 * empty ones.
 *
 * @module
 */
import { Builder } from "flatbuffers";
import { type IndexVectors, SCHEMA } from "./generated/schema.ts";
import { SCALAR_BYTES, type Scalar } from "./schema-types.ts";

/** Serializes an index. The result depends only on the vectors. */
export function writeIndex(vectors: IndexVectors): Uint8Array {
  const builder = new Builder(4096);
  const present = [...SCHEMA.vectors.entries()].filter(
    ([, { name }]) => vectors[name as keyof IndexVectors] !== undefined,
  );
  // Last slot first.
  const offsets = present.reverse().map(([slot, { name, element }]): [slot: number, offset: number] => {
    const values = vectors[name as keyof IndexVectors] as ArrayLike<number> | Record<string, number>[];
    if ("struct" in element) {
      const layout = SCHEMA.structs[element.struct]!;
      builder.startVector(layout.size, values.length, layout.align);
      for (let i = values.length - 1; i >= 0; i--) {
        const record = values[i] as Record<string, number>;
        // Structs of the schema have no gaps: every byte is a field.
        for (let f = layout.fields.length - 1; f >= 0; f--) {
          const { name, type } = layout.fields[f]!;
          writeScalar(builder, type, record[name]!);
        }
      }
    } else {
      const size = SCALAR_BYTES[element.scalar];
      builder.startVector(size, values.length, size);
      for (let i = values.length - 1; i >= 0; i--) writeScalar(builder, element.scalar, values[i] as number);
    }
    return [slot, builder.endVector()];
  });
  builder.startObject(present[0]![0] + 1);
  for (const [slot, offset] of offsets) builder.addFieldOffset(slot, offset, 0);
  builder.finish(builder.endObject(), SCHEMA.identifier);
  return builder.asUint8Array().slice();
}

/** Writes a scalar without aligning: `startVector` has reserved room, and sizes are multiples of alignments. */
function writeScalar(builder: Builder, type: Scalar, value: number): void {
  if (type === "f32") builder.writeFloat32(value);
  else if (SCALAR_BYTES[type] === 4) builder.writeInt32(value);
  else if (SCALAR_BYTES[type] === 2) builder.writeInt16(value);
  else builder.writeInt8(value);
}
