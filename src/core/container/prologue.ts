/**
 * The first 64 bytes of a file (spec clause 5), with the feature bits. The reader trusts none of them before their CRC-32 has
 * passed. Columns: offset, bytes, field.
 *
 * ```
 *  0  8 magic          12 4 required        24 8 file length    36 4 modules    48 1 alignment exponent
 *  8  2 major          16 4 read-only       32 4 index length   40 4 tensors    49 7 zero
 * 10  2 minor          20 4 compatible                          44 4 sections   56 4 index CRC   60 4 own CRC
 * ```
 *
 * @module
 */

import { crc32, toHex, viewOf } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import {
  FILE_BYTES,
  INDEX_BYTES,
  type Limit,
  type LimitSet,
  MODULES,
  SECTIONS,
  TENSORS,
} from "../../limits.ts";
import type { Encoding } from "../codecs/encoding.ts";
import { codecOf, trialFeatures } from "../codecs/registry.ts";
import type { IndexVectors } from "./generated/schema.ts";
import type { ModuleRecord, TensorRecord } from "./types.ts";

/** Bytes of the prologue. */
export const PROLOGUE_BYTES = 64;
/** The magic (spec 5.1). As in PNG, text-mode transfers damage it visibly. */
export const MAGIC: Uint8Array = Uint8Array.of(0x89, 0x4c, 0x51, 0x41, 0x0d, 0x0a, 0x1a, 0x0a);

/** Required feature bits (spec 5.3): features that a reader must know to use the file. */
export const REQUIRED = {
  /** A tensor chunk is compressed with zstd. */
  ZSTD: 1,
  /** A band uses the trellis codec. */
  TRELLIS: 2,
  /** A module has more than one expert. */
  EXPERTS: 4,
  /** The file has DoRA magnitudes: ΔW alone is not the adapter. */
  MAGNITUDE: 8,
  /** The file has tensors that replace or add to the base (replacements, biases, token rows). */
  REPLACEMENT: 16,
  /** A vector of A' starts from draws of a generator. */
  START: 32,
  /** A module holds its difference from a module of another file. */
  PARENT: 64,
} as const;

const KNOWN_REQUIRED = 0x7f;
/** START and PARENT in drafts of November 2026, which called themselves version 1.1. These bits have no other meaning. */
export const DRAFT_BITS = 0x280;

/** The fields of a prologue (spec 5.1). Lengths are in bytes; `modules`, `tensors` and `sections` are counts. */
export interface Prologue {
  readonly major: number;
  readonly minor: number;
  /** Feature bits, as masks (spec 5.3). Readers must know `required`, editors also `readOnlyCompatible`; ignore `compatible`. */
  readonly required: number;
  readonly readOnlyCompatible: number;
  readonly compatible: number;
  readonly fileLength: number;
  readonly indexLength: number;
  readonly modules: number;
  readonly tensors: number;
  readonly sections: number;
  /** Chunk alignment in bytes. */
  readonly alignment: number;
  readonly indexCrc: number;
}

/** Whether the file has the feature START. */
export function hasStarts({ required }: Pick<Prologue, "required">): boolean {
  return (required & REQUIRED.START) !== 0;
}

/** Whether the file has the feature PARENT. */
export function hasParent({ required }: Pick<Prologue, "required">): boolean {
  return (required & REQUIRED.PARENT) !== 0;
}

/** Whether factors of the file are sums: of stored weights and draws, or of those and a parent's. Few files have such factors. */
export function isIncomplete(prologue: Pick<Prologue, "required">): boolean {
  return hasStarts(prologue) || hasParent(prologue);
}

/** The vectors of the index that the features of a file require (spec 8.8.1 and 8.9.1). */
export function vectorsWith(prologue: Pick<Prologue, "required">): readonly (keyof IndexVectors)[] {
  return [
    ...(hasStarts(prologue) ? (["start", "positions"] as const) : []),
    ...(hasParent(prologue) ? (["parent", "parentModules"] as const) : []),
  ];
}

