/**
 * Checks whether an adapter fits a base model (spec clause 9.5). It compares all modules at once with the shapes of the model's
 * tensors, or with the sizes of a transformer's layers in its `config.json`.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { isLqaError, LqaError } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import { baseFinder, checkBaseShape } from "../../model/base-shape.ts";
import { type Warning, warning } from "./validation.ts";

/** A base model: the shapes of its tensors by name, or sizes from its configuration. */
export type BaseModel =
  | { readonly kind: "shapes"; readonly shapes: ReadonlyMap<string, readonly number[]> }
  | { readonly kind: "config"; readonly sizes: BaseSizes };

/** Sizes of a transformer, from its configuration. The comparison skips undefined ones. */
export interface BaseSizes {
  readonly layers: number | undefined;
  readonly hidden: number | undefined;
  /** Sizes of all its kinds of feed-forward layers (dense, routed, shared). */
  readonly intermediate: readonly number[];
  /** Number of query heads, times their size. */
  readonly queries: number | undefined;
  /** Number of key and value heads, times their size. */
  readonly keys: number | undefined;
  readonly vocabulary: number | undefined;
}

type Side = "hidden" | "intermediate" | "queries" | "keys" | "vocabulary";

/** Last part of a layer's name in the transformers library, to the sizes of its output and its input. */
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
 * Compares modules with a base model. Returns errors BASE_MODULE_MISSING and BASE_SHAPE, and a warning about modules that it
 * could not compare.
 *
 * @param most most errors to keep; `omitted` counts the others
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

/** Compares a module with a configuration. False if that has no size for it. @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE */
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
    // Resized embeddings may have more rows than the configuration says.
    if (allowed.includes(actual) || (sides[i] === "vocabulary" && actual > allowed[0]!)) continue;
    throw new LqaError(KIND.BASE_SHAPE, {
      where,
      expected: `${i === 0 ? "out" : "in"} ${allowed.join(" or ")} (${sides[i]})`,
      actual,
    });
  }
  return known;
}
