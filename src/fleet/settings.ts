/**
 * The encoding settings in a job: exactly the options of `lqa fleet submit`, so that an entry of a queue cannot reach an
 * option that names a path or a number of threads on the worker's machine.
 * @module
 */

import { type NamesOf, type QuantizeOptions, resolveOptions } from "../encode/quantize/profile.ts";
import * as KIND from "../error-catalogue.ts";
import { caught, fail } from "../errors.ts";
import type { EncodeFileControls } from "../node/encode-file.ts";

/** How to encode the adapters of a fleet, and whether to replace existing results (`force`). */
export type FleetSettings = QuantizeOptions &
  Omit<
    EncodeFileControls,
    | "onProgress"
    | "executor"
    | "signal"
    | "base"
    | "calibration"
    | "workers"
    | "scaleIfMissing"
    | "remote"
    | "parent"
  >;

type Form = (value: unknown) => boolean;

const isText: Form = (value) => typeof value === "string" && value.length <= 64;
const isNumber: Form = (value) => typeof value === "number" && Number.isFinite(value);
const isTrue: Form = (value) => value === true || value === false;
const oneOf =
  (...words: readonly string[]): Form =>
  (value) =>
    words.includes(value as string);

/** The valid values of each setting. `resolveOptions` checks that those of the quantizer are consistent. */
const FORMS: { readonly [name in Exclude<NamesOf<FleetSettings>, "weighted">]: Form } = {
  from: oneOf("peft", "kohya", "diffusers", "cloneofsimo", "loralib", "mlx", "gguf", "onnx"),
  alpha: isNumber,
  multiplier: isNumber,
  expertLayout: oneOf("out-in", "in-out"),
  keepUnsupported: isTrue,
  profile: isText,
  quality: isText,
  bits: isNumber,
  codeBits: isNumber,
  maxBytes: isNumber,
  maxError: isNumber,
  floor: isNumber,
  fit: isText,
  variant: isText,
  hRule: isText,
  refine: isText,
  group: isNumber,
  element: isText,
  tensors: oneOf("zstd", "keep", "f16"),
  start: (value) => value === "none" || value === "auto" || isNumber(value),
  alignment: (value) => [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096].includes(value as number),
  force: isTrue,
};

/**
 * Parses the settings of a job.
 *
 * @param invalid throws; called with what was expected and what was found
 */
export function parseSettings(
  settings: unknown,
  invalid: (expected: string, actual: unknown) => never,
): FleetSettings {
  if (typeof settings !== "object" || settings === null || Array.isArray(settings))
    return invalid("settings: an object", settings);
  for (const [name, value] of Object.entries(settings)) {
    if (!Object.hasOwn(FORMS, name)) return invalid("settings: options of lqa fleet submit", name);
    if (!FORMS[name as keyof typeof FORMS](value))
      return invalid(`settings: a value that ${name} can have`, value);
  }
  const error = caught(() => resolveOptions(settings));
  if (error !== undefined) return invalid(`settings: ${error.where}: ${error.expected}`, error.actual);
  return settings;
}

/**
 * Checks settings before any adapter is read, in the way in which a worker will parse them. Otherwise each worker would refuse
 * an option of another command, adapter by adapter.
 *
 * @throws LqaError USAGE
 */
export function checkSettings(settings: FleetSettings): void {
  resolveOptions(settings);
  parseSettings(JSON.parse(JSON.stringify(settings)), (expected, actual) =>
    fail(KIND.USAGE, { where: "settings", expected, actual: inWords(actual) }),
  );
}

/** Describes a value of any depth and form, for errors. */
export function inWords(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 120));
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
