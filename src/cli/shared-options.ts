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

export const FORCE_OPTION: OptionSpec = { name: "force", type: "flag", help: "Replace an existing output." };
