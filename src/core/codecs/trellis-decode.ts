/**
 * The reference decoder of trellis-coded planes (spec clause 8.6).
 *
 * Every weight is one entry of the table times the scale of its vector; nothing else depends on what came before, so a
 * reader could begin at any step. This one walks along and shifts the window. In a rotated vector (8.6.1) the
 * entries of 64 weights are first mixed, in integers. Plane lengths, the table and the target have been checked by
 * `decodePlanes`.
 *
 * @module
 */
import { packedBytes, unpackCodes } from "./bits.ts";
import type { DecodeTarget, Placement } from "./decode-plain.ts";
import { readElement } from "./elements.ts";
import type { Planes, TrellisEncoding } from "./encoding.ts";
import { numberToF16 } from "./floats.ts";
import { rotateIntegers } from "./rotation.ts";
import { trellisSteps, trellisTable, WINDOW_BITS } from "./trellis.ts";

export function decodeTrellis(
  encoding: TrellisEncoding,
  planes: Planes,
  components: number,
  length: number,
  target: DecodeTarget,
  at: Placement,
): void {
  const table = trellisTable(encoding.table);
  const { stepBits, weightsPerStep, entries } = table;
  // Weights a step are a power of two.
  const shift = Math.log2(weightsPerStep);
  const rest = weightsPerStep - 1;
  const wide = target instanceof Float32Array;
  const steps = trellisSteps(table, length);
  const bytes = packedBytes(steps, stepBits);
  const windows = new Uint8Array(steps);
  const integers = encoding.rotation === "none" ? undefined : new Int16Array(length);
  const scaled = wide ? new Float32Array(entries.length) : new Uint16Array(entries.length);
  for (let c = 0; c < components; c++) {
    readWindows(planes.codes, c * bytes, stepBits, windows);
    const scale = readElement(planes.scales, encoding.scale, c);
    if (integers !== undefined) {
      for (let i = 0; i < length; i++) integers[i] = entries[(windows[i >> shift]! << shift) | (i & rest)]!;
      rotateIntegers(integers);
      for (let i = 0, to = at.offset + c * at.componentStride; i < length; i++, to += at.weightStride) {
        const value = Math.fround(integers[i]! * scale);
        target[to] = wide ? value : numberToF16(value);
      }
      continue;
    }
    for (let e = 0; e < entries.length; e++) {
      const value = Math.fround(entries[e]! * scale);
      scaled[e] = wide ? value : numberToF16(value);
    }
    for (let i = 0, to = at.offset + c * at.componentStride; i < length; i++, to += at.weightStride)
      target[to] = scaled[(windows[i >> shift]! << shift) | (i & rest)]!;
  }
}

/** The windows of the vector whose bit string begins at byte `at`. */
function readWindows(codes: Uint8Array, at: number, stepBits: number, windows: Uint8Array): void {
  unpackCodes(codes, at, windows.length, stepBits, windows, 0);
  const top = WINDOW_BITS - stepBits;
  let window = 0;
  for (let j = 0; j < windows.length; j++) {
    window = (window >> stepBits) | (windows[j]! << top);
    windows[j] = window;
  }
}
