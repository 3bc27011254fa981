/**
 * Options that several commands share.
 *
 * @module
 */
import type { WriteOptions } from "../adapters/dialect.ts";
import type { Shard } from "../node/shard.ts";
import { type Arguments, type OptionSpec, textOption } from "./command.ts";

export const JSON_OPTION: OptionSpec = {
  name: "json",
  type: "flag",
  help: "Print one JSON document on stdout instead, errors included.",
};

/** For commands that read URLs; `remoteOptions` of `open-input.ts` parses its value. */
export const TIMEOUT_OPTION: OptionSpec = {
  name: "timeout",
  type: "integer",
  placeholder: "<seconds>",
  pattern: /^[1-9]\d{0,5}$/,
  expects: "a whole number from 1 to 999999",
  defaultText: "none; a request fails after 30 s without data or below 1 KiB/s",
  help: "Give up on a URL or the hub after this many seconds.",
};

/** For commands that decode `.lqa` files; `openParents` opens them. */
export const PARENT_OPTION: OptionSpec = {
  name: "parent",
  type: "text",
  placeholder: "<file.lqa>",
  repeated: true,
  help: "The parent of a file that was encoded with --parent: a path, a URL or hf://owner/name. Give the parent's own parents, too. lqa picks them by content id.",
};

/** For commands that write an `.lqa` file. */
export const OUTPUT_OPTION: OptionSpec = {
  name: "output",
  short: "o",
  type: "text",
  placeholder: "<file>",
  standardOutput: ".lqa",
  help: "The .lqa file to write; - for standard output.",
};

export const FORCE_OPTION: OptionSpec = { name: "force", type: "flag", help: "Replace an existing output." };

/** For commands that encode many adapters. */
export const SHARD_OPTION: OptionSpec = {
  name: "shard",
  type: "text",
  placeholder: "<i/n>",
  pattern: /^\d{1,7}\/\d{1,7}$/,
  expects: "an index and the number of shards, such as 0/16 (the first) to 15/16 (the last)",
  help: "Encode only share i of n, counted from 0. Each adapter is in one share, by its name. Run the command n times, on any machines; in a job array: --shard $JOB_COMPLETION_INDEX/16.",
};

/** The requested share, or undefined. Its range is checked where it is used. */
export function shardOf(args: Arguments): Shard | undefined {
  const [index, count] = textOption(args, "shard")?.split("/").map(Number) ?? [];
  return index === undefined || count === undefined ? undefined : { index, count };
}

/** The element type of the factors that `--dtype` names. */
export function factorType(args: Arguments): WriteOptions["factors"] {
  const name = textOption(args, "dtype") ?? "source";
  return name === "source" ? name : (name.toUpperCase().replace("-", "_") as WriteOptions["factors"]);
}
