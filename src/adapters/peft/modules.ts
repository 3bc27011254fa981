/**
 * Builds one module from its factors: role, shape, scale and the weights as F32 (spec clauses 9.1 and 9.2).
 *
 * Layouts on disk: linear A `[r, in]`, B `[out, r]`; embedding A `[r, vocabulary]`, B `[dimension, r]`; convolution
 * A `[r, in, k…]`, B `[out, r, 1…]`. Flattened, these are LQA's own layouts, so no weight moves.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type LoraModule, lazyModule, type ModuleRole, type ModuleShape } from "../../model/adapter.ts";
import { toFloat32 } from "../elements.ts";
import { type Found, factorShape } from "../factors.ts";
import { quoteName } from "../json.ts";
import type { PeftConfig } from "./config.ts";
import { expertShape, expertsFirst } from "./experts.ts";
import { patternPath } from "./keys.ts";
import { resolveScale } from "./scale.ts";
import type { FoundModule } from "./sort-keys.ts";

/** The two factors of a module, and whether they belong to an embedding. */
export interface FactorPair {
  readonly a: Found;
  readonly b: Found;
  readonly embedding: boolean;
}

/**
 * The factors of a module.
 *
 * @throws LqaError SOURCE_UNPAIRED_FACTOR if one is missing or if one is a factor of an embedding and the other is not
 */
export function pairFactors(found: FoundModule): FactorPair {
  const { parts, name } = found;
  const embedding = parts.has("embedding-a") || parts.has("embedding-b");
  const a = parts.get(embedding ? "embedding-a" : "a");
  const b = parts.get(embedding ? "embedding-b" : "b");
  if (a === undefined || b === undefined || (embedding && (parts.has("a") || parts.has("b")))) {
    const kinds = [...parts.keys()].join(", ");
    return fail(KIND.SOURCE_UNPAIRED_FACTOR, {
      where: `module ${quoteName(name)}`,
      expected: "one A and one B factor",
      actual: kinds,
    });
  }
  return { a, b, embedding };
}

/**
 * Builds a module.
 *
 * @throws LqaError SOURCE_UNPAIRED_FACTOR; SOURCE_ELEMENT_TYPE for factors that are not F32, F16 or BF16; SOURCE_SHAPE
 * if the factors contradict each other or the rank of the configuration; UNSUPPORTED_ADAPTER_FEATURE for grouped
 * convolutions; SOURCE_CONFIG for a multiplier beyond binary32.
 */
export function buildModule(found: FoundModule, config: PeftConfig): LoraModule {
  const { a, b, embedding } = pairFactors(found);
  const { name } = found;
  const sizes =
    found.experts === undefined
      ? factorShape(name, a, b, "rows", embedding)
      : expertShape(found, a, b, config);
  const { rank, role } = sizes;
  const scale = resolveScale(config, patternPath(found.path));
  if (scale.rank !== rank) {
    fail(KIND.SOURCE_SHAPE, {
      where: `module ${quoteName(name)}`,
      expected: `rank ${scale.rank} by the configuration`,
      actual: rank,
    });
  }
  const shape: ModuleShape = {
    ...sizes,
    name,
    baseLayout: found.experts ?? baseLayout(role, config),
    multiplier: scale.multiplier,
    alpha: scale.alpha,
    rule: scale.rule,
  };
  return lazyModule(
    shape,
    () => (sizes.experts > 1 ? expertsFirst(toFloat32(b.tensor), sizes) : toFloat32(b.tensor)),
    () => toFloat32(a.tensor),
  );
}

/**
 * How the base model stores the weight. Embeddings are (vocabulary, dimension), which is (in, out). For linear layers the
 * flag decides; when PEFT wraps the base, it corrects the flag by the layer's class, and it saves the corrected flag.
 */
export function baseLayout(role: ModuleRole, config: PeftConfig): "out-in" | "in-out" {
  return role === "embedding" || (role === "linear" && config.fanInFanOut) ? "in-out" : "out-in";
}
