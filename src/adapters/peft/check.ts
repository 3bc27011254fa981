/**
 * Checks that a configuration agrees with its adapter.
 *
 * An adapter may have changed since it was read (a lower rank, a module less, another multiplier). PEFT would load such files
 * without an error and compute something else, so the writer refuses them.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter, LoraModule, PlainTensor } from "../../model/adapter.ts";
import { readIndices } from "../elements.ts";
import { quoteName } from "../json.ts";
import type { PeftConfig } from "./config.ts";
import { baseLayout } from "./modules.ts";
import { resolveScale } from "./scale.ts";

/**
 * Checks every module and every tensor that depends on the configuration. `pathOf` gives the path that PEFT matches
 * against a module's patterns.
 *
 * @throws LqaError UNSUPPORTED_DIALECT naming the first difference
 */
export function checkAgainst(
  adapter: Adapter,
  config: PeftConfig,
  pathOf: (module: LoraModule) => string,
): void {
  const withRole = (role: PlainTensor["role"]): Map<string, PlainTensor> =>
    new Map(adapter.tensors.filter((tensor) => tensor.role === role).map((tensor) => [tensor.name, tensor]));
  const magnitudes = withRole("magnitude");
  const biases = withRole("lora-bias");
  for (const module of adapter.modules) {
    const { name, role } = module;
    const scale = resolveScale(config, pathOf(module));
    agree(name, "the rank", scale.rank, module.rank);
    agree(name, "the multiplier", scale.multiplier, module.multiplier);
    if (config.targetParameters.length === 0) agree(name, "the number of experts", 1, module.experts);
    if (module.experts === 1) agree(name, "the base layout", baseLayout(role, config), module.baseLayout);
    agree(name, "a DoRA magnitude", config.useDora, magnitudes.has(name));
    agree(name, "a LoRA bias", config.loraBias && role !== "embedding", biases.has(name));
  }
  const indices = withRole("token-indices");
  for (const [name] of withRole("token-rows")) {
    const tensor = indices.get(name);
    const actual = tensor === undefined ? "none" : decodeIndices(tensor);
    agree(name, "the token indices", configuredIndices(name, config), actual);
  }
}

function agree<T extends string | number | boolean>(
  name: string,
  what: string,
  expected: T,
  actual: T,
): void {
  if (Object.is(expected, actual)) return;
  fail(KIND.UNSUPPORTED_DIALECT, {
    where: `${what} of module ${quoteName(name)}`,
    expected: `${expected} by adapter_config.json`,
    actual: `${actual}`,
  });
}

/** The configured token indices of a layer as text: in ascending order, as in the file; "none" without any. */
function configuredIndices(name: string, { tokenIndices, meter }: PeftConfig): string {
  meter.charge("steps", tokenIndices instanceof Map ? tokenIndices.size : 0);
  const text = (indices: readonly number[]): string => `${indices.toSorted((x, y) => x - y)}`;
  if (tokenIndices === undefined) return "none";
  if (!(tokenIndices instanceof Map)) return text(tokenIndices as readonly number[]);
  for (const [suffix, indices] of tokenIndices) if (name.endsWith(suffix)) return text(indices);
  return "none";
}

function decodeIndices(tensor: PlainTensor): string {
  return `${readIndices(tensor)}`;
}
