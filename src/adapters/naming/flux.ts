/**
 * Names of Flux's layers in its authors' code, which sd-scripts writes and diffusers reads in kohya files.
 *
 * diffusers has separate layers for queries, keys, values and the MLP where the authors have one. This file fuses their factors
 * into one pair: the A's are stacked, and the B's become the diagonal blocks of a matrix that is 0 elsewhere, so ΔW stays the
 * same. convert_flux_lora.py of sd-scripts does the same. Back again, such blocks become the factors that they were; of other
 * factors each layer gets its rows of B and the whole A. The alternative for kohya names is diffusers' paths after
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
import { COMPONENT } from "../../model/base-shape.ts";
import { foldMultipliers, largestRank } from "../bake.ts";
import type { WriteOptions } from "../dialect.ts";
import { renamed } from "./rename.ts";

/** Numbers of Flux's blocks. HunyuanVideo, whose layers have the same names and sizes in diffusers, has 20 and 40. */
const DOUBLE_BLOCKS = 19;
const SINGLE_BLOCKS = 38;
const WIDTH = 3072;
const MLP_WIDTH = 4 * WIDTH;

/** A layer in the authors' code: its paths in diffusers, the outputs of each, and the inputs. Sizes that variants change are missing. */
interface AuthorsLayer {
  readonly name: string;
  readonly parts: readonly string[];
  readonly outputs: readonly number[];
  readonly width: number | undefined;
}

const one = (name: string, part: string, width?: number, out?: number): AuthorsLayer => ({
  name,
  parts: [part],
  outputs: out === undefined ? [] : [out],
  width,
});
const qkv = (name: string, parts: readonly string[], outputs: readonly number[] = []): AuthorsLayer => ({
  name,
  parts: parts.map((part) => `attn.${part}`).concat(outputs.length === 0 ? [] : ["proj_mlp"]),
  outputs: [WIDTH, WIDTH, WIDTH, ...outputs],
  width: WIDTH,
});

const DOUBLE: readonly AuthorsLayer[] = [
  qkv("img_attn.qkv", ["to_q", "to_k", "to_v"]),
  one("img_attn.proj", "attn.to_out.0", WIDTH, WIDTH),
  one("img_mlp.0", "ff.net.0.proj", WIDTH, MLP_WIDTH),
  one("img_mlp.2", "ff.net.2", MLP_WIDTH, WIDTH),
  one("img_mod.lin", "norm1.linear", WIDTH, 6 * WIDTH),
  qkv("txt_attn.qkv", ["add_q_proj", "add_k_proj", "add_v_proj"]),
  one("txt_attn.proj", "attn.to_add_out", WIDTH, WIDTH),
  one("txt_mlp.0", "ff_context.net.0.proj", WIDTH, MLP_WIDTH),
  one("txt_mlp.2", "ff_context.net.2", MLP_WIDTH, WIDTH),
  one("txt_mod.lin", "norm1_context.linear", WIDTH, 6 * WIDTH),
];
const SINGLE: readonly AuthorsLayer[] = [
  qkv("linear1", ["to_q", "to_k", "to_v"], [MLP_WIDTH]),
  one("linear2", "proj_out", WIDTH + MLP_WIDTH, WIDTH),
  one("modulation.lin", "norm.linear", WIDTH, 3 * WIDTH),
];
/** Has the two halves of `norm_out` (scale, shift) swapped. diffusers reads no alpha of the two layers of `final_layer`. */
const NORM_OUT = "final_layer.adaLN_modulation.1";
const FINAL = [NORM_OUT, "final_layer.linear"];
const OUTSIDE: readonly AuthorsLayer[] = [
  one("img_in", "x_embedder", undefined, WIDTH),
  one("txt_in", "context_embedder", undefined, WIDTH),
  ...[
    ["time_in", "timestep_embedder"],
    ["guidance_in", "guidance_embedder"],
    ["vector_in", "text_embedder"],
  ].flatMap(([name, part]) => [
    one(`${name}.in_layer`, `time_text_embed.${part}.linear_1`, undefined, WIDTH),
    one(`${name}.out_layer`, `time_text_embed.${part}.linear_2`, WIDTH, WIDTH),
  ]),
  one(NORM_OUT, "norm_out.linear", WIDTH, 2 * WIDTH),
  one("final_layer.linear", "proj_out", WIDTH),
];

