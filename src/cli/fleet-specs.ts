/**
 * Command table entries of the fleet commands.
 *
 * @module
 */
import { type CommandSpec, inSection, type OptionSpec } from "./command.ts";
import { FILE_OPTIONS, GOAL_OPTIONS, METHOD_OPTIONS } from "./encode-options.ts";
import { ENDPOINT_OPTION, FORCE_OPTION, JSON_OPTION, logOption, SHARD_OPTION } from "./shared-options.ts";
import { SOURCE_OPTIONS } from "./source-options.ts";

const QUEUE_OPTION: OptionSpec = {
  name: "queue",
  type: "text",
  placeholder: "<url>",
  defaultText: "$LQA_FLEET_QUEUE",
  help: "The queue in Redis or Valkey: redis://host:6379.",
};

const QUEUE_NAME_OPTION: OptionSpec = {
  name: "queue-name",
  type: "text",
  placeholder: "<name>",
  pattern: /^[A-Za-z0-9._-]{1,100}$/,
  expects: "letters, digits, dots, dashes",
  default: "lqa-fleet",
  help: "Name of the queue, if one Redis holds several.",
};

const concurrency = (help: string, defaultText: string): OptionSpec => ({
  name: "concurrency",
  type: "integer",
  placeholder: "<n>",
  pattern: /^([1-9]|[1-5]\d|6[0-4])$/,
  expects: "a whole number from 1 to 64",
  defaultText,
  help,
});

const allow = (what: string): OptionSpec => ({
  name: `allow-${what}`,
  type: "text",
  placeholder: "<s3://...,...>",
  defaultText: `$LQA_FLEET_ALLOW_${what.toUpperCase()}`,
  help: `Where the ${what}s of jobs may be: these locations and everything below them. A job elsewhere fails.`,
});

const LOCATION = "s3://bucket/prefix.";

const TO_OPTION: OptionSpec = {
  name: "to",
  type: "text",
  placeholder: "<s3://...>",
  required: true,
  help: `Where the .lqa files go: ${LOCATION}`,
};

const CONCURRENCY_OPTION: OptionSpec = concurrency(
  "Number of adapters to encode at the same time, each in its own thread.",
  "one for each core",
);

const LOG_OPTION: OptionSpec = logOption(
  "Print a line on stderr for each job: time, worker, outcome, adapter, seconds, bytes, error.",
);

const SCRATCH_OPTION: OptionSpec = {
  name: "scratch",
  type: "text",
  placeholder: "<dir>",
  defaultText: "the system's for temporary files",
  help: "Directory for fetched adapters; it needs room for the largest ones.",
};

const REPLACE_OPTION: OptionSpec = { ...FORCE_OPTION, help: "Encode again and replace existing files." };

/** Options that control how adapters are encoded. */
const HOW_OPTIONS: readonly OptionSpec[] = [
  REPLACE_OPTION,
  JSON_OPTION,
  ...GOAL_OPTIONS,
  ...inSection("Input", SOURCE_OPTIONS),
  ...METHOD_OPTIONS,
  ...FILE_OPTIONS,
];

const SUBMIT: CommandSpec = {
  name: "fleet submit",
  summary: "Queue the adapters of a bucket for encoding.",
  details:
    "A directory with an adapter_config.json is one adapter; in any other directory each weights file is one. Rerun to resume; it skips finished adapters. It waits while the queue is full. For adapters on one machine use lqa encode --out-dir.",
  positional: { placeholder: "<s3://...>", many: false, help: `The adapters: ${LOCATION}` },
  options: [
    TO_OPTION,
    QUEUE_OPTION,
    QUEUE_NAME_OPTION,
    ENDPOINT_OPTION,
    {
      name: "max-waiting",
      type: "integer",
      placeholder: "<n>",
      pattern: /^[1-9]\d{0,8}$/,
      expects: "a whole number from 1 on",
      default: 10_000,
      help: "Maximum number of queued jobs; more are added as workers finish.",
    },
    {
      name: "restart",
      type: "flag",
      help: "Start from the beginning even if an earlier run was interrupted.",
    },
    ...HOW_OPTIONS,
  ],
  examples: [
    "fleet submit s3://loras --to s3://lqas --queue redis://redis --bits 1.25",
    "fleet submit s3://loras --to s3://lqas --restart",
  ],
  load: () => import("./commands/fleet-submit.ts"),
};

const WORK: CommandSpec = {
  name: "fleet work",
  summary: "Take jobs from the queue and encode them.",
  details:
    "Run it on any number of machines. It runs until you stop it. On SIGTERM or SIGINT it finishes its current jobs; on another signal it exits at once and other workers take them over. An adapter that cannot be encoded, or an invalid queue entry, goes onto the list of failures; the worker continues. A worker reads and writes only in the locations you allow.",
  options: [
    QUEUE_OPTION,
    QUEUE_NAME_OPTION,
    allow("source"),
    allow("target"),
    ENDPOINT_OPTION,
    CONCURRENCY_OPTION,
    {
      name: "until-empty",
      type: "flag",
      help: "Exit when the queue is empty, no job is in progress and no submission is running.",
    },
    LOG_OPTION,
    {
      name: "metrics",
      type: "text",
      placeholder: "<host:port>",
      pattern: /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/,
      expects: "an address and a port, such as 0.0.0.0:9464",
      help: "Serve metrics for Prometheus there, and GET /health. Needs npm install prom-client.",
    },
    {
      name: "max-seconds",
      type: "integer",
      placeholder: "<s>",
      pattern: /^[1-9]\d{0,6}$/,
      expects: "a whole number of seconds",
      defaultText: "no limit",
      help: "Take no more jobs after this time, finish those in progress, and exit.",
    },
    {
      name: "max-bytes",
      type: "bytes",
      placeholder: "<size>",
      defaultText: "no limit",
      help: "The same once the .lqa files of this worker have this size.",
    },
    {
      name: "lease",
      type: "integer",
      placeholder: "<s>",
      pattern: /^([5-9]|[1-9]\d{1,3})$/,
      expects: "seconds from 5 to 9999",
      default: 30,
      help: "Seconds without a heartbeat after which another worker takes over a job.",
    },
    {
      name: "patience",
      type: "integer",
      placeholder: "<s>",
      default: 600,
      help: "Seconds to wait for an unreachable Redis before the worker exits.",
    },
    SCRATCH_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "fleet work --allow-source s3://loras --allow-target s3://lqas",
    "fleet work --queue redis://redis:6379 --until-empty",
  ],
  load: () => import("./commands/fleet-work.ts"),
};

