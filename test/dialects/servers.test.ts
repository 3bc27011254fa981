/**
 * `--portable` directories hold to what vLLM, SGLang, LoRAX and S-LoRA load (their loaders as of 2026): every server that reads
 * only these fields and these keys computes the same ΔW.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import type { Adapter } from "../../src/core/index.ts";
import { readSafetensors, toFloat32 } from "../helpers/safetensors.ts";
import { deltaOf, difference } from "./delta.ts";
import { SMALL_ADAPTERS } from "./small.ts";

/** Checks a directory by the servers' rules and returns ΔW as they compute it: B · A · lora_alpha / r, no other field looked at. */
function serve(files: ReadonlyMap<string, Uint8Array>): Map<string, Float64Array> {
  // All: these two names.
  expect([...files.keys()].sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  const config = JSON.parse(Buffer.from(files.get("adapter_config.json")!).toString("utf8"));
  // vLLM: these three are mandatory; a rank it was started for; DoRA, saved modules and biases are refused.
  expect(config).toMatchObject({
    peft_type: "LORA",
    r: expect.any(Number),
    lora_alpha: expect.any(Number),
    target_modules: expect.any(Array),
  });
  expect(config.use_dora).toBe(false);
  expect(config.modules_to_save).toBeNull();
  expect(config.bias).toBe("none");
  expect(config.lora_bias).toBe(false);
  // vLLM drops patterns, SGLang rsLoRA, S-LoRA both, Punica alpha: nothing may depend on them.
  expect([config.rank_pattern, config.alpha_pattern, config.use_rslora]).toEqual([{}, {}, false]);
  expect(config.lora_alpha).toBe(config.r);
  const { tensors } = readSafetensors(files.get("adapter_model.safetensors")!);
  const result = new Map<string, Float64Array>();
  const seen = new Set<string>();
  for (const [key, tensor] of tensors) {
    // LoRAX: base_model.model.<path>.lora_A.weight and its partner; vLLM: the same, or embeddings.
    const found =
      /^base_model\.model\.(.+)\.lora_(?:(A)\.weight|(B)\.weight|embedding_(A)|embedding_(B))$/.exec(key);
    expect(found, key).not.toBeNull();
    const path = found![1]!;
    seen.add(key);
    // vLLM and SGLang know modules by the last word of the path.
    expect(
      config.target_modules.some((name: string) => path === name || path.endsWith(`.${name}`)),
      key,
    ).toBe(true);
    if (found![2] === undefined && found![4] === undefined) continue;
    const other = key.replace(/lora_(embedding_)?A/, "lora_$1B");
    const [a, b] = [tensor, tensors.get(other)];
    expect(b, other).toBeDefined();
    // One rank, on these axes: servers allocate one buffer, and S-LoRA and Punica stack.
    expect([a.shape[0], b!.shape[1], a.shape.length, b!.shape.length]).toEqual([config.r, config.r, 2, 2]);
    const [rank, inputs, out] = [config.r, a.shape[1]!, b!.shape[0]!];
    const [av, bv] = [toFloat32(a), toFloat32(b!)];
    const delta = new Float64Array(out * inputs);
    for (let o = 0; o < out; o++) {
      for (let r = 0; r < rank; r++) {
        for (let i = 0; i < inputs; i++) delta[o * inputs + i]! += bv[o * rank + r]! * av[r * inputs + i]!;
      }
    }
    result.set(
      path,
      delta.map((value) => (value * config.lora_alpha) / config.r),
    );
  }
  expect(seen.size).toBe(2 * result.size);
  return result;
}

function served(adapter: Adapter): void {
  const notes: string[] = [];
  const files = writeAdapter(adapter, {
    factors: "F32",
    to: "peft",
    portable: true,
    onNote: (note) => void notes.push(note),
  });
  const deltas = serve(files);
  const bare = (name: string): string => name.replace(/^(unet|transformer|text_encoder)\.(?!h\.)/, "");
  expect([...deltas.keys()].sort()).toEqual(adapter.modules.map(({ name }) => bare(name)).sort());
  const rounds = notes.some((note) => /which rounds/.test(note));
  for (const module of adapter.modules) {
    const far = difference(deltaOf(module), deltas.get(bare(module.name))!);
    if (rounds) expect(far).toBeLessThan(2 ** -22);
    else expect(far).toBe(0);
  }
}

const cannot =
  /DoRA|dora_scale|lora_bias|modules_to_save|token_indices|classifier|torch.save|multiplier given|onvolution|LoCon|experts|target_parameters|names of other models/;
describe("what servers can compute", () => {
  const named = SMALL_ADAPTERS.filter(
    ({ dialect, variant }) => !["gguf", "cloneofsimo"].includes(dialect) && !variant.startsWith("XLabs"),
  );
  it.each(named.map((each) => [each.dialect, each.variant, each] as const))("%s: %s", (_d, _v, small) => {
    const adapter = readAdapter(small.files, small.read);
    const components = new Set(adapter.modules.map(({ name }) => name.split(".")[0])).size;
    const refused =
      Object.keys(small.roles).some((role) => role !== "carried") ||
      cannot.test(small.variant) ||
      (["kohya", "diffusers"].includes(small.dialect) && components > 1);
    if (refused && !/npz/.test(small.variant)) {
      expect(() => writeAdapter(adapter, { factors: "F32", to: "peft", portable: true })).toThrow(
        /UNSUPPORTED_DIALECT/,
      );
    } else served(adapter);
  });

  it("is no other dialect", () => {
    const adapter = readAdapter(SMALL_ADAPTERS[0]!.files);
    expect(() => writeAdapter(adapter, { factors: "F32", to: "mlx", portable: true })).toThrow(/USAGE/);
  });
});

const folder = process.env.LQA_ADAPTERS ?? join(import.meta.dirname, "../../../shared/adapters");
describe.skipIf(!existsSync(folder))("real adapters", () => {
  it.each(["smollm2-135m-r8", "mlx-qwen2.5-0.5b-r8"])("%s", (name) => {
    const path = join(folder, name);
    served(
      readAdapter(
        new Map(readdirSync(path).map((file) => [file, new Uint8Array(readFileSync(join(path, file)))])),
      ),
    );
  });
});

describe("target_modules of a portable directory", () => {
  const targets = (...names: string[]): string[] => {
    const shape = {
      role: "linear",
      kernel: [],
      experts: 1,
      baseLayout: "out-in",
      alpha: 2,
      rule: "alpha/r",
    } as const;
    const factors = { b: new Float32Array(4).fill(1), a: new Float32Array(4).fill(1) };
    const modules = names.map((name) => ({
      ...shape,
      ...factors,
      name,
      out: 4,
      in: 4,
      rank: 1,
      multiplier: 2,
    }));
    const adapter: Adapter = { modules, tensors: [], origin: undefined, meta: {} };
    const files = writeAdapter(adapter, { factors: "F32", to: "peft", portable: true });
    return JSON.parse(Buffer.from(files.get("adapter_config.json")!).toString("utf8")).target_modules;
  };
  const q = (layer: number): string => `model.layers.${layer}.self_attn.q_proj`;
  const down = (layer: number): string => `model.layers.${layer}.mlp.down_proj`;

  it("are last parts, as older SGLang compares them, where these name the same layers", () => {
    expect(targets(q(0), q(1), down(0), down(1))).toEqual(["down_proj", "q_proj"]);
  });

  it("are whole paths where last parts would name more", () => {
    for (const names of [
      [q(2), q(3)],
      [q(0), q(1), down(1)],
      [q(0), "lm_head"],
      ["transformer.h.0.attn.c_proj"],
      // The encoder has a q_proj too, and the decoder a second one.
      ["model.decoder.layers.0.self_attn.q_proj"],
    ])
      expect(targets(...names)).toEqual([...names].sort());
  });
});
