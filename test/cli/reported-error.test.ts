/** The error that is reported is the error of what a reader gets: rounding on decode, and the weights that DoRA changes. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa } from "../helpers/cli.ts";
import { baseModel, noise, writeModel } from "../helpers/models.ts";
import { type TestTensor, writePeftDirectory } from "../helpers/peft.ts";
import { readSafetensors, type SafeTensor, toFloat32 } from "../helpers/safetensors.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);

interface Rounding {
  readonly elements: string[];
  readonly relativeError: number;
  readonly worst: { name: string; relativeError: number };
  readonly zeros: number;
  readonly weights: number;
}

const tensorsIn = (folder: string) =>
  readSafetensors(readFileSync(join(folder, "adapter_model.safetensors"))).tensors;

/** B · A of one module, by the definition. */
function product(
  folder: string,
  module: string,
  [out, rank, length]: [number, number, number],
): Float64Array {
  const tensors = tensorsIn(folder);
  const values = (part: string) => toFloat32(tensors.get(`base_model.model.${module}.lora_${part}.weight`)!);
  const [a, b] = [values("A"), values("B")];
  return Float64Array.from({ length: out * length }, (_, i) => {
    let sum = 0;
    for (let r = 0; r < rank; r++)
      sum += b[Math.floor(i / length) * rank + r]! * a[r * length + (i % length)]!;
    return sum;
  });
}

const energy = (values: Float64Array): number => values.reduce((sum, value) => sum + value * value, 0);
const apart = (x: Float64Array, y: Float64Array): number =>
  energy(x.map((value, i) => value - y[i]!)) / energy(x);

/** A module of rank 1 whose factors are as large as given. */
function writeOne(name: string, a: number, b: number): string {
  return writePeftDirectory(path(name), {
    rank: 1,
    alpha: 1,
    change(tensors) {
      tensors.clear();
      const key = "base_model.model.layers.0.q_proj";
      tensors.set(`${key}.lora_A.weight`, { shape: [1, 1024], values: noise(1024, 1, a) });
      tensors.set(`${key}.lora_B.weight`, { shape: [1024, 1], values: noise(1024, 2, b) });
    },
  });
}

describe("rounding on decode", () => {
  const sizes: [number, number, number] = [1024, 1, 1024];

  it.each([
    ["bf16", 1, 1, 0],
    ["f16", 1, 1, 0],
    // Below 6.1e-5 the steps of F16 are 6.0e-8, and below 3.0e-8 it has only 0.
    ["f16", 1, 1e-7, 1],
  ])("%s with A of about %d and B of about %d", (dtype, a, b, warned) => {
    const name = `${dtype}-${b}`;
    const source = writeOne(name, a, b);
    expect(lqa("encode", source, "-o", path(`${name}.lqa`), "--profile", "raw").code).toBe(0);
    const done = lqa("decode", path(`${name}.lqa`), "-o", path(`${name}-out`), "--dtype", dtype, "--json");
    const { rounding, relativeError } = done.json<{ rounding: Rounding; relativeError: number }>();
    expect(relativeError).toBe(0);
    const before = product(source, "layers.0.q_proj", sizes);
    const exact = apart(before, product(path(`${name}-out`), "layers.0.q_proj", sizes));
    expect(exact).toBeGreaterThan(0);
    expect(rounding.relativeError / exact).toBeGreaterThan(0.95);
    expect(rounding.relativeError / exact).toBeLessThan(1.05);
    expect(rounding.elements).toEqual([dtype.toUpperCase()]);
    expect(rounding.worst).toEqual({ name: "layers.0.q_proj", relativeError: rounding.relativeError });
    expect(rounding.weights).toBe(2048);
    const zeros = [...tensorsIn(path(`${name}-out`)).values()].flatMap((tensor) => [...toFloat32(tensor)]);
    expect(rounding.zeros).toBe(zeros.filter((value) => value === 0).length);
    expect(rounding.zeros > 0).toBe(warned === 1);
    const shown = lqa("decode", path(`${name}.lqa`), "-o", path(`${name}-text`), "--dtype", dtype).out;
    expect(shown).toContain(`; rounding to ${dtype.toUpperCase()} adds `);
    expect(shown.includes("warning: rounding to F16 lost")).toBe(warned === 1);
  });

  it("says nothing where nothing is rounded", () => {
    const source = writeOne("exact", 1, 1);
    lqa("encode", source, "-o", path("exact.lqa"), "--profile", "raw");
    expect(lqa("decode", path("exact.lqa"), "-o", path("exact-out"), "--json").json<object>()).toMatchObject({
      rounding: null,
    });
  });

  it("is the same in a dialect that stores factors transposed", () => {
    const source = writePeftDirectory(path("two"));
    const figures = ["peft", "mlx"].map((to) => {
      const done = lqa("convert", source, path(`two-${to}`), "--to", to, "--dtype", "f16", "--json");
      return done.json<{ rounding: Rounding }>().rounding;
    });
    expect(figures[0]!.relativeError).toBeGreaterThan(1e-9);
    // MLX has one scale of 2 for all modules, PEFT an alpha of 8 and rank 4: nothing is folded.
    expect(figures[1]).toEqual(figures[0]);
  });
});

