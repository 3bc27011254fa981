/**
 * The kohya dialect: files of sd-scripts, and the LoRA part of LyCORIS's.
 *
 * `lora_unet_down_blocks_0_…_to_q.lora_down.weight`, `.lora_up.weight` and `.alpha` (see `alpha.ts`). Without an alpha
 * tensor, alpha counts as the rank. Modules get the paths of diffusers (`unet.down_blocks.0.….to_q`) if all words in
 * their names are known.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter, ModuleShape } from "../model/adapter.ts";
import { COMPONENT } from "../model/base-shape.ts";
import { UNSCALED } from "./alpha.ts";
import { foldMultipliers } from "./bake.ts";
import type { Dialect, DialectName, WriteOptions } from "./dialect.ts";
import { quoteName } from "./json.ts";
import { isFluxOfAuthors, toFluxAuthors } from "./naming/flux.ts";
import { isAuthorsPath } from "./naming/prefixes.ts";
import { fromSgm, toSgm } from "./naming/sgm.ts";
import { splitWords } from "./naming/words.ts";
import { otherMethod } from "./other-methods.ts";
import { type Convention, type KeyMeaning, outputMagnitude, type Part } from "./state-dict/convention.ts";
import { readStateDict } from "./state-dict/read.ts";
import { safetensorsFile, writeStateDict } from "./state-dict/write.ts";

const SUFFIXES: readonly (readonly [string, Part])[] = [
  [".lora_down.weight", "a"],
  [".lora_up.weight", "b"],
  [".alpha", "alpha"],
  [".dora_scale", "magnitude"],
];

/** Prefixes and their components. The writer uses the first prefix of a component, unless the source says otherwise. */
const PREFIXES: readonly (readonly [prefix: string, component: string])[] = [
  ["lora_unet", "unet"],
  ["lora_te", "text_encoder"],
  ["lora_te1", "text_encoder"],
  ["lora_te2", "text_encoder_2"],
  ["lora_te3", "text_encoder_3"],
  ["lora_transformer", "transformer"],
  ["lora_prior_te", "prior_text_encoder"],
  ["lora_prior_unet", "prior_unet"],
  // Wan Fun (comfy/lora_convert.py: convert_lora_wan_fun).
  ["lora_unet_", "unet"],
  // Programs that put kohya's prefix in front of a path with its component.
  ["lora_unet_unet", "unet"],
];

const LONGEST_FIRST = [...PREFIXES].sort(([x], [y]) => y.length - x.length);

/** Marks a style whose paths are those of Stability's code. */
const SGM = "+sgm";

function parse(key: string): KeyMeaning | undefined {
  const method = otherMethod(key);
  if (method !== undefined) return { kind: "unsupported", method };
  const [suffix, part] = SUFFIXES.find(([end]) => key.endsWith(end)) ?? [];
  if (suffix === undefined || part === undefined) return undefined;
  const name = key.slice(0, -suffix.length);
  const [prefix, component] = LONGEST_FIRST.find(([start]) => name.startsWith(`${start}_`)) ?? [];
  if (prefix === undefined || name.length === prefix.length + 1) return undefined;
  const words = name.slice(prefix.length + 1);
  const path = splitWords(words);
  const diffusers = path === undefined ? undefined : fromSgm(path);
  return {
    kind: "part",
    part,
    module: `${component}.${diffusers ?? path ?? words}`,
    style: diffusers === undefined ? prefix : prefix + SGM,
  };
}

