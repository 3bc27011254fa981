/**
 * A codec: one object that says how its encodings are recorded, what they come down to, and how they are called (spec clauses 6.4
 * and 8). `registry.ts` lists them; nothing else of the library knows a codec by its name, except the table of the encoder
 * (`encode/quantize/coders.ts`).
 *
 * How weights are decoded, checked, applied and drawn follows from the lowered encoding. So a codec that lowers to a kind that there
 * is needs nothing else; one that does not adds the kind (`encoding.ts`), its reference decoder (`decode.ts`) and its arm of the
 * kernel and of the shader.
 *
 * @module
 */
import type { Encoding, FloatType, Lowered, ScaleType } from "./encoding.ts";

/** Fields of an encoding record, in words (spec 6.4). Those that are absent are 0. */
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
   * @throws LqaError UNSUPPORTED_CODEC for a number without a meaning, which may get one later; ENCODING_PARAMETER for another type
   */
  float(field: "element" | "scale", expected: string): FloatType;
  /** @throws LqaError UNSUPPORTED_CODEC */
  unknown(field: keyof RecordFields, expected: string): never;
  /** @throws LqaError ENCODING_PARAMETER */
  bad(field: keyof RecordFields, expected: string, actual: number): never;
  /** As `bad`, for what drafts before 1.0 allowed. @throws LqaError ENCODING_PARAMETER */
  draft(field: keyof RecordFields, expected: string, actual: string): never;
}

/** A codec, for encodings of type `E`. */
export interface Codec<E extends { readonly codec: string } = Encoding> {
  /** As encodings name it. */
  readonly name: E["codec"];
  /** As encoding records number it (spec annex I). */
  readonly number: number;
  /** The clause about its codes. */
  readonly clause: string;
  /** Number of the required feature bit that a file with it declares (spec 5.3). */
  readonly feature?: number;
  /** Group and scale in the label of nearly every encoding, which short labels leave out; `g128` and `f16` where it is absent. */
  readonly usual?: readonly string[];
  /** Fields of the record in which drafts before 1.0 had a choice: an error about one says so. */
  readonly drafts?: readonly string[];
  /** The record of an encoding. */
  write(encoding: E): RecordFields;
  /**
   * The encoding of a record. Fields that leave no choice need no check: the caller compares the record with what `write` makes.
   *
   * @throws LqaError UNSUPPORTED_CODEC, ENCODING_PARAMETER
   */
  read(record: RecordReader): E;
  /** What the encoding comes down to. @throws LqaError UNSUPPORTED_CODEC for a trellis table that this version does not know */
  lower(encoding: E): Lowered;
}
