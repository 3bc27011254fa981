/**
 * Converts packed factors with a start or a parent to packed factors without: it decodes the affected factors, and stores them
 * as raw binary32.
 *
 * Code that applies packed factors and knows neither starts nor parents can use the result. It gives the same numbers, and
 * takes four bytes per weight.
 *
 * @module
 */

import { storeFloats } from "../../../floats.ts";
import { inputLength, type ModuleShape } from "../../../model/adapter.ts";
import type { Planes } from "../encoding.ts";
import { decodeGenerations, generationJobs } from "../generations.ts";
import { hasStart, type PackedFactors } from "../packed.ts";
import { decodeStarted } from "./decode-started.ts";

const RAW = { codec: "raw", element: "f32" } as const;
const NO_BYTES = new Uint8Array(0);

/** Packed factors without start and parent. Several bands may then have equal encodings. @throws LqaError PARENT_MISSING */
export function materialize(shape: ModuleShape, factors: PackedFactors): PackedFactors {
  const { bands, planes, start, parent } = factors;
  const { rank, experts, out } = shape;
  const n = inputLength(shape);
  if (parent !== undefined) {
    const [b, a] = [new Float32Array(experts * rank * out), new Float32Array(experts * rank * n)];
    decodeGenerations(shape, generationJobs(shape, factors, "component", 1), b, a);
    return {
      bands: [{ components: rank, b: RAW, a: RAW }],
      planes: Array.from({ length: experts }, (_, e) => [
        { b: stored(b, e * rank * out, rank * out), a: stored(a, e * rank * n, rank * n) },
      ]),
    };
  }
  if (start === undefined || !hasStart(bands)) return { bands, planes };
  const a = new Float32Array(experts * rank * n);
  decodeStarted(factors, start, n, a);
  let from = 0;
  const decoded = planes.map((own) =>
    own.map(({ b }, i) => {
      const length = bands[i]!.components * n;
      from += length;
      return { b, a: stored(a, from - length, length) };
    }),
  );
  return { bands: bands.map(({ components, b }) => ({ components, b, a: RAW })), planes: decoded };
}

function stored(values: Float32Array, from: number, length: number): Planes {
  return { codes: storeFloats(values.subarray(from, from + length)), scales: NO_BYTES, zeroPoints: NO_BYTES };
}
