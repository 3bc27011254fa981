/**
 * The command table: everything the command line understands, in one place.
 *
 * Parsing, usage errors, `--help` and the suggestions for misspelt words are all derived from it, so that none of them
 * can disagree with another. A command's code is loaded only when the command runs.
 *
 * @module
 */
import type { CommandSpec, OptionSpec, ProgramTable } from "./command.ts";
import { CONVERT, DECODE } from "./convert-spec.ts";
import { ALIGN_OPTION, FLOOR_OPTION, METHOD_OPTIONS } from "./encode-options.ts";
import { EXTRACT } from "./extract-spec.ts";
import { DIFF, REPAIR, VALIDATE } from "./file-specs.ts";
import { FLEET_COMMANDS } from "./fleet-specs.ts";
import { FORCE_OPTION, JSON_OPTION, TIMEOUT_OPTION } from "./shared-options.ts";
import { COMPLETION, EXPLAIN, MAN } from "./shell-specs.ts";
import { SIGN, VERIFY_SIGNATURE } from "./signature-specs.ts";
import { SOURCE_OPTIONS } from "./source-options.ts";

const WORKERS_OPTION: OptionSpec = {
  name: "workers",
  type: "integer",
  placeholder: "<n>",
  pattern: /^([1-9]|[1-5]\d|6[0-4])$/,
  expects: "a whole number from 1 to 64",
  defaultText: "one for each core, for large adapters",
  help: "Threads that encode. The file is the same, whatever their number.",
};

const ENCODE: CommandSpec = {
  name: "encode",
  summary: "Turn LoRA adapters into .lqa files.",
  details:
    "Reads a directory, or a file with the adapter_config.json beside it, of any dialect (lqa encode --help lists them at --from), and says how many bits each parameter costs and how far the result is from the original. With --out-dir, many adapters: what is there already is kept, and one that cannot be encoded does not stop the others.",
  positional: {
    placeholder: "<dir|file>...",
    many: true,
    standardInput: () => true,
    help: "Adapters; - for a file on standard input; with --out-dir also directories of them and patterns.",
  },
  options: [
    {
      name: "output",
      short: "o",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".lqa",
      defaultText: "the adapter's name with .lqa, in this directory",
      help: "The .lqa file to write; - for standard output.",
    },
    {
      name: "out-dir",
      type: "text",
      placeholder: "<dir>",
      help: "Instead of --output, the directory to write one .lqa file for each adapter into.",
    },
    ...SOURCE_OPTIONS,
    ...METHOD_OPTIONS,
    {
      name: "calibration",
      type: "text",
      placeholder: "<file>",
      help: "What running the base model says of the adapter: a file of lqa calibrate or lqa tune (Python package), an importance matrix of llama.cpp, or safetensors with moments [in] or activations [samples, in] under the modules' names. Bits then go where they change answers most.",
    },
    {
      name: "base",
      type: "text",
      placeholder: "<model>",
      help: "The base model: a safetensors file, shards or their directory. A digest of the weights that the adapter changes is written into the file; lqa validate --base and lqa decode --merge then notice another model of the same shapes.",
    },
    {
      name: "unweighted",
      type: "flag",
      help: "rd: only measure with --calibration. Otherwise bits follow the sensitivities of the components, or errors are weighted by the square roots of the moments.",
    },
    WORKERS_OPTION,
    ALIGN_OPTION,
    FORCE_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "encode my-adapter",
    "encode my-adapter -o my-adapter.lqa --bits 1.25",
    "encode my-adapter -o my-adapter.lqa --max-error 5% --json",
    "encode my-adapter -o my-adapter.lqa --max-bytes 500KB",
    "encode my-adapter -o my-adapter.lqa --calibration imatrix.gguf",
    "encode my-adapter -o my-adapter.lqa --base base-model",
    "encode my-adapter -o my-adapter.lqa --profile loraquant --variant 3@0.9",
    "encode my-adapter -o my-adapter.lqa --profile rtn --code-bits 4 --tensors f16",
    "encode --out-dir encoded 'adapters/**'",
  ],
  load: () => import("./commands/encode.ts"),
};