const ENCODE: CommandSpec = {
  name: "fleet encode",
  summary: "Encode the adapters of a bucket without a queue.",
  details:
    "For engines that run one command many times and rerun what failed: Indexed Jobs of Kubernetes, arrays of AWS Batch or Slurm, Argo, Spark, Ray. It keeps finished adapters, so rerun it to resume. Exit code 1 if an adapter cannot be encoded; its error is in the records (lqa fleet report). On SIGTERM or SIGINT it finishes the adapters in progress and exits with code 2.",
  positional: { placeholder: "<s3://...>", many: false, help: `The adapters: ${LOCATION}` },
  options: [
    TO_OPTION,
    SHARD_OPTION,
    ENDPOINT_OPTION,
    CONCURRENCY_OPTION,
    LOG_OPTION,
    SCRATCH_OPTION,
    ...HOW_OPTIONS,
  ],
  examples: [
    "fleet encode s3://loras --to s3://lqas --bits 1.25",
    "fleet encode s3://loras --to s3://lqas --shard 3/16 --concurrency 1",
  ],
  load: () => import("./commands/fleet-encode.ts"),
};

const STATUS: CommandSpec = {
  name: "fleet status",
  summary: "Show how many jobs are queued, done and failed.",
  details:
    "Exit code 1 if jobs have failed. The remaining time covers the jobs in the queue at the current rate.",
  options: [
    QUEUE_OPTION,
    QUEUE_NAME_OPTION,
    { name: "watch", type: "flag", help: "Refresh every two seconds until the queue is empty." },
    JSON_OPTION,
  ],
  examples: ["fleet status --queue redis://redis:6379 --watch", "fleet status --json"],
  load: () => import("./commands/fleet-status.ts"),
};

const RETRY: CommandSpec = {
  name: "fleet retry",
  summary: "Put failed jobs back into the queue.",
  details: "Retries the jobs with the given error codes, or all.",
  options: [
    QUEUE_OPTION,
    QUEUE_NAME_OPTION,
    {
      name: "code",
      type: "text",
      placeholder: "<code,...>",
      pattern: /^LQA-[A-Z0-9]+(,LQA-[A-Z0-9]+)*$/,
      expects: "codes such as LQA-X009, separated by commas",
      help: "Only jobs that failed with one of these codes, as shown by lqa fleet status.",
    },
    { name: "all", type: "flag", help: "All failed jobs." },
    JSON_OPTION,
  ],
  examples: ["fleet retry --queue redis://redis:6379 --code LQA-X009", "fleet retry --all"],
  load: () => import("./commands/fleet-retry.ts"),
};

const VERIFY: CommandSpec = {
  name: "fleet verify",
  summary: "Validate every .lqa file of a bucket.",
  details:
    "Checks each file against the specification and against its record, and finds files that are missing or were replaced. Uses range requests (with --level structure only the start of each file) and writes nothing.",
  positional: { placeholder: "<s3://...>", many: false, help: `The .lqa files: ${LOCATION}` },
  options: [
    {
      name: "level",
      type: "text",
      placeholder: "<level>",
      values: ["structure", "integrity", "values", "canonical"],
      default: "values",
      help: "As in lqa validate.",
    },
    concurrency("Number of files to check at the same time.", "8"),
    ENDPOINT_OPTION,
    JSON_OPTION,
  ],
  examples: ["fleet verify s3://lqas", "fleet verify s3://lqas --level structure --json"],
  load: () => import("./commands/fleet-verify.ts"),
};

const REPORT: CommandSpec = {
  name: "fleet report",
  summary: "Summarize a fleet and write its catalogue.",
  details:
    "Summarizes the records of encoded and failed adapters: sizes, bits, errors, failures by code, duplicates. Writes nothing to the bucket.",
  positional: { placeholder: "<s3://...>", many: false, help: `The target of the fleet: ${LOCATION}` },
  options: [
    {
      name: "html",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".html",
      help: "Write the HTML page here; - for standard output.",
    },
    {
      name: "jsonl",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".jsonl",
      help: "Write the catalogue here, one JSON object per line; - for standard output.",
    },
    { name: "parquet", type: "text", placeholder: "<file>", help: "Write the catalogue here as Parquet." },
    ENDPOINT_OPTION,
    FORCE_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "fleet report s3://lqas --html fleet.html --parquet catalogue.parquet",
    "fleet report s3://lqas --json",
  ],
  load: () => import("./commands/fleet-report.ts"),
};

export const FLEET_COMMANDS: readonly CommandSpec[] = [SUBMIT, WORK, ENCODE, STATUS, RETRY, VERIFY, REPORT];
