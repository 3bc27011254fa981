/**
 * Names of Flux's layers in its authors' code, which sd-scripts writes and diffusers reads in kohya files.
 *
 * diffusers has separate layers for queries, keys, values and the MLP where the authors have one. This file fuses their factors
 * into one pair: the A's are stacked, and the B's become the diagonal blocks of a matrix that is 0 elsewhere, so ΔW stays the
 * same. convert_flux_lora.py of sd-scripts does the same. The alternative for kohya names is diffusers' paths after
 * `lora_transformer_`. ComfyUI reads those, but diffusers 0.42 knows only the attention layers under them.
 *
 * @module
 */
import {
  type Adapter,
  inputLength,
  type LoraModule,
  lazyModule,
  type ModuleShape,
  shapeOf,
} from "../../model/adapter.ts";
import { foldMultipliers, largestRank } from "../bake.ts";
import type { WriteOptions } from "../dialect.ts";

/** Numbers of Flux's blocks. HunyuanVideo, whose layers have the same names and sizes in diffusers, has 20 and 40. */
const DOUBLE_BLOCKS = 19;
const SINGLE_BLOCKS = 38;
const WIDTH = 3072;
const MLP_WIDTH = 4 * WIDTH;

/** A layer in the authors' code: its paths in diffusers, and the outputs of each if there are several. */
interface AuthorsLayer {
  readonly name: string;
  readonly parts: readonly string[];
  readonly outputs: readonly number[];
}

const one = (name: string, part: string): AuthorsLayer => ({ name, parts: [part], outputs: [] });
const qkv = (name: string, parts: readonly string[], outputs: readonly number[] = []): AuthorsLayer => ({
  name,
  parts: parts.map((part) => `attn.${part}`).concat(outputs.length === 0 ? [] : ["proj_mlp"]),
  outputs: [WIDTH, WIDTH, WIDTH, ...outputs],
});

const DOUBLE: readonly AuthorsLayer[] = [
  qkv("img_attn.qkv", ["to_q", "to_k", "to_v"]),
  one("img_attn.proj", "attn.to_out.0"),
  one("img_mlp.0", "ff.net.0.proj"),
  one("img_mlp.2", "ff.net.2"),
  one("img_mod.lin", "norm1.linear"),
  qkv("txt_attn.qkv", ["add_q_proj", "add_k_proj", "add_v_proj"]),
  one("txt_attn.proj", "attn.to_add_out"),
  one("txt_mlp.0", "ff_context.net.0.proj"),
  one("txt_mlp.2", "ff_context.net.2"),
  one("txt_mod.lin", "norm1_context.linear"),
];
const SINGLE: readonly AuthorsLayer[] = [
  qkv("linear1", ["to_q", "to_k", "to_v"], [MLP_WIDTH]),
  one("linear2", "proj_out"),
  one("modulation.lin", "norm.linear"),
];
/** Has the two halves of `norm_out` (scale, shift) swapped. diffusers reads no alpha of the two layers of `final_layer`. */
const NORM_OUT = "final_layer.adaLN_modulation.1";
const FINAL = [NORM_OUT, "final_layer.linear"];
const OUTSIDE: readonly AuthorsLayer[] = [
  one("img_in", "x_embedder"),
  one("txt_in", "context_embedder"),
  ...[
    ["time_in", "timestep_embedder"],
    ["guidance_in", "guidance_embedder"],
    ["vector_in", "text_embedder"],
  ].flatMap(([name, part]) => [
    one(`${name}.in_layer`, `time_text_embed.${part}.linear_1`),
    one(`${name}.out_layer`, `time_text_embed.${part}.linear_2`),
  ]),
  one(NORM_OUT, "norm_out.linear"),
  one("final_layer.linear", "proj_out"),
];

const KINDS: readonly (readonly [RegExp, number, string, readonly AuthorsLayer[]])[] = [
  [/^transformer\.transformer_blocks\.(\d+)\.(.+)$/, DOUBLE_BLOCKS, "double_blocks.", DOUBLE],
  [/^transformer\.single_transformer_blocks\.(\d+)\.(.+)$/, SINGLE_BLOCKS, "single_blocks.", SINGLE],
];

/** The authors' layer that a module of diffusers belongs to, with its whole name; undefined if Flux has none. */
function layerOf({ name, in: width, out }: ModuleShape): (AuthorsLayer & { at: number }) | undefined {
  for (const [pattern, blocks, start, layers] of KINDS) {
    const [, number, path] = pattern.exec(name) ?? [];
    if (number === undefined || Number(number) >= blocks) continue;
    const layer = layers.find(({ parts }) => parts.includes(path!));
    if (layer === undefined) return undefined;
    const at = layer.parts.indexOf(path!);
    if (layer.outputs.length > 0 && (width !== WIDTH || out !== layer.outputs[at])) return undefined;
    return { ...layer, name: `${start}${Number(number)}.${layer.name}`, at };
  }
  const layer = OUTSIDE.find(({ parts }) => name === `transformer.${parts[0]}`);
  return layer && { ...layer, at: 0 };
}

