/**
 * LoRA on bare parameters (`target_parameters`): the weights of all experts of a layer in one three-axis tensor.
 *
 * PEFT (`ParamWrapper`, read in 0.17 to 0.21) packs A expert by expert, `[E · r, in]`, and B with the expert running
 * fastest, `[out, r · E]`; LQA has `[E][r][in]` and `[E][out][r]`. PEFT changed which axis of the parameter is `in`: up to
 * 0.18 it took every parameter as (E, in, out); from 0.19 on it takes (E, out, in), unless the base layer says that it is
 * transposed, which no file states. With several parameters of one layer, PEFT wraps the first one innermost
 * (`.base_layer`). The file does not say which one is first, so this reader accepts only the pair that every model registers
 * in the same order: `gate_up_proj`, then `down_proj`.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { BaseLayout, LoraModule } from "../../model/adapter.ts";
import type { ReadSettings } from "../dialect.ts";
import { type FactorShape, type Found, factorShape } from "../factors.ts";
import { quoteName } from "../json.ts";
import type { PeftConfig } from "./config.ts";
import { unwrap } from "./keys.ts";
import { lookUp } from "./pattern.ts";
import type { FoundModule } from "./sort-keys.ts";

/** Steps of comparing a layer with a target, for the meter. */
const COMPARING = 16;

/** Parameters of a layer of experts in the order in which models register them. */
const REGISTERED: readonly string[] = ["gate_up_proj", "down_proj"];

/**
 * Names modules that adapt bare parameters after the parameters; the other modules keep their names.
 *
 * @throws LqaError UNSUPPORTED_ADAPTER_FEATURE for LoRA inside LoRA that the configuration does not explain, and
 * if the file and its PEFT version do not determine the parameter or its layout; SOURCE_UNPAIRED_FACTOR for a target
 * without factors
 */
export function nameParameters(
  modules: Map<string, FoundModule>,
  config: PeftConfig,
  settings: ReadSettings,
): Map<string, FoundModule> {
  const nested = [...modules.values()].find(({ name }) => /(^|\.)base_layer$/.test(name));
  if (config.targetParameters.length === 0) {
    if (nested !== undefined) refuse(nested, "one LoRA per layer", "LoRA nested in LoRA");
    return modules;
  }
  const named = new Map<string, FoundModule>();
  const missing = new Set(config.targetParameters);
  for (const module of modules.values()) {
    const layer = unwrap(module.name);
    config.meter.charge("steps", COMPARING * config.targetParameters.length);
    const targets = config.targetParameters.filter((path) =>
      `.${layer}`.endsWith(`.${path.slice(0, Math.max(0, path.lastIndexOf(".")))}`),
    );
    const parameters = targets.map((path) => path.slice(path.lastIndexOf(".") + 1));
    for (const path of targets) missing.delete(path);
    if (parameters.length === 0) {
      named.set(module.name, module);
      continue;
    }
    const depth = module.name.split(".").filter((segment) => segment === "base_layer").length;
    const parameter = parameterAt(module, parameters, depth);
    const name = `${layer}.${parameter}`;
    named.set(name, { ...module, name, path: layer, experts: layoutOf(config, settings) });
  }
  for (const path of missing) {
    fail(KIND.SOURCE_UNPAIRED_FACTOR, {
      where: `target_parameters ${quoteName(path)}`,
      expected: "factors",
      actual: "none",
    });
  }
  return named;
}

function parameterAt(module: FoundModule, parameters: readonly string[], depth: number): string {
  const [only] = parameters;
  if (parameters.length === 1 && depth === 0) return only!;
  const known =
    parameters.length === REGISTERED.length && REGISTERED.every((name) => parameters.includes(name));
  if (known && depth < REGISTERED.length) return REGISTERED[REGISTERED.length - 1 - depth]!;
  return refuse(
    module,
    "one parameter of a layer, or gate_up_proj and down_proj: the file does not say which is which",
    parameters.slice(0, 4).map(quoteName).join(", "),
  );
}

function layoutOf({ peftVersion }: PeftConfig, settings: ReadSettings): BaseLayout {
  if (settings.expertLayout !== undefined) return settings.expertLayout;
  const [, minor] = /^0\.(\d+)\./.exec(peftVersion ?? "") ?? [];
  if (minor !== undefined && Number(minor) < 19) return "in-out";
  return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, {
    where: 'adapter_config.json field "target_parameters"',
    expected: "to know how the base model stores its experts, which PEFT from 0.19 on takes either way",
    actual: peftVersion === undefined ? "no peft_version" : `PEFT ${peftVersion}`,
    advice:
      "Give --expert-layout out-in for weights (experts, out, in), or in-out for (experts, in, out), as GPT-OSS has.",
  });
}

/** Shape of a module of experts. Their number is the first axis of A divided by the rank. @throws LqaError SOURCE_SHAPE */
export function expertShape(found: FoundModule, a: Found, b: Found, config: PeftConfig): FactorShape {
  const rank = lookUp(config.rankPattern, found.path, config.r);
  const shape = factorShape(found.name, a, b, "rows");
  const experts = shape.rank / rank;
  if (shape.role === "linear" && Number.isInteger(experts)) return { ...shape, rank, experts };
  return fail(KIND.SOURCE_SHAPE, {
    where: `module ${quoteName(found.name)}`,
    expected: `A [experts · ${rank}, in] and B [out, ${rank} · experts]`,
    actual: `A [${a.tensor.shape}] and B [${b.tensor.shape}]`,
  });
}

/** Reorders B from PEFT's `[out][r][E]` to LQA's `[E][out][r]`. */
export function expertsFirst(values: Float32Array, { experts, out, rank }: FactorShape): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0, at = 0; row < out * rank; row++) {
    for (let expert = 0; expert < experts; expert++) result[expert * out * rank + row] = values[at++]!;
  }
  return result;
}

/** Reorders B from LQA's `[E][out][r]` to PEFT's `[out][r][E]`. */
export function expertsLast(
  { experts, out, rank }: Pick<LoraModule, "experts" | "out" | "rank">,
  b: Float32Array,
): Float32Array {
  const result = new Float32Array(b.length);
  for (let row = 0, at = 0; row < out * rank; row++) {
    for (let expert = 0; expert < experts; expert++) result[at++] = b[expert * out * rank + row]!;
  }
  return result;
}

function refuse({ name }: FoundModule, expected: string, actual: string): never {
  return fail(KIND.UNSUPPORTED_ADAPTER_FEATURE, { where: `module ${quoteName(name)}`, expected, actual });
}
