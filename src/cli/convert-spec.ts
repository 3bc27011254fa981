/**
 * Command table entries of `lqa decode` and `lqa convert`, which both write adapters.
 *
 * @module
 */

import { DIALECT_NAMES } from "../adapters/dialect-names.ts";
import type { CommandSpec, OptionSpec } from "./command.ts";
import { FORCE_OPTION, JSON_OPTION, PARENT_OPTION, TIMEOUT_OPTION } from "./shared-options.ts";
import { SOURCE_OPTIONS } from "./source-options.ts";

/** The help of `--to` in both commands. */
const TO_HELP =
  "The dialect to write. gguf needs --base; cloneofsimo accepts only adapters read from cloneofsimo; peft and mlx write two files and need a directory.";

const REPLACE_OPTION: OptionSpec = {
  ...FORCE_OPTION,
  help: "Replace an existing file, or a directory that holds only an adapter.",
};

const DTYPE_OPTION: OptionSpec = {
  name: "dtype",
  type: "text",
  placeholder: "<type>",
  values: ["source", "f32", "f16", "bf16", "f8-e4m3"],
  default: "source",
  help: "Element type of the factors. source: the original type; F16 for one of 8 bits. f8-e4m3: peft, for vLLM and TensorRT-LLM, in the form of --portable but with a power of two in lora_alpha. The output says what rounding loses.",
};

const TARGET_OPTIONS: readonly OptionSpec[] = [
  {
    name: "base",
    type: "text",
    placeholder: "<file|dir>",
    help: "To gguf, and from a Llama gguf: the base model's config.json (or its directory) or GGUF file, as a path, a URL or hf://owner/name, for its architecture and attention heads. An adapter that does not fit its layers is refused.",
  },
  {
    name: "portable",
    type: "flag",
    help: "peft: write a form that every server computes alike: the multiplier is folded into B, alpha equals the rank, all modules have one rank. An adapter that servers refuse is an error.",
  },
  {
    name: "keep-config",
    type: "flag",
    help: "Write the configuration of the source as it is. Without this option lqa leaves out fields that make the program that loads the adapter import a module, open a path or allocate memory.",
  },
];

/** The table entry of `lqa decode`. */
export const DECODE: CommandSpec = {
  name: "decode",
  summary: "Turn an .lqa file back into an adapter.",
  details:
    "Writes the dialect that the adapter came from, with the source's file names, or another dialect. If the target cannot represent something, lqa merges it into the weights (and tells you if that rounds) or refuses.",
  positional: {
    placeholder: "<file.lqa|url>",
    many: false,
    help: "The file to decode: a path, a URL, hf://owner/name, or - for standard input.",
  },
  options: [
    {
      name: "output",
      short: "o",
      type: "text",
      placeholder: "<path>",
      standardOutput: ".safetensors",
      defaultText: "the file's name without .lqa, in this directory",
      help: "The directory to write; it must be absent or empty. For dialects with one file: a path with the file's extension (.safetensors, .gguf, .onnx_adapter), or - for standard output.",
    },
    {
      name: "to",
      type: "text",
      placeholder: "<dialect>",
      values: DIALECT_NAMES,
      defaultText: "from the extension of --output (.gguf, .onnx_adapter), else the source's dialect",
      help: TO_HELP,
    },
    DTYPE_OPTION,
    {
      name: "rank",
      type: "integer",
      placeholder: "<n>",
      pattern: /^[1-9]\d{0,4}$/,
      expects: "a whole number from 1 to 99999",
      help: "Keep the first n components of each module, for programs with one low rank for all adapters, and report the share of the energy of ΔW that the others had. The encoder sorts components by strength.",
    },
    ...TARGET_OPTIONS,
    PARENT_OPTION,
    REPLACE_OPTION,
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "decode my-adapter.lqa -o restored",
    "decode my-adapter.lqa -o restored --rank 4 --portable",
    "decode my-adapter.lqa -o restored --dtype f16",
    "decode my-adapter.lqa -o served --dtype f8-e4m3",
    "decode my-adapter.lqa -o my-adapter.gguf --base base-model/config.json",
    "decode step-600.lqa -o restored --parent step-500.lqa",
  ],
  load: () => import("./commands/decode.ts"),
};

/** The table entry of `lqa convert`. */
export const CONVERT: CommandSpec = {
  name: "convert",
  summary: "Convert an adapter from one dialect to another.",
  details:
    "Nothing is quantized: ΔW stays the same, and lqa tells you if a value had to be rounded. Give the adapter, then the output: a directory, or a path with a file extension.",
  positional: {
    placeholder: "<from> <to>",
    many: true,
    standardInput: (place) => place === 0,
    standardOutput: ".safetensors",
    help: "The adapter to read (a path, a URL or hf://owner/name), and the path to write; - is standard input or output.",
  },
  options: [
    {
      name: "to",
      type: "text",
      placeholder: "<dialect>",
      values: DIALECT_NAMES,
      defaultText: "from the extension of <to> (.gguf, .onnx_adapter), else peft",
      help: TO_HELP,
    },
    DTYPE_OPTION,
    ...TARGET_OPTIONS,
    ...SOURCE_OPTIONS,
    REPLACE_OPTION,
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "convert kohya.safetensors peft-directory",
    "convert peft-directory adapter.safetensors --to diffusers",
    "convert mlx-adapter served --portable",
  ],
  load: () => import("./commands/convert.ts"),
};
