/**
 * Command table entry of `lqa extract`.
 *
 * @module
 */
import { type CommandSpec, inSection } from "./command.ts";
import { GOAL_OPTIONS } from "./encode-options.ts";
import { FORCE_OPTION, JSON_OPTION } from "./shared-options.ts";

/** The table entry of `lqa extract`. */
export const EXTRACT: CommandSpec = {
  name: "extract",
  summary: "Make a LoRA adapter from a full fine-tuning.",
  details:
    "Takes the strongest directions of the difference of two models, one tensor at a time. Reports how much of the change they hold and which changed tensors are not in the adapter. Models are safetensors files, shard indexes, or directories with either.",
  options: [
    {
      name: "base",
      type: "text",
      placeholder: "<model>",
      required: true,
      standardInput: true,
      help: "The model before fine-tuning; - for a safetensors file on standard input.",
    },
    {
      name: "tuned",
      type: "text",
      placeholder: "<model>",
      required: true,
      standardInput: true,
      help: "The model after fine-tuning, in the same forms.",
    },
    {
      name: "output",
      short: "o",
      type: "text",
      placeholder: "<path>",
      required: true,
      standardOutput: ".lqa",
      help: "A path that ends in .lqa writes an .lqa file, any other a PEFT directory; - for an .lqa file on standard output.",
    },
    { name: "rank", type: "integer", placeholder: "<n>", default: 32, help: "Largest rank of a module." },
    {
      name: "energy",
      type: "number",
      placeholder: "<share>",
      help: "Give each module the smallest rank that holds this share of its change, 0.95 for example.",
    },
    {
      name: "include",
      type: "text",
      placeholder: "<names>",
      help: "Only these layers: names or ends of names, with * and ?, separated by commas.",
    },
    { name: "exclude", type: "text", placeholder: "<names>", help: "Leave out these layers." },
    {
      name: "embeddings",
      type: "flag",
      help: "Also turn embeddings and output heads into modules.",
    },
    {
      name: "keep-rest",
      type: "flag",
      help: "Store other changed tensors (norms, biases, embeddings) whole.",
    },
    {
      name: "fan-in-fan-out",
      type: "flag",
      help: "Linear weights are stored as (in, out). Detected automatically for GPT-2.",
    },
    {
      name: "prefix",
      type: "text",
      placeholder: "<text>",
      help: "Prefix for every name if both models were saved without their head, such as transformer. for GPT-2.",
    },
    {
      name: "base-name",
      type: "text",
      placeholder: "<id>",
      help: "Name of the base model to store, e.g. org/model.",
    },
    {
      name: "dtype",
      type: "text",
      placeholder: "<type>",
      values: ["f32", "f16", "bf16"],
      defaultText: "f32",
      help: "PEFT directory: element type of the factors.",
    },
    ...inSection("Encoding (with --output <file>.lqa)", [
      {
        name: "profile",
        type: "text",
        placeholder: "<name>",
        values: ["rd", "loraquant", "raw"],
        defaultText: "rd",
        help: "As in lqa encode. For more settings, extract to a directory and encode that.",
      },
      ...GOAL_OPTIONS.filter(({ name }) => name !== "quality"),
    ]),
    { name: "modules", type: "flag", help: "List every module and every tensor that was left out." },
    FORCE_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "extract --base model --tuned my-model -o my-adapter --rank 32",
    "extract --base a.safetensors --tuned b.safetensors -o my.lqa --bits 1.5",
    "extract --base model --tuned my-model -o out --energy 0.9 --keep-rest",
    "extract --base model --tuned my-model -o out --exclude down_proj",
  ],
  load: () => import("./commands/extract.ts"),
};
