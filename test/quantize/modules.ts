/** Modules for the tests of this folder, and what every quantized module must satisfy. */

import { expect } from "vitest";
import { inputLength, type LoraModule, type PackedFactors } from "../../src/core/index.ts";
import { checkPlanes } from "../codecs/planes.ts";
import { normal } from "../linalg/matrices.ts";

// What several tests of this folder test, from inside.
export { quantizeModule } from "../../src/encode/quantize/profile.ts";
export { totalQuality } from "../../src/encode/quantize/quality.ts";

/** A linear module with the given parts; factors are standard normal unless given. */
export function makeModule(
  shape: { out: number; in: number; rank: number; experts?: number; multiplier?: number; kernel?: number[] },
  seed = 1,
  fill: { b?: (i: number) => number; a?: (i: number) => number } = {},
): LoraModule {
  const experts = shape.experts ?? 1;
  const kernel = shape.kernel ?? [];
  const next = normal(seed);
  const n = inputLength({ in: shape.in, kernel });
  const values = (length: number, f: ((i: number) => number) | undefined) =>
    Float32Array.from({ length }, (_, i) => (f ?? next)(i));
  return {
    name: "layers.0.q_proj",
    role: kernel.length === 2 ? "conv2d" : "linear",
    out: shape.out,
    in: shape.in,
    kernel,
    experts,
    rank: shape.rank,
    baseLayout: "out-in",
    multiplier: shape.multiplier ?? 2,
    alpha: 0,
    rule: "explicit",
    b: values(experts * shape.out * shape.rank, fill.b),
    a: values(experts * shape.rank * n, fill.a),
  };
}

/** Throws unless the planes obey every value rule of the specification and the bands add up to the rank. */
export function expectValid(module: LoraModule, { bands, planes }: PackedFactors): void {
  expect(bands.reduce((sum, band) => sum + band.components, 0)).toBe(module.rank);
  expect(planes.length).toBe(module.experts);
  for (const expert of planes) {
    expect(expert.length).toBe(bands.length);
    for (const [i, band] of bands.entries()) {
      const report = ({ kind }: { kind: string }, plane: string, at: number) => {
        throw new Error(`${kind} in ${plane} at ${at}`);
      };
      checkPlanes(band.b, expert[i]!.b, module.out, report);
      checkPlanes(band.a, expert[i]!.a, inputLength(module), report);
    }
  }
}

/** ΔW without the multiplier, dense, row-major, of one expert. */
export function dense(module: LoraModule, expert = 0): Float64Array {
  const { out, rank } = module;
  const n = inputLength(module);
  const product = new Float64Array(out * n);
  for (let i = 0; i < out; i++) {
    for (let c = 0; c < rank; c++) {
      const factor = module.b[(expert * out + i) * rank + c]!;
      for (let j = 0; j < n; j++) product[i * n + j]! += factor * module.a[(expert * rank + c) * n + j]!;
    }
  }
  return product;
}
