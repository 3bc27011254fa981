/**
 * The MLX dialect: adapters of mlx-lm (`adapters.safetensors` or `.npz`, and an `adapter_config.json` that is not PEFT's).
 *
 * Factors are stored transposed (`lora_a` [in, r], `lora_b` [r, out]; for experts [E, r, in] and [E, out, r]). The
 * configuration's `scale` is the multiplier, independent of the rank. mlx-lm makes the layers from the configuration before
 * it loads them, so the writer uses one rank and one scale and names every layer.
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter, ModuleShape } from "../model/adapter.ts";
import { contentOf, type FileContent } from "../model/content.ts";
import { evenRanks, foldMultipliers, largestRank } from "./bake.ts";
import type { Dialect, WriteOptions } from "./dialect.ts";
import { givenScale } from "./given-scale.ts";
import { type JsonObject, parseJson, quoteName } from "./json.ts";
import { originBytes } from "./origin.ts";
import { isInputEmbedding } from "./peft/keys.ts";
import { CONFIG_FILE, type Source } from "./source.ts";
import { type Convention, outputMagnitude, type Part, type Scale } from "./state-dict/convention.ts";
import { readStateDict } from "./state-dict/read.ts";
import { safetensorsFile, writeStateDict } from "./state-dict/write.ts";

const PARTS: Readonly<Record<string, Part>> = { lora_a: "a", lora_b: "b", m: "magnitude" };
const KEY = /^(.+)\.(lora_a|lora_b|m)$/;

function convention(scale: (rank: number) => Scale, dora: boolean): Convention {
  return {
    name: "mlx",
    file: WEIGHTS,
    layout: "columns",
    parse(key) {
      const found = KEY.exec(key);
      if (found === null || (found[2] === "m" && !dora)) return undefined;
      return { kind: "part", part: PARTS[found[2]!]!, module: found[1]!, style: "" };
    },
    key: ({ name }: Pick<ModuleShape, "name">, part) =>
      `${name}.${part === "magnitude" ? "m" : `lora_${part}`}`,
    isEmbedding: isInputEmbedding,
    scale: (_module, rank) => scale(rank),
    roles: ["magnitude"],
    magnitudeShape: outputMagnitude,
    metadata: new Map([["format", "mlx"]]),
  };
}

function read(source: Source, settings: Parameters<Dialect["read"]>[1]): Adapter {
  const config = source.settings;
  const kind = config?.get("fine_tune_type") ?? "lora";
  const where = `${CONFIG_FILE} field "fine_tune_type"`;
  if (kind !== "lora" && kind !== "dora") {
    fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
      where,
      expected: '"lora" or "dora"',
      actual: quoteName(String(kind)),
    });
  }
  const given = (rank: number): Scale | undefined => givenScale(settings, rank);
  const said = (): Scale | undefined => configured(config, settings.onNote);
  const scale = (rank: number): Scale =>
    (settings.scaleIfMissing === true ? (said() ?? given(rank)) : (given(rank) ?? said())) ??
    fail(KIND.SOURCE_CONFIG, {
      where: "the MLX adapter",
      expected: 'lora_parameters with "scale" in adapter_config.json',
      actual: config === undefined ? "no configuration" : "none",
      advice: "Give the directory with both files, or the scale it was trained with as --multiplier.",
    });
  const extra = source.config === undefined ? {} : { config: source.config };
  const adapter = readStateDict(
    source.tensors(),
    source.weights!.name,
    convention(scale, kind === "dora"),
    settings,
    extra,
  );
  const model = config?.get("model");
  return typeof model === "string" && model !== ""
    ? { ...adapter, meta: { ...adapter.meta, base_model: model } }
    : adapter;
}

/** The scale that a configuration states: in `lora_parameters`, or at the top level in configurations of 2024. */
function configured(
  config: JsonObject | undefined,
  onNote?: ((note: string) => void) | undefined,
): Scale | undefined {
  const parameters = config?.get("lora_parameters");
  const fields = parameters instanceof Map ? parameters : config;
  const value = fields?.get("scale");
  if (value === undefined || value === null) return undefined;
  const multiplier = typeof value === "number" ? Math.fround(value) : Number.NaN;
  if (Number.isFinite(multiplier)) {
    const [alpha, rank] = [fields?.get("alpha"), fields?.get("rank")];
    // Programs of that time multiplied by both. Current ones load the same file and use the scale alone.
    if (
      config?.has("lora_layers") &&
      typeof alpha === "number" &&
      typeof rank === "number" &&
      alpha !== rank
    ) {
      onNote?.(
        `The multiplier is the scale, ${multiplier}, as mlx-lm has it since it dropped alpha. The version of 2024 that wrote this configuration may have trained with scale · alpha / rank = ${(multiplier * alpha) / rank}: say so with --multiplier if it did.`,
      );
    }
    return { multiplier, alpha: 0, rule: "explicit" };
  }
  return fail(KIND.SOURCE_CONFIG, {
    where: `${CONFIG_FILE} field "scale"`,
    expected: "a number that binary32 can hold",
    actual: typeof value === "number" ? value : typeof value,
  });
}

