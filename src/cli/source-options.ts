/**
 * Options that control how an adapter is read, shared by the commands that read one.
 *
 * @module
 */
import type { DialectName, ReadSettings } from "../adapters/dialect.ts";
import { DIALECT_NAMES } from "../adapters/dialect-names.ts";
import { type Arguments, numberOption, type OptionSpec, textOption } from "./command.ts";

export const SOURCE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "from",
    type: "text",
    placeholder: "<dialect>",
    values: DIALECT_NAMES,
    defaultText: "detected from the adapter",
    help: "The dialect of the adapter.",
  },
  {
    name: "alpha",
    type: "number",
    placeholder: "<n>",
    help: "For dialects that keep alpha outside their files (loralib, MLX): the multiplier is alpha / rank. With several adapters, it applies to those whose files have none.",
  },
  {
    name: "multiplier",
    type: "number",
    placeholder: "<n>",
    help: "Instead of --alpha: the multiplier of ΔW itself.",
  },
  {
    name: "expert-layout",
    type: "text",
    placeholder: "<layout>",
    values: ["out-in", "in-out"],
    help: "For target_parameters of PEFT 0.19 and later: whether the base stores experts as (experts, out, in) or (experts, in, out).",
  },
  {
    name: "keep-unsupported",
    type: "flag",
    help: "Keep tensors of methods other than LoRA (LoKr, LoHa, …) unchanged, instead of refusing the adapter.",
  },
];

/** The requested reader options. */
export function sourceSettings(args: Arguments): ReadSettings & { readonly from: DialectName | undefined } {
  // The command table has checked every word.
  return {
    from: textOption(args, "from") as DialectName | undefined,
    alpha: numberOption(args, "alpha"),
    multiplier: numberOption(args, "multiplier"),
    expertLayout: textOption(args, "expert-layout") as ReadSettings["expertLayout"],
    keepUnsupported: args.values.has("keep-unsupported") ? true : undefined,
  };
}
