/**
 * Does an adapter fit a base model (spec clause 9.5)? Compares all modules at once with the shapes of the model's
 * tensors, or with what its `config.json` says about the layers of a transformer.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { isLqaError, LqaError } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import { baseFinder, checkBaseShape } from "../../model/base-shape.ts";
import { type Warning, warning } from "./validation.ts";

/** What is known of a base model. */
export type BaseModel =
  | { readonly kind: "shapes"; readonly shapes: ReadonlyMap<string, readonly number[]> }
  | { readonly kind: "config"; readonly sizes: BaseSizes };

/** Sizes of a transformer, from its configuration. Absent ones are not compared. */
export interface BaseSizes {
  readonly layers: number | undefined;
  readonly hidden: number | undefined;
  /** All sizes of feed-forward layers it has (dense, routed, shared). */
  readonly intermediate: readonly number[];
  /** Heads times their size: of queries, and of keys and values. */
  readonly queries: number | undefined;
  readonly keys: number | undefined;
  readonly vocabulary: number | undefined;
}

type Side = "hidden" | "intermediate" | "queries" | "keys" | "vocabulary";

/** Last part of a layer's name in the transformers library, to what its features are: out, in. */
const LAYERS: ReadonlyMap<string, readonly [out: Side, input: Side]> = new Map([
  ["q_proj", ["queries", "hidden"]],
  ["k_proj", ["keys", "hidden"]],
  ["v_proj", ["keys", "hidden"]],
  ["o_proj", ["hidden", "queries"]],
  ["gate_proj", ["intermediate", "hidden"]],
  ["up_proj", ["intermediate", "hidden"]],
  ["down_proj", ["hidden", "intermediate"]],
  ["embed_tokens", ["hidden", "vocabulary"]],
  ["lm_head", ["vocabulary", "hidden"]],
]);

/**
 * What does not fit: errors BASE_MODULE_MISSING and BASE_SHAPE, and warnings about what could not be compared.
 *
 * @param most errors that are kept; the rest is counted
 */
export function compareWithBase(
  { modules }: { readonly modules: readonly ModuleShape[] },
  base: BaseModel,
  most: number = Number.POSITIVE_INFINITY,
): { readonly findings: LqaError[]; readonly omitted: number; readonly warnings: Warning[] } {
  const findings: LqaError[] = [];
  let omitted = 0;
  const unknown: string[] = [];
  const shapes = base.kind === "shapes" ? base.shapes : new Map<string, readonly number[]>();
  const { weight } = baseFinder(modules, (name) => shapes.get(name));
  for (const module of modules) {
    try {
      if (base.kind === "shapes") checkBaseShape(module, weight(module.name));
      else if (!checkSizes(module, base.sizes)) unknown.push(module.name);
    } catch (error) {
      if (!isLqaError(error)) throw error;
      if (findings.length < most) findings.push(error);
      else omitted++;
    }
  }
  const some = unknown.slice(0, 3).map((name) => JSON.stringify(name));
  const warnings =
    unknown.length === 0
      ? []
      : [
          warning("BASE_LAYER_UNKNOWN", {
            actual: `${unknown.length} of ${modules.length} modules, ${some.join(", ")}${unknown.length > 3 ? ", …" : ""}`,
          }),
        ];
  return { findings, omitted, warnings };
}

/** Compares a module with a configuration. False if that says nothing about it. */
function checkSizes(module: ModuleShape, sizes: BaseSizes): boolean {
  const where = `module "${module.name}"`;
  const layer = /(?:^|\.)(?:layers|h|blocks?)\.(\d+)\./.exec(module.name);
  if (layer !== null && sizes.layers !== undefined && Number(layer[1]) >= sizes.layers)
    throw new LqaError(KIND.BASE_MODULE_MISSING, {
      where,
      expected: `a layer from 0 to ${sizes.layers - 1}`,
      actual: Number(layer[1]),
    });
  const sides = LAYERS.get(module.name.slice(module.name.lastIndexOf(".") + 1));
  if (sides === undefined) return false;
  let known = false;
  for (const [i, actual] of [module.out, module.in].entries()) {
    const value = sizes[sides[i]!];
    const allowed = value === undefined ? [] : [value].flat();
    if (allowed.length === 0) continue;
    known = true;
    // Resized embeddings have more rows than the configuration says; that is no contradiction.
    if (allowed.includes(actual) || (sides[i] === "vocabulary" && actual > allowed[0]!)) continue;
    throw new LqaError(KIND.BASE_SHAPE, {
      where,
      expected: `${i === 0 ? "out" : "in"} ${allowed.join(" or ")} (${sides[i]})`,
      actual,
    });
  }
  return known;
}