const convention: Convention = {
  name: "kohya",
  file: "adapter.safetensors",
  layout: "rows",
  parse,
  scope: (module) => module.slice(0, Math.max(0, module.indexOf("."))),
  key({ name }: Pick<ModuleShape, "name">, part, style) {
    const dot = name.indexOf(".");
    const component = name.slice(0, dot);
    const path = name.slice(dot + 1);
    const sgm = style?.endsWith(SGM) === true;
    const prefix = sgm ? style!.slice(0, -SGM.length) : style;
    // Every program gives layers of the authors' code the UNet's prefix, even in a transformer.
    const known = component === "transformer" && isAuthorsPath(path) ? "unet" : component;
    const start = prefix ?? PREFIXES.find(([, each]) => each === known)?.[0] ?? `lora_${component}`;
    const words = ((sgm ? toSgm(path) : undefined) ?? path).replaceAll(".", "_");
    return `${start}_${words}${SUFFIXES.find(([, known]) => known === part)?.[0] ?? `.${part}`}`;
  },
  alphas: true,
  scale: () => UNSCALED,
  roles: ["magnitude"],
  magnitudeShape: (module, axis) =>
    outputMagnitude(module, axis) === undefined
      ? [1, module.in, ...module.kernel.map(() => 1)]
      : [module.out, 1, ...module.kernel.map(() => 1)],
};

/** See {@link Dialect}. */
export const kohya: Dialect = {
  name: "kohya",
  title: "kohya / sd-scripts, LyCORIS LoCon (lora_unet_….lora_down.weight)",
  naming: "pipeline",
  detect: ({ keys }) =>
    keys.some((key) => /^lora_[a-z0-9]+_.*\.(lora_down\.weight|lora_up\.weight|alpha)$/.test(key)),
  read: (source, settings) => readStateDict(source.tensors(), source.weights!.name, convention, settings),
  write(adapter: Adapter, options: WriteOptions) {
    // An alpha of 0 would count as the rank, so only B can express a multiplier of 0.
    const own = adapter.origin?.dialect === "kohya";
    const flux = own ? undefined : toFluxAuthors(adapter, options);
    if (!own && flux === undefined) noteTransformer(adapter, options);
    const sayable = foldMultipliers(flux?.adapter ?? adapter, options, ({ multiplier }) => multiplier === 0);
    const two = adapter.modules.some(({ name }) => name.startsWith("text_encoder_2."));
    const named = two && !own ? { ...convention, key: keyOfTwo } : convention;
    const elements = flux?.elements ?? options.elements;
    return new Map([safetensorsFile(writeStateDict(sayable, named, { ...options, elements }))]);
  },
};

/**
 * Refuses layers whose names another dialect cannot express. A name with unknown words has underscores where dots belong, and
 * nothing says which ones. Models such as Stable Diffusion 3 have other layers in their authors' code than in diffusers; those of Flux
 * are known.
 *
 * @throws LqaError UNSUPPORTED_DIALECT
 */
export function refuseKohyaNames(adapter: Adapter, to: DialectName): void {
  const known = to !== "diffusers" || isFluxOfAuthors(adapter);
  for (const { name } of adapter.modules) {
    const path = name.replace(COMPONENT, "");
    const whole = !path.includes(".") && splitWords(path) !== path;
    if (!whole && (known || !isAuthorsPath(path))) continue;
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: `module ${quoteName(name)}`,
      expected: whole
        ? "a layer's path: kohya writes underscores for its dots"
        : "a layer that diffusers has",
      actual: whole ? "a name of unknown words" : "one of the model's original code",
      advice: "Keep this adapter in its dialect, or convert it with the program that loads it.",
    });
  }
}

/** Adds a note: programs disagree on kohya names for the layers that a transformer has in diffusers. */
function noteTransformer({ modules }: Adapter, { onNote }: WriteOptions): void {
  const named = modules.filter(
    ({ name }) => name.startsWith("transformer.") && !isAuthorsPath(name.replace(COMPONENT, "")),
  );
  if (named.length === 0) return;
  onNote?.(
    `${named.length} layers of the transformer are named lora_transformer_…, as OneTrainer writes and ComfyUI reads them. diffusers does not read them: keep its own dialect for it.`,
  );
}

/** With a second text encoder, the first one gets number 1. */
function keyOfTwo(module: Pick<ModuleShape, "name" | "role">, part: Part, style: string | undefined): string {
  const first = module.name.startsWith("text_encoder.");
  return convention.key(module, part, style ?? (first ? "lora_te1" : undefined));
}
