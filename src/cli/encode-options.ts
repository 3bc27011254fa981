/**
 * Options that control how an adapter is encoded, shared by the commands that encode.
 *
 * @module
 */
import type { EncodeFileOptions } from "../node/index.ts";
import {
  type Arguments,
  inSection,
  listOption,
  numberOption,
  type OptionSpec,
  textOption,
} from "./command.ts";

export const FLOOR_OPTION: OptionSpec = {
  name: "floor",
  type: "number",
  placeholder: "<n>",
  values: ["0", "0.5", "1"],
  defaultText: "0",
  help: "rd: minimum bits per weight of every nonzero direction. Rarely useful: it takes bits from stronger directions.",
};

const FIT_OPTION: OptionSpec = {
  name: "fit",
  type: "text",
  placeholder: "<name>",
  values: ["unbiased", "least-squares"],
  defaultText: "unbiased",
  help: "rd: unbiased keeps the strength of every coded direction; least-squares has the smallest weight error but weakens the adapter.",
};

const START_OPTION: OptionSpec = {
  name: "start",
  type: "text",
  placeholder: "<how>",
  pattern: /^(none|auto|[0-9]{1,10})$/,
  expects: "none, auto, or a seed from 0 to 4294967295",
  defaultText: "auto; with --max-error or --parent none",
  help: "rd: store the seed that A began with instead of its random numbers. none: store A whole. auto: look for the seed, and use it where A moved little from it. A seed: try only that one. With --max-error the file becomes smaller by it, and answers may change more.",
};

/** The goals: how small or how exact the file must be. At most one of them. */
export const GOAL_OPTIONS: readonly OptionSpec[] = inSection("Goal (at most one, with --profile rd)", [
  {
    name: "quality",
    type: "text",
    placeholder: "<name>",
    values: ["low", "balanced", "high", "near-lossless"],
    defaultText: "balanced, unless you give another goal",
    help: "Bits per weight of the modules: low 1, balanced 1.5, high 2.5, near-lossless 4.",
  },
  {
    name: "bits",
    type: "number",
    placeholder: "<n>",
    help: "Bits per weight of the whole file, plain tensors not counted.",
  },
  {
    name: "max-bytes",
    type: "bytes",
    placeholder: "<size>",
    help: "Maximum size of the file, in bytes or with a unit (40KB, 1.5MiB).",
  },
  {
    name: "max-error",
    type: "share",
    placeholder: "<share>",
    help: "Maximum share of the energy of ΔW (the sum of its squares) that may be lost: 0.01 or 1%.",
  },
]);

export const METHOD_OPTIONS: readonly OptionSpec[] = inSection("Method", [
  {
    name: "profile",
    type: "text",
    placeholder: "<name>",
    values: ["rd", "rtn", "sign", "raw"],
    defaultText: "rd",
    help: "rd: spends bits where they reduce the error most. rtn, sign: factors rounded to a few bits or to their signs; for comparison. raw: floating point, not quantized.",
  },
  FLOOR_OPTION,
  FIT_OPTION,
  {
    name: "code-bits",
    type: "integer",
    placeholder: "<n>",
    values: ["1", "2", "3", "4", "5", "6", "7", "8"],
    defaultText: "2",
    help: "rtn: bits per code, without scales and zero points.",
  },
  {
    name: "group",
    type: "integer",
    placeholder: "<n>",
    values: ["0", "16", "32", "64", "128", "256", "512", "1024"],
    defaultText: "128",
    help: "rtn, sign: number of weights that share a scale; 0 for a whole vector.",
  },
  {
    name: "element",
    type: "text",
    placeholder: "<type>",
    values: ["f32", "f16", "bf16"],
    defaultText: "f32",
    help: "raw: element type of the weights.",
  },
  START_OPTION,
]);

export const LAYOUT_OPTION: OptionSpec = {
  name: "layout",
  type: "text",
  placeholder: "<name>",
  values: ["file", "peft"],
  defaultText: "file",
  help: "file: one .lqa file. peft: a directory with adapter_config.json and adapter_model.lqa, by which programs recognize an adapter (docs/peft-layout.md).",
};

export const FILE_OPTIONS: readonly OptionSpec[] = inSection("File", [
  {
    name: "tensors",
    type: "text",
    placeholder: "<how>",
    values: ["zstd", "keep", "f16"],
    defaultText: "zstd",
    help: "How to store biases, magnitudes, saved modules and other plain tensors. zstd: unchanged, compressed if that makes them smaller. keep: unchanged, uncompressed. f16: rounded to F16, then as zstd; decode restores the source's type.",
  },
  {
    name: "align",
    type: "integer",
    placeholder: "<bytes>",
    values: ["4", "8", "16", "32", "64", "128", "256", "512", "1024", "2048", "4096"],
    defaultText: "up to 64, if that costs less than 0.1 %",
    help: "Start every chunk at a multiple of this many bytes.",
  },
  {
    name: "step",
    type: "text",
    placeholder: "<n>",
    pattern: /^\d{1,15}$/,
    expects: "a whole number of at most 15 digits",
    help: "The training step of the adapter, to be stored in the file: readers of updates refuse a child that is not newer than what they have.",
  },
]);

function startOf(text: string | undefined): string | number | undefined {
  return text === undefined || text === "none" || text === "auto" ? text : Number(text);
}

/** The requested settings. The library fills in the others and refuses wrong combinations. */
export function encodeSettings(args: Arguments): EncodeFileOptions {
  const asked = {
    profile: textOption(args, "profile"),
    quality: textOption(args, "quality"),
    bits: numberOption(args, "bits"),
    codeBits: numberOption(args, "code-bits"),
    maxBytes: numberOption(args, "max-bytes"),
    maxError: numberOption(args, "max-error"),
    floor: numberOption(args, "floor"),
    fit: textOption(args, "fit"),
    weighted: args.values.has("unweighted") ? false : undefined,
    group: numberOption(args, "group"),
    element: textOption(args, "element"),
    tensors: textOption(args, "tensors"),
    start: startOf(textOption(args, "start")),
    alignment: numberOption(args, "align"),
    calibration: textOption(args, "calibration"),
    base: textOption(args, "base"),
    parent: args.values.has("parent") ? listOption(args, "parent") : undefined,
    step: args.values.has("step") ? Number(textOption(args, "step")) : undefined,
    workers: numberOption(args, "workers"),
    layout: textOption(args, "layout"),
  };
  // The command table has checked every word.
  return Object.fromEntries(
    Object.entries(asked).filter(([, value]) => value !== undefined),
  ) as EncodeFileOptions;
}
