/**
 * Shape of the layout table that `schema/generate.mjs` derives from `schema/lqa.fbs` (spec clause 6.1). The same
 * table drives the verifier, the reader and the writer of the index, so that the three cannot disagree.
 *
 * @module
 */

/** Scalar types the schema uses. */
export type Scalar = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32";

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

/** Type of a table field. */
export type FieldType =
  | { readonly scalar: Scalar }
  | { readonly struct: string }
  | { readonly table: string }
  | { readonly string: true }
  | {
      readonly vector:
        | { readonly scalar: Scalar }
        | { readonly struct: string }
        | { readonly table: string }
        | { readonly string: true };
    };

/** A field of a table; its slot is its position in the list. */
export interface TableField {
  readonly name: string;
  readonly required: boolean;
  readonly type: FieldType;
}

export interface Schema {
  readonly identifier: string;
  readonly root: string;
  readonly tables: { readonly [name: string]: { readonly fields: readonly TableField[] } };
  readonly structs: { readonly [name: string]: StructLayout };
}

/** Bytes (and alignment) of a scalar. */
export const SCALAR_BYTES: Readonly<Record<Scalar, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
};
