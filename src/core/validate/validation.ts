/**
 * What a validation is asked and what it gives, warnings included: what breaks no rule but is hardly meant.
 *
 * @module
 */
import type { LqaError } from "../../errors.ts";
import type { MetaMap } from "../container/meta.ts";
import type { ContainerIndex } from "../container/types.ts";
import type { OpenOptions } from "../read/lqa-file.ts";
import type { VerifiedIds } from "../read/verify.ts";

/** How much is checked; each level contains the ones before it. */
export type ValidationLevel = "structure" | "integrity" | "values" | "canonical";

export const VALIDATION_LEVELS: readonly ValidationLevel[] = [
  "structure",
  "integrity",
  "values",
  "canonical",
];

export interface ValidateOptions extends Pick<OpenOptions, "zstd" | "limits" | "parents"> {
  /** Default `values`. */
  readonly level?: ValidationLevel | undefined;
  /** Every finding instead of the first, up to 1,000. Default false. */
  readonly all?: boolean | undefined;
  /** Also look for what breaks no rule but is hardly meant. Default true. */
  readonly warnings?: boolean | undefined;
  /**
   * Most bytes that are held of one chunk: of a small one, or a frame of a compressed one. Default 16 MiB where the file is
   * read, none where it is in memory. All compressed chunks together may inflate to 1 GiB, 16 times the file, or this.
   */
  readonly budgetBytes?: number | undefined;
}

/** What validation found. */
export interface Validation {
  readonly valid: boolean;
  readonly level: ValidationLevel;
  /** The first error of the file; absent if it is valid. */
  readonly error: LqaError | undefined;
  /** The errors in the order of the checks: none or the first, or with `all` all of them. */
  readonly findings: readonly LqaError[];
  /** Findings beyond the number that is kept. A lower bound, because large chunks are not searched to count them. */
  readonly omitted: number;
  /** What breaks no rule but is suspicious. From level `values` on also about weights. */
  readonly warnings: readonly Warning[];
  /** Bytes of the file, as far as it was read. */
  readonly bytes: number;
  /** Counts of the index, once it was readable. */
  readonly modules: number | undefined;
  readonly tensors: number | undefined;
  /** From level `integrity` on, of a valid file. */
  readonly ids: VerifiedIds | undefined;
  /** META, from level `integrity` on; empty if there is none. */
  readonly meta: MetaMap | undefined;
  /** The index, once it was readable. */
  readonly index: ContainerIndex | undefined;
}

/** What can be suspicious about a file. */
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
} as const;

export type WarningName = keyof typeof WARNINGS;

/** One warning. */
export interface Warning {
  readonly code: string;
  readonly kind: WarningName;
  /** One sentence with everything. */
  readonly message: string;
  readonly advice: string;
  readonly where: string | undefined;
  readonly actual: string | number | undefined;
  readonly expected: string | number | undefined;
  /** First byte in the file of what is suspicious. */
  readonly offset: number | undefined;
}

/** Makes a warning. */
export function warning(
  kind: WarningName,
  details: Partial<Pick<Warning, "where" | "actual" | "expected" | "offset">> = {},
): Warning {
  const { code, summary, advice } = WARNINGS[kind];
  const { where, actual, expected, offset } = details;
  const found = [expected && `expected ${expected}`, actual !== undefined && `found ${actual}`].filter(
    Boolean,
  );
  const message = `${code} ${kind}: ${summary}${where === undefined ? "" : ` In ${where}.`}${found.length > 0 ? ` (${found.join(", ")})` : ""}`;
  return { code, kind, message, advice, where, actual, expected, offset };
}