describe("the error of DoRA", () => {
  const Q = "model.layers.0.self_attn.q_proj";
  const model = baseModel();
  writeModel(path("base"), model);
  const change = (tensors: Map<string, TestTensor>): void => {
    tensors.clear();
    tensors.set(`base_model.model.${Q}.lora_A.weight`, { shape: [4, 24], values: noise(96, 1) });
    tensors.set(`base_model.model.${Q}.lora_B.weight`, { shape: [32, 4], values: noise(128, 2, 0.02) });
    const lengths = noise(32, 3, 0.1).map((value) => 1.5 + Math.abs(value));
    tensors.set(`base_model.model.${Q}.lora_magnitude_vector`, { shape: [32], values: lengths });
  };
  const source = writePeftDirectory(path("dora"), { alpha: 4, config: { use_dora: true }, change });
  const weight = (folder: string): Float64Array =>
    Float64Array.from(
      toFloat32(readSafetensors(readFileSync(join(folder, "model.safetensors"))).tensors.get(`${Q}.weight`)!),
    );

  /** m (W + ΔW) / ‖W + ΔW‖ by rows, of a PEFT directory with rank r and alpha 4. */
  const adaptedWeight = (base: Float64Array, folder: string): Float64Array => {
    const { tensors } = readSafetensors(readFileSync(join(folder, "adapter_model.safetensors")));
    const part = (name: string): SafeTensor => tensors.get(`base_model.model.${Q}.${name}`)!;
    const [a, b, lengths] = ["lora_A.weight", "lora_B.weight", "lora_magnitude_vector"].map((name) =>
      toFloat32(part(name)),
    );
    const [rank, inputs] = part("lora_A.weight").shape as [number, number];
    const sums = base.map((value, i) => {
      const [row, column] = [Math.floor(i / inputs), i % inputs];
      let sum = value;
      for (let r = 0; r < rank; r++) sum += (4 / rank) * b![row * rank + r]! * a![r * inputs + column]!;
      return sum;
    });
    return sums.map((value, i) => {
      const row = Math.floor(i / inputs);
      const norm = Math.sqrt(energy(sums.subarray(row * inputs, (row + 1) * inputs)));
      return (lengths![row]! * value) / norm;
    });
  };

  it("is that of the change of the base weights, where the base model is given", () => {
    const words = ["encode", source, "-o", path("dora.lqa"), "--profile", "rtn", "--base", path("base")];
    const report = lqa(...words, "--json").json<{
      relativeError: number;
      notes: string[];
      doraError: { modules: number; relativeError: number; worst: { name: string } };
    }>();
    expect(lqa("encode", source, "-o", path("exact-dora.lqa"), "--profile", "raw").code).toBe(0);
    const before = weight(path("base"));
    const [exact, decoded] = ["exact-dora", "dora"].map((name) => {
      expect(lqa("decode", path(`${name}.lqa`), "-o", path(`${name}-peft`)).code).toBe(0);
      return adaptedWeight(before, path(`${name}-peft`));
    });
    const far = energy(exact!.map((value, i) => value - decoded![i]!));
    const expected = far / energy(exact!.map((value, i) => value - before[i]!));
    expect(report.doraError).toMatchObject({ modules: 1, worst: { name: Q } });
    expect(report.doraError.relativeError / expected).toBeCloseTo(1, 6);
    // With these magnitudes most of the change is not ΔW, so the two are not alike.
    expect(report.doraError.relativeError).toBeLessThan(report.relativeError / 2);
    expect(report.notes).toEqual([]);
    expect(lqa(...words, "--force", "--verbose").out).toContain(
      "of the energy of the change of the base weights lost, over 1 module",
    );
  });

  it("is said to be that of ΔW without a base model", () => {
    const { notes, doraError } = lqa(
      "encode",
      source,
      "-o",
      path("alone.lqa"),
      "--profile",
      "rtn",
      "--json",
    ).json<{
      notes: string[];
      doraError: unknown;
    }>();
    expect(doraError).toBeNull();
    expect(notes.join()).toMatch(/^1 module is DoRA: the error is that of ΔW .* --base /);
  });
});
