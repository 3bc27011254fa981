/**
 * Options that say how to read an adapter, shared by the commands that read one, and their values.
 *
 * @module
 */
import type { DialectName, ReadSettings } from "../adapters/dialect.ts";
import { type Arguments, numberOption, type OptionSpec, textOption } from "./command.ts";
import { printable } from "./format.ts";

/** Names of the dialects, as the options take them. */
export const DIALECT_NAMES: readonly DialectName[] = [
  "peft",
  "kohya",
  "diffusers",
  "cloneofsimo",
  "loralib",
  "mlx",
  "gguf",
  "onnx",
];

export const SOURCE_OPTIONS: readonly OptionSpec[] = [
  {
    name: "from",
    type: "text",
    placeholder: "<dialect>",
    values: DIALECT_NAMES,
    defaultText: "what the adapter looks like",
    help: "The dialect of the adapter.",
  },
  {
    name: "alpha",
    type: "number",
    placeholder: "<n>",
    help: "For dialects that keep alpha outside their files (loralib, MLX): the multiplier is alpha / rank. Of several adapters, for those whose files have none.",
  },
  {
    name: "multiplier",
    type: "number",
    placeholder: "<n>",
    help: "Instead of --alpha, what ΔW is multiplied by.",
  },
  {
    name: "expert-layout",
    type: "text",
    placeholder: "<layout>",
    values: ["out-in", "in-out"],
    help: "PEFT from 0.19 on with target_parameters: whether the base stores experts as (experts, out, in) or (experts, in, out).",
  },
  {
    name: "keep-unsupported",
    type: "flag",
    help: "Carry tensors of other methods than LoRA (LoKr, LoHa, …) along unchanged, instead of refusing the adapter.",
  },
];

/** How to read the adapter, as asked. */
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

/** Notes as lines below a summary. */
export function noteLines(notes: readonly string[]): string[] {
  return notes.map((note) => `  note: ${printable(note)}`);
}
