/**
 * Options that several commands share.
 *
 * @module
 */
import type { OptionSpec } from "./command.ts";

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
  help: "Give up on a URL, the hub or a registry after this many seconds.",
};

/** For commands that reach object storage. */
export const ENDPOINT_OPTION: OptionSpec = {
  name: "endpoint",
  type: "text",
  placeholder: "<url>",
  defaultText: "$AWS_ENDPOINT_URL, or Amazon's",
  help: "Address of the object storage; bucket names then go into the path.",
};

/** For commands that run until they are stopped. */
export function logOption(help: string): OptionSpec {
  return {
    name: "log",
    type: "text",
    placeholder: "<format>",
    values: ["text", "json"],
    default: "text",
    help,
  };
}

export const FORCE_OPTION: OptionSpec = { name: "force", type: "flag", help: "Replace an existing output." };
