/**
 * Every small adapter into every dialect: ΔW of every module is the same afterwards, or the adapter is refused for the
 * reason that stands here. Nothing may fail otherwise, and nothing that is refused here may go through.
 */

import { describe, expect, it } from "vitest";
import { DIALECTS, type DialectName, readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import type { Adapter, LoraModule } from "../../src/core/index.ts";
import { deltaOf, difference } from "./delta.ts";
import { SMALL_ADAPTERS, type SmallAdapter } from "./small.ts";

/** Of a model of Llama's kind with one head of 8 rows and one of 6, so that rows of q and k are interleaved. */
const BASE = { architecture: "llama", heads: 1, keyHeads: 1 };
const QWEN = { architecture: "qwen2", heads: 1, keyHeads: 1 };

/** What says about itself why it cannot go there: a pattern for the error, by what the adapter has. */
function refusal({ dialect, variant, modules, roles }: SmallAdapter, to: DialectName): RegExp | undefined {
  const names = [...modules.keys()];
  const has = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  const experts = /target_parameters|experts/.test(variant);
  if (to === dialect) return undefined;
  // Names first: they are translated before anything else is looked at.
  const pipeline = dialect === "kohya" || dialect === "diffusers" || dialect === "cloneofsimo";
  if (has(/\.processor\./)) return /XLabs writes names of attention processors/;
  if (dialect === "cloneofsimo" && to !== "cloneofsimo") return /layers of Stable Diffusion 1/;
  if (/names of other models/.test(variant))
    return to === "diffusers" ? /a layer that diffusers has/ : /underscores for its dots/;
  if (to === "cloneofsimo") return /came from cloneofsimo's program/;
  if (to === "kohya" || to === "diffusers") {
    if (dialect === "gguf") return /llama.cpp's layers/;
    if (!pipeline && !/of a UNet/.test(variant)) return /a layer of a diffusion model/;
    if (to === "kohya" && "lora-bias" in roles) return /a lora-bias tensor/;
    if (to === "diffusers" && /Wan Fun/.test(variant)) return /a layer that diffusers has/;
    if (to === "diffusers" && /dora_scale of inputs/.test(variant)) return /a number for each output/;
    return undefined;
  }
  if (to === "gguf") {
    if (pipeline) return /layers of a diffusion pipeline/;
    if (experts) return /one weight for each layer/;
    if (has(/^(conv|down_blocks|transformer\.h|roberta)/) && !has(/c_attn|attention\.self/))
      return /a linear layer|a name for/;
    const [role] = Object.keys(roles).filter((each) => each !== "carried");
    return role === undefined
      ? undefined
      : /a (magnitude|replace|bias|token-rows) tensor|that gguf has no place for/;
  }
  if (pipeline && new Set(names.map((name) => name.split(".")[0])).size > 1) return /layers of one model/;
  if (dialect === "gguf" && has(/exps/)) return /another layer/;
  if (to === "peft") {
    if (experts) return /no experts, unless/;
    if (/dora_scale of inputs/.test(variant)) return /a number for each output/;
    return undefined;
  }
  const [role] = Object.keys(roles).filter((each) => each !== "carried");
  const convolution = /onvolution|LoCon/.test(variant);
  if (to === "loralib") {
    if (experts) return /one weight for each layer/;
    return role === undefined || role === "replace" || /modules_to_save/.test(variant)
      ? undefined
      : /that loralib has no place for/;
  }
  if (to === "mlx") {
    if (convolution) return /linear layers, embeddings and experts/;
    if (/dora_scale of inputs/.test(variant)) return /a number for each output/;
    return role === undefined || (role === "magnitude" && !("lora-bias" in roles))
      ? undefined
      : /that mlx has no place for/;
  }
  // ONNX.
  if (convolution || experts) return /linear layers, whose factors/;
  return role === undefined ? undefined : /that onnx has no place for/;
}

/** How modules are called on the other side, by the order in which both sides have them. */
function pairs(before: Adapter, after: Adapter): [LoraModule, LoraModule][] {
  const order = ({ modules }: Adapter): LoraModule[] =>
    [...modules].sort((x, y) => (plain(x) < plain(y) ? -1 : 1));
  const [x, y] = [order(before), order(after)];
  expect(y).toHaveLength(x.length);
  return x.map((module, i) => [module, y[i]!]);
}

const GGUF_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.layers\.(\d+)\.self_attn\.([qv])_proj$/, "blk.$1.attn_$2"],
  [/^model\.layers\.(\d+)\.mlp\.down_proj$/, "blk.$1.ffn_down"],
  [/^model\.embed_tokens$/, "token_embd"],
  [/^transformer\.h\.(\d+)\.attn\.c_attn$/, "blk.$1.attn_qkv"],
  [/^roberta\.encoder\.layer\.(\d+)\.attention\.self\.query$/, "blk.$1.attn_q"],
];
/** A name that both sides have. */
function plain({ name }: LoraModule): string {
  const bare = name.replace(/^(unet|transformer(_2)?|text_encoder(_2)?)\.(?!h\.)/, "");
  for (const [pattern, other] of GGUF_NAMES) if (pattern.test(bare)) return bare.replace(pattern, other);
  return bare;
}

