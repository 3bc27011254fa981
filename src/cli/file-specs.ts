/**
 * Command table entries of the commands that work on `.lqa` files: validate, diff, rebase.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import { FORCE_OPTION, JSON_OPTION, OUTPUT_OPTION, PARENT_OPTION, TIMEOUT_OPTION } from "./shared-options.ts";
import { SOURCE_OPTIONS } from "./source-options.ts";

export const VALIDATE: CommandSpec = {
  name: "validate",
  summary: "Check .lqa files against the specification.",
  details:
    "With several files the exit code is the most severe one: 2 (could not be read) > 4 (over a limit) > 3 (unsupported) > 1 (invalid) > 0 (valid). Warnings about suspicious but valid content do not change it.",
  positional: {
    placeholder: "<file.lqa|url>...",
    many: true,
    help: "Paths, directories of .lqa files, patterns ('models/**/*.lqa'), http(s) URLs, hf://owner/name, all below s3://bucket/prefix, or -.",
  },
  options: [
    {
      name: "level",
      type: "text",
      placeholder: "<level>",
      values: ["structure", "integrity", "values", "canonical"],
      default: "values",
      help: "How much to check; each level includes the ones before it.",
    },
    {
      name: "limits",
      type: "text",
      placeholder: "<name>",
      values: ["device", "core", "hard"],
      default: "core",
      help: "Which limits of the specification apply. device: a phone or microcontroller, which also has no zstd. core: what every other reader accepts. hard: above these a file is malformed.",
    },
    {
      name: "all",
      type: "flag",
      help: "Report every independent finding instead of only the first.",
    },
    {
      name: "base",
      type: "text",
      placeholder: "<path>",
      help: "Compare the modules with a base model: its config.json, a safetensors file, a shard index, or a directory with any of them; a path, a URL or hf://owner/name. Reads shapes from the headers, and weights only if the file has a digest of them.",
    },
    { name: "no-warnings", type: "flag", help: "Do not check for suspicious modules." },
    {
      name: "budget",
      type: "integer",
      placeholder: "<bytes>",
      defaultText: "16777216",
      help: "Maximum memory for the data of one chunk; large chunks are read and inflated in pieces.",
    },
    {
      ...PARENT_OPTION,
      help: "Also check that a child fits its parent, among these files: paths, URLs or hf://owner/name.",
    },
    {
      name: "catalogue",
      type: "text",
      placeholder: "<file.parquet>",
      help: "Write a table of the files as Parquet: state, sizes, bits, error, base model, ids. Needs npm install hyparquet-writer.",
    },
    { ...FORCE_OPTION, help: "Replace an existing catalogue." },
    TIMEOUT_OPTION,
    JSON_OPTION,
    { name: "sarif", type: "flag", help: "Print a SARIF 2.1.0 log on stdout instead, for code scanning." },
  ],
  examples: [
    "validate my-adapter.lqa",
    "validate 'models/**/*.lqa' --level canonical --json",
    "validate my-adapter.lqa --all --base base-model/config.json",
    "validate my-adapter.lqa --limits device",
    "validate *.lqa --sarif > lqa.sarif",
    "validate s3://bucket/adapters --catalogue adapters.parquet",
  ],
  load: () => import("./commands/validate.ts"),
};

export const DIFF: CommandSpec = {
  name: "diff",
  summary: "Show what differs between two adapters.",
  details:
    "Lists modules, plain tensors and metadata that differ or that only one adapter has. For each module it prints the error of the second adapter against the first, measured on ΔW = multiplier · B · A.",
  positional: {
    placeholder: "<a> <b>",
    many: true,
    help: "Two .lqa files, or an .lqa file and its source adapter in any dialect: paths, URLs or hf://owner/name.",
  },
  options: [
    { name: "exit-code", type: "flag", help: "Exit with code 1 if they differ." },
    PARENT_OPTION,
    ...SOURCE_OPTIONS,
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "diff old.lqa new.lqa",
    "diff my-adapter my-adapter.lqa --json",
    "diff loralib.pt my-adapter.lqa --alpha 16",
    "diff hf://owner/my-adapter my-adapter.lqa",
  ],
  load: () => import("./commands/diff.ts"),
};

export const REBASE: CommandSpec = {
  name: "rebase",
  summary: "Make a child whole, or move it to another parent.",
  details:
    "Reads a file that was encoded with --parent. Without --onto it writes a file that needs no parent; that file has F32 weights and decodes to the same bits, unless you give --max-error. With --onto it encodes the adapter against the new parent.",
  positional: {
    placeholder: "<child.lqa>",
    many: false,
    help: "The child: a path, a URL or hf://owner/name.",
  },
  options: [
    { ...PARENT_OPTION, required: true },
    {
      name: "onto",
      type: "text",
      placeholder: "<file.lqa>",
      help: "The new parent. If it has a parent, name that with --parent, too.",
    },
    {
      name: "max-error",
      type: "share",
      placeholder: "<share>",
      defaultText: "none lost; 0.1% with --onto",
      help: "Maximum share of the energy of the child's ΔW that may be lost: 0.01 or 1%. The file is then quantized again.",
    },
    { ...OUTPUT_OPTION, required: true },
    FORCE_OPTION,
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "rebase child.lqa --parent old.lqa -o whole.lqa",
    "rebase child.lqa --parent old.lqa --onto new.lqa -o moved.lqa",
  ],
  load: () => import("./commands/rebase.ts"),
};
