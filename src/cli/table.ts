/**
 * The command table: the whole command line interface in one place.
 *
 * Parsing, usage errors, `--help` and suggestions for misspelt words derive from it, so they cannot disagree. A command's
 * code is loaded only when the command runs.
 *
 * @module
 */
import { type CommandSpec, inSection, type OptionSpec, type ProgramTable } from "./command.ts";
import { CONVERT, DECODE } from "./convert-spec.ts";
import { FILE_OPTIONS, FLOOR_OPTION, GOAL_OPTIONS, LAYOUT_OPTION, METHOD_OPTIONS } from "./encode-options.ts";
import { DIFF, REBASE, VALIDATE } from "./file-specs.ts";
import { PUSH } from "./push-spec.ts";
import {
  FORCE_OPTION,
  JSON_OPTION,
  OUTPUT_OPTION,
  PARENT_OPTION,
  SHARD_OPTION,
  TIMEOUT_OPTION,
} from "./shared-options.ts";
import { COMPLETION, EXPLAIN, MAN } from "./shell-specs.ts";
import { SOURCE_OPTIONS } from "./source-options.ts";

const WORKERS_OPTION: OptionSpec = {
  name: "workers",
  type: "integer",
  placeholder: "<n>",
  pattern: /^([1-9]|[1-5]\d|6[0-4])$/,
  expects: "a whole number from 1 to 64",
  defaultText: "one per core, for large adapters",
  help: "Number of threads that encode. It does not change the file.",
};

const ENCODE: CommandSpec = {
  name: "encode",
  summary: "Turn LoRA adapters into .lqa files.",
  details:
    "Reads an adapter in any dialect that --from lists: a directory, or a weights file next to its configuration. Reports the bits per parameter and the error against the original. With --out-dir it encodes many adapters, and rerunning it resumes: files that are there and whole are kept. An adapter that cannot be encoded does not stop the others. On Ctrl-C or SIGTERM it finishes the adapters in progress.",
  positional: {
    placeholder: "<dir|file>...",
    many: true,
    standardInput: () => true,
    help: "Adapters: paths, URLs, hf://owner/name[@revision][/path] on the Hugging Face hub; - for a file on standard input. With --out-dir also patterns, directories of adapters, and s3://bucket/prefix.",
  },
  options: [
    ...GOAL_OPTIONS,
    ...inSection("Output", [
      { ...OUTPUT_OPTION, defaultText: "the adapter's name plus .lqa, in the current directory" },
      LAYOUT_OPTION,
      {
        name: "out-dir",
        type: "text",
        placeholder: "<dir>",
        help: "Instead of --output: a directory, or s3://bucket/prefix, that gets one .lqa file per adapter.",
      },
      { ...SHARD_OPTION, help: `With --out-dir: ${SHARD_OPTION.help}` },
      {
        name: "log",
        type: "text",
        placeholder: "<format>",
        values: ["json"],
        help: "With --out-dir: print a line of JSON on stderr for each adapter, and no table.",
      },
      {
        name: "metrics",
        type: "text",
        placeholder: "<file.prom>",
        help: "With --out-dir: keep counts, failures and bytes in this file, for the textfile collector of Prometheus' node exporter.",
      },
      FORCE_OPTION,
      JSON_OPTION,
    ]),
    ...inSection("Input", [
      {
        name: "calibration",
        type: "text",
        placeholder: "<file>",
        help: "Measurements from running the base model, so that bits go where they change answers most: a file of lqa calibrate or lqa tune (Python package), an importance matrix of llama.cpp, or a safetensors file with moments [in] or activations [samples, in] under the modules' names.",
      },
      {
        name: "base",
        type: "text",
        placeholder: "<model>",
        help: "The base model: a safetensors file, shards or their directory; a path, a URL or hf://owner/name, of which only the weights that the adapter changes are fetched. The file then holds a digest of the weights that the adapter changes, so that lqa validate --base detects a different model with the same shapes. For DoRA, the report has the error of the changed weights.",
      },
      {
        ...PARENT_OPTION,
        help: "rd: an .lqa file of which the adapter is the next version or a variant. The file then holds only what differs from it, and needs it for decoding. Use it with --max-error. If the parent has a parent, repeat the option.",
      },
      ...SOURCE_OPTIONS,
      TIMEOUT_OPTION,
    ]),
    ...METHOD_OPTIONS,
    ...inSection("Method", [
      {
        name: "unweighted",
        type: "flag",
        help: "rd: use --calibration only to report the error. Without this flag bits follow the sensitivities of the components, or the encoder weights errors by the square roots of the moments.",
      },
    ]),
    ...FILE_OPTIONS,
    WORKERS_OPTION,
  ],
  examples: [
    "encode my-adapter",
    "encode my-adapter -o my-adapter.lqa --bits 1.25",
    "encode my-adapter -o my-adapter-lqa --layout peft",
    "encode my-adapter -o my-adapter.lqa --max-error 5% --json",
    "encode my-adapter -o my-adapter.lqa --max-bytes 500KB",
    "encode my-adapter -o my-adapter.lqa --calibration imatrix.gguf",
    "encode my-adapter -o my-adapter.lqa --base base-model",
    "encode my-adapter --profile rtn --code-bits 4 --tensors f16",
    "encode step-600 -o step-600.lqa --parent step-500.lqa --max-error 2%",
    "encode --out-dir users 'users/*' --parent common.lqa --max-error 2%",
    "encode --out-dir encoded 'adapters/**'",
    "encode --out-dir encoded adapters --shard 3/16",
    "encode --out-dir s3://out/lqa s3://in/adapters --shard 3/64 --log json",
    "encode hf://owner/my-adapter -o my-adapter.lqa",
  ],
  load: () => import("./commands/encode.ts"),
};