describe.each(DIALECTS.map(({ name }) => name))("to %s", (to) => {
  it.each(SMALL_ADAPTERS.map((each) => [each.dialect, each.variant, each] as const))(
    "%s: %s",
    (_d, _v, small) => {
      const adapter = readAdapter(small.files, small.read);
      const expected = refusal(small, to);
      const interleaves = small.dialect === "gguf" || to === "gguf";
      // Llama's rows of q have their own test below.
      const base = interleaves ? (small.dialect === "gguf" ? { ...BASE } : QWEN) : undefined;
      const notes: string[] = [];
      const write = (): Map<string, Uint8Array> =>
        writeAdapter(adapter, { factors: "F32", to, base, onNote: (note) => void notes.push(note) });
      if (expected !== undefined) {
        expect(write).toThrow(/UNSUPPORTED_DIALECT/);
        expect(write).toThrow(expected);
        return;
      }
      const alphas = adapter.modules.map(({ multiplier, rank }) => multiplier * rank);
      const files = write();
      const told = new Set(alphas).size === 1 ? alphas[0]! : undefined;
      const scale =
        to !== "loralib" ? { alpha: undefined } : told === undefined ? { multiplier: 1 } : { alpha: told };
      const settings = { ...small.read, multiplier: undefined, ...scale };
      const again = readAdapter(files, { from: to, ...settings });
      expect(again.origin?.dialect).toBe(to);
      let most = 0;
      for (const [before, after] of pairs(adapter, again)) {
        if (small.dialect === "gguf" && to !== "gguf" && /attn_q$/.test(before.name)) continue;
        most = Math.max(most, difference(deltaOf(before), deltaOf(after)));
      }
      // Folding a multiplier that is no power of two rounds each weight of B once.
      const rounds = notes.some((note) => /which rounds/.test(note));
      if (rounds) expect(most).toBeLessThan(2 ** -22);
      else expect(most).toBe(0);
      const kept = adapter.tensors
        .filter(({ role }) => role !== "carried")
        .map(({ role, data }) => [role, Buffer.from(data).toString("hex")]);
      const found = again.tensors.map(({ role, data }) => [role, Buffer.from(data).toString("hex")]);
      const roleless = (rows: string[][]): string[] =>
        rows.map(([role, data]) => `${to === "loralib" ? "" : role} ${data}`).sort();
      if (small.dialect !== to) expect(roleless(found)).toEqual(roleless(kept));
    },
  );
});

describe("adapters of Llama's attention", () => {
  it("have the rows of q in llama.cpp's order, and get them back", () => {
    const small = SMALL_ADAPTERS.find(
      ({ dialect, variant }) => dialect === "gguf" && /two ranks/.test(variant),
    )!;
    const adapter = readAdapter(small.files);
    const base = { architecture: "llama", heads: 2, keyHeads: 1 };
    const peft = readAdapter(writeAdapter(adapter, { factors: "F32", to: "peft", base }));
    const [before, after] = [adapter.modules[0]!, peft.modules[0]!];
    expect([before.name, after.name]).toEqual(["blk.0.attn_q", "model.layers.0.self_attn.q_proj"]);
    // Two heads of four rows: transformers' rows 0 1 2 3 (two halves) are llama.cpp's 0 2 1 3.
    const row = (module: LoraModule, i: number): Float64Array =>
      deltaOf(module).subarray(i * module.in, (i + 1) * module.in);
    for (const [here, there] of [0, 2, 1, 3, 4, 6, 5, 7].entries()) {
      expect(row(after, here)).toEqual(row(before, there));
    }
    const back = readAdapter(writeAdapter(peft, { factors: "F32", to: "gguf", base }));
    for (const [i, module] of back.modules.entries()) {
      expect(difference(deltaOf(adapter.modules[i]!), deltaOf(module))).toBe(0);
    }
    expect(() => writeAdapter(adapter, { factors: "F32", to: "peft" })).toThrow(/USAGE.*head by head/);
    expect(() => writeAdapter(peft, { factors: "F32", to: "gguf" })).toThrow(/USAGE.*architecture and heads/);
    expect(() => writeAdapter(peft, { factors: "F32", to: "gguf", base: { ...base, heads: 3 } })).toThrow(
      /rows for 3 heads/,
    );
  });
});
