/** Sixteen adapters from public repositories: thirteen come back tensor for tensor, three are refused for the right reason. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { type Adapter, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { readSafetensors } from "../helpers/safetensors.ts";

const folder = process.env.LQA_ADAPTERS ?? join(import.meta.dirname, "../../../shared/adapters");
const present = existsSync(folder);
if (!present) console.log("skipped: the folder of real adapters is not there (set LQA_ADAPTERS)");

function filesOf(name: string): Map<string, Uint8Array> {
  const path = join(folder, name);
  return new Map(readdirSync(path).map((file) => [file, new Uint8Array(readFileSync(join(path, file)))]));
}

/** Into an .lqa file that quantizes nothing, and out of it. */
async function throughFile(adapter: Adapter): Promise<Adapter> {
  const { bytes } = await encodeAdapter(adapter, { profile: "raw", tensors: "keep" });
  return await (await open(bytes)).adapter();
}

/** Modules by name: everything the maths of ΔW depends on, bit for bit. */
const maths = ({ modules }: Adapter): unknown[] =>
  [...modules]
    .sort((x, y) => (x.name < y.name ? -1 : 1))
    .map(({ a, b, ...shape }) => [shape, hash(new Uint8Array(b.buffer)), hash(new Uint8Array(a.buffer))]);
const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

describe.skipIf(!present)("real adapters", () => {
  it.each([
    ["gpt2-tigrinya-r8", 36, 4, "in-out", {}],
    ["opencalm-1b-r1-fp16", 24, 32, "out-in", {}],
    ["smollm2-135m-r8", 60, 2, "out-in", {}],
    ["sd-skin-r4-partial-zero", 128, 4, "out-in", {}],
    ["peft-regression-conv2d", 1, 1, "out-in", {}],
    ["peft-regression-emb-conv1d", 2, 1, "in-out", {}],
    ["roberta-agnews-r4-biasall", 36, 4, "out-in", { replace: 4, bias: 97, carried: 4 }],
  ])(
    "%s is read and written again, also through an .lqa file",
    async (name, modules, multiplier, layout, roles) => {
      const files = filesOf(name);
      const adapter = readAdapter(files);
      expect(adapter.modules).toHaveLength(modules);
      expect(new Set(adapter.modules.map((module) => module.multiplier))).toEqual(new Set([multiplier]));
      expect(new Set(adapter.modules.map((module) => module.baseLayout))).toEqual(new Set([layout]));
      const counts: Record<string, number> = {};
      for (const { role } of adapter.tensors) counts[role] = (counts[role] ?? 0) + 1;
      expect(counts).toEqual(roles);
      expect(Object.keys(adapter.origin!).sort()).toEqual(["config", "dialect", "element", "metadata"]);
      const again = await throughFile(adapter);
      expect(maths(again)).toEqual(maths(adapter));
      for (const each of [adapter, again]) {
        for (const [file, bytes] of writeAdapter(each, { factors: "source", keepConfig: true })) {
          expect(Buffer.compare(bytes, files.get(file)!), file).toBe(0);
        }
      }
    },
  );

  it.each([
    ["roberta-mnli-r8-loralib", "loralib", 24, 2, { replace: 4 }, { alpha: 16 }],
    ["sd15-weapons-r4", "diffusers", 128, 1, {}, {}],
    ["sd15-pokemon-r4", "diffusers", 128, 1, {}, {}],
    ["sd15-analog-svd-r4-fp16", "cloneofsimo", 192, 1, {}, {}],
    ["sd15-disney-inpaint-r1-mixed", "cloneofsimo", 192, 1, { carried: 2 }, {}],
    ["mlx-qwen2.5-0.5b-r8", "mlx", 8, 10, {}, {}],
  ] as const)(
    "%s is recognised as %s, read and written again, also through an .lqa file",
    async (name, dialect, modules, multiplier, roles, how) => {
      const files = filesOf(name);
      const adapter = readAdapter(files, how);
      expect(adapter.origin?.dialect).toBe(dialect);
      expect(adapter.modules).toHaveLength(modules);
      expect(new Set(adapter.modules.map((module) => module.multiplier))).toEqual(new Set([multiplier]));
      const counts: Record<string, number> = {};
      for (const { role } of adapter.tensors) counts[role] = (counts[role] ?? 0) + 1;
      expect(counts).toEqual(roles);
      const again = await throughFile(adapter);
      expect(maths(again)).toEqual(maths(adapter));
      const written = writeAdapter(again, { factors: "source", keepConfig: true });
      // mlx-lm loads one name alone.
      const source = (file: string): string =>
        file === "adapters.safetensors" ? "0000200_adapters.safetensors" : file;
      expect([...written.keys()].map(source).sort()).toEqual([...files.keys()].sort());
      for (const [name, bytes] of written) {
        const file = source(name);
        if (file.endsWith(".json")) expect(Buffer.compare(bytes, files.get(file)!), file).toBe(0);
        // Headers may be padded in another way; names, order, shapes and bytes of tensors may not differ.
        else expect(tensorsOf(bytes)).toEqual(tensorsOf(files.get(file)!));
      }
    },
  );

  it("loralib needs its alpha", () => {
    expect(() => readAdapter(filesOf("roberta-mnli-r8-loralib"))).toThrow(/SOURCE_CONFIG.*alpha/);
  });

  it.each(["sam-vit-b-r16", "sam-vit-b-r6", "sam-vit-b-r4-untrained"])("%s is refused", (name) => {
    expect(() => readAdapter(filesOf(name))).toThrow(/UNSUPPORTED_DIALECT.*LoRA-ViT.*which layers/);
  });
});

