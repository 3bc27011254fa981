/**
 * Feature bits: what a file uses, and that it declares exactly that (spec clause 5.3).
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Encoding } from "../codecs/encoding.ts";
import { hex32, type Prologue, REQUIRED } from "./prologue.ts";
import type { ModuleRecord, TensorRecord } from "./types.ts";

/** The required bits a file must declare (spec 5.3). */
export function requiredBits(
  modules: readonly Pick<ModuleRecord, "experts">[],
  tensors: readonly Pick<TensorRecord, "role" | "compression">[],
  encodings: Iterable<Encoding>,
): number {
  let required = 0;
  for (const module of modules) if (module.experts > 1) required |= REQUIRED.EXPERTS;
  for (const { role, compression } of tensors) {
    if (compression !== "none") required |= REQUIRED.ZSTD;
    if (role === "magnitude") required |= REQUIRED.MAGNITUDE;
    else if (role !== "carried") required |= REQUIRED.REPLACEMENT;
  }
  for (const { codec } of encodings) if (codec === "trellis") required |= REQUIRED.TRELLIS;
  return required;
}

/** @throws LqaError FEATURE_BITS */
export function checkFeatures(
  prologue: Prologue,
  modules: readonly ModuleRecord[],
  tensors: readonly TensorRecord[],
  encodings: readonly Encoding[],
): void {
  const required = requiredBits(modules, tensors, encodings);
  if (prologue.required !== required)
    fail(KIND.FEATURE_BITS, {
      where: "required features",
      offset: 12,
      expected: hex32(required),
      actual: hex32(prologue.required),
    });
}
