/**
 * The codec `sign` (spec clause 8.5): one bit for each weight, 0 = +s and 1 = −s, and a scale s for each group.
 *
 * @module
 */
import type { Codec } from "./codec.ts";
import { NOTHING, type SignEncoding } from "./encoding.ts";
import { readGroups, writeGroups } from "./grouped.ts";

/** Codec 3. */
export const SIGN: Codec<SignEncoding> = {
  name: "sign",
  number: 3,
  clause: "8.5",
  write: writeGroups,
  read: (record) => ({ codec: "sign", ...readGroups(record) }),
  lower: ({ group, scale }) => ({ ...NOTHING, kind: "signs", bits: 1, group, scale, largest: 1 }),
};
