/**
 * Types of the layout table of the index, which `schemaOf` makes from the names and types that `schema/generate.mjs` derives
 * from `schema/lqa.fbs` (spec clause 6.1). The same table drives the verifier, the reader and the writer of the index, so that
 * the three cannot disagree.
 *
 * An index is one table of vectors of fixed-size structs or unsigned integers, without other tables and strings;
 * `schema/generate.mjs` refuses a schema that has any. Optional vectors come last. Each belongs to a feature bit, and is present
 * if and only if the file has that bit.
 *
 * @module
 */

/** Scalar types of the schema. */
export type Scalar = "u8" | "u16" | "u32" | "f32";

/** A field inside a struct: fixed offset, fixed size. */
export interface StructField {
  readonly name: string;
  readonly offset: number;
  readonly type: Scalar;
}

/** Layout of a struct, in bytes. */
export interface StructLayout {
  readonly size: number;
  readonly align: number;
  readonly fields: readonly StructField[];
}

/** The elements of a vector: integers, or structs by name. */
export type Element = { readonly scalar: Exclude<Scalar, "f32"> } | { readonly struct: string };

/** A vector of the table; its slot is its position in the list. */
export interface VectorField {
  readonly name: string;
  /** True if it is present only with a feature bit. */
  readonly optional: boolean;
  readonly element: Element;
}

/** The layout of an index. */
export interface Schema {
  readonly identifier: string;
  /** Name of the table. */
  readonly table: string;
  readonly vectors: readonly VectorField[];
  readonly structs: { readonly [name: string]: StructLayout };
}

/** Bytes, and alignment, of a scalar. */
export const SCALAR_BYTES: Readonly<Record<Scalar, number>> = { u8: 1, u16: 2, u32: 4, f32: 4 };

/**
 * The layout of an index. `schema/generate.mjs` ensures that structs have no gaps: each field follows the one before it.
 *
 * @param names types of the vectors, by slot, and of the fields of each struct
 */
export function schemaOf(names: {
  readonly identifier: string;
  readonly table: string;
  readonly vectors: { readonly [name: string]: string };
  readonly optional: readonly string[];
  readonly structs: { readonly [name: string]: { readonly [field: string]: Scalar } };
}): Schema {
  const { vectors, structs } = names;
  const layout = (fields: { readonly [field: string]: Scalar }): StructLayout => {
    let size = 0;
    let align = 1;
    const placed = Object.entries(fields).map(([name, type]): StructField => {
      const offset = size;
      size += SCALAR_BYTES[type];
      align = Math.max(align, SCALAR_BYTES[type]);
      return { name, offset, type };
    });
    return { size, align, fields: placed };
  };
  return {
    identifier: names.identifier,
    table: names.table,
    vectors: Object.entries(vectors).map(([name, type]) => ({
      name,
      optional: names.optional.includes(name),
      element: type in structs ? { struct: type } : { scalar: type as "u8" | "u16" | "u32" },
    })),
    structs: Object.fromEntries(Object.entries(structs).map(([name, fields]) => [name, layout(fields)])),
  };
}

/** Bytes of an element of a vector. */
export function elementBytes({ structs }: Schema, element: Element): number {
  return "struct" in element ? structs[element.struct]!.size : SCALAR_BYTES[element.scalar];
}
