import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa } from "../helpers/cli.ts";
import { addLowRank, baseModel, fileOf, LAYERS, noise, tensor, writeModel } from "../helpers/models.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const at = (name: string): string => join(folder, name);

const tunedModel = new Map(baseModel());
LAYERS.forEach((layer, i) => {
  addLowRank(tunedModel, layer, 3, 50 + i);
});
const base = writeModel(at("base"), baseModel());
const tuned = writeModel(at("tuned"), tunedModel);
const extract = (...words: string[]) => lqa("extract", "--base", base, "--tuned", tuned, ...words);

describe("lqa extract", () => {
  it("writes a PEFT directory that lqa encode takes", () => {
    const { code, out, err } = extract("-o", at("adapter"), "--rank", "4", "--base-name", "org/base");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/change +100\.0 % of the energy of ΔW in 4 modules/);
    expect(out).toMatch(/rank +3, 864 parameters/);
    expect(out).toMatch(/least kept/);
    expect(listing(at("adapter"))).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const config = JSON.parse(readFileSync(join(at("adapter"), "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ r: 3, lora_alpha: 3, base_model_name_or_path: "org/base" });
    expect(lqa("encode", at("adapter"), "-o", at("encoded.lqa"), "--profile", "raw").code).toBe(0);
  });

  it("writes an .lqa file, in the requested bits", () => {
    const { code, out } = extract("-o", at("direct.lqa"), "--rank", "3", "--profile", "raw");
    expect(code).toBe(0);
    expect(out).toMatch(/encoding +raw, /);
    expect(lqa("validate", at("direct.lqa")).code).toBe(0);
    const run = extract("-o", at("small.lqa"), "--max-error", "0.2", "--json");
    const { encoding } = run.json<{ encoding: { relativeError: number; settings: object } }>();
    expect(encoding.settings).toMatchObject({ profile: "rd", maxError: 0.2 });
    expect(encoding.relativeError).toBeLessThanOrEqual(0.2);
    expect(encoding.relativeError).toBeGreaterThan(0.001);
  });

  it("has a JSON document with stable keys", () => {
    const run = extract("-o", at("json"), "--energy", "0.5", "--json");
    expect({ code: run.code, err: run.err }).toEqual({ code: 0, err: "" });
    const document = run.json<Record<string, unknown> & { modules: Record<string, unknown>[] }>();
    expect(Object.keys(document)).toEqual([
      "rank",
      "energy",
      "fanInFanOut",
      "share",
      "shareOfAll",
      "parameters",
      "inputBytes",
      "files",
      "encoding",
      "seconds",
      "unchanged",
      "filtered",
      "onlyInBase",
      "modules",
      "rest",
    ]);
    expect(document).toMatchObject({ rank: 32, energy: 0.5, encoding: null, unchanged: 7, rest: [] });
    expect(document.modules.map(({ name }) => name)).toEqual(LAYERS);
    expect(Object.keys(document.modules[0]!)).toEqual([
      "name",
      "role",
      "shape",
      "rank",
      "share",
      "norm",
      "relativeNorm",
      "largest",
    ]);
  });

  it("says where a rank is too small for a share", () => {
    const { out } = extract("-o", at("short"), "--energy", "0.999", "--rank", "1");
    expect(out).toMatch(/rank +1 for 99\.9 % of each \(4 modules would need more than 1\), /);
  });

  it("gives the same bytes for shards, an index and a link", () => {
    const shards = writeModel(at("shards"), tunedModel, 3);
    const link = join(shards, "..", "base", "link");
    symlinkSync(join(base, "model.safetensors"), link);
    const weights = (name: string): Buffer => readFileSync(join(at(name), "adapter_model.safetensors"));
    expect(extract("-o", at("one")).code).toBe(0);
    for (const [i, [before, after]] of [
      [base, shards],
      [link, join(shards, "model.safetensors.index.json")],
    ].entries()) {
      expect(lqa("extract", "--base", before!, "--tuned", after!, "-o", at(`same${i}`)).code).toBe(0);
      expect(weights(`same${i}`).equals(weights("one"))).toBe(true);
    }
  });

  it("says loudly what is not in the adapter", () => {
    const more = new Map(tunedModel).set("model.norm.weight", tensor([24], noise(24, 9)));
    more.set("lm_head.weight", tensor([40, 24], noise(960, 9)));
    const model = writeModel(at("more"), more);
    const words = ["extract", "--base", base, "--tuned", model];
    const { out } = lqa(...words, "-o", at("loud"));
    expect(out).toMatch(/2 changed tensors not in the adapter, which holds \d/);
    expect(out).toMatch(/lm_head\.weight +40×24 +\d+\.\d+ +output head/);
    const kept = lqa(...words, "-o", at("kept"), "--keep-rest");
    expect(kept.out).toMatch(/kept whole +2 tensors/);
    expect(kept.out).not.toContain("not in the adapter");
    const decoded = lqa(...words, "-o", at("kept.lqa"), "--keep-rest", "--profile", "raw");
    expect(decoded.code).toBe(0);
    expect(lqa("decode", at("kept.lqa"), "-o", at("kept-back")).code).toBe(0);
    const files = ["kept", "kept-back"].map((name) =>
      readFileSync(join(at(name), "adapter_model.safetensors")),
    );
    expect(files[0]!.equals(files[1]!)).toBe(true);
    const all = lqa(...words, "-o", at("all"), "--modules", "--exclude", "lm_head, model.norm");
    expect(all.out).toMatch(/not chosen +2 tensors/);
    for (const layer of LAYERS) expect(all.out).toContain(layer);
  });
});

describe("lqa extract refuses", () => {
  const cases: [string, string[], number, RegExp][] = [
    ["no base", ["extract", "--tuned", tuned, "-o", "x"], 2, /--base <model> is missing/],
    ["a stray word", ["extract", "x", "--base", base, "--tuned", tuned, "-o", "x"], 2, /an argument: x/],
    ["rank 0", ["extract", "--base", base, "--tuned", tuned, "-o", at("no"), "--rank", "0"], 2, /1 to 4096/],
    [
      "a share of 2",
      ["extract", "--base", base, "--tuned", tuned, "-o", at("no"), "--energy", "2"],
      2,
      /at most 1/,
    ],
    [
      "bits of a directory",
      ["extract", "--base", base, "--tuned", tuned, "-o", at("no"), "--bits", "2"],
      2,
      /ends in \.lqa/,
    ],
    [
      "a dtype of an .lqa file",
      ["extract", "--base", base, "--tuned", tuned, "-o", at("no.lqa"), "--dtype", "f16"],
      2,
      /a directory as output/,
    ],
    [
      "identical models",
      ["extract", "--base", base, "--tuned", base, "-o", at("no")],
      1,
      /NOTHING_TO_EXTRACT/,
    ],
    ["an output that exists", ["extract", "--base", base, "--tuned", tuned, "-o", base], 2, /OUTPUT_EXISTS/],
    [
      "a path without anything",
      ["extract", "--base", at("nowhere"), "--tuned", tuned, "-o", at("no")],
      2,
      /NOT_FOUND/,
    ],
    [
      "a directory without a model",
      ["extract", "--base", folder, "--tuned", tuned, "-o", at("no")],
      2,
      /model\.safetensors/,
    ],
  ];
  it.each(cases)("%s", (_name, words, code, text) => {
    const run = lqa(...words);
    expect({ code: run.code, out: run.out }).toEqual({ code, out: "" });
    expect(run.err).toMatch(text);
    expect(existsSync(at("no"))).toBe(false);
    expect(existsSync(at("no.lqa"))).toBe(false);
  });

  it("broken directories of shards", () => {
    const model = writeModel(at("broken"), tunedModel, 2);
    const index = join(model, "model.safetensors.index.json");
    const text = readFileSync(index, "utf8");
    const run = (): ReturnType<typeof lqa> =>
      lqa("extract", "--base", base, "--tuned", model, "-o", at("no"));
    writeFileSync(index, text.replaceAll("model-00002", "../base/model"));
    expect(run().err).toMatch(/SOURCE_SHARDS[\s\S]*plain name/);
    writeFileSync(index, text.slice(0, 40));
    expect(run()).toMatchObject({ code: 1 });
    writeFileSync(index, text);
    renameSync(join(model, "model-00002-of-00002.safetensors"), join(model, "gone.safetensors"));
    expect(run()).toMatchObject({
      code: 2,
      err: expect.stringMatching(/NOT_FOUND[\s\S]*model-00002-of-00002/),
    });
    rmSync(index);
    expect(run().err).toMatch(/2 safetensors files/);
    writeFileSync(join(model, "pytorch_model-00001-of-00002.bin"), "");
    expect(run().err).toMatch(/Python pickle/);
    // One file under another name is a model.
    rmSync(join(model, "gone.safetensors"));
    writeFileSync(join(model, "model-00001-of-00002.safetensors"), fileOf(tunedModel));
    expect(run().code).toBe(0);
    expect(readdirSync(at("no"))).toHaveLength(2);
  });
});
