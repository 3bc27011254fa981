/**
 * A codec: one object that reads and writes the records of its encodings, lowers them, and names them (spec clauses 6.4 and
 * 8). `registry.ts` lists all codecs. Only it and the table of the encoder (`encode/quantize/coders.ts`) list codecs by name.
 *
 * The lowered encoding determines how the library decodes, checks, applies and draws weights. So a codec that lowers to an
 * existing kind needs nothing else. A codec with a new kind adds that kind (`encoding.ts`), its reference decoder
 * (`decode.ts`), and its arm in the kernel, the shader and the drawings.
 *
 * @module
 */
import type { Encoding, FloatType, Lowered, ScaleType } from "./encoding.ts";

/** Fields of an encoding record (spec 6.4), with the names of types instead of numbers. An absent field is 0. */
export interface RecordFields {
  readonly element?: FloatType;
  readonly scale?: ScaleType;
  readonly bits?: number;
  readonly groupExponent?: number;
  readonly table?: number;
  readonly rotation?: number;
}

/** The record that a codec interprets. */
export interface RecordReader {
  readonly bits: number;
  readonly groupExponent: number;
  readonly table: number;
  readonly rotation: number;
  /**
   * The float type of a field.
   *
   * @throws LqaError UNSUPPORTED_CODEC for a number without a meaning, which may get one later; ENCODING_PARAMETER for another
   *   type
   */
  float(field: "element" | "scale", expected: string): FloatType;
  /** Reports a field whose value may get a meaning later. @throws LqaError UNSUPPORTED_CODEC */
  unknown(field: keyof RecordFields, expected: string): never;
  /** Reports a field with a wrong value. @throws LqaError ENCODING_PARAMETER */
  bad(field: keyof RecordFields, expected: string, actual: number): never;
  /** As `bad`, for a value that drafts before 1.0 allowed. @throws LqaError ENCODING_PARAMETER */
  draft(field: keyof RecordFields, expected: string, actual: string): never;
}

/** A codec, for encodings of type `E`. */
export interface Codec<E extends { readonly codec: string } = Encoding> {
  /** Name in encodings. */
  readonly name: E["codec"];
  /** Number in encoding records (spec/registries.md). */
  readonly number: number;
  /** The clause that defines its codes. */
  readonly clause: string;
  /** Number of the required feature bit that a file with this codec declares (spec 5.3). */
  readonly feature?: number;
  /** Group and scale that nearly every encoding has, so short labels omit them. Default: `g128` and `f16`. */
  readonly usual?: readonly string[];
  /** Fields of the record in which drafts before 1.0 had a choice: an error about one says so. */
  readonly drafts?: readonly string[];
  /** The record of an encoding. */
  write(encoding: E): RecordFields;
  /**
   * The encoding of a record. It needs no check of fields that leave no choice: the caller compares the record with the one
   * that `write` makes.
   *
   * @throws LqaError UNSUPPORTED_CODEC, ENCODING_PARAMETER
   */
  read(record: RecordReader): E;
  /** The lowered form. @throws LqaError UNSUPPORTED_CODEC for a trellis table that this version does not know */
  lower(encoding: E): Lowered;
}
