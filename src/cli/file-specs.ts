/**
 * The commands that judge `.lqa` files, as entries of the command table: validate, diff, repair.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import { FORCE_OPTION, JSON_OPTION, TIMEOUT_OPTION } from "./shared-options.ts";
import { SOURCE_OPTIONS } from "./source-options.ts";

export const VALIDATE: CommandSpec = {
  name: "validate",
  summary: "Check .lqa files against the specification.",
  details:
    "Exit code: the worst of all files, in the order 2 (could not be read), 4 (over a limit), 3 (unsupported), 1 (invalid), 0 (valid). Warnings about what breaks no rule but is suspicious do not change it.",
  positional: {
    placeholder: "<file.lqa|url>...",
    many: true,
    help: "Paths, patterns ('models/**/*.lqa'), http(s) addresses, or -.",
  },
  options: [
    {
      name: "level",
      type: "text",
      placeholder: "<level>",
      values: ["structure", "integrity", "values", "canonical"],
      default: "values",
      help: "How deep to look; each level includes the ones before it.",
    },
    {
      name: "limits",
      type: "text",
      placeholder: "<name>",
      values: ["device", "core", "hard"],
      default: "core",
      help: "Which limits of the specification bound the file: those of a phone or microcontroller, which also need no zstd; those that every other reader accepts; or those above which a file is malformed.",
    },
    {
      name: "all",
      type: "flag",
      help: "Every finding instead of the first, as far as one does not depend on another.",
    },
    {
      name: "base",
      type: "text",
      placeholder: "<path>",
      help: "Compare the modules with a base model: its config.json, a safetensors file, an index of shards, or a directory with any of them. Shapes are read from the headers; weights only if the file has a digest of them.",
    },
    { name: "no-warnings", type: "flag", help: "Do not look for suspicious modules." },
    {
      name: "budget",
      type: "integer",
      placeholder: "<bytes>",
      defaultText: "16777216",
      help: "Most memory for what has to be held of one chunk; large chunks are read and inflated in pieces. Compressed chunks together may inflate to 1 GiB, 16 times the file, or this.",
    },
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
  ],
  load: () => import("./commands/validate.ts"),
};

export const DIFF: CommandSpec = {
  name: "diff",
  summary: "Show what differs between two adapters.",
  details:
    "Modules, plain tensors and metadata that only one has or that differ, and for each module the error of the second against the first, measured on ΔW = multiplier · B · A.",
  positional: {
    placeholder: "<a> <b>",
    many: true,
    help: "Two .lqa files, or an .lqa file and what it was made from, in any dialect.",
  },
  options: [
    { name: "exit-code", type: "flag", help: "Exit with 1 if they differ." },
    ...SOURCE_OPTIONS,
    JSON_OPTION,
  ],
  examples: [
    "diff old.lqa new.lqa",
    "diff my-adapter my-adapter.lqa --json",
    "diff loralib.pt my-adapter.lqa --alpha 16",
  ],
  load: () => import("./commands/diff.ts"),
};

export const REPAIR: CommandSpec = {
  name: "repair",
  summary: "Repair a damaged .lqa file where nothing has to be guessed.",
  details:
    "Puts right what follows from the rest: trailer, digests, lengths, checksums, padding, bytes behind the end. Payloads are never changed, and a file whose weights are damaged is refused. Writes a new file and says what was changed, what proves it, and what is lost.",
  positional: { placeholder: "<file.lqa>", many: false, help: "The damaged file; - for standard input." },
  options: [
    {
      name: "output",
      short: "o",
      type: "text",
      placeholder: "<file>",
      required: true,
      standardOutput: ".lqa",
      help: "The .lqa file to write; - for standard output.",
    },
    FORCE_OPTION,
    JSON_OPTION,
  ],
  examples: ["repair damaged.lqa -o repaired.lqa"],
  load: () => import("./commands/repair.ts"),
};
