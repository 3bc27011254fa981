/**
 * Bounds that shorten the exact search of `affine-search.ts` without changing its result.
 *
 * A code that is easy to evaluate gives a lower bound of the best gain; the energy of each side gives upper bounds
 * for each zero point. For normal data, 2 of 4 zero points remain at 2 bits and 6 of 8 at 3.
 *
 * @module
 */
import { roundEven, signBit } from "./groups.ts";

/** The bounds of a group before the search. */
export interface SearchBounds {
  /** Zero points `from` … `to` can win, with at least this gain and no scale below `lowest`. */
  from: number;
  to: number;
  gain: number;
  lowest: number;
  /** Root mean square of the weights, and the largest magnitude. */
  deviation: number;
  peak: number;
  /** A power of two by which all of this, and the sizes, are multiplied; other than 1 only outside float32's range. */
  unit: number;
}

/** Ratio of step to root mean square that suits normal data at 3 bits. */
const USUAL_STEP = 0.59;

/** Ratio of scale to root mean square below which normal data at 3 bits never goes, because it would clip too much. */
const USUAL_LOWEST = 0.33;

/** Allowance for the rounding of sums. */
const MARGIN = 1 - 1e-9;

const bounds: SearchBounds = { from: 0, to: 0, gain: 0, lowest: 0, deviation: 0, peak: 0, unit: 1 };

/**
 * Computes bounds for the group `values[start … end − 1]`, and its weights as magnitudes and signs (1 for negative ones).
 *
 * @param bits 1 to 3
 * @returns a shared object, valid until the next call; `undefined` if all weights are 0
 */
export function boundSearch(
  values: Float64Array,
  start: number,
  end: number,
  bits: number,
  sizes: Float64Array,
  signs: Uint8Array,
): SearchBounds | undefined {
  const largest = (1 << bits) - 1;
  const count = end - start;
  const peak = peakOf(values, start, end);
  if (peak === 0) return undefined;
  bounds.unit = peak < 2 ** -400 ? 2 ** 700 : peak > 2 ** 400 ? 2 ** -500 : 1;
  bounds.peak = peak * bounds.unit;
  let countBelow = 0;
  let energy = 0;
  let energyBelow = 0;
  let sumAbove = 0;
  let sumBelow = 0;
  for (let i = 0; i < count; i++) {
    const w = values[start + i]! * bounds.unit;
    const size = Math.abs(w);
    const sign = signBit(w);
    sizes[i] = size;
    signs[i] = sign;
    sumAbove += size - sign * size;
    sumBelow += sign * size;
    countBelow += sign;
    energy += size * size;
    energyBelow += sign * size * size;
  }
  const energyAbove = energy - energyBelow;
  bounds.deviation = Math.sqrt(energy / count);
  bounds.from = 0;
  bounds.to = largest;
  if (bits === 1) {
    // Zero point 0 drops the weights below 0, zero point 1 those above.
    const above = countBelow === count ? 0 : (sumAbove * sumAbove) / (count - countBelow);
    const below = countBelow === 0 ? 0 : (sumBelow * sumBelow) / countBelow;
    bounds.gain = MARGIN * Math.max(above, below);
  } else if (bits === 2) {
    // Zero points 1 and 2 allow signs alone, which gain (Σ|w|)²/n; zero points 0 and 3 drop one side.
    bounds.gain = (MARGIN * (sumAbove + sumBelow) * (sumAbove + sumBelow)) / count;
    if (energyAbove < bounds.gain) bounds.from = 1;
    if (energyBelow < bounds.gain) bounds.to = 2;
  } else {
    bounds.gain = MARGIN * usualGain(sizes, signs, count, USUAL_STEP * bounds.deviation);
    if (energyAbove < bounds.gain) bounds.from = 1;
    if (energyBelow < bounds.gain) bounds.to = 6;
  }
  bounds.lowest = Math.sqrt(bounds.gain / largestSquares(largest, count, countBelow));
  if (
    bits === 3 &&
    clipped(sizes, signs, count, 3 * USUAL_LOWEST * bounds.deviation) > energy - bounds.gain
  ) {
    bounds.lowest = Math.max(bounds.lowest, USUAL_LOWEST * bounds.deviation);
  }
  return bounds;
}

/** The largest magnitude of `values[start … end − 1]`. */
function peakOf(values: Float64Array, start: number, end: number): number {
  let peak = 0;
  for (let i = start; i < end; i++) {
    const size = Math.abs(values[i]!);
    if (size > peak) peak = size;
  }
  return peak;
}

/**
 * The largest Σk² of a group whose weights are all at the ends of the range, over the zero points that can win. No code has more, and
 * the best gain is s²Σk² at its scale s.
 */
function largestSquares(largest: number, count: number, countBelow: number): number {
  let reach = 0;
  for (let z = bounds.from; z <= bounds.to; z++) {
    const room = (count - countBelow) * (largest - z) * (largest - z) + countBelow * z * z;
    reach = Math.max(reach, room);
  }
  return reach;
}

/**
 * A lower bound of the energy that the integers −3 … 3 lose if they reach to `limit`: the loss of the side that loses less,
 * because with 3 bits one side may have more integers, but not both.
 */
function clipped(sizes: Float64Array, signs: Uint8Array, count: number, limit: number): number {
  let both = 0;
  let below = 0;
  for (let i = 0; i < count; i++) {
    const beyond = Math.max(sizes[i]! - limit, 0);
    both += beyond * beyond;
    below += signs[i]! * beyond * beyond;
  }
  return Math.min(both - below, below);
}

/** The gain of rounding to multiples of `step` with zero point 3 of 7. */
function usualGain(sizes: Float64Array, signs: Uint8Array, count: number, step: number): number {
  const inverse = 1 / step;
  let dot = 0;
  let square = 0;
  for (let i = 0; i < count; i++) {
    const k = Math.min(roundEven(sizes[i]! * inverse), 4 - signs[i]!);
    dot += sizes[i]! * k;
    square += k * k;
  }
  return square === 0 ? 0 : (dot * dot) / square;
}
