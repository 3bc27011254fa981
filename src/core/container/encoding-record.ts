/**
 * Maps encodings, roles and other enumerations from their names in the library to their numbers in the index and back (spec
 * clauses 6.4 to 6.8).
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { BaseLayout, ElementType, ModuleRole, MultiplierRule, TensorRole } from "../../model/adapter.ts";
import { type Encoding, FLOAT_BYTES, type FloatType } from "../codecs/encoding.ts";
import { CODEC_NAMES, codecNumbered, codecOf } from "../codecs/registry.ts";
import { MIX_BITS } from "../codecs/start/start.ts";
import type { EncodingRecord } from "./generated/schema.ts";
import type { CompressionName } from "./types.ts";

// Lists in the order of the enumerations in schema/lqa.fbs; a test compares them.

/** Roles of modules by number. */
export const MODULE_ROLES: readonly ModuleRole[] = ["linear", "embedding", "conv1d", "conv2d", "conv3d"];
/** Base layouts by number. */
export const BASE_LAYOUTS: readonly BaseLayout[] = ["out-in", "in-out"];
/** Multiplier rules by number. */
export const MULTIPLIER_RULES: readonly MultiplierRule[] = ["none", "alpha/r", "alpha/sqrt(r)", "explicit"];
/** Roles of plain tensors by number. */
export const TENSOR_ROLES: readonly TensorRole[] = [
  "replace",
  "bias",
  "lora-bias",
  "magnitude",
  "token-rows",
  "token-indices",
  "carried",
];
/** Compressions by number. */
export const COMPRESSIONS: readonly CompressionName[] = ["none", "zstd", "shuffled-zstd", "text-zstd"];
/** Element types by number; 0 means none. */
export const ELEMENT_TYPES: readonly (ElementType | undefined)[] = [
  undefined,
  "F32",
  "F16",
  "BF16",
  "F64",
  "I8",
  "I16",
  "I32",
  "I64",
  "U8",
  "U16",
  "U32",
  "U64",
  "BOOL",
];
/** Kernel dimensions of each module role. */
export const KERNEL_DIMENSIONS: Readonly<Record<ModuleRole, number>> = {
  linear: 0,
  embedding: 0,
  conv1d: 1,
  conv2d: 2,
  conv3d: 3,
};

/** Base layouts of each module role (spec 9.2): a base model stores embeddings and convolutions in one way only. */
export const ROLE_LAYOUTS: Readonly<Record<ModuleRole, readonly BaseLayout[]>> = {
  linear: ["out-in", "in-out"],
  embedding: ["in-out"],
  conv1d: ["out-in"],
  conv2d: ["out-in"],
  conv3d: ["out-in"],
};

/** Float types by number; undefined for other element types. */
const FLOATS: readonly (FloatType | undefined)[] = ELEMENT_TYPES.map((type) => {
  const name = type?.toLowerCase() as FloatType;
  return name in FLOAT_BYTES ? name : undefined;
});

const EMPTY: EncodingRecord = {
  codec: 0,
  element: 0,
  scale: 0,
  bits: 0,
  mixture: 0,
  groupExponent: 0,
  table: 0,
  rotation: 0,
};

/** The record of an encoding. */
export function writeEncoding(encoding: Encoding): EncodingRecord {
  const codec = codecOf(encoding);
  const { element, scale, ...fields } = codec.write(encoding);
  return {
    ...EMPTY,
    ...fields,
    mixture: encoding.mix ?? 0,
    codec: codec.number,
    // Number 0 means no type; `FLOATS[0]` is undefined, too.
    element: FLOATS.indexOf(element),
    scale: FLOATS.indexOf(scale),
  };
}

/**
 * The encoding of a record (spec 6.4).
 *
 * @param started whether the file has the feature START
 * @throws LqaError UNSUPPORTED_CODEC, ENCODING_PARAMETER
 */
export function readEncoding(
  record: EncodingRecord,
  where: string,
  offset: number,
  started = false,
): Encoding {
  const unknown = (field: keyof EncodingRecord, expected: string): never =>
    fail(KIND.UNSUPPORTED_CODEC, { where: `${where}.${field}`, offset, expected, actual: record[field] });
  const bad = (field: keyof EncodingRecord, expected: string | number, actual: number | string): never =>
    fail(KIND.ENCODING_PARAMETER, { where: `${where}.${field}`, offset, expected, actual });
  const draft = (field: keyof EncodingRecord, expected: string | number, actual: number | string): never =>
    bad(field, expected, `${actual}, which only drafts before 1.0 allowed`);
  const codec = codecNumbered(record.codec) ?? unknown("codec", `codec 0 to ${CODEC_NAMES.length - 1}`);
  const { bits, groupExponent, table, rotation } = record;
  const plain = codec.read({
    ...{ bits, groupExponent, table, rotation, unknown, bad, draft },
    float(field, expected) {
      const type = ELEMENT_TYPES[record[field]] ?? unknown(field, expected);
      return FLOATS[record[field]] ?? bad(field, expected, type);
    },
  });
  const mix = record.mixture;
  if (mix !== 0 && !(started && MIX_BITS.includes(mix)))
    (!started && codec.drafts?.includes("mixture") === true ? draft : bad)(
      "mixture",
      started ? "0, 4 or 8" : 0,
      mix,
    );
  const encoding = mix === 0 ? plain : { ...plain, mix };
  // Fields that the codec does not use have one value, so that an encoding has one record.
  const expected = writeEncoding(encoding);
  for (const field of Object.keys(expected) as (keyof EncodingRecord)[])
    if (record[field] !== expected[field])
      (codec.drafts?.includes(field) === true ? draft : bad)(field, expected[field], record[field]);
  return encoding;
}
