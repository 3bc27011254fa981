/**
 * Options that say how an adapter is encoded, shared by the commands that encode, and their values.
 *
 * @module
 */
import type { EncodeFileOptions } from "../node/index.ts";
import { type Arguments, numberOption, type OptionSpec, textOption } from "./command.ts";

export const FLOOR_OPTION: OptionSpec = {
  name: "floor",
  type: "number",
  placeholder: "<n>",
  values: ["0", "0.5", "1"],
  defaultText: "0",
  help: "rd: least bits a weight of every direction that is not zero. Rarely useful: the bits are missed elsewhere.",
};

const FIT_OPTION: OptionSpec = {
  name: "fit",
  type: "text",
  placeholder: "<name>",
  values: ["unbiased", "least-squares"],
  defaultText: "unbiased",
  help: "rd: unbiased keeps every direction that is coded as strong as it was; least-squares has the least error of the weights, and weakens.",
};

export const METHOD_OPTIONS: readonly OptionSpec[] = [
  {
    name: "profile",
    type: "text",
    placeholder: "<name>",
    values: ["rd", "loraquant", "rtn", "sign", "raw"],
    defaultText: "rd",
    help: "rd: bits where they save most. loraquant: mixed 1 to 8 bits (arXiv 2510.26690). rtn, sign: the factors as they are, rounded to a few bits or to their signs; for comparison. raw: floating point, not quantized.",
  },
  {
    name: "quality",
    type: "text",
    placeholder: "<name>",
    values: ["small", "balanced", "high", "near-lossless"],
    defaultText: "balanced, unless another goal is given",
    help: "rd: 1, 1.5, 2.5 or 4 bits a weight of the modules, the rest of the file not counted.",
  },
  {
    name: "bits",
    type: "number",
    placeholder: "<n>",
    help: "rd: instead of --quality, bits a weight of the file, everything but plain tensors counted.",
  },
  {
    name: "max-bytes",
    type: "bytes",
    placeholder: "<size>",
    help: "rd: instead of --quality, the size that the file may have: bytes, or 40KB, 1.5MiB.",
  },
  {
    name: "max-error",
    type: "share",
    placeholder: "<share>",
    help: "rd: instead of --quality, the largest share of the energy of ΔW that may be lost: 0.01 or 1%.",
  },
  FLOOR_OPTION,
  FIT_OPTION,
  {
    name: "variant",
    type: "text",
    placeholder: "<bits@share>",
    pattern: /^[1-8]@(0|1|0?\.\d+|1\.0+)$/,
    expects: "bits, @, and a share from 0 to 1, such as 2@0.8",
    defaultText: "2@0.8",
    help: "loraquant: bits for the strongest components, and the share of the energy they must cover; the rest gets 1 bit.",
  },
  {
    name: "h-rule",
    type: "text",
    placeholder: "<rule>",
    values: ["code", "text"],
    defaultText: "code",
    help: "loraquant: count the strongest components as the paper's code does, or as its text says (one more).",
  },
  {
    name: "refine",
    type: "text",
    placeholder: "<how>",
    values: ["search", "none", "sgd"],
    defaultText: "search",
    help: "loraquant: fit scales by search, not at all, or by the authors' gradient steps (slow).",
  },
  {
    name: "code-bits",
    type: "integer",
    placeholder: "<n>",
    values: ["1", "2", "3", "4", "5", "6", "7", "8"],
    defaultText: "2",
    help: "rtn: bits of a code; scales and zero points are not counted.",
  },
  {
    name: "group",
    type: "integer",
    placeholder: "<n>",
    values: ["0", "16", "32", "64", "128", "256", "512", "1024"],
    defaultText: "128",
    help: "loraquant, rtn, sign: how many weights share a scale; 0 for a whole vector.",
  },
  {
    name: "element",
    type: "text",
    placeholder: "<type>",
    values: ["f32", "f16", "bf16"],
    defaultText: "f32",
    help: "raw: how a weight is stored.",
  },
  {
    name: "tensors",
    type: "text",
    placeholder: "<how>",
    values: ["zstd", "keep", "f16"],
    defaultText: "zstd",
    help: "Biases, magnitudes, saved modules and other plain tensors. zstd: as they are, compressed where it pays. keep: as they are. f16: rounded to F16, then as zstd; decode gives the source's type back.",
  },
];

export const ALIGN_OPTION: OptionSpec = {
  name: "align",
  type: "integer",
  placeholder: "<bytes>",
  values: ["4", "8", "16", "32", "64", "128", "256", "512", "1024", "2048", "4096"],
  defaultText: "up to 64, if that costs less than 0.1 %",
  help: "Start every chunk at a multiple of this.",
};

/** What was asked for; the library fills in the rest and refuses what does not belong together. */
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
    variant: textOption(args, "variant"),
    hRule: textOption(args, "h-rule"),
    refine: textOption(args, "refine"),
    group: numberOption(args, "group"),
    element: textOption(args, "element"),
    tensors: textOption(args, "tensors"),
    alignment: numberOption(args, "align"),
    calibration: textOption(args, "calibration"),
    base: textOption(args, "base"),
    workers: numberOption(args, "workers"),
  };
  // The command table has checked every word.
  return Object.fromEntries(
    Object.entries(asked).filter(([, value]) => value !== undefined),
  ) as EncodeFileOptions;
}
