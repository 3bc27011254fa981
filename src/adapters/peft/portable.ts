/**
 * Rewrites an adapter so that every server that loads PEFT directories computes the same result.
 *
 * Servers read only the fields that they know: some drop patterns, some ignore rsLoRA, one packs layers of one rank only,
 * another has no alpha at all (survey of vLLM, SGLang, LoRAX, S-LoRA, Punica in 2026). So this leaves nothing to interpret:
 * the multiplier is in B, alpha is the rank, and all modules have one rank, padded with zeros. ΔW is the same.
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Adapter } from "../../model/adapter.ts";
import { evenRanks, foldMultipliers } from "../bake.ts";
import type { WriteOptions } from "../dialect.ts";
import { fitEightBits } from "../eight-bits.ts";
import { quoteName } from "../json.ts";

/**
 * The adapter in the portable form, without its origin record. With factors of 8 bits alpha is the rank times a power of two.
 *
 * @throws LqaError UNSUPPORTED_DIALECT for what some server refuses or drops: DoRA, biases, whole tensors, token rows,
 * convolutions, experts
 */
export function portable(adapter: Adapter, options: WriteOptions): Adapter {
  const tensor = adapter.tensors.find(({ role }) => role !== "carried");
  if (tensor !== undefined) refuse(`tensor ${quoteName(tensor.name)}`, `a ${tensor.role} tensor`);
  const other = adapter.modules.find(({ kernel, experts }) => kernel.length > 0 || experts > 1);
  if (other !== undefined)
    refuse(`module ${quoteName(other.name)}`, other.experts > 1 ? "experts" : other.role);
  const note = (modules: number, rank: number): string =>
    `${modules} modules are padded with zeros to rank ${rank}.`;
  if (options.factors === "F8_E4M3") {
    const folded = foldMultipliers(adapter, { ...options, onNote: undefined });
    return { ...fitEightBits(evenRanks(folded, options, note)), origin: undefined };
  }
  return { ...evenRanks(foldMultipliers(adapter, options), options, note), origin: undefined };
}

function refuse(where: string, actual: string): never {
  return fail(KIND.UNSUPPORTED_DIALECT, {
    where,
    expected: "only what every server computes: factors of linear layers and embeddings",
    actual,
    advice:
      "Leave --portable out if the server in question can do this, or merge the adapter with PEFT: merge_and_unload.",
  });
}
