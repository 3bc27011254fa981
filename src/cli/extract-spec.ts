/**
 * The entry of `lqa extract` in the command table.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import { FORCE_OPTION, JSON_OPTION } from "./shared-options.ts";

/** See `table.ts`. */
export const EXTRACT: CommandSpec = {
  name: "extract",
  summary: "Make a LoRA adapter from a full fine-tuning.",
  details:
    "Takes the strongest directions of the difference of two models, one tensor at a time, and says how much of the change they hold and which changed tensors no module was made of. Models are safetensors files, indices of shards, or directories that hold either.",
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
      help: "The model after it, likewise.",
    },
    {
      name: "output",
      short: "o",
      type: "text",
      placeholder: "<path>",
      required: true,
      standardOutput: ".lqa",
      help: "An .lqa file if it ends so, else a PEFT directory; - for an .lqa file on standard output.",
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
      help: "Only these layers: names or their ends, with * and ?, separated by commas.",
    },
    { name: "exclude", type: "text", placeholder: "<names>", help: "Not these layers." },
    {
      name: "embeddings",
      type: "flag",
      help: "Make modules of embeddings and output heads too.",
    },
    {
      name: "keep-rest",
      type: "flag",
      help: "Keep other changed tensors (norms, biases, embeddings) whole.",
    },
    {
      name: "fan-in-fan-out",
      type: "flag",
      help: "Linear weights are stored (in, out). Seen by itself for GPT-2.",
    },
    {
      name: "prefix",
      type: "text",
      placeholder: "<text>",
      help: "Put before every name, if both models were saved without their head: transformer. for GPT-2.",
    },
    {
      name: "base-name",
      type: "text",
      placeholder: "<id>",
      help: "Name of the base model to write down, e.g. org/model.",
    },
    {
      name: "dtype",
      type: "text",
      placeholder: "<type>",
      values: ["f32", "f16", "bf16"],
      defaultText: "f32",
      help: "Directory: element type of the factors.",
    },
    {
      name: "profile",
      type: "text",
      placeholder: "<name>",
      values: ["rd", "loraquant", "raw"],
      defaultText: "rd",
      help: ".lqa: as with encode. For other choices extract a directory and encode it.",
    },
    { name: "bits", type: "number", placeholder: "<n>", help: ".lqa: as with encode." },
    { name: "max-bytes", type: "bytes", placeholder: "<size>", help: ".lqa: as with encode." },
    { name: "max-error", type: "share", placeholder: "<share>", help: ".lqa: as with encode." },
    { name: "modules", type: "flag", help: "List every module, and every tensor that was left out." },
    FORCE_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "extract --base model --tuned my-model -o my-adapter --rank 32",
    "extract --base base.safetensors --tuned tuned.safetensors -o tuned.lqa --bits 1.5",
    "extract --base model --tuned my-model -o my-adapter --energy 0.9 --keep-rest",
    "extract --base model --tuned my-model -o my-adapter --exclude 'layers.0.*,down_proj'",
  ],
  load: () => import("./commands/extract.ts"),
};
