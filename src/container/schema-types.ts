/**
 * Shape of the layout table that `schema/generate.mjs` derives from `schema/lqa.fbs` (spec clause 6.1). The same
 * table drives the verifier, the reader and the writer of the index, so that the three cannot disagree.
 *
 * An index is one table of vectors, all of them required, of fixed-size structs or unsigned integers: there are no other
 * tables, no strings and no optional fields, and `schema/generate.mjs` refuses a schema that has any.
 *
 * @module
 */

/** Scalar types the schema uses. */
export type Scalar = "u8" | "u16" | "u32" | "f32";

/** A field inside a struct: fixed offset, fixed size. */
export interface StructField {
  readonly name: string;
  readonly offset: number;
  readonly type: Scalar;
}

export interface StructLayout {
  readonly size: number;
  readonly align: number;
  readonly fields: readonly StructField[];
}

/** What a vector holds. */
export type Element = { readonly scalar: Exclude<Scalar, "f32"> } | { readonly struct: string };

/** A vector of the table; its slot is its position in the list. */
export interface VectorField {
  readonly name: string;
  readonly element: Element;
}

export interface Schema {
  readonly identifier: string;
  /** Name of the table. */
  readonly table: string;
  readonly vectors: readonly VectorField[];
  readonly structs: { readonly [name: string]: StructLayout };
}

/** Bytes (and alignment) of a scalar. */
export const SCALAR_BYTES: Readonly<Record<Scalar, number>> = { u8: 1, u16: 2, u32: 4, f32: 4 };

/** Bytes of an element of a vector. */
export function elementBytes({ structs }: Schema, element: Element): number {
  return "struct" in element ? structs[element.struct]!.size : SCALAR_BYTES[element.scalar];
}
