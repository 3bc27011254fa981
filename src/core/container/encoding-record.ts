/**
 * Encodings, roles and other enumerations between their names in the library and their numbers in the index (spec
 * clauses 6.4 to 6.8).
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { BaseLayout, ElementType, ModuleRole, MultiplierRule, TensorRole } from "../../model/adapter.ts";
import type { Encoding, FloatType } from "../codecs/encoding.ts";
import type { Rotation } from "../codecs/rotation.ts";
import { TRELLIS_TABLES } from "../codecs/trellis.ts";
import { Codec, ElementType as ElementNumber, type EncodingRecord } from "./generated/schema.ts";
import type { CompressionName } from "./types.ts";

/** In the order of the enumerations in schema/lqa.fbs; a test compares them. */
export const MODULE_ROLES: readonly ModuleRole[] = ["linear", "embedding", "conv1d", "conv2d", "conv3d"];
export const BASE_LAYOUTS: readonly BaseLayout[] = ["out-in", "in-out"];
export const MULTIPLIER_RULES: readonly MultiplierRule[] = ["none", "alpha/r", "alpha/sqrt(r)", "explicit"];
export const TENSOR_ROLES: readonly TensorRole[] = [
  "replace",
  "bias",
  "lora-bias",
  "magnitude",
  "token-rows",
  "token-indices",
  "carried",
];
export const COMPRESSIONS: readonly CompressionName[] = ["none", "zstd", "shuffled-zstd", "text-zstd"];
/** Number 0 is "none". */
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
export const ROTATIONS: readonly Rotation[] = ["none", "hadamard64"];
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

const FLOATS: Readonly<Record<FloatType, number>> = {
  f32: ElementNumber.F32,
  f16: ElementNumber.F16,
  bf16: ElementNumber.BF16,
};
const FLOAT_NAMES = new Map<number, FloatType>(
  Object.entries(FLOATS).map(([name, number]) => [number, name as FloatType]),
);
/** Behind a value that is an error because of it. */
const DRAFT = "which only drafts before 1.0 allowed";

const EMPTY: EncodingRecord = {
  codec: 0,
  element: 0,
  scale: 0,
  bits: 0,
  reserved: 0,
  groupExponent: 0,
  table: 0,
  rotation: 0,
};

/** The record of an encoding. */
export function writeEncoding(encoding: Encoding): EncodingRecord {
  switch (encoding.codec) {
    case "zero":
      return { ...EMPTY, codec: Codec.Zero };
    case "raw":
      return { ...EMPTY, codec: Codec.Raw, element: FLOATS[encoding.element] };
    default: {
      const shared = {
        ...EMPTY,
        scale: FLOATS[encoding.scale],
        groupExponent: encoding.group === 0 ? 0 : Math.log2(encoding.group),
      };
      if (encoding.codec === "sign") return { ...shared, codec: Codec.Sign };
      if (encoding.codec === "trellis")
        return {
          ...shared,
          codec: Codec.Trellis,
          table: encoding.table,
          rotation: ROTATIONS.indexOf(encoding.rotation),
        };
      return { ...shared, codec: Codec.Affine, bits: encoding.bits };
    }
  }
}

/**
 * The encoding of a record (spec 6.4).
 *
 * @throws LqaError UNSUPPORTED_CODEC, ENCODING_PARAMETER
 */
export function readEncoding(record: EncodingRecord, where: string, offset: number): Encoding {
  const encoding = interpret(record, where, offset);
  // What the codec leaves no choice of has one value: one encoding, one record.
  const expected = writeEncoding(encoding);
  for (const field of Object.keys(expected) as (keyof EncodingRecord)[]) {
    if (record[field] === expected[field]) continue;
    fail(KIND.ENCODING_PARAMETER, {
      where: `${where}.${field}`,
      offset,
      expected: expected[field],
      actual: isOfDraft(encoding, field) ? `${record[field]}, ${DRAFT}` : record[field],
    });
  }
  return encoding;
}

/** Zero points were optional, and trellis codes had groups and scales of every type. */
function isOfDraft({ codec }: Encoding, field: keyof EncodingRecord): boolean {
  return codec === "trellis"
    ? field === "scale" || field === "groupExponent"
    : codec === "affine" && field === "reserved";
}

function interpret(record: EncodingRecord, where: string, offset: number): Encoding {
  const unknown = (field: string, expected: string): never =>
    fail(KIND.UNSUPPORTED_CODEC, {
      where: `${where}.${field}`,
      offset,
      expected,
      actual: record[field as keyof EncodingRecord],
    });
  const bad = (field: string, expected: string, actual: number | string): never =>
    fail(KIND.ENCODING_PARAMETER, { where: `${where}.${field}`, offset, expected, actual });
  /** The float type of a field that has an element type. A number without a meaning may get one later. */
  const float = (field: "element" | "scale", expected: string): FloatType => {
    const type = ELEMENT_TYPES[record[field]] ?? unknown(field, expected);
    return FLOAT_NAMES.get(record[field]) ?? bad(field, expected, type);
  };

  if (record.codec === Codec.Zero) return { codec: "zero" };
  if (record.codec === Codec.Raw) return { codec: "raw", element: float("element", "F32, F16 or BF16") };
  if (record.codec > Codec.Trellis) unknown("codec", "codec 0 to 4");
  if (record.codec === Codec.Trellis && !TRELLIS_TABLES.has(record.table))
    unknown("table", `trellis table 1 to ${TRELLIS_TABLES.size}`);
  const rotation = record.codec === Codec.Trellis ? ROTATIONS[record.rotation] : "none";
  if (rotation === undefined) return unknown("rotation", "0 or 1");
  const scale = float("scale", "F16 or BF16");
  if (record.codec === Codec.Trellis)
    return { codec: "trellis", table: record.table, group: 0, scale: "bf16", rotation };
  if (scale === "f32") return bad("scale", "F16 or BF16", `F32, ${DRAFT}`);
  const exponent = record.groupExponent;
  if (exponent !== 0 && (exponent < 4 || exponent > 10)) bad("groupExponent", "0, or 4 to 10", exponent);
  const group = exponent === 0 ? 0 : 2 ** exponent;
  if (record.codec === Codec.Sign) return { codec: "sign", group, scale };
  if (record.bits < 1 || record.bits > 8) bad("bits", "1 to 8", record.bits);
  return { codec: "affine", bits: record.bits, group, scale };
}
