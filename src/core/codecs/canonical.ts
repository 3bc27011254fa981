/**
 * Finds the groups whose zero point and codes are not all 0, for the canonical form of codes (spec clause 12.4). Only validators
 * check it, so readers do not import this file.
 *
 * @module
 */
import { fieldCount, groupCount, type Lowered, type Planes } from "./encoding.ts";

/** The planes that do not matter where the scale is 0. */
type PackedPlane = "zeroPoints" | "codes";

/** Bits of a row of a plane, which belongs to one component, and bits of one group in it. */
function rowOf(lowered: Lowered, plane: PackedPlane, length: number): { all: number; group: number } {
  const { group, bits, zeroBits } = lowered;
  if (plane === "zeroPoints") return { all: groupCount(group, length) * zeroBits, group: zeroBits };
  const all = fieldCount(lowered, plane, length) * bits;
  return { all, group: group === 0 ? all : group * bits };
}

/**
 * Reports the groups of whole components, counted from 0, whose zero point or codes are not all 0.
 *
 * @param length weights of a component
 */
export function findUsed(
  lowered: Lowered,
  plane: PackedPlane,
  packed: Uint8Array,
  length: number,
  found: (group: number) => void,
): void {
  const { all, group } = rowOf(lowered, plane, length);
  const groups = groupCount(lowered.group, length);
  const bytes = Math.ceil(all / 8);
  for (let at = 0, first = 0; at < packed.length; at += bytes, first += groups)
    for (let g = 0; g < groups; g++)
      if (anyBit(packed, at, g * group, Math.min((g + 1) * group, all))) found(first + g);
}

/**
 * A function that tells whether a group has a zero point or a code that is not 0, for {@link checkScales}.
 *
 * @param planes planes of whole components
 * @param length weights of a component
 * @returns a function of the number of the group, counted through all components
 */
export function usedGroups(
  lowered: Lowered,
  planes: Pick<Planes, PackedPlane>,
  length: number,
): (i: number) => boolean {
  const groups = groupCount(lowered.group, length);
  const rows = { zeroPoints: rowOf(lowered, "zeroPoints", length), codes: rowOf(lowered, "codes", length) };
  return (i) =>
    (["zeroPoints", "codes"] as const).some((plane) => {
      const { all, group } = rows[plane];
      const from = (i % groups) * group;
      const base = Math.floor(i / groups) * Math.ceil(all / 8);
      return anyBit(planes[plane], base, from, Math.min(from + group, all));
    });
}

/** Whether one of the bits `from` … `end` − 1, counted from byte `base`, is set. */
function anyBit(packed: Uint8Array, base: number, from: number, end: number): boolean {
  if (from >= end) return false;
  const first = base + (from >>> 3);
  const last = base + ((end - 1) >>> 3);
  const begin = 0xff << (from & 7);
  const stop = 0xff >>> (7 - ((end - 1) & 7));
  if (first === last) return (packed[first]! & begin & stop) !== 0;
  if ((packed[first]! & begin) !== 0 || (packed[last]! & stop) !== 0) return true;
  for (let at = first + 1; at < last; at++) if (packed[at] !== 0) return true;
  return false;
}
