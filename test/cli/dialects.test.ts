/** Dialects on the command line: encode --from, decode --to, convert. */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAdapter } from "../../src/adapters/index.ts";
import { floats } from "../dialects/build.ts";
import { deltaOf } from "../dialects/delta.ts";
import { SMALL_ADAPTERS, type SmallAdapter } from "../dialects/small.ts";
import { lqa } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { readSafetensors, writeSafetensors } from "../helpers/safetensors.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
let count = 0;
const place = (ending = ""): string => join(folder, `p${count++}${ending}`);
const small = (dialect: string, variant: RegExp): SmallAdapter =>
  SMALL_ADAPTERS.find((each) => each.dialect === dialect && variant.test(each.variant))!;
/** Writes the files of an adapter into a directory and returns its path. */
function put({ files }: SmallAdapter): string {
  const path = place();
  mkdirSync(path);
  for (const [name, bytes] of files) writeFileSync(join(path, name), bytes.subarray(0, bytes.length));
  return path;
}
const filesOf = (path: string): Map<string, Uint8Array> =>
  new Map(listing(path).map((name) => [name, new Uint8Array(readFileSync(join(path, name)))]));

it.each(["diff", "compare"])("lqa %s takes what a dialect keeps outside its files", (command) => {
  const source = put(small("loralib", /alpha given/));
  const words = command === "diff" ? [source, source] : [source, "--bits", "2", "--floor", "0"];
  expect(lqa(command, ...words).err).toMatch(/Give it with --alpha/);
  expect(lqa(command, ...words, "--alpha", "16").code).toBe(0);
});

