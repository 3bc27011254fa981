/** Baselines and the policy for plain tensors, as a user of the program meets them. */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa } from "../helpers/cli.ts";
import { f16ToNumber, numberToF16 } from "../helpers/floats.ts";
import { readSafetensors, type TestTensor, testTensors, writePeftDirectory } from "../helpers/peft.ts";
import { normal } from "../helpers/random.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const change = (tensors: Map<string, TestTensor>): void => {
  const next = normal(5);
  const fill = (shape: number[]): TestTensor => ({
    shape,
    values: Float32Array.from({ length: shape.reduce((x, y) => x * y, 1) }, () => next()),
  });
  tensors.set("base_model.model.score.weight", fill([20, 64]));
  for (const layer of [0, 1])
    for (const [projection, out] of [["q_proj", 64] as const, ["v_proj", 32] as const])
      tensors.set(
        `base_model.model.model.layers.${layer}.self_attn.${projection}.lora_magnitude_vector`,
        fill([out]),
      );
};
const source = writePeftDirectory(join(folder, "adapter"), {
  change,
  config: { modules_to_save: ["score"], use_dora: true },
});
const weights = (path: string) => readSafetensors(readFileSync(join(path, "adapter_model.safetensors")));

const encode = (name: string, ...words: string[]) => {
  const file = join(folder, `${name}.lqa`);
  const run = lqa("encode", source, "-o", file, "--json", ...words);
  expect(run.err).toBe("");
  return { file, report: run.json<Record<string, unknown>>() };
};

describe("lqa encode --tensors", () => {
  it("is named where plain tensors are most of the file", () => {
    const big = writePeftDirectory(join(folder, "big"), {
      change: (all) =>
        all.set("base_model.model.score.weight", {
          values: Float32Array.from({ length: 40_000 }, normal(3)),
          shape: [200, 200],
        }),
      config: { modules_to_save: ["score"] },
    });
    const said = (...words: string[]) =>
      lqa("encode", big, "-o", join(folder, "big.lqa"), "--force", ...words).out;
    expect(said("--tensors", "keep")).toMatch(
      /tensors +1 plain tensor takes [\d.]+ KB of the file; --tensors f16/,
    );
    expect(said("--tensors", "f16")).toMatch(/tensors +1 plain tensor takes [\d.]+ KB of the file$/m);
    expect(
      lqa("encode", writePeftDirectory(join(folder, "none")), "-o", join(folder, "none.lqa")).out,
    ).not.toMatch(/plain tensor/);
  });

  it("f16 halves plain tensors on disk; decode gives F32 back, rounded once", () => {
    const kept = encode("keep", "--tensors", "keep");
    const half = encode("f16", "--tensors", "f16");
    expect(kept.report).toMatchObject({ tensors: 5, tensorPolicy: "keep", narrowed: null });
    expect(half.report).toMatchObject({ tensors: 5, tensorPolicy: "f16", narrowed: { tensors: 5 } });
    const narrowed = half.report.narrowed as { relativeError: number; worst: { name: string } };
    expect(narrowed.relativeError).toBeGreaterThan(1e-9);
    expect(narrowed.relativeError).toBeLessThan(1e-6);
    expect(narrowed.worst.name).toMatch(/score|proj/);
    expect(half.report.tensorBytes).toBeLessThan(0.55 * (kept.report.tensorBytes as number));
    expect(lqa("validate", half.file, "--level", "canonical").code).toBe(0);

    for (const dtype of ["source", "f16"]) {
      const out = join(folder, `back-${dtype}`);
      expect(lqa("decode", half.file, "-o", out, "--dtype", dtype).code).toBe(0);
      const back = weights(out);
      const before = testTensors({ change });
      expect([...back.keys()].sort()).toEqual([...before.keys()].sort());
      for (const [name, { values, shape }] of before) {
        const factor = /lora_[AB]/.test(name);
        expect(back.get(name)).toMatchObject({ shape, dtype: factor && dtype === "f16" ? "F16" : "F32" });
        if (!factor) expect(back.get(name)!.values).toEqual(values.map((x) => f16ToNumber(numberToF16(x))));
      }
    }
  });

  it("keep and zstd give every plain tensor back bit for bit", () => {
    for (const policy of ["keep", "zstd"]) {
      const { file } = encode(`exact-${policy}`, "--tensors", policy);
      const out = join(folder, `exact-${policy}`);
      expect(lqa("decode", file, "-o", out).code).toBe(0);
      const back = weights(out);
      for (const [name, { values }] of testTensors({ change }))
        if (!/lora_[AB]/.test(name)) expect(back.get(name)!.values).toEqual(values);
    }
  });

  it("is in the report", () => {
    const { out } = lqa("encode", source, "-o", join(folder, "people.lqa"), "--tensors", "f16", "--verbose");
    expect(out).toMatch(/\n {2}tensors +5, [\d.]+ KB; 5 rounded to F16, [\d.e-]+ % of their energy lost, /);
  });

  it("refuses what F16 cannot hold, and writes nothing", () => {
    const large = writePeftDirectory(join(folder, "large"), {
      config: { modules_to_save: ["score"] },
      change: (tensors) => {
        tensors.set("base_model.model.score.weight", { shape: [3], values: Float32Array.of(1, 7e4, 0) });
      },
    });
    const run = lqa("encode", large, "-o", join(folder, "large.lqa"), "--tensors", "f16");
    expect(run.code).toBe(1);
    expect(run.err).toMatch(/SOURCE_RANGE[\s\S]*70000[\s\S]*tensor "score\.weight", index 1/);
    expect(statSync(join(folder, "large.lqa"), { throwIfNoEntry: false })).toBeUndefined();
  });
});

describe("the baselines", () => {
  it("are profiles like the others", () => {
    const sign = encode("sign", "--profile", "sign").report;
    expect(sign).toMatchObject({ profile: "sign", group: 128, bits: null, codeBits: null });
    const rtn = encode("rtn", "--profile", "rtn", "--code-bits", "4", "--group", "64");
    expect(rtn.report).toMatchObject({ profile: "rtn", codeBits: 4, group: 64 });
    expect(rtn.report.relativeError).toBeLessThan(sign.relativeError as number);
    expect(lqa("validate", rtn.file, "--level", "canonical").code).toBe(0);
    expect(lqa("inspect", rtn.file, "--verbose").out).toContain("affine4/g64");
  });
});
