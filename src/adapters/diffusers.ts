/**
 * The diffusers dialect: files of `save_lora_weights` and its predecessors, for the components of a pipeline.
 *
 * The ends of keys tell the styles apart, and the writer keeps them: PEFT's (`unet.….to_k.lora_A.weight`, also used for
 * adapters from other dialects), `….to_k.lora.down.weight`, `….lora_linear_layer.down.weight`, the attention processors of
 * diffusers before 0.20 (`….attn1.processor.to_k_lora.down.weight`, with or without the component), and those of other
 * trainers of diffusion transformers. These put another prefix or none in front of the path (`naming/prefixes.ts`) and use
 * the layer names of the models' authors. The multiplier is alpha / r if `lora_adapter_metadata` or an alpha tensor states
 * alpha, and otherwise 1.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter } from "../model/adapter.ts";
import { COMPONENT } from "../model/base-shape.ts";
import { UNSCALED } from "./alpha.ts";
import type { Dialect, WriteOptions } from "./dialect.ts";
import { configurationMeter, type JsonObject, parseJson, quoteName } from "./json.ts";
import { fromFluxAuthors } from "./naming/flux.ts";
import { isModelsOwn, type KeyPrefix, prefixesOf, prefixMarked } from "./naming/prefixes.ts";
import { unpackFileOrigin } from "./origin.ts";
import { otherMethod } from "./other-methods.ts";
import { type PeftConfig, readPeftConfig } from "./peft/config.ts";
import { resolveScale } from "./peft/scale.ts";
import { type Convention, type KeyMeaning, outputMagnitude, type Part } from "./state-dict/convention.ts";
import { readStateDict } from "./state-dict/read.ts";
import { safetensorsFile, writeStateDict } from "./state-dict/write.ts";

/** XLabs names the layers of Flux after its attention processors. */
const PROCESSOR = "\\.processor\\.(?:qkv|proj)_lora[12]?";

/** Ends of keys: pattern, style and part. For `to_q_lora` and the like the end includes the layer's name. */
const ENDS: readonly (readonly [RegExp, style: string | undefined, part: Part | "down" | "up"])[] = [
  [/\.lora_A\.weight$/, "peft", "a"],
  [/\.lora_B\.weight$/, "peft", "b"],
  [/\.lora_A\.default\.weight$/, "default", "a"],
  [/\.lora_B\.default\.weight$/, "default", "b"],
  [/\.lora_(down|up)\.weight$/, "kohya", "a"],
  [new RegExp(`(?<=${PROCESSOR})\\.(down|up)\\.weight$`), "xlabs", "a"],
  [/\.lora_B\.bias$/, "peft", "lora-bias"],
  [/\.lora_magnitude_vector(\.weight)?$/, "peft", "magnitude"],
  [/\.lora\.(down|up)\.weight$/, "lora", "a"],
  [/\.lora_linear_layer\.(down|up)\.weight$/, "linear", "a"],
  [/\.processor\.(to_[qkv]|to_out)_lora\.(down|up)\.weight$/, "processor", "a"],
  [/\.(to_[qkv]|to_out)_lora\.(down|up)\.weight$/, "text", "a"],
  [/\.alpha$/, undefined, "alpha"],
  [/\.dora_scale$/, undefined, "magnitude"],
];

/** Names of layers in attention processors of text encoders, to the names of the layers themselves. */
const TEXT_LAYERS: Readonly<Record<string, string>> = {
  to_q: "q_proj",
  to_k: "k_proj",
  to_v: "v_proj",
  to_out: "out_proj",
};

/**
 * Refuses layers that have the names of XLabs' attention processors: in no other dialect are they layers.
 *
 * @throws LqaError UNSUPPORTED_DIALECT
 */
export function refuseProcessorNames({ modules }: Adapter): void {
  const found = modules.find(({ name }) => new RegExp(`${PROCESSOR}$`).test(name));
  if (found === undefined) return;
  fail(KIND.UNSUPPORTED_DIALECT, {
    where: `module ${quoteName(found.name)}`,
    expected: "a layer's path: XLabs writes names of attention processors",
    actual: "such a name",
    advice: "Keep this adapter in its dialect, or convert it with the program that loads it.",
  });
}

/** Tensors that some programs write next to the factors of diffusion transformers, and others omit. */
const BESIDE = /\.(diff|diff_b)$|_norm\.scale$/;

function parse(key: string, prefix: KeyPrefix | undefined): KeyMeaning | undefined {
  const method = otherMethod(key);
  if (prefix !== undefined && isModelsOwn(key) && BESIDE.test(key)) return { kind: "beside" };
  if (method !== undefined) return { kind: "unsupported", method };
  if (prefix === undefined) return undefined;
  for (const [pattern, style, usual] of ENDS) {
    const found = pattern.exec(key);
    if (found === null || found.index <= prefix.text.length) continue;
    const component = prefix.component === "" ? "" : `${prefix.component}.`;
    const path = component + key.slice(prefix.text.length, found.index) + layerOf(style, found[1]);
    const part = found.includes("up") ? "b" : (usual as Part);
    return { kind: "part", part, module: path, style: style && style + prefix.mark };
  }
  return undefined;
}

function layerOf(style: string | undefined, layer: string | undefined): string {
  if (style === "processor") return layer === "to_out" ? ".to_out.0" : `.${layer}`;
  return style === "text" ? `.${TEXT_LAYERS[layer!]}` : "";
}

