/**
 * The loralib dialect: state dicts of Microsoft's loralib (`….query.lora_A`, without `.weight`).
 *
 * Alpha stands in the program and nowhere in the file, so whoever reads one must be told it. Other tensors of the file
 * replace the base model's.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { Adapter } from "../model/adapter.ts";
import { scaleByAlpha } from "./alpha.ts";
import type { Dialect, ReadSettings, WriteOptions } from "./dialect.ts";
import { givenScale } from "./given-scale.ts";
import { quoteName } from "./json.ts";
import { otherMethod } from "./other-methods.ts";
import { isInputEmbedding } from "./peft/keys.ts";
import type { Convention, KeyMeaning, Scale } from "./state-dict/convention.ts";
import { readStateDict } from "./state-dict/read.ts";
import { safetensorsFile, writeStateDict } from "./state-dict/write.ts";
import type { TensorFile } from "./tensor-file.ts";

const KEY = /^(.+)\.lora_([AB])$/;

function parse(key: string): KeyMeaning {
  const found = KEY.exec(key);
  if (found !== null) {
    return { kind: "part", part: found[2] === "A" ? "a" : "b", module: found[1]!, style: "" };
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
    key: ({ name }, part) => `${name}.lora_${part.toUpperCase()}`,
    isEmbedding: isInputEmbedding,
    scale: (_module, rank) => scale(rank),
    roles: ["replace", "bias"],
  };
}

/**
 * loralib's MergedLinear: one A of n · r rows, and a B whose rows are those of n parts of the outputs. Which parts, stands
 * in the program alone.
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

/** See {@link Dialect}. */
export const loralib: Dialect = {
  name: "loralib",
  title: "loralib (….lora_A, without .weight; needs alpha)",
  naming: "model",
  scaleOutside: true,
  detect: ({ keys }) => keys.some((key) => KEY.test(key)),
  read(source, settings: ReadSettings): Adapter {
    const scale = (rank: number): Scale =>
      givenScale(settings, rank) ??
      fail(KIND.SOURCE_CONFIG, {
        where: "the loralib file",
        expected: "the alpha it was trained with",
        actual: "none: loralib keeps it in the program, not in the file",
        advice: "Give it with --alpha (the multiplier is alpha / r) or give --multiplier.",
      });
    const file = source.tensors();
    refuseMergedLinear(file);
    return readStateDict(file, source.weights!.name, convention(scale), settings);
  },
  write(adapter: Adapter, options: WriteOptions) {
    const alphas = [...new Set(adapter.modules.map(({ multiplier, rank }) => multiplier * rank))];
    const one = alphas.length === 1;
    options.onNote?.(
      one
        ? `loralib files have no alpha: the program that loads this one must use lora_alpha=${alphas[0]}.`
        : "loralib files have no alpha: the multipliers differ, so the program that loads this one must use lora_alpha = r.",
    );
    const rule = (rank: number): Scale =>
      one ? scaleByAlpha(alphas[0]!, rank) : { multiplier: 1, alpha: 0, rule: "none" };
    return new Map([safetensorsFile(writeStateDict(adapter, convention(rule), options))]);
  },
};
