/**
 * The report of an extraction: every module, every changed tensor that became no module, and the share of the change that
 * the adapter holds.
 *
 * @module
 */
import { quoteName } from "../../adapters/json.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ElementType, LoraModule, ModuleRole, PlainTensor } from "../../model/adapter.ts";
import type { Plan, RestReason } from "./plan.ts";

/** Figures of one extracted module. */
export interface ExtractedModule {
  readonly name: string;
  readonly role: ModuleRole;
  /** Shape of the stored weight. */
  readonly shape: readonly number[];
  readonly rank: number;
  /** Captured share of ‖ΔW‖²; `1 − share` is the squared relative error. */
  readonly share: number;
  /** ‖ΔW‖, Frobenius. */
  readonly norm: number;
  /** ‖ΔW‖ / ‖W_base‖; null if the base weight is zero. */
  readonly relativeNorm: number | null;
  /** The largest singular value of ΔW. */
  readonly largest: number;
}

/** A tensor that changed but became no module. */
export interface RestTensor {
  readonly name: string;
  readonly element: ElementType;
  readonly shape: readonly number[];
  readonly reason: RestReason;
  /** ‖Δ‖, Frobenius; null if the tensors have no difference: not both floats, or the base has none of this shape. */
  readonly norm: number | null;
  /**
   * Whether the adapter holds it whole; false without `keepRest`. With it, also false for parameters outside of layers, of
   * layers that contain other layers, and of extracted layers except a bias.
   */
  readonly kept: boolean;
}

/** What an extraction found and lost. */
export interface ExtractReport {
  /** The largest rank that the options allowed. */
  readonly rank: number;
  /** The share that the options required for each module; null if none. */
  readonly energy: number | null;
  /** Whether the extraction took linear weights as (in, out). */
  readonly fanInFanOut: boolean;
  readonly modules: readonly ExtractedModule[];
  /** Captured share of the energy of all modules together. */
  readonly share: number;
  /** The share of the energy of all changes, kept or not, that the adapter holds. Tensors without an energy do not count. */
  readonly shareOfAll: number;
  /** Parameters of all factors. */
  readonly parameters: number;
  /** Changed tensors that became no module. */
  readonly rest: readonly RestTensor[];
  /** Tensors that are the same in both models. */
  readonly unchanged: number;
  /** Tensors that `include` and `exclude` left out, unread. */
  readonly filtered: number;
  /** Tensors, none of them a weight to extract, that the tuned model does not have. */
  readonly onlyInBase: readonly string[];
}

/** A module with its numbers. */
export interface Result {
  readonly module: LoraModule;
  readonly report: ExtractedModule;
  readonly energy: number;
  readonly captured: number;
}

/** A changed tensor with its numbers; `tensor` holds its values if the adapter keeps it. */
export interface Rest {
  readonly report: RestTensor;
  readonly tensor: PlainTensor | undefined;
  readonly energy: number;
}

/** The captured shares of the modules and of all changes. */
export function shares(
  results: readonly Result[],
  rest: readonly Rest[],
): Pick<ExtractReport, "share" | "shareOfAll"> {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const captured = sum(results.map((result) => result.captured));
  const energy = sum(results.map((result) => result.energy));
  const kept = sum(rest.map((one) => (one.report.kept ? one.energy : 0)));
  const all = energy + sum(rest.map((one) => one.energy));
  return { share: captured / energy, shareOfAll: (captured + kept) / all };
}

/** @throws LqaError NOTHING_TO_EXTRACT, with the tensors that did change */
export function refuseNothing(plan: Plan, rest: readonly Rest[]): never {
  if (rest.length === 0 && plan.filtered === 0) return fail(KIND.NOTHING_TO_EXTRACT);
  const shown = rest.slice(0, 3).map(({ report }) => `${quoteName(report.name)} (${report.reason})`);
  const changed =
    shown.length === 0 ? "no change in the layers chosen" : `changes only in ${shown.join(", ")}`;
  return fail(KIND.NOTHING_TO_EXTRACT, {
    actual: `${changed}${rest.length > shown.length ? ` and ${rest.length - shown.length} more` : ""}`,
    advice: "Check include and exclude; embeddings and output heads are extracted only on request.",
  });
}