function write(adapter: Adapter, options: WriteOptions): Map<string, FileContent> {
  const own = adapter.origin?.dialect === "mlx" ? adapter.origin : undefined;
  const dora = adapter.tensors.some(({ role }) => role === "magnitude");
  if (own !== undefined) {
    const said = new Set(adapter.modules.map(({ multiplier }) => multiplier));
    const only = (): Scale => ({ multiplier: [...said][0]!, alpha: 0, rule: "explicit" });
    if (said.size === 1) {
      const weights = safetensorsFile(writeStateDict(adapter, convention(only, dora), options));
      const kept = originBytes(own, "config");
      const same = kept !== undefined && configured(settingsOf(kept))?.multiplier === only().multiplier;
      const written = same ? kept.slice() : newConfig(adapter, only().multiplier, dora);
      return new Map([[CONFIG_FILE, contentOf(written)], named(weights, options)]);
    }
  }
  const grouped = adapter.modules.find(({ kernel }) => kernel.length > 0);
  if (grouped !== undefined) {
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: `module ${quoteName(grouped.name)}`,
      expected: "linear layers, embeddings and experts: mlx-lm adapts nothing else",
      actual: grouped.role,
    });
  }
  const note = (modules: number, rank: number): string =>
    `mlx-lm has one rank for all layers: ${modules} modules are padded with zeros to ${rank}.`;
  const padded = evenRanks({ ...adapter, origin: undefined }, options, note);
  const multipliers = new Set(adapter.modules.map((module) => module.multiplier));
  const one = multipliers.size === 1;
  const even = one ? padded : foldMultipliers(padded, options);
  const multiplier = one ? [...multipliers][0]! : 1;
  const scale = (): Scale => ({ multiplier, alpha: 0, rule: "explicit" });
  const weights = safetensorsFile(writeStateDict(even, convention(scale, dora), options));
  return new Map([[CONFIG_FILE, contentOf(newConfig(even, multiplier, dora))], weights]);
}

/** mlx-lm loads only this name. It gives checkpoints other names (`0000200_adapters.safetensors`). */
const WEIGHTS = "adapters.safetensors";

function named([name, content]: [string, FileContent], { onNote }: WriteOptions): [string, FileContent] {
  if (name !== WEIGHTS)
    onNote?.(`mlx-lm loads ${WEIGHTS} only, so ${quoteName(name)} is written under that name.`);
  return [WEIGHTS, content];
}

function settingsOf(config: Uint8Array): JsonObject | undefined {
  const value = parseJson(config, KIND.UNSUPPORTED_DIALECT, 'origin record field "config"');
  return value instanceof Map ? value : undefined;
}

/** A configuration that names exactly the modules of the adapter as layers. */
function newConfig({ modules, meta }: Adapter, scale: number, dora: boolean): Uint8Array {
  const config = {
    fine_tune_type: dora ? "dora" : "lora",
    lora_parameters: {
      dropout: 0,
      keys: modules.map((module) => module.name).sort(),
      rank: largestRank(modules),
      scale,
    },
    ...(typeof meta.base_model === "string" && { model: meta.base_model }),
    // The number of blocks, counted from the end; -1 means all, because the keys are whole paths.
    num_layers: -1,
  };
  return new TextEncoder().encode(`${JSON.stringify(config, null, 4)}\n`);
}

/** See {@link Dialect}. */
export const mlx: Dialect = {
  name: "mlx",
  title: "MLX (mlx-lm: ….lora_a, transposed)",
  naming: "model",
  scaleOutside: true,
  detect({ keys, settings }) {
    if (settings?.has("peft_type") === true) return keys.some((key) => /\.lora_[ab]$/.test(key));
    const config =
      settings !== undefined &&
      ["fine_tune_type", "lora_parameters", "lora_layers"].some((field) => settings.has(field));
    return config || keys.some((key) => /\.lora_[ab]$/.test(key));
  },
  read,
  write,
};