/** Layers of a whole Stable Diffusion 1, whose numbers or names other dialects know. */
describe.skipIf(!present)("real adapters in other dialects", () => {
  it.each([
    ["sd15-analog-svd-r4-fp16", "kohya"],
    ["sd15-analog-svd-r4-fp16", "diffusers"],
    ["sd15-disney-inpaint-r1-mixed", "kohya"],
    ["sd15-weapons-r4", "kohya"],
    ["sd15-weapons-r4", "peft"],
    ["sd15-pokemon-r4", "kohya"],
    ["sd-skin-r4-partial-zero", "kohya"],
    ["sd-skin-r4-partial-zero", "diffusers"],
    ["mlx-qwen2.5-0.5b-r8", "peft"],
    ["mlx-qwen2.5-0.5b-r8", "gguf"],
    ["smollm2-135m-r8", "mlx"],
    ["smollm2-135m-r8", "gguf"],
    ["smollm2-135m-r8", "onnx"],
    ["smollm2-135m-r8", "loralib"],
    ["opencalm-1b-r1-fp16", "mlx"],
    ["roberta-mnli-r8-loralib", "peft"],
  ] as const)("%s to %s keeps ΔW", (name, to) => {
    const loralib = { alpha: 16 };
    const adapter = readAdapter(filesOf(name), name.includes("loralib") ? loralib : {});
    const base = { architecture: name.startsWith("mlx") ? "qwen2" : "llama", heads: 9, keyHeads: 3 };
    const files = writeAdapter(adapter, { factors: "F32", to, base });
    const again = readAdapter(files, { from: to, ...(to === "loralib" && loralib) });
    const back =
      to === "gguf" ? readAdapter(writeAdapter(again, { factors: "F32", to: "peft", base })) : again;
    // Names differ; what each module adds does not: no multiplier here makes folding into B round.
    const deltas = ({ modules }: Adapter): string[] =>
      modules
        .map(({ a, b, multiplier }) => {
          const scaled = b.map((value) => multiplier * value + 0);
          return `${hash(new Uint8Array(scaled.buffer))} ${hash(new Uint8Array(a.map((x) => x + 0).buffer))}`;
        })
        .sort();
    expect(deltas(back)).toEqual(deltas(adapter));
  });
});

function tensorsOf(bytes: Uint8Array): unknown[] {
  return [...readSafetensors(bytes).tensors].map(([key, { element, shape, data }]) => [
    key,
    element,
    shape,
    hash(data),
  ]);
}
