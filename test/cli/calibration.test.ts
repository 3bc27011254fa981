/** `lqa encode --calibration`: moments change what is reported and the bytes, which say so; with `--unweighted` only the former. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa } from "../helpers/cli.ts";
import { imatrix } from "../helpers/gguf.ts";
import { safetensors, type TestTensor, testTensors, writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const adapter = writePeftDirectory(join(folder, "adapter"));
const place = (name: string): string => join(folder, name);
const layer = (n: number, name: string): string => `model.layers.${n}.self_attn.${name}`;

interface Report {
  readonly relativeError: number;
  readonly outputError: number | null;
  readonly calibration: {
    readonly file: string;
    readonly matched: number;
    readonly missing: readonly string[];
    readonly unmatched: readonly string[];
  } | null;
  readonly modules: readonly { readonly name: string; readonly outputError: number | null }[];
}

const moments = place("moments.safetensors");
writeFileSync(
  moments,
  safetensors(
    new Map(
      [layer(0, "q_proj"), layer(0, "v_proj"), layer(1, "q_proj"), "model.norm"].map((name) => [
        name,
        { shape: [64], values: Float32Array.from({ length: 64 }, (_, i) => 1 / (1 + i)) },
      ]),
    ),
  ),
);

describe("lqa encode --calibration", () => {
  it("reports the output error of the modules that have moments", () => {
    const run = lqa("encode", adapter, "-o", place("a.lqa"), "--calibration", moments, "--json");
    expect(run.code).toBe(0);
    const report = run.json<Report>();
    expect(report.calibration).toEqual({
      file: moments,
      matched: 3,
      missing: [layer(1, "v_proj")],
      unmatched: ["model.norm"],
    });
    expect(report.outputError).toBeGreaterThan(0);
    expect(report.outputError).toBeLessThan(1);
    expect(report.modules.map(({ outputError }) => outputError === null)).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(lqa("validate", place("a.lqa")).code).toBe(0);
    expect(lqa("inspect", place("a.lqa"), "--json").out).toMatch(/calibration=sha256:[0-9a-f]{16}"/);
  });

  it("says so in words", () => {
    const words = ["encode", adapter, "-o", place("b.lqa"), "--profile", "rtn"];
    const run = lqa(...words, "--calibration", moments, "--verbose");
    expect(run.out).toMatch(
      /output error {2}[\d.]+ % of the energy of the outputs lost, by moments of the inputs/,
    );
    expect(run.out).toMatch(/3 modules, 1 without, from .*; 1 of its tensors unused/);
    const plain = lqa(...words, "--force");
    expect(plain.out).not.toContain("output error");
    expect(lqa(...words, "--force", "--json").json<Report>()).toMatchObject({
      outputError: null,
      calibration: null,
    });
  });

  it("says how sure an estimate from sensitivities is, as the guide does", () => {
    const single = writePeftDirectory(place("single"), { rank: 1, alpha: 2 });
    const length = (values: Float32Array): number => Math.hypot(...values);
    const tensors = [...testTensors({ rank: 1 })];
    const figures = tensors
      .filter(([name]) => name.endsWith("lora_A.weight"))
      .map(([name, a], i): [string, TestTensor] => {
        const strength = 2 * length(a.values) * length(tensors[2 * i + 1]![1].values);
        const components = name.replace("lora_A.weight", "components");
        return [components, { shape: [1, 4], values: Float32Array.of(strength, 1, 1, 1) }];
      });
    const sensitivities = place("sensitivities.safetensors");
    writeFileSync(sensitivities, safetensors(new Map(figures)));
    const run = lqa("encode", single, "-o", place("g.lqa"), "--calibration", sensitivities);
    expect(run.out).toMatch(/answers +\D+\(by the calibration\)/);
  });

  it("only measures if it is asked not to weigh", () => {
    const words = ["encode", adapter, "--quality", "high", "--force", "--json", "-o", place("f.lqa")];
    const bytes = (...more: string[]): Buffer => {
      expect(lqa(...words, ...more).code).toBe(0);
      return readFileSync(place("f.lqa"));
    };
    const plain = bytes();
    expect(bytes("--calibration", moments, "--unweighted")).toEqual(plain);
    expect(bytes("--calibration", moments)).not.toEqual(plain);
    const other = ["encode", adapter, "-o", place("f.lqa"), "--profile", "rtn"];
    const run = lqa(...other, "--calibration", moments, "--unweighted");
    expect(run).toMatchObject({ code: 2 });
    expect(run.out + run.err).toContain("weighted only with profile rd");
  });

  it("only measures in profiles that do not choose, and takes importance matrices", () => {
    const file = place("imatrix.gguf");
    const sums = [Array.from({ length: 64 }, (_, i) => i)];
    writeFileSync(file, imatrix({ "blk.0.attn_q.weight": { sums, counts: [7] } }));
    const words = ["encode", adapter, "--profile", "rtn", "--json", "-o"];
    const plain = lqa(...words, place("c.lqa")).json<Report>();
    const run = lqa(...words, place("d.lqa"), "--calibration", file);
    const report = run.json<Report>();
    expect(report.relativeError).toBe(plain.relativeError);
    expect(report.calibration).toMatchObject({ matched: 1, unmatched: [] });
  });

  it("refuses what is no calibration file of this adapter, and writes nothing", () => {
    const encode = (file: string) => lqa("encode", adapter, "-o", place("e.lqa"), "--calibration", file);
    expect(encode(place("absent")).code).toBe(2);
    expect(encode(join(adapter, "adapter_config.json"))).toMatchObject({ code: 3 });
    const run = encode(join(adapter, "adapter_model.safetensors"));
    expect(run.code).toBe(1);
    expect(run.err).toContain("SOURCE_IMPORTANCE");
    const other = place("other.gguf");
    writeFileSync(other, imatrix({ "blk.9.attn_q.weight": { sums: [[1]], counts: [1] } }));
    const { err } = encode(other);
    expect(err).toContain("model.layers.0.self_attn.q_proj");
    expect(err).toContain("blk.9.attn_q.weight");
    expect(lqa("inspect", place("e.lqa")).code).toBe(2);
  });
});
