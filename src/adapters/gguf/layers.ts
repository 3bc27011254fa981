/**
 * Translates names of modules from transformers' paths to llama.cpp's names, and back.
 *
 * For the architecture `llama`, llama.cpp's converter reorders the rows of q and k: within each head it interleaves the two
 * halves of a rotary pair. ΔW must match its weight, so this file reorders the rows of B in the same way. Only the base model
 * says how many heads there are.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type Adapter, type LoraModule, lazyModule, shapeOf } from "../../model/adapter.ts";
import { BLOCK_PATHS } from "../../model/layer-names.ts";
import type { WriteOptions } from "../dialect.ts";
import { quoteName } from "../json.ts";
import type { BaseDescription } from "../naming/base-description.ts";
import { rename, renamed } from "../naming/rename.ts";
import { isInputEmbedding } from "../peft/keys.ts";
import { moduleKey } from "./names.ts";

/** Architectures whose q and k the converter reorders. */
const INTERLEAVED: readonly string[] = ["llama"];

/** Path inside a block, to llama.cpp's name of the layer. */
const LAYERS: ReadonlyMap<string, string> = new Map(
  Object.entries(BLOCK_PATHS).flatMap(([layer, paths]) =>
    paths.map((path): [string, string] => [path, layer]),
  ),
);

/** llama.cpp's names of layers, to their paths in transformers (which need not be the first ones in `BLOCK_PATHS`). */
const MODEL_PATHS: Readonly<Record<string, string>> = {
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** Architectures whose layers have the same names as Llama's in transformers. */
const LLAMA_PATHS: readonly string[] = ["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"];

/**
 * Translates an adapter to llama.cpp's names.
 *
 * @throws LqaError USAGE without a base model; UNSUPPORTED_DIALECT for a layer that has no name in llama.cpp
 */
export function toGguf(adapter: Adapter, { base }: WriteOptions): Adapter {
  if (base === undefined) {
    return fail(KIND.USAGE, {
      expected:
        "config.json or the GGUF file of the base model: GGUF adapters depend on its architecture and heads",
      actual: "the base model is not given",
      advice: "Give it with --base.",
    });
  }
  const modules = adapter.modules.map((module) => {
    const name = ggufName(module);
    const heads = interleavedHeads(name, base);
    return renamed(heads === 0 ? module : withRows(module, heads, interleaved), name);
  });
  return { ...adapter, modules, meta: { ...adapter.meta, architecture: base.architecture } };
}

function ggufName({ name, role, experts }: LoraModule): string {
  if (experts > 1)
    unsayable(name, "one weight for each layer: how experts are stored depends on the base model");
  if (role === "embedding") {
    if (isInputEmbedding(name)) return "token_embd";
    unsayable(name, "the embedding of the input tokens");
  }
  if (role !== "linear") unsayable(name, "a linear layer");
  const found = moduleKey(name);
  if (found?.key === "output") return "output";
  if (found?.expert !== undefined) unsayable(name, "no single experts: llama.cpp stacks them");
  const [, block, path] = /^(\d+)\.(.+)$/.exec(found?.key ?? "") ?? [];
  const layer = LAYERS.get(path ?? "");
  if (layer === undefined) return unsayable(name, "a layer that llama.cpp has a name for");
  return `blk.${block}.${layer}`;
}

function unsayable(name: string, expected: string): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `module ${quoteName(name)}`,
    expected,
    actual: "another one",
    advice: "Merge the adapter into its base model instead: merge_and_unload of PEFT.",
  });
}

/**
 * Translates an adapter to transformers' paths.
 *
 * @throws LqaError UNSUPPORTED_DIALECT for an architecture whose paths this version does not know; USAGE if the
 * number of heads is needed and there is no base model
 */
export function fromGguf(adapter: Adapter, { base }: WriteOptions): Adapter {
  const architecture = adapter.meta.architecture;
  const known = typeof architecture === "string" && LLAMA_PATHS.includes(architecture);
  if (!known) {
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: "the architecture of the GGUF adapter",
      expected: LLAMA_PATHS.join(", "),
      actual: String(architecture).slice(0, 40),
    });
  }
  const interleaves = INTERLEAVED.includes(architecture as string);
  if (base === undefined && interleaves) {
    fail(KIND.USAGE, {
      expected: "config.json or the GGUF file of the base model: the rows of q and k are stored head by head",
      actual: "the base model is not given",
      advice: "Give it with --base.",
    });
  }
  const paths = {
    ...adapter,
    modules: adapter.modules.map((module) => {
      const heads =
        base === undefined
          ? 0
          : interleavedHeads(module.name, { ...base, architecture: architecture as string });
      return heads === 0 ? module : withRows(module, heads, plain);
    }),
  };
  return rename(paths, modelPath);
}

function modelPath(name: string): string {
  if (name === "output") return "lm_head";
  if (name === "token_embd") return "model.embed_tokens";
  const [, block, layer] = /^blk\.(\d+)\.([a-z_]+)$/.exec(name) ?? [];
  const path = layer === undefined ? undefined : MODEL_PATHS[layer];
  if (path !== undefined) return `model.layers.${block}.${path}`;
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where: `module ${quoteName(name)}`,
    expected: Object.keys(MODEL_PATHS).join(", "),
    actual: "another layer",
  });
}

/** Number of heads whose rows are interleaved in this layer; 0 if none are. */
function interleavedHeads(name: string, { architecture, heads, keyHeads }: BaseDescription): number {
  if (!INTERLEAVED.includes(architecture)) return 0;
  return name.endsWith(".attn_q") ? heads : name.endsWith(".attn_k") ? keyHeads : 0;
}

/** New place of a row in a head of `size` rows: the first half goes to the even places, the second to the odd ones. */
function interleaved(row: number, size: number): number {
  return row < size / 2 ? 2 * row : 2 * row - size + 1;
}

function plain(row: number, size: number): number {
  return row % 2 === 0 ? row / 2 : (row + size - 1) / 2;
}

function withRows(
  module: LoraModule,
  heads: number,
  place: (row: number, size: number) => number,
): LoraModule {
  const { out, rank, name } = module;
  const size = out / heads;
  if (!Number.isInteger(size) || size % 2 !== 0) {
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: `module ${quoteName(name)}`,
      expected: `rows for ${heads} heads of even size`,
      actual: out,
      advice: "Check that --base is the base model of this adapter.",
    });
  }
  return lazyModule(
    shapeOf(module),
    () => {
      const from = module.b;
      const b = new Float32Array(from.length);
      for (let row = 0; row < out; row++) {
        const to = row - (row % size) + place(row % size, size);
        b.set(from.subarray(row * rank, (row + 1) * rank), to * rank);
      }
      return b;
    },
    () => module.a,
  );
}
