/**
 * Real-valued scales (and zero points) for the groups of a bundle of vectors: the first half of quantizing, before
 * scales are rounded to their storage type.
 *
 * `minMaxFit` and `signFit` follow the program of LoRAQuant (arXiv 2510.26690); `searchFit` finds the least
 * squared error.
 *
 * @module
 */
import { affineSearch } from "./affine-search.ts";
import { type Bundle, eachGroup, emptyFit, type GroupFit, roundEven } from "./groups.ts";

/**
 * The authors' smallest range. It keeps their division defined, and turns weights far below 1e-5 into zeros. It is used
 * where this library follows their program, but not in the search.
 */
export const RANGE_FLOOR = 1e-5;

/** The authors' zero point: the code of 0 on a grid that begins at the smallest entry, clamped to the code range. */
export function minZeroPoint(lowest: number, scale: number, largest: number): number {
  return Math.min(Math.max(-roundEven(lowest / scale), 0), largest);
}

/**
 * Round-to-nearest over the range of each group: `s = max(max w − min w, 1e-5) / (2^bits − 1)`.
 *
 * Unlike the authors' range, this one always includes 0. Zero points are codes, so the grid of a scale reaches at most from 0 to
 * the width of the range. For a group on one side of 0, such as a constant one, theirs keeps only that width, or nothing.
 */
export function minMaxFit(bundle: Bundle, bits: number): GroupFit {
  const fit = emptyFit(bundle);
  const { values } = bundle;
  const largest = (1 << bits) - 1;
  eachGroup(bundle, (start, end, g) => {
    let low = 0;
    let high = 0;
    for (let i = start; i < end; i++) {
      const w = values[i]!;
      if (w < low) low = w;
      if (w > high) high = w;
    }
    const scale = Math.max(high - low, RANGE_FLOOR) / largest;
    fit.scales[g] = scale;
    fit.zeroPoints[g] = minZeroPoint(low, scale, largest);
  });
  return fit;
}

/** Finds the scale and zero point with the least squared error for each group (see `affine-search.ts`). */
export function searchFit(bundle: Bundle, bits: number): GroupFit {
  const fit = emptyFit(bundle);
  const search = affineSearch(
    bits,
    bundle.group === 0 ? bundle.length : Math.min(bundle.group, bundle.length),
  );
  eachGroup(bundle, (start, end, g) => {
    const found = search(bundle.values, start, end);
    fit.scales[g] = found.scale;
    fit.zeroPoints[g] = found.zeroPoint;
  });
  return fit;
}

/** Binarisation: the scale is the mean magnitude, which has the least squared error for sign codes. */
export function signFit(bundle: Bundle): GroupFit {
  const fit = emptyFit(bundle);
  eachGroup(bundle, (start, end, g) => {
    let sum = 0;
    for (let i = start; i < end; i++) sum += Math.abs(bundle.values[i]!);
    fit.scales[g] = sum / (end - start);
  });
  return fit;
}