const INSPECT: CommandSpec = {
  name: "inspect",
  summary: "Show what an .lqa file holds.",
  details:
    "Checks the structure and the checksums; `lqa validate` checks every rule of the specification. Of an address on the web only the index and the metadata are read, by one or two requests, and the ids are shown as they are stored. With --html, a page is written that draws the file: its bytes, modules, singular values and codes, with what the validator finds, also of a file that is not valid. The page needs no script and no network. For --html all of an address is read.",
  positional: {
    placeholder: "<file.lqa|url>",
    many: false,
    help: "The file to look into; - for standard input, or an http(s) address.",
  },
  options: [
    {
      name: "modules",
      type: "flag",
      help: "Everything: what the bytes are for, all encodings, and every module with its shape and encodings.",
    },
    {
      name: "html",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".html",
      help: "Write a report with drawings into this file; - for standard output.",
    },
    {
      name: "source",
      type: "text",
      placeholder: "<path>",
      help: "--html: the adapter that the file was made from, in any dialect, or another .lqa file. The report then has the error of each module and the rate-distortion bound.",
    },
    {
      name: "compare",
      type: "flag",
      help: "--html: encode the source with every method of `lqa compare` and draw them beside the file. Takes as long as `lqa compare`.",
    },
    ...SOURCE_OPTIONS,
    { ...FORCE_OPTION, help: "Replace an existing report." },
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "inspect my-adapter.lqa",
    "inspect my-adapter.lqa --modules",
    "inspect my-adapter.lqa --html report.html --source my-adapter",
    "inspect https://example.org/my-adapter.lqa",
  ],
  load: () => import("./commands/inspect.ts"),
};

const COMPARE: CommandSpec = {
  name: "compare",
  summary: "Encode an adapter with every method and compare.",
  details:
    "Nothing is kept: signs, plain rounding, LoRAQuant and rd are encoded in memory, decoded and measured. A goal below what the floor allows is a row that says so.",
  positional: {
    placeholder: "<dir|file>",
    many: false,
    standardInput: () => true,
    help: "An adapter of any dialect: a directory or a file, or - for standard input.",
  },
  options: [
    ...SOURCE_OPTIONS,
    {
      name: "bits",
      type: "text",
      placeholder: "<n,n,...>",
      pattern: /^\d{1,2}(\.\d{1,6})?(,\d{1,2}(\.\d{1,6})?){0,31}$/,
      expects: "numbers and commas, such as 1,1.5,2",
      defaultText: "1,1.25,1.5,2,3",
      help: "rd: bits a weight on disk, one row for each.",
    },
    FLOOR_OPTION,
    {
      name: "all",
      type: "flag",
      help: "LoRAQuant also with plain rounding, and split as the paper's text says.",
    },
    {
      name: "svg",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".svg",
      help: "Draw the rate-distortion curve into this file; - for standard output.",
    },
    WORKERS_OPTION,
    { ...FORCE_OPTION, help: "Replace an existing drawing." },
    JSON_OPTION,
  ],
  examples: ["compare my-adapter", "compare my-adapter --bits 0.75,1,1.5 --floor 0 --svg curve.svg"],
  load: () => import("./commands/compare.ts"),
};

/** All commands, in the order of the help. */
export const COMMANDS: readonly CommandSpec[] = [
  ENCODE,
  DECODE,
  CONVERT,
  INSPECT,
  VALIDATE,
  DIFF,
  REPAIR,
  COMPARE,
  EXTRACT,
  SIGN,
  VERIFY_SIGNATURE,
  EXPLAIN,
  ...FLEET_COMMANDS,
  COMPLETION,
  MAN,
];

/** Options that work without a command and with every command. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { name: "help", short: "h", type: "flag", help: "Show help, for a command if one is given." },
  {
    name: "quiet",
    short: "q",
    type: "flag",
    help: "No report and no progress; errors, and what was asked for as JSON.",
  },
  {
    name: "verbose",
    short: "v",
    type: "flag",
    help: "Progress as lines, also where no terminal is, and where an error came from.",
  },
  { name: "version", short: "V", type: "flag", help: "Print the version." },
];

/** Exit codes, as the help lists them. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, "done, or valid"],
  [1, "the file or the adapter is broken"],
  [2, "wrong usage, or the system could not read or write"],
  [3, "fine, but uses something this version does not support"],
  [4, "larger than a limit"],
  [70, "a bug in lqa"],
];

/** All of it. */
export const TABLE: ProgramTable = {
  commands: COMMANDS,
  globalOptions: GLOBAL_OPTIONS,
  exitCodes: EXIT_CODES,
};
