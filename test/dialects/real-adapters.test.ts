/** Sixteen adapters from public repositories: seven are PEFT and come back byte for byte, nine are refused by name. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/dialects/index.ts";

const folder = process.env.LQA_ADAPTERS ?? join(import.meta.dirname, "../../../shared/adapters");
const present = existsSync(folder);
if (!present) console.log("skipped: the folder of real adapters is not there (set LQA_ADAPTERS)");

function filesOf(name: string): Map<string, Uint8Array> {
  const path = join(folder, name);
  return new Map(readdirSync(path).map((file) => [file, new Uint8Array(readFileSync(join(path, file)))]));
}

describe.skipIf(!present)("real adapters", () => {
  it.each([
    ["gpt2-tigrinya-r8", 36, 4, "in-out", {}],
    ["opencalm-1b-r1-fp16", 24, 32, "out-in", {}],
    ["smollm2-135m-r8", 60, 2, "out-in", {}],
    ["sd-skin-r4-partial-zero", 128, 4, "out-in", {}],
    ["peft-regression-conv2d", 1, 1, "out-in", {}],
    ["peft-regression-emb-conv1d", 2, 1, "in-out", {}],
    ["roberta-agnews-r4-biasall", 36, 4, "out-in", { replace: 4, bias: 97, carried: 4 }],
  ])("%s is read and written again", (name, modules, multiplier, layout, roles) => {
    const files = filesOf(name);
    const adapter = readAdapter(files);
    expect(adapter.modules).toHaveLength(modules);
    expect(new Set(adapter.modules.map((module) => module.multiplier))).toEqual(new Set([multiplier]));
    expect(new Set(adapter.modules.map((module) => module.baseLayout))).toEqual(new Set([layout]));
    const counts: Record<string, number> = {};
    for (const { role } of adapter.tensors) counts[role] = (counts[role] ?? 0) + 1;
    expect(counts).toEqual(roles);
    expect(Object.keys(adapter.origin!).sort()).toEqual(["config", "dialect", "element", "metadata"]);
    for (const [file, bytes] of writeAdapter(adapter, { factors: "source" })) {
      expect(Buffer.compare(bytes, files.get(file)!), file).toBe(0);
    }
  });

  it.each([
    ["sam-vit-b-r16", /LoRA-ViT/],
    ["sam-vit-b-r6", /LoRA-ViT/],
    ["sam-vit-b-r4-untrained", /LoRA-ViT/],
    ["roberta-mnli-r8-loralib", /loralib/],
    ["sd15-weapons-r4", /diffusers/],
    ["sd15-pokemon-r4", /diffusers/],
    ["sd15-analog-svd-r4-fp16", /cloneofsimo/],
    ["sd15-disney-inpaint-r1-mixed", /cloneofsimo/],
    ["mlx-qwen2.5-0.5b-r8", /MLX/],
  ])("%s is refused", (name, message) => {
    expect(() => readAdapter(filesOf(name))).toThrow(/UNSUPPORTED_DIALECT/);
    expect(() => readAdapter(filesOf(name))).toThrow(message);
  });
});
