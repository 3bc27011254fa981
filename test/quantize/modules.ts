/** Modules for the tests of this folder, and what an adapter of one of them becomes. */

import { expect } from "vitest";
import { inputLength, type LoraModule, open, type PackedFactors, validate } from "../../src/core/index.ts";
import { type EncodeOptions, type EncodeReport, encodeAdapter } from "../../src/encode/index.ts";
import { normal } from "../linalg/matrices.ts";

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

/** The report on modules, encoded by measured moments of their inputs if there are any. */
export async function reportOn(
  modules: readonly LoraModule[],
  options: EncodeOptions,
  moments: ReadonlyMap<string, Float64Array> = new Map(),
): Promise<EncodeReport> {
  return (await encoded(modules, options, moments)).report;
}

/** A module encoded alone: what the file, which must be canonical, has of it, and what the report says. */
export async function encodeModule(
  module: LoraModule,
  options: EncodeOptions,
  moments?: Float64Array,
): Promise<{ readonly factors: PackedFactors; readonly quality: ModuleFigures }> {
  const given = new Map(moments === undefined ? [] : [[module.name, moments]]);
  const { bytes, report } = await encoded([module], options, given);
  const { error } = await validate(bytes, { level: "canonical" });
  expect(error).toBeUndefined();
  const { energy, errorEnergy } = report;
  const factors = await (await open(bytes)).packed(module.name);
  return { factors, quality: { ...report.modules[0]!, energy, errorEnergy } };
}

/** What the report says of a module, and the energies, which it says of the adapter. */
export type ModuleFigures = EncodeReport["modules"][number] & Pick<EncodeReport, "energy" | "errorEnergy">;

const encoded = (
  modules: readonly LoraModule[],
  options: EncodeOptions,
  moments: ReadonlyMap<string, Float64Array>,
) =>
  encodeAdapter(
    { modules, tensors: [], origin: undefined, meta: {} },
    moments.size === 0 ? options : { ...options, calibration: { moments, source: new Uint8Array() } },
  );

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
