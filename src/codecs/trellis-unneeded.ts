/**
 * Bits of a trellis-coded vector that say nothing (spec clause 12.4): no weight with a scale other than 0 depends on them.
 *
 * Where a group's scale is 0, its bits still fill the first windows of the next group; the others are free, and the
 * canonical form has 0 there, and the validator checks it.
 *
 * @module
 */
import { type TrellisTable, trellisSteps, WINDOW_BITS } from "./trellis.ts";

/** Bits `from` … `end − 1` of the vector's bit string, which belong to steps of group `group`. */
export interface UnneededBits {
  readonly group: number;
  readonly from: number;
  readonly end: number;
}

/**
 * The free bits of a vector of `length` weights in groups of `group` (0: one group), by rising position.
 *
 * @param zeroScale For each group, 1 if its scale is 0.
 */
export function unneededBits(
  table: TrellisTable,
  length: number,
  group: number,
  zeroScale: Uint8Array,
): UnneededBits[] {
  const { stepBits, weightsPerStep } = table;
  const groupSteps = group === 0 ? trellisSteps(table, length) : group / weightsPerStep;
  const found: UnneededBits[] = [];
  // First bit that the first window of the nearest needed group to the right reads.
  let needed = Number.POSITIVE_INFINITY;
  for (let g = zeroScale.length - 1; g >= 0; g--) {
    const from = g * groupSteps * stepBits;
    const last = Math.min((g + 1) * groupSteps, trellisSteps(table, length)) * stepBits;
    const end = Math.min(last, needed);
    if (zeroScale[g] === 0) needed = from + stepBits - WINDOW_BITS;
    else if (end > from) found.push({ group: g, from, end });
  }
  return found.reverse();
}