describe("lqa encode and decode", () => {
  it.each([
    ["kohya", /^F16/, []],
    ["diffusers", /two components$/, []],
    ["cloneofsimo", /./, []],
    ["loralib", /alpha given/, ["--alpha", "16"]],
    ["mlx", /2025/, []],
    ["gguf", /^alpha,/, []],
    ["onnx", /./, []],
    ["peft", /0\.21/, ["--expert-layout", "out-in"]],
  ] as const)("%s comes back as it was", (dialect, variant, words) => {
    const source = put(small(dialect, variant));
    const [file, out] = [place(".lqa"), place()];
    const encoded = lqa("encode", source, "-o", file, "--profile", "raw", ...words, "--json");
    expect(encoded.json()).toMatchObject({ dialect, relativeError: 0 });
    expect(lqa("inspect", file, "--json").code).toBe(0);
    expect(lqa("validate", file).code).toBe(0);
    const decoded = lqa("decode", file, "-o", out, "--json");
    expect(decoded.json()).toMatchObject({
      dialect,
      to: null,
      notes: dialect === "loralib" ? [expect.stringMatching(/must use lora_alpha=16/)] : [],
    });
    expect(filesOf(out)).toEqual(filesOf(source));
  });

  it("--force replaces a directory whose weights have a name of their own, and no others", () => {
    const [source, file, out] = [place(), place(".lqa"), place()];
    mkdirSync(source);
    const [weights] = small("kohya", /^F16/).files.values();
    writeFileSync(join(source, "my-style.safetensors"), weights!.subarray(0, weights!.length));
    expect(lqa("encode", source, "-o", file, "--profile", "raw").code).toBe(0);
    for (const words of [[], ["--force"]])
      expect(lqa("decode", file, "-o", out, ...words).code, words.join()).toBe(0);
    expect(filesOf(out)).toEqual(filesOf(source));
    writeFileSync(join(out, "model.safetensors"), "another's");
    expect(lqa("decode", file, "-o", out, "--force").err).toMatch(/OUTPUT_EXISTS.*model\.safetensors/s);
    expect(listing(out)).toEqual(["model.safetensors", "my-style.safetensors"]);
  });

  it("decode --to writes another dialect, into a file if the path ends like one", () => {
    const file = place(".lqa");
    const source = writePeftDirectory(place());
    expect(lqa("encode", source, "-o", file, "--profile", "raw").code).toBe(0);
    const mlx = place();
    expect(lqa("decode", file, "-o", mlx, "--to", "mlx").code).toBe(0);
    expect(listing(mlx)).toEqual(["adapter_config.json", "adapters.safetensors"]);
    const onnx = place(".onnx_adapter");
    const told = lqa("decode", file, "-o", onnx, "--to", "onnx");
    expect(told.out).toMatch(/note: The multiplier of 4 modules is folded into B, exactly/);
    const config = place(".json");
    writeFileSync(
      config,
      JSON.stringify({ model_type: "llama", num_attention_heads: 4, num_key_value_heads: 2 }),
    );
    const gguf = place(".gguf");
    expect(lqa("decode", file, "-o", gguf, "--to", "gguf").err).toMatch(/USAGE.*--base/s);
    expect(existsSync(gguf)).toBe(false);
    expect(lqa("decode", file, "-o", gguf, "--to", "gguf", "--base", config).code).toBe(0);
    for (const path of [mlx, onnx]) {
      const back = place();
      expect(lqa("convert", path, back).code).toBe(0);
      const [before, after] = [source, back].map((each) => readAdapter(filesOf(each)).modules) as [
        ReturnType<typeof readAdapter>["modules"],
        ReturnType<typeof readAdapter>["modules"],
      ];
      const deltas = (modules: typeof before): unknown =>
        Object.fromEntries(modules.map((module) => [module.name, deltaOf(module)]));
      expect(deltas(after)).toEqual(deltas(before));
    }
    expect(lqa("decode", file, "-o", place(".gguf"), "--to", "mlx").err).toMatch(
      /USAGE.*the path of a directory/s,
    );
    expect(lqa("decode", file, "-o", place(), "--to", "kohya").err).toMatch(/UNSUPPORTED_DIALECT/);
  });

  it("decode --portable says only what every server knows", () => {
    const patterns = put(small("peft", /rank_pattern/));
    const [file, out] = [place(".lqa"), place()];
    lqa("encode", patterns, "-o", file, "--profile", "raw");
    expect(lqa("decode", file, "-o", out, "--portable").code).toBe(0);
    const config = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({
      r: 4,
      lora_alpha: 4,
      use_rslora: false,
      rank_pattern: {},
      alpha_pattern: {},
    });
    const tensors = readSafetensors(filesOf(out).get("adapter_model.safetensors")!).tensors;
    for (const [key, { shape }] of tensors) expect(shape[key.includes("lora_A") ? 0 : 1]).toBe(4);
    const dora = place(".lqa");
    lqa("encode", put(small("peft", /use_dora/)), "-o", dora);
    const refused = lqa("decode", dora, "-o", place(), "--portable");
    expect([refused.code, refused.err]).toEqual([
      3,
      expect.stringMatching(/only what every server computes/),
    ]);
  });

  it("other methods are refused by name, or carried", () => {
    const kohya = small("kohya", /without alpha/);
    const [[name, bytes]] = [...kohya.files] as [[string, Uint8Array]];
    const tensors = new Map(readSafetensors(bytes).tensors).set("lora_unet_x.lokr_w1", floats([2, 2]));
    const source = put({ ...kohya, files: new Map([[name, writeSafetensors(tensors)]]) });
    const [file, out] = [place(".lqa"), place()];
    const refused = lqa("encode", source, "-o", file);
    expect([refused.code, refused.err]).toEqual([3, expect.stringMatching(/LoKr.*--keep-unsupported/s)]);
    expect(existsSync(file)).toBe(false);
    const kept = lqa("encode", source, "-o", file, "--profile", "raw", "--keep-unsupported");
    expect(kept.out).toMatch(/note: Carried, without a part in the maths: LoKr/);
    expect(lqa("decode", file, "-o", out).code).toBe(0);
    expect(filesOf(out)).toEqual(filesOf(source));
  });

  it("shards are one adapter, and one of them is none", () => {
    const whole = put(small("peft", /^usual/));
    const files = filesOf(whole);
    const { metadata, tensors } = readSafetensors(files.get("adapter_model.safetensors")!);
    const path = place();
    mkdirSync(path);
    writeFileSync(join(path, "adapter_config.json"), files.get("adapter_config.json")!);
    const names = [1, 2].map((i) => `adapter_model-0000${i}-of-00002.safetensors`);
    const index: Record<string, string> = {};
    for (const [i, name] of names.entries()) {
      const own = [...tensors].filter((_, at) => at % 2 === i);
      for (const [key] of own) index[key] = name;
      writeFileSync(join(path, name), writeSafetensors(new Map(own), { metadata }));
    }
    writeFileSync(join(path, "adapter_model.safetensors.index.json"), JSON.stringify({ weight_map: index }));
    const [file, out] = [place(".lqa"), place()];
    expect(lqa("encode", path, "-o", file, "--profile", "raw").code).toBe(0);
    expect(lqa("decode", file, "-o", out).code).toBe(0);
    expect(listing(out)).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const again = readSafetensors(filesOf(out).get("adapter_model.safetensors")!).tensors;
    expect(again.size).toBe(tensors.size);
    for (const [key, { data }] of tensors) expect(Buffer.compare(again.get(key)!.data, data)).toBe(0);
    expect(lqa("encode", join(path, names[1]!), "-o", file, "--force").err).toMatch(/one shard \(2-of-2\)/);
    rmSync(join(path, names[0]!));
    expect(lqa("encode", path, "-o", file, "--force").err).toMatch(/one shard \(2-of-2\)/);
    // The same tensor in two shards.
    writeFileSync(join(path, names[0]!), readFileSync(join(path, names[1]!)));
    expect(lqa("encode", path, "-o", file, "--force").err).toMatch(
      /SOURCE_UNKNOWN_TENSOR[\s\S]*each tensor in one shard/,
    );
  });

  it("ambiguous files ask for --from", () => {
    const mlx = put({
      ...small("mlx", /2025/),
      files: new Map(small("mlx", /2025/).files).set(
        "adapter_config.json",
        new TextEncoder().encode('{"peft_type":"LORA"}'),
      ),
    });
    const { code, err } = lqa("encode", mlx, "-o", place(".lqa"));
    expect(code).toBe(3);
    expect(err).toMatch(/--from peft or --from mlx/);
    expect(lqa("encode", mlx, "-o", place(".lqa"), "--from", "mlx", "--multiplier", "2").code).toBe(0);
    expect(lqa("encode", mlx, "-o", place(".lqa"), "--from", "none").code).toBe(2);
  });
});