function key(name: string, part: Part, style = "peft"): string {
  const at = style.indexOf("!");
  const { text, mark } = prefixMarked(at < 0 ? "" : style.slice(at));
  const path = mark === "" ? name : text + name.replace(COMPONENT, "");
  const direction = part === "a" ? "down" : "up";
  if (part === "alpha") return `${path}.alpha`;
  if (part === "magnitude") return `${path}.lora_magnitude_vector`;
  if (part === "lora-bias") return `${path}.lora_B.bias`;
  switch (at < 0 ? style : style.slice(0, at)) {
    case "default":
      return `${path}.lora_${part.toUpperCase()}.default.weight`;
    case "kohya":
      return `${path}.lora_${direction}.weight`;
    case "xlabs":
      return `${path}.${direction}.weight`;
    case "lora":
      return `${path}.lora.${direction}.weight`;
    case "linear":
      return `${path}.lora_linear_layer.${direction}.weight`;
    case "processor":
      return /\.(to_[qkv]|to_out\.0)$/.test(path)
        ? `${path.replace(/\.(to_[a-z]+)(\.0)?$/, ".processor.$1_lora")}.${direction}.weight`
        : `${path}.lora.${direction}.weight`;
    case "text": {
      const dot = path.lastIndexOf(".");
      const layer = Object.keys(TEXT_LAYERS).find((known) => TEXT_LAYERS[known] === path.slice(dot + 1));
      return layer === undefined
        ? `${path}.lora_linear_layer.${direction}.weight`
        : `${path.slice(0, dot)}.${layer}_lora.${direction}.weight`;
    }
    default:
      return `${path}.lora_${part.toUpperCase()}.weight`;
  }
}

/** Configurations by component, from the metadata that diffusers 0.34 and later write. */
function configs(metadata: ReadonlyMap<string, string> | undefined): Map<string, PeftConfig> {
  const text = metadata?.get("lora_adapter_metadata");
  if (text === undefined) return new Map();
  const where = "metadata lora_adapter_metadata";
  // One meter for the configurations of all components: a hostile file may have one per field.
  const meter = configurationMeter(where);
  const all = parseJson(new TextEncoder().encode(text), KIND.SOURCE_CONFIG, where, meter);
  if (!(all instanceof Map)) return fail(KIND.SOURCE_CONFIG, { where, expected: "an object" });
  const parts = new Map<string, JsonObject>();
  for (const [field, value] of all) {
    const dot = field.indexOf(".");
    const component = field.slice(0, Math.max(0, dot));
    if (dot < 1)
      fail(KIND.SOURCE_CONFIG, { where, expected: "fields of components", actual: quoteName(field) });
    const config = parts.get(component) ?? new Map([["peft_type", "LORA"]]);
    parts.set(component, config.set(field.slice(dot + 1), value));
  }
  return new Map([...parts].map(([component, config]) => [component, readPeftConfig(config, meter)]));
}

/** @param keys the keys of the file, when reading */
function convention(
  metadata: ReadonlyMap<string, string> | undefined,
  keys: readonly string[] = [],
): Convention {
  const known = configs(metadata);
  const prefixIn = prefixesOf(keys);
  return {
    name: "diffusers",
    file: "pytorch_lora_weights.safetensors",
    layout: "rows",
    parse: (key) => parse(key, prefixIn(key)),
    scope: (module) => module.slice(0, Math.max(0, module.indexOf("."))),
    key: ({ name }, part, style) => key(name, part, style),
    scale(module, rank) {
      const dot = module.indexOf(".");
      const config = known.get(module.slice(0, dot));
      if (config === undefined) return UNSCALED;
      const { rank: expected, ...scale } = resolveScale(config, module.slice(dot + 1));
      if (expected === rank) return scale;
      const where = `module ${quoteName(module)}`;
      return fail(KIND.SOURCE_SHAPE, {
        where,
        expected: `rank ${expected} by lora_adapter_metadata`,
        actual: rank,
      });
    },
    roles: ["magnitude", "lora-bias"],
    magnitudeShape: (module, axis) =>
      outputMagnitude(module, axis) === undefined || module.kernel.length === 0
        ? outputMagnitude(module, axis)
        : [1, module.out, ...module.kernel.map(() => 1)],
    metadata: new Map([["format", "pt"]]),
  };
}

/** True for a key that only this dialect has; `transformer.h.0` may also belong to a language model. */
function isOwn(key: string): boolean {
  if (key.startsWith("lora_")) return false;
  if (
    /\.lora\.(down|up)\.weight$|_lora[12]?\.(down|up)\.weight$|\.lora_linear_layer\.(down|up)\.weight$/.test(
      key,
    )
  )
    return true;
  const factor = /\.lora_(?:[AB](?:\.default)?|down|up)\.weight$/.test(key);
  return factor && (COMPONENT.test(key) || isModelsOwn(key));
}

/** See {@link Dialect}. */
export const diffusers: Dialect = {
  name: "diffusers",
  title:
    "diffusers, ComfyUI, ai-toolkit (unet.….lora_A.weight, attention processors, text_encoder., transformer., diffusion_model.)",
  naming: "pipeline",
  detect: ({ keys, config }) => config === undefined && keys.some(isOwn),
  read(source, settings) {
    const file = source.tensors();
    return readStateDict(
      file,
      source.weights!.name,
      convention(file.metadata, [...file.tensors.keys()]),
      settings,
    );
  },
  write(adapter: Adapter, options: WriteOptions) {
    const { origin } = adapter;
    const own = origin?.dialect === "diffusers";
    const metadata = own ? unpackFileOrigin(origin).metadata : undefined;
    const flux = own ? undefined : fromFluxAuthors(adapter, options);
    const elements = flux?.elements ?? options.elements;
    const written = writeStateDict(flux?.adapter ?? adapter, convention(metadata), { ...options, elements });
    return new Map([safetensorsFile(written)]);
  },
};