/**
 * The adapter under the authors' names, as modules of a component `unet`. Undefined unless it certainly belongs to Flux: a layer
 * has another name or other sizes, or there is a magnitude, which sd-scripts does not write for Flux.
 *
 * @param options `elements`: the types of the factors by the old names
 * @returns the adapter, and the types by the new names
 */
export function toFluxAuthors(
  adapter: Adapter,
  options: Pick<WriteOptions, "onNote" | "factors" | "elements">,
): (Pick<WriteOptions, "elements"> & { readonly adapter: Adapter }) | undefined {
  const groups = new Map<string, Map<number, LoraModule>>();
  const layers = new Map<string, AuthorsLayer>();
  const others: LoraModule[] = [];
  if (adapter.tensors.some(({ role }) => role !== "carried")) return undefined;
  for (const module of adapter.modules) {
    if (!module.name.startsWith("transformer.")) {
      others.push(module);
      continue;
    }
    const layer = layerOf(module);
    if (layer === undefined) return undefined;
    layers.set(layer.name, layer);
    const group = groups.get(layer.name) ?? new Map<number, LoraModule>();
    groups.set(layer.name, group.set(layer.at, module));
  }
  if (![...layers.values()].some(({ outputs }) => outputs.length > 0)) return undefined;
  const uneven = new Set<string>();
  for (const [name, group] of groups) {
    const multipliers = new Set([...group.values()].map(({ multiplier }) => multiplier));
    if (multipliers.size > 1 || FINAL.includes(name))
      for (const module of group.values()) if (module.multiplier !== 1) uneven.add(module.name);
  }
  const folded = new Map(
    foldMultipliers(adapter, options, ({ name }) => uneven.has(name)).modules.map((module) => [
      module.name,
      module,
    ]),
  );
  const elements = new Map(options.elements);
  const fused = [...groups].map(([name, group]) => {
    const parts = new Map([...group].map(([at, module]) => [at, folded.get(module.name)!]));
    const whole = `unet.${name}`;
    const [first] = group.values();
    const types = options.elements?.get(first!.name);
    if (types !== undefined) elements.set(whole, types);
    const { outputs } = layers.get(name)!;
    if (outputs.length > 0) return fuse(whole, parts, outputs);
    const [module] = parts.values();
    return name === NORM_OUT ? swapHalves(whole, module!) : reshaped(whole, module!);
  });
  return { adapter: { ...adapter, modules: [...others, ...fused] }, elements };
}

function reshaped(name: string, module: LoraModule): LoraModule {
  return lazyModule(
    { ...shapeOf(module), name },
    () => module.b,
    () => module.a,
  );
}

/** The module with the two halves of its outputs swapped. */
function swapHalves(name: string, module: LoraModule): LoraModule {
  return lazyModule(
    { ...shapeOf(module), name },
    () => {
      const { b } = module;
      const half = b.length / 2;
      const swapped = new Float32Array(b.length);
      swapped.set(b.subarray(half));
      swapped.set(b.subarray(0, half), half);
      return swapped;
    },
    () => module.a,
  );
}

/** Fuses several modules whose outputs follow each other into one. Each part gets the rank of the largest. */
function fuse(name: string, parts: ReadonlyMap<number, LoraModule>, outputs: readonly number[]): LoraModule {
  const [first] = parts.values();
  const each = largestRank([...parts.values()]);
  const rank = each * outputs.length;
  const length = inputLength(first!);
  const out = outputs.reduce((sum, size) => sum + size, 0);
  const starts = outputs.map((_, at) => outputs.slice(0, at).reduce((sum, size) => sum + size, 0));
  const shape = { ...shapeOf(first!), name, rank, out, rule: "explicit" as const };
  return lazyModule(
    shape,
    () => {
      const b = new Float32Array(out * rank);
      for (const [at, { rank: own, out: rows, b: values }] of parts) {
        for (let row = 0; row < rows; row++) {
          b.set(values.subarray(row * own, (row + 1) * own), (starts[at]! + row) * rank + at * each);
        }
      }
      return b;
    },
    () => {
      const a = new Float32Array(rank * length);
      for (const [at, part] of parts) a.set(part.a, at * each * length);
      return a;
    },
  );
}