/** Blocks by their names in diffusers and in the authors' code. */
const KINDS: readonly (readonly [string, string, number, readonly AuthorsLayer[]])[] = [
  ["transformer_blocks", "double_blocks", DOUBLE_BLOCKS, DOUBLE],
  ["single_transformer_blocks", "single_blocks", SINGLE_BLOCKS, SINGLE],
];

/** Where a module of Flux belongs: the layer, which part of it, and the block, with which the paths in both codes begin. */
interface Place extends AuthorsLayer {
  readonly at: number;
  readonly starts: readonly [diffusers: string, authors: string];
}

/** The place of a module under diffusers' name (`code` 0) or the authors' (1); undefined if Flux has no such layer. */
function placeOf({ name, in: width, out }: ModuleShape, code: 0 | 1): Place | undefined {
  const path = name.replace(COMPONENT, "");
  const [, block, number, inner] = /^(\w+)\.(\d+)\.(.+)$/.exec(path) ?? [];
  const kind = KINDS.find((each) => each[code] === block);
  if (kind !== undefined && Number(number) >= kind[2]) return undefined;
  const wanted = kind === undefined ? path : inner!;
  const layer = (kind?.[3] ?? OUTSIDE).find((each) => [each.parts, [each.name]][code]!.includes(wanted));
  if (layer === undefined) return undefined;
  const at = code === 0 ? layer.parts.indexOf(wanted) : 0;
  const expected = code === 0 ? layer.outputs[at] : layer.outputs.reduce((sum, size) => sum + size, 0);
  // 0 or undefined: any size.
  if ((layer.width ?? width) !== width || (expected || out) !== out) return undefined;
  const start = (each: string | undefined): string =>
    each === undefined ? "" : `${each}.${Number(number)}.`;
  return { ...layer, at, starts: [start(kind?.[0]), start(kind?.[1])] };
}

/**
 * The places of the transformer's modules, by their names. Undefined unless the adapter certainly belongs to Flux: a layer has
 * another name or other sizes, or there is a magnitude, which sd-scripts does not write for Flux.
 */
function placesOf({ modules, tensors }: Adapter, code: 0 | 1): ReadonlyMap<string, Place> | undefined {
  const own = modules.filter(({ name }) =>
    (code === 0 ? /^transformer\./ : /^(transformer|unet)\./).test(name),
  );
  const places = new Map<string, Place>();
  for (const module of own) {
    const place = placeOf(module, code);
    if (place !== undefined) places.set(module.name, place);
  }
  const inBlocks = [...places.values()].some(({ parts, starts }) => (code === 0 ? parts[1] : starts[1]));
  const known = places.size === own.length && tensors.every(({ role }) => role === "carried");
  return known && inBlocks ? places : undefined;
}

/** Types of factors by the names of the modules. */
type Elements = Pick<WriteOptions, "elements">;

/**
 * The adapter under the authors' names, as modules of a component `unet`. Undefined unless it certainly belongs to Flux.
 *
 * @param options `elements`: the types of the factors by the old names
 * @returns the adapter, and the types by the new names
 */
export function toFluxAuthors(
  adapter: Adapter,
  options: Pick<WriteOptions, "onNote" | "factors" | "elements">,
): (Elements & { readonly adapter: Adapter }) | undefined {
  const places = placesOf(adapter, 0);
  if (places === undefined) return undefined;
  const groups = new Map<string, Map<number, LoraModule>>();
  for (const module of adapter.modules) {
    const place = places.get(module.name);
    if (place === undefined) continue;
    const whole = place.starts[1] + place.name;
    groups.set(whole, (groups.get(whole) ?? new Map<number, LoraModule>()).set(place.at, module));
  }
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
    const { outputs } = places.get(first!.name)!;
    if (outputs.length > 1) return fuse(whole, parts, outputs);
    const [module] = parts.values();
    return name === NORM_OUT ? swapHalves(whole, module!) : renamed(module!, whole);
  });
  const others = adapter.modules.filter(({ name }) => !places.has(name));
  return { adapter: { ...adapter, modules: [...others, ...fused] }, elements };
}

