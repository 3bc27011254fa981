/**
 * The entries of `lqa decode` and `lqa convert` in the command table: both write adapters.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "./command.ts";
import { FORCE_OPTION, JSON_OPTION } from "./shared-options.ts";
import { DIALECT_NAMES, SOURCE_OPTIONS } from "./source-options.ts";

/** Said of `--to` by both commands. */
const TO_HELP =
  "The dialect to write. gguf needs --base; cloneofsimo takes only what came from it; peft and mlx write two files, so they need a directory.";

const REPLACE_OPTION: OptionSpec = {
  ...FORCE_OPTION,
  help: "Replace an existing directory, if it holds nothing but an adapter, or an existing file.",
};

const TARGET_OPTIONS: readonly OptionSpec[] = [
  {
    name: "base",
    type: "text",
    placeholder: "<file|dir>",
    help: "To gguf, and from gguf of Llama: the base model's config.json (or its directory) or GGUF file, for its architecture and attention heads.",
  },
  {
    name: "portable",
    type: "flag",
    help: "peft: as every server computes it alike. The multiplier is in B, alpha is the rank, one rank for all; what servers refuse is an error.",
  },
];

/** See `table.ts`. */
export const DECODE: CommandSpec = {
  name: "decode",
  summary: "Turn an .lqa file back into an adapter, or merge it.",
  details:
    "Writes the files of the dialect the adapter came from, under the names the source had, or of another dialect. What that dialect cannot say is folded into the weights exactly, or with a note, or refused.",
  positional: { placeholder: "<file.lqa>", many: false, help: "The file to decode; - for standard input." },
  options: [
    {
      name: "output",
      short: "o",
      type: "text",
      placeholder: "<path>",
      standardOutput: ".safetensors",
      defaultText: "the file's name without .lqa, in this directory",
      help: "The directory to write, absent or empty; or, of dialects with one file, that file, if the path ends like one (.safetensors, .gguf, .onnx_adapter), or is - for standard output.",
    },
    {
      name: "to",
      type: "text",
      placeholder: "<dialect>",
      values: DIALECT_NAMES,
      defaultText: "what --output ends like (.gguf, .onnx_adapter), else where it came from",
      help: TO_HELP,
    },
    {
      name: "dtype",
      type: "text",
      placeholder: "<type>",
      values: ["source", "f32", "f16", "bf16"],
      default: "source",
      help: "Element type of the factors. source: the type they had before.",
    },
    ...TARGET_OPTIONS,
    {
      name: "merge",
      type: "text",
      placeholder: "<model>",
      help: "Instead of an adapter, write this base model (a safetensors file, shards or their directory) with the adapter added. Of the directory of a diffusion pipeline the components that change are written.",
    },
    {
      name: "any-base",
      type: "flag",
      help: "--merge: also into a model whose weights are not those that the adapter was made for, as far as the file has a digest of them.",
    },
    REPLACE_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "decode my-adapter.lqa -o restored",
    "decode my-adapter.lqa -o restored --dtype f16",
    "decode my-adapter.lqa -o my-adapter.gguf --base base-model/config.json",
    "decode my-adapter.lqa -o merged --merge base-model",
  ],
  load: () => import("./commands/decode.ts"),
};

/** See `table.ts`. */
export const CONVERT: CommandSpec = {
  name: "convert",
  summary: "Turn an adapter of one dialect into one of another.",
  details:
    "Nothing is quantized: ΔW stays what it is, but for roundings that are said. Give the adapter, then where to write: a directory, or a file if it ends like one.",
  positional: {
    placeholder: "<from> <to>",
    many: true,
    standardInput: (place) => place === 0,
    standardOutput: ".safetensors",
    help: "The adapter to read, and the path to write; - is standard input or output.",
  },
  options: [
    {
      name: "to",
      type: "text",
      placeholder: "<dialect>",
      values: DIALECT_NAMES,
      defaultText: "what <to> ends like (.gguf, .onnx_adapter), else peft",
      help: TO_HELP,
    },
    {
      name: "dtype",
      type: "text",
      placeholder: "<type>",
      values: ["f32", "f16", "bf16"],
      defaultText: "f32, or what it was where the dialect stays",
      help: "Element type of the factors.",
    },
    ...TARGET_OPTIONS,
    ...SOURCE_OPTIONS,
    REPLACE_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "convert kohya.safetensors peft-directory",
    "convert peft-directory adapter.safetensors --to diffusers",
    "convert mlx-adapter served --portable",
  ],
  load: () => import("./commands/convert.ts"),
};