/** The 64 bytes of a prologue. */
export function writePrologue(p: Prologue): Uint8Array {
  const bytes = new Uint8Array(PROLOGUE_BYTES);
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  view.setUint16(8, p.major, true);
  view.setUint16(10, p.minor, true);
  view.setUint32(12, p.required, true);
  view.setUint32(16, p.readOnlyCompatible, true);
  view.setUint32(20, p.compatible, true);
  view.setBigUint64(24, BigInt(p.fileLength), true);
  view.setUint32(32, p.indexLength, true);
  view.setUint32(36, p.modules, true);
  view.setUint32(40, p.tensors, true);
  view.setUint32(44, p.sections, true);
  bytes[48] = Math.log2(p.alignment);
  view.setUint32(56, p.indexCrc, true);
  view.setUint32(60, crc32(bytes.subarray(0, 60)), true);
  return bytes;
}

/**
 * Reads and checks a prologue, in the order of clause 15.2.
 *
 * @param bytes the first bytes of the file; fewer than 64 are an error
 * @param limits the column of clause 14 that bounds the file; `device` also refuses ZSTD (clause 14.1)
 * @throws LqaError BAD_MAGIC, MAGIC_TEXT_DAMAGE, TRUNCATED_PROLOGUE, PROLOGUE_CRC, UNSUPPORTED_VERSION,
 *   UNSUPPORTED_FEATURE, FEATURE_BITS, PROLOGUE_RESERVED_NONZERO, ALIGNMENT_OUT_OF_RANGE, HARD_LIMIT, CORE_LIMIT
 */
export function readPrologue(bytes: Uint8Array, limits: LimitSet): Prologue {
  checkMagic(bytes);
  if (bytes.length < PROLOGUE_BYTES)
    fail(KIND.TRUNCATED_PROLOGUE, {
      offset: bytes.length,
      expected: `${PROLOGUE_BYTES} bytes`,
      actual: bytes.length,
    });
  const view = viewOf(bytes);
  const crc = crc32(bytes.subarray(0, 60));
  if (view.getUint32(60, true) !== crc)
    fail(KIND.PROLOGUE_CRC, { offset: 60, expected: hex32(crc), actual: hex32(view.getUint32(60, true)) });
  const major = view.getUint16(8, true);
  if (major !== 1) fail(KIND.UNSUPPORTED_VERSION, { offset: 8, expected: "major version 1", actual: major });
  const required = view.getUint32(12, true);
  const all = KNOWN_REQUIRED | trialFeatures();
  const known = limits === "device" ? all & ~REQUIRED.ZSTD : all;
  if (required & ~known)
    fail(KIND.UNSUPPORTED_FEATURE, {
      offset: 12,
      expected: `no bits beyond ${hex32(known)}`,
      actual: hex32(required),
      advice: adviceOn(required & ~known),
    });
  if (hasStarts({ required }) && hasParent({ required }))
    fail(KIND.FEATURE_BITS, {
      where: "required features",
      offset: 12,
      expected: "START or PARENT",
      actual: `both: ${hex32(required)}`,
    });
  for (let i = 49; i < 56; i++)
    if (bytes[i] !== 0) fail(KIND.PROLOGUE_RESERVED_NONZERO, { offset: i, expected: 0, actual: bytes[i] });
  const exponent = bytes[48]!;
  if (exponent < 2 || exponent > 12)
    fail(KIND.ALIGNMENT_OUT_OF_RANGE, { offset: 48, expected: "2 to 12", actual: exponent });
  const counted = (at: number, limit: Limit): number => {
    const value = view.getUint32(at, true);
    checkLimit(value, limit, { where: "prologue", offset: at, limits });
    return value;
  };
  // A value above 2^53 − 1 is above it as a double, too.
  const fileLength = Number(view.getBigUint64(24, true));
  checkLimit(fileLength, FILE_BYTES, { where: "prologue", offset: 24, limits });
  return {
    major,
    minor: view.getUint16(10, true),
    required,
    readOnlyCompatible: view.getUint32(16, true),
    compatible: view.getUint32(20, true),
    fileLength,
    indexLength: counted(32, INDEX_BYTES),
    modules: counted(36, MODULES),
    tensors: counted(40, TENSORS),
    sections: counted(44, SECTIONS),
    alignment: 2 ** exponent,
    indexCrc: view.getUint32(56, true),
  };
}

