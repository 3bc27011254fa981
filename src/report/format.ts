/**
 * Formats numbers for people: sizes, ratios, shares, decibels.
 *
 * @module
 */

const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

/** `3.10 MB` for 3,100,000, as hubs say sizes; whole numbers of bytes below 1 KB. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Number(value.toPrecision(3)) >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${bytes} ${bytes === 1 ? "byte" : "bytes"}` : `${value.toPrecision(3)} ${UNITS[unit]}`;
}

/** `811,008`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `12.3×`, or a dash if there is nothing to compare. */
export function ratio(from: number, to: number): string {
  return from > 0 && to > 0 ? `${(from / to).toFixed(from / to < 10 ? 2 : 1)}×` : "–";
}

/** `30.1 %` for 0.301. Shares below 10 % keep two digits; zero is `0 %`, and a share that is not finite a dash. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "–";
  if (share === 0) return "0 %";
  const value = 100 * share;
  return `${value >= 10 ? value.toFixed(1) : value.toPrecision(2)} %`;
}

/** `5.2 dB`; `exact` if there is no noise (an infinite value), a dash for null and NaN. */
export function decibels(value: number | null): string {
  if (value === null || Number.isNaN(value)) return "–";
  return Number.isFinite(value) ? `${value.toFixed(1)} dB` : "exact";
}

/** `0.4 s`. */
export function duration(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(2)} s` : `${seconds.toFixed(0)} s`;
}

/** A word with its number: `1 module`, `36 modules`. */
export function counted(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}
