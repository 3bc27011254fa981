/**
 * Options that several commands have.
 *
 * @module
 */
import type { OptionSpec } from "./command.ts";

export const JSON_OPTION: OptionSpec = {
  name: "json",
  type: "flag",
  help: "Print one JSON document on stdout instead, errors included.",
};

/** For commands that read addresses on the web; `remoteOptions` of `open-input.ts` has its value. */
export const TIMEOUT_OPTION: OptionSpec = {
  name: "timeout",
  type: "integer",
  placeholder: "<seconds>",
  pattern: /^[1-9]\d{0,5}$/,
  expects: "a whole number from 1 to 999999",
  defaultText: "none; 30 s of silence or of less than 1 KiB/s end a request",
  help: "Give up an http(s) address after so many seconds.",
};

export const FORCE_OPTION: OptionSpec = { name: "force", type: "flag", help: "Replace an existing output." };
