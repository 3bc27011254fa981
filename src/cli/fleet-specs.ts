/**
 * The commands of the fleet as entries of the command table.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "./command.ts";
import { ALIGN_OPTION, METHOD_OPTIONS } from "./encode-options.ts";
import { FORCE_OPTION, JSON_OPTION } from "./shared-options.ts";
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
  help: "Name of the queue, for several on one Redis.",
};

const ENDPOINT_OPTION: OptionSpec = {
  name: "endpoint",
  type: "text",
  placeholder: "<url>",
  defaultText: "$AWS_ENDPOINT_URL, or Amazon's",
  help: "Address of the object storage; buckets are then in its path.",
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
  help: `Where the ${what}s of jobs may be: these locations and what is below them. A job elsewhere fails.`,
});

const LOCATION = "s3://bucket/prefix.";

const SUBMIT: CommandSpec = {
  name: "fleet submit",
  summary: "Queue the adapters of a bucket for encoding.",
  details:
    "A directory with an adapter_config.json is an adapter, and so is each file of weights in any other. Run it again to resume; it leaves out what is done. While the queue is full it waits. For the adapters of one machine use lqa encode --out-dir.",
  positional: { placeholder: "<s3://...>", many: false, help: `The adapters: ${LOCATION}` },
  options: [
    {
      name: "to",
      type: "text",
      placeholder: "<s3://...>",
      required: true,
      help: `Where the .lqa files go: ${LOCATION}`,
    },
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
      help: "Jobs that may wait in the queue; more are added as these are done.",
    },
    {
      name: "restart",
      type: "flag",
      help: "Start from the beginning even if an earlier run was interrupted.",
    },
    ...SOURCE_OPTIONS,
    ...METHOD_OPTIONS,
    ALIGN_OPTION,
    { ...FORCE_OPTION, help: "Encode and replace what is there already." },
    JSON_OPTION,
  ],
  examples: [
    "fleet submit s3://loras/all --to s3://lqas --queue redis://redis:6379 --bits 1.25",
    "fleet submit s3://loras/all --to s3://lqas --restart",
  ],
  load: () => import("./commands/fleet-submit.ts"),
};

const WORK: CommandSpec = {
  name: "fleet work",
  summary: "Take jobs of the queue and encode, on any number of machines.",
  details:
    "Runs until you stop it: on SIGTERM or SIGINT it finishes the jobs it has; a second signal ends it at once, and other workers get them. An adapter that cannot be encoded and an entry of the queue that is no job go onto the list of failures and end nothing. A worker reads and writes only where you allow it.",
  options: [
    QUEUE_OPTION,
    QUEUE_NAME_OPTION,
    allow("source"),
    allow("target"),
    ENDPOINT_OPTION,
    concurrency("Adapters at the same time, and threads that encode.", "one for each core"),
    {
      name: "until-empty",
      type: "flag",
      help: "End when nothing waits, nothing is in work and no submission is under way.",
    },
    {
      name: "log",
      type: "text",
      placeholder: "<format>",
      values: ["text", "json"],
      default: "text",
      help: "A line on stderr for each job: time, worker, outcome, adapter, seconds, bytes, error.",
    },
    {
      name: "lease",
      type: "integer",
      placeholder: "<s>",
      pattern: /^([5-9]|[1-9]\d{1,3})$/,
      expects: "seconds from 5 to 9999",
      default: 30,
      help: "Seconds after which the job of a worker that went silent is given to another.",
    },
    {
      name: "patience",
      type: "integer",
      placeholder: "<s>",
      default: 600,
      help: "Seconds that Redis may be away before the worker ends.",
    },
    {
      name: "scratch",
      type: "text",
      placeholder: "<dir>",
      defaultText: "the system's for temporary files",
      help: "Directory for adapters that are fetched: room for the largest ones.",
    },
    JSON_OPTION,
  ],
  examples: [
    "fleet work --allow-source s3://loras/all --allow-target s3://lqas --concurrency 4",
    "fleet work --queue redis://redis:6379 --until-empty",
  ],
  load: () => import("./commands/fleet-work.ts"),
};

const STATUS: CommandSpec = {
  name: "fleet status",
  summary: "Show how many jobs wait, are done and failed, and how fast it goes.",
  details:
    "Exit code 1 if jobs have failed. The time that is left is that of the jobs in the queue at the present rate.",
  options: [
    QUEUE_OPTION,
    QUEUE_NAME_OPTION,
    { name: "watch", type: "flag", help: "Show it again every two seconds until the queue is empty." },
    JSON_OPTION,
  ],
  examples: ["fleet status --queue redis://redis:6379 --watch", "fleet status --json"],
  load: () => import("./commands/fleet-status.ts"),
};

const RETRY: CommandSpec = {
  name: "fleet retry",
  summary: "Put failed jobs back into the queue.",
  details: "Those with one error code, or all.",
  options: [
    QUEUE_OPTION,
    QUEUE_NAME_OPTION,
    {
      name: "code",
      type: "text",
      placeholder: "<code,...>",
      pattern: /^LQA-[A-Z0-9]+(,LQA-[A-Z0-9]+)*$/,
      expects: "codes such as LQA-X009, with commas between them",
      help: "Only jobs that failed with one of these codes, as lqa fleet status shows them.",
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
    "Checks each file against the specification and against its record, and finds files that are missing or were replaced. Reads by ranges, at --level structure only the beginnings, and writes nothing.",
  positional: { placeholder: "<s3://...>", many: false, help: `The .lqa files: ${LOCATION}` },
  options: [
    {
      name: "level",
      type: "text",
      placeholder: "<level>",
      values: ["structure", "integrity", "values", "canonical"],
      default: "values",
      help: "As for lqa validate.",
    },
    concurrency("Files at the same time.", "8"),
    ENDPOINT_OPTION,
    JSON_OPTION,
  ],
  examples: ["fleet verify s3://lqas", "fleet verify s3://lqas --level structure --json"],
  load: () => import("./commands/fleet-verify.ts"),
};

const REPORT: CommandSpec = {
  name: "fleet report",
  summary: "Write the catalogue of a fleet, and draw it as a page.",
  details:
    "Sums up the records of what was encoded and what failed: sizes, bits, errors, failures by code, adapters with the same content. Writes nothing to the bucket.",
  positional: { placeholder: "<s3://...>", many: false, help: `The target of the fleet: ${LOCATION}` },
  options: [
    {
      name: "html",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".html",
      help: "The page; - for standard output.",
    },
    {
      name: "jsonl",
      type: "text",
      placeholder: "<file>",
      standardOutput: ".jsonl",
      help: "The catalogue, one JSON object a line; - for standard output.",
    },
    { name: "parquet", type: "text", placeholder: "<file>", help: "The catalogue as Parquet." },
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

export const FLEET_COMMANDS: readonly CommandSpec[] = [SUBMIT, WORK, STATUS, RETRY, VERIFY, REPORT];