/** True for an adapter that {@link fromFluxAuthors} renames. */
export function isFluxOfAuthors(adapter: Adapter): boolean {
  return placesOf(adapter, 1) !== undefined;
}

/** The reverse of {@link toFluxAuthors}: the adapter under diffusers' names, as modules of a component `transformer`. */
export function fromFluxAuthors(
  adapter: Adapter,
  options: Elements,
): (Elements & { readonly adapter: Adapter }) | undefined {
  const places = placesOf(adapter, 1);
  if (places === undefined) return undefined;
  const elements = new Map(options.elements);
  const modules = adapter.modules.flatMap((module) => {
    const place = places.get(module.name);
    // sd-scripts gives T5 the number that it has in Stable Diffusion 3.
    const names = place?.parts.map((part) => `transformer.${place.starts[0]}${part}`) ?? [
      module.name.replace(/^text_encoder_3\./, "text_encoder_2."),
    ];
    const types = options.elements?.get(module.name);
    if (types !== undefined) for (const name of names) elements.set(name, types);
    if (names.length > 1) return split(names, module, place!.outputs);
    return place?.name === NORM_OUT ? swapHalves(names[0]!, module) : renamed(module, names[0]!);
  });
  return { adapter: { ...adapter, modules }, elements };
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

/** The first row of each part. */
function startsOf(outputs: readonly number[]): number[] {
  return outputs.map((_, at) => outputs.slice(0, at).reduce((sum, size) => sum + size, 0));
}

/** Fuses several modules whose outputs follow each other into one. Each part gets the rank of the largest. */
function fuse(name: string, parts: ReadonlyMap<number, LoraModule>, outputs: readonly number[]): LoraModule {
  const [first] = parts.values();
  const each = largestRank([...parts.values()]);
  const rank = each * outputs.length;
  const length = inputLength(first!);
  const out = outputs.reduce((sum, size) => sum + size, 0);
  const starts = startsOf(outputs);
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

/**
 * The parts of a fused module. Each has its rows of B. If these are 0 outside the part's share of the rank, as {@link fuse} and
 * convert_flux_lora.py write them, the part has only that share of B and A, otherwise all of it.
 */
function split(names: readonly string[], module: LoraModule, outputs: readonly number[]): LoraModule[] {
  const { rank } = module;
  const share = isDiagonal(module, outputs) ? rank / outputs.length : rank;
  const length = share * inputLength(module);
  const starts = startsOf(outputs);
  return names.map((name, at) => {
    const out = outputs[at]!;
    const first = share < rank ? at : 0;
    const rule = share < rank ? "explicit" : module.rule;
    return lazyModule(
      { ...shapeOf(module), name, out, rank: share, rule },
      () =>
        module.b
          .subarray(starts[at]! * rank, (starts[at]! + out) * rank)
          .filter((_, index) => Math.floor((index % rank) / share) === first),
      () => module.a.subarray(first * length, (first + 1) * length),
    );
  });
}

/** True if B is 0 outside the blocks that {@link fuse} gives the parts. */
function isDiagonal({ b, rank }: LoraModule, outputs: readonly number[]): boolean {
  const share = rank / outputs.length;
  const starts = startsOf(outputs);
  const isOwn = (row: number, part: number): boolean =>
    row >= starts[part]! && row < starts[part]! + outputs[part]!;
  return (
    Number.isInteger(share) &&
    b.every(
      (value, index) => value === 0 || isOwn(Math.floor(index / rank), Math.floor((index % rank) / share)),
    )
  );
}
