/**
 * The codec `affine` (spec clause 8.4): codes q of 1 to 8 bits, a scale s and a zero point z for each group; a weight is
 * (q − z) · s.
 *
 * @module
 */
import type { Codec } from "./codec.ts";
import { type AffineEncoding, NOTHING } from "./encoding.ts";
import { readGroups, writeGroups } from "./grouped.ts";

/** Codec 2. */
export const AFFINE: Codec<AffineEncoding> = {
  name: "affine",
  number: 2,
  clause: "8.4",
  // In drafts, zero points were optional.
  drafts: ["mixture"],
  write: (encoding) => ({ ...writeGroups(encoding), bits: encoding.bits }),
  read(record) {
    const groups = readGroups(record);
    if (record.bits < 1 || record.bits > 8) record.bad("bits", "1 to 8", record.bits);
    return { codec: "affine", bits: record.bits, ...groups };
  },
  lower: ({ bits, group, scale }) => ({
    ...NOTHING,
    kind: "codes",
    bits,
    group,
    scale,
    zeroBits: bits,
    // q − z reaches 2^bits − 1.
    largest: (1 << bits) - 1,
  }),
};
