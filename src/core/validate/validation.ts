/**
 * Options and results of a validation, and the warnings: they are about contents that break no rule but are hardly intended.
 *
 * @module
 */
import type { LqaError } from "../../errors.ts";
import type { Origin } from "../../model/adapter.ts";
import type { MetaMap } from "../container/meta.ts";
import type { ContainerIndex } from "../container/types.ts";
import type { OpenOptions } from "../read/lqa-file.ts";
import type { VerifiedIds } from "../read/verify.ts";

/** How much to check; each level contains the ones before it. */
export type ValidationLevel = "structure" | "integrity" | "values" | "canonical";

/** All levels, in ascending order. */
export const VALIDATION_LEVELS: readonly ValidationLevel[] = [
  "structure",
  "integrity",
  "values",
  "canonical",
];

/** How to validate. */
export interface ValidateOptions extends Pick<OpenOptions, "zstd" | "limits" | "parents"> {
  /** Default `values`. */
  readonly level?: ValidationLevel | undefined;
  /** Collect every finding instead of the first only, up to 1,000. Default false. */
  readonly all?: boolean | undefined;
  /** Also look for suspicious contents, which break no rule. Default true. */
  readonly warnings?: boolean | undefined;
  /**
   * Most bytes of one chunk in memory: of a small chunk, or of a frame of a compressed one. Default 16 MiB if the validator
   * reads the file, unlimited if the file is in memory.
   */
  readonly budgetBytes?: number | undefined;
}

/** The result of a validation. */
export interface Validation {
  readonly valid: boolean;
  readonly level: ValidationLevel;
  /** The first error of the file; undefined if it is valid. */
  readonly error: LqaError | undefined;
  /** The errors in the order of the checks: none or the first, or with `all` all of them. */
  readonly findings: readonly LqaError[];
  /** Number of findings beyond the first 1,000. A lower bound: the validator does not search large chunks to count them. */
  readonly omitted: number;
  /** Suspicious contents that break no rule. From level `values` on also about weights. */
  readonly warnings: readonly Warning[];
  /** Length of the input if it is known, otherwise the bytes that were read. */
  readonly bytes: number;
  /** Number of modules; undefined if the index could not be read. */
  readonly modules: number | undefined;
  /** Number of plain tensors; undefined if the index could not be read. */
  readonly tensors: number | undefined;
  /** Ids of a valid file, from level `integrity` on. */
  readonly ids: VerifiedIds | undefined;
  /** META, from level `integrity` on; empty if there is none. */
  readonly meta: MetaMap | undefined;
  /** The origin record, from level `integrity` on; undefined if there is none. */
  readonly origin: Origin | undefined;
  /** The index; undefined if it could not be read. */
  readonly index: ContainerIndex | undefined;
}

/** All warnings by name: code, summary and advice. */
export const WARNINGS = {
  ZERO_MODULE: {
    code: "LQA-W001",
    summary: "A module changes nothing: one of its factors is zero.",
    advice: "Nothing is wrong with the file. Look whether this layer was trained.",
  },
  CONSTANT_FACTOR: {
    code: "LQA-W002",
    summary: "All weights of a factor are the same.",
    advice:
      "Trained weights are not. Look whether the adapter was initialized and never trained, or damaged before.",
  },
  SATURATED_WEIGHTS: {
    code: "LQA-W003",
    summary: "Weights are at the end of the range of their type.",
    advice: "Values were clipped, or are too large for any model. Look at the source of the adapter.",
  },
  SATURATED_CODES: {
    code: "LQA-W004",
    summary: "Most codes of a factor are the smallest or the largest.",
    advice: "The scales are too small, so weights were clipped. Encode the adapter again.",
  },
  MULTIPLIER_ZERO: {
    code: "LQA-W005",
    summary: "The multiplier of a module is 0, so it changes nothing.",
    advice: "Look at lora_alpha in the source.",
  },
  MULTIPLIER_UNUSUAL: {
    code: "LQA-W006",
    summary: "The multiplier is not the one that alpha and rank give by any rule, or far from those in use.",
    advice:
      "Look at alpha in the source: another multiplier makes the adapter stronger or weaker than it was trained.",
  },
  RANK_ABOVE_SHAPE: {
    code: "LQA-W007",
    summary: "A module has more components than its shape has dimensions.",
    advice: "Nothing is wrong, but the surplus components cost bytes and add nothing.",
  },
  EXPANSION: {
    code: "LQA-W008",
    summary: "The declared weights are very many for the bytes of the file.",
    advice: "Set a budget before you decode this file: it needs far more memory than its size says.",
  },
  BASE_LAYER_UNKNOWN: {
    code: "LQA-W009",
    summary: "The base model's configuration does not say which shapes these layers have.",
    advice: "Give the base model's safetensors file to --base to compare them.",
  },
  BASE_WEIGHTS_UNREAD: {
    code: "LQA-W010",
    summary: "The file has a digest of its base model's weights, which a configuration does not have.",
    advice: "Give the base model's safetensors files to --base to compare them.",
  },
  CONFIG_FIELD: {
    code: "LQA-W011",
    summary: "A field of the adapter's configuration is a risk for who loads it.",
    advice:
      "Decode with this version, which leaves such a field out or derives it from the modules. SECURITY.md says what each does.",
  },
} as const;

/** Name of a warning. */
export type WarningName = keyof typeof WARNINGS;

/** One warning. */
export interface Warning {
  readonly code: string;
  readonly kind: WarningName;
  /** Code, name, summary, place and values in one line. */
  readonly message: string;
  readonly advice: string;
  readonly where: string | undefined;
  readonly actual: string | number | undefined;
  readonly expected: string | number | undefined;
  /** Position in the file of the suspicious record or chunk. */
  readonly offset: number | undefined;
}

/** What a warning says in addition to its kind. */
export type WarningDetails = Partial<Pick<Warning, "where" | "actual" | "expected" | "offset">>;

/** Makes a warning. */
export function warning(kind: WarningName, details: WarningDetails = {}): Warning {
  const { code, summary, advice } = WARNINGS[kind];
  const { where, actual, expected, offset } = details;
  const found = [expected && `expected ${expected}`, actual !== undefined && `found ${actual}`].filter(
    Boolean,
  );
  const message = `${code} ${kind}: ${summary}${where === undefined ? "" : ` In ${where}.`}${found.length > 0 ? ` (${found.join(", ")})` : ""}`;
  return { code, kind, message, advice, where, actual, expected, offset };
}