const INSPECT: CommandSpec = {
  name: "inspect",
  summary: "Show what an .lqa file holds.",
  details:
    "Checks the structure and the checksums; `lqa validate` checks every rule of the specification. From a URL it fetches only the index and the metadata, with one or two requests, and shows the stored ids. --html writes a page that draws the file (bytes, modules, singular values, codes) with the findings of the validator, even if the file is invalid. The page needs no script and no network. --html downloads the whole file.",
  positional: {
    placeholder: "<file.lqa|url>",
    many: true,
    help: "The file to inspect: a path, a URL, hf://owner/name, or - for standard input. Of several, such as those of a training run, a line for each: size, error and parent.",
  },
  options: [
    {
      name: "modules",
      type: "flag",
      help: "Also list the bytes by purpose, all encodings, and every module with its shape and encodings.",
    },
    {
      name: "html",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".html",
      help: "Write a report with drawings to this file; - for standard output.",
    },
    {
      name: "source",
      type: "text",
      placeholder: "<path>",
      help: "--html: the source adapter in any dialect, or another .lqa file. The report then shows the error of each module and the rate-distortion bound.",
    },
    {
      name: "compare",
      type: "flag",
      help: "--html: also encode the source with every method of `lqa compare` and draw the results. Takes as long as `lqa compare`.",
    },
    { ...PARENT_OPTION, help: `--html: ${PARENT_OPTION.help}` },
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
    "inspect hf://owner/my-adapter",
    "inspect run/lqa/step-*.lqa",
  ],
  load: () => import("./commands/inspect.ts"),
};

const COMPARE: CommandSpec = {
  name: "compare",
  summary: "Encode an adapter with every method and compare.",
  details:
    "Encodes in memory with signs, plain rounding and rd, then decodes and measures each result. Writes no .lqa file. If --floor makes a goal impossible, its row says so.",
  positional: {
    placeholder: "<dir|file>",
    many: false,
    standardInput: () => true,
    help: "An adapter of any dialect: a directory, a file, a URL, hf://owner/name, or - for standard input.",
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
      help: "rd: bits per weight on disk, one row for each.",
    },
    FLOOR_OPTION,
    {
      name: "svg",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".svg",
      help: "Draw the rate-distortion curve to this SVG file; - for standard output.",
    },
    WORKERS_OPTION,
    { ...FORCE_OPTION, help: "Replace an existing drawing." },
    TIMEOUT_OPTION,
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
  REBASE,
  COMPARE,
  PUSH,
  EXPLAIN,
  COMPLETION,
  MAN,
];

/** Commands that run a base model, so that only the Python package has them. */
export const PYTHON_COMMANDS: readonly (readonly [name: string, summary: string])[] = [
  ["calibrate", "Measure which components of an adapter matter to its answers."],
  ["card", "Write a model card that says what an adapter does to answers."],
  ["score", "Compare the answers of a model with two adapters."],
  ["tune", "Encode an adapter and train the codes and scales of the file."],
];

/** Options that work without a command and with every command. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { name: "help", short: "h", type: "flag", help: "Show help on the program, or on a command." },
  {
    name: "quiet",
    short: "q",
    type: "flag",
    help: "Print only errors (and --json output).",
  },
  {
    name: "verbose",
    short: "v",
    type: "flag",
    help: "Print progress as lines, even without a terminal, and stack traces of errors.",
  },
  { name: "version", short: "V", type: "flag", help: "Print the version." },
];

/** Exit codes, as the help lists them. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, "done, or valid"],
  [1, "the file or the adapter is invalid"],
  [2, "wrong usage, or the system could not read or write"],
  [3, "valid, but uses something that this version does not support"],
  [4, "over a limit"],
  [70, "a bug in lqa"],
];

/** The whole command line interface. */
export const TABLE: ProgramTable = {
  commands: COMMANDS,
  globalOptions: GLOBAL_OPTIONS,
  exitCodes: EXIT_CODES,
};