describe("lqa convert", () => {
  it("turns one dialect into another and says what it did", () => {
    const [source, out] = [put(small("kohya", /^F16/)), place()];
    const report = lqa("convert", source, out, "--to", "diffusers", "--json").json<Record<string, unknown>>();
    expect(report).toMatchObject({ from: "kohya", to: "diffusers", modules: 2, tensors: 0 });
    expect(listing(out)).toEqual(["pytorch_lora_weights.safetensors"]);
    expect(lqa("convert", source, out, "--to", "diffusers").err).toMatch(/OUTPUT_EXISTS/);
    expect(lqa("convert", source, out, "--to", "diffusers", "--force").code).toBe(0);
    const half = place();
    expect(lqa("convert", source, half, "--to", "diffusers", "--dtype", "bf16").code).toBe(0);
    const { tensors } = readSafetensors(filesOf(half).get("pytorch_lora_weights.safetensors")!);
    expect(new Set([...tensors.values()].map(({ element }) => element))).toEqual(new Set(["BF16"]));
  });
  it("wants two paths", () => {
    expect(lqa("convert", "a").code).toBe(2);
    expect(lqa("convert", "a", "b", "c").err).toMatch(/USAGE.*two paths/s);
    expect(lqa("convert", place(), place()).err).toMatch(/NOT_FOUND/);
  });
});
