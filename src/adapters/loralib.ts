/**
 * The loralib dialect: state dicts of Microsoft's loralib (`….query.lora_A`, without `.weight`), and torchtune's own files
 * (`….q_proj.lora_a.weight`, `adapter_0.pt`).
 *
 * Alpha is in the program and not in the file, so the caller must state it; torchtune may have written it to an
 * `adapter_config.json`. The other tensors of the file replace tensors of the base model.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter } from "../model/adapter.ts";
import { contentOf } from "../model/content.ts";
import { scaleByAlpha } from "./alpha.ts";
import type { Dialect, ReadSettings, WriteOptions } from "./dialect.ts";
import { givenScale } from "./given-scale.ts";
import { type JsonValue, parseJson, quoteName } from "./json.ts";
import { originBytes } from "./origin.ts";
import { otherMethod } from "./other-methods.ts";
import { isInputEmbedding } from "./peft/keys.ts";
import { CONFIG_FILE } from "./source.ts";
import type { Convention, KeyMeaning, Scale } from "./state-dict/convention.ts";
import { readStateDict } from "./state-dict/read.ts";
import { safetensorsFile, writeStateDict } from "./state-dict/write.ts";
import type { TensorFile } from "./tensor-file.ts";

/** Patterns of factor keys, by style. */
const KEYS: readonly (readonly [RegExp, style: string])[] = [
  [/^(.+)\.lora_([AB])$/, ""],
  [/^(.+)\.lora_([ab])\.weight$/, "torchtune"],
];

/** True for torchtune's name of a factor. */
export function isTorchtuneKey(key: string): boolean {
  return KEYS[1]![0].test(key);
}

function parse(key: string): KeyMeaning {
  for (const [pattern, style] of KEYS) {
    const found = pattern.exec(key);
    if (found !== null)
      return { kind: "part", part: found[2]!.toLowerCase() as "a" | "b", module: found[1]!, style };
  }
  const method = otherMethod(key);
  if (method !== undefined) return { kind: "unsupported", method };
  return { kind: "tensor", role: "replace", name: key };
}

function convention(scale: (rank: number) => Scale): Convention {
  return {
    name: "loralib",
    file: "adapter.safetensors",
    layout: "rows",
    parse,
    key: ({ name }, part, style) =>
      style === "torchtune" ? `${name}.lora_${part}.weight` : `${name}.lora_${part.toUpperCase()}`,
    isEmbedding: isInputEmbedding,
    scale: (_module, rank) => scale(rank),
    roles: ["replace", "bias"],
  };
}

/**
 * Refuses loralib's MergedLinear: one A of n · r rows, and a B whose rows are those of n parts of the outputs. Only the
 * program says which parts they are.
 */
function refuseMergedLinear({ tensors }: TensorFile): void {
  for (const [key, { shape: a }] of tensors) {
    const b = tensors.get(key.replace(/\.lora_A$/, ".lora_B"))?.shape;
    if (b === undefined || a.length !== 2 || b.length !== 2 || !key.endsWith(".lora_A")) continue;
    const parts = a[0]! / b[1]!;
    if (parts < 2 || !Number.isInteger(parts) || b[0]! % parts !== 0) continue;
    fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
      where: `tensor ${quoteName(key)}`,
      expected: "the factors of one linear layer",
      actual: `those of ${parts} in one (MergedLinear): the file does not say which parts of the outputs they change`,
      advice: "Merge the adapter into its base model with loralib, or save a layer for each part.",
    });
  }
}

/** The alpha of the configuration in the origin record; undefined if it has none. */
function configuredAlpha(config: Uint8Array): JsonValue | undefined {
  const value = parseJson(config, KIND.UNSUPPORTED_DIALECT, 'origin record field "config"');
  return value instanceof Map ? value.get("lora_alpha") : undefined;
}

/** See {@link Dialect}. */
export const loralib: Dialect = {
  name: "loralib",
  title: "loralib, torchtune (….lora_A without .weight, ….lora_a.weight; needs alpha)",
  naming: "model",
  scaleOutside: true,
  detect: ({ keys }) => keys.some((key) => KEYS.some(([pattern]) => pattern.test(key))),
  read(source, settings: ReadSettings): Adapter {
    const alpha = source.settings?.get("lora_alpha");
    const scale = (rank: number): Scale =>
      givenScale(settings, rank) ??
      (typeof alpha === "number" ? scaleByAlpha(alpha, rank) : undefined) ??
      fail(KIND.SOURCE_CONFIG, {
        where: "the loralib file",
        expected: "the alpha it was trained with",
        actual: "none: loralib keeps it in the program, not in the file",
        advice: "Give it with --alpha (the multiplier is alpha / r) or give --multiplier.",
      });
    const file = source.tensors();
    refuseMergedLinear(file);
    const extra = source.config === undefined ? {} : { config: source.config };
    return readStateDict(file, source.weights!.name, convention(scale), settings, extra);
  },
  write(adapter: Adapter, options: WriteOptions) {
    const own = adapter.origin?.dialect === "loralib" ? originBytes(adapter.origin, "config") : undefined;
    const alphas = [...new Set(adapter.modules.map(({ multiplier, rank }) => multiplier * rank))];
    const one = alphas.length === 1;
    const kept = own !== undefined && one && configuredAlpha(own) === alphas[0] ? own.slice() : undefined;
    if (kept === undefined)
      options.onNote?.(
        one
          ? `loralib files have no alpha: the program that loads this one must use lora_alpha=${alphas[0]}.`
          : "loralib files have no alpha: the multipliers differ, so the program that loads this one must use lora_alpha = r.",
      );
    const rule = (rank: number): Scale =>
      one ? scaleByAlpha(alphas[0]!, rank) : { multiplier: 1, alpha: 0, rule: "none" };
    const weights = safetensorsFile(writeStateDict(adapter, convention(rule), options));
    return new Map([...(kept === undefined ? [] : [[CONFIG_FILE, contentOf(kept)] as const]), weights]);
  },
};