/** What to do about required bits that the reader does not take. */
function adviceOn(bits: number): string | undefined {
  if (bits & DRAFT_BITS)
    return "A draft of the format wrote this file: version 1.1 of November 2026. Encode the adapter again.";
  if (bits === REQUIRED.ZSTD) return "Encode the adapter with plain tensors not compressed (--tensors keep).";
  return undefined;
}

/** Checks a limit. @throws LqaError HARD_LIMIT above the column Hard, CORE_LIMIT above the column that the caller chose */
export function checkLimit(
  value: number,
  limit: Limit,
  at: { where: string; offset?: number | undefined; limits: LimitSet },
): void {
  const most = limit[at.limits];
  if (value <= most) return;
  const { where, offset } = at;
  if (value > limit.hard)
    fail(KIND.HARD_LIMIT, {
      where,
      offset,
      expected: `at most ${limit.hard} ${limit.quantity}`,
      actual: value,
    });
  fail(KIND.CORE_LIMIT, { where, offset, expected: `at most ${most} ${limit.quantity}`, actual: value });
}

/** How a pointer of Git LFS begins, which a clone without `git lfs` has in place of the file. */
const LFS: readonly number[] = Array.from("version https://git-lfs", (letter) => letter.charCodeAt(0));

function checkMagic(bytes: Uint8Array): void {
  const found = bytes.subarray(0, MAGIC.length);
  for (let i = 0; i < found.length; i++) {
    if (found[i] === MAGIC[i]) continue;
    const text = toHex(found);
    // CRLF to LF, LF to CRLF, no high bit, or the first byte in UTF-8, as itself or as a replacement character.
    const damaged = ["894c51410a", "894c51410d0d0a", "094c5141", "c2894c5141", "efbfbd4c5141"];
    fail(damaged.some((d) => text.startsWith(d)) ? KIND.MAGIC_TEXT_DAMAGE : KIND.BAD_MAGIC, {
      offset: i,
      expected: toHex(MAGIC),
      ...(LFS.every((byte, at) => bytes[at] === byte)
        ? { actual: "a Git LFS pointer", advice: "Fetch the file itself: run git lfs pull." }
        : { actual: text }),
    });
  }
}

/** `0x0000002a`. */
export function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

/** The required bits that a file must declare (spec 5.3). */
export function requiredBits(
  modules: readonly Pick<ModuleRecord, "experts" | "parentModule">[],
  tensors: readonly Pick<TensorRecord, "role" | "compression">[],
  encodings: Iterable<Encoding>,
): number {
  let required = 0;
  for (const { experts, parentModule } of modules) {
    if (experts > 1) required |= REQUIRED.EXPERTS;
    if (parentModule !== undefined) required |= REQUIRED.PARENT;
  }
  for (const { role, compression } of tensors) {
    if (compression !== "none") required |= REQUIRED.ZSTD;
    if (role === "magnitude") required |= REQUIRED.MAGNITUDE;
    else if (role !== "carried") required |= REQUIRED.REPLACEMENT;
  }
  for (const encoding of encodings) {
    const { feature } = codecOf(encoding);
    if (feature !== undefined) required |= 1 << feature;
    if (encoding.mix !== undefined) required |= REQUIRED.START;
  }
  return required;
}

/** Checks that a file declares exactly its required bits. @throws LqaError FEATURE_BITS */
export function checkFeatures(
  prologue: Prologue,
  modules: readonly ModuleRecord[],
  tensors: readonly TensorRecord[],
  encodings: readonly Encoding[],
): void {
  const required = requiredBits(modules, tensors, encodings);
  if (prologue.required !== required)
    fail(KIND.FEATURE_BITS, {
      where: "required features",
      offset: 12,
      expected: hex32(required),
      actual: hex32(prologue.required),
    });
}
