/**
 * Feature bits: what a file uses, and that it declares exactly that (spec clause 5.3).
 *
 * @module
 */
import type { Encoding } from "../codecs/encoding.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { COMPATIBLE, hex32, type Prologue, REQUIRED } from "./prologue.ts";
import type { ModuleRecord, TensorRecord } from "./types.ts";

/** The bits a file must declare (spec 5.3); NONFINITE depends on values and is left to the validator. */
export function featureBits(
  modules: readonly Pick<ModuleRecord, "experts" | "compression">[],
  tensors: readonly Pick<TensorRecord, "role" | "compression">[],
  encodings: Iterable<Encoding>,
): { required: number; compatible: number } {
  let required = 0;
  let compatible = 0;
  for (const chunk of [...modules, ...tensors]) if (chunk.compression !== "none") required |= REQUIRED.ZSTD;
  for (const module of modules) if (module.experts > 1) required |= REQUIRED.EXPERTS;
  for (const { role } of tensors) {
    if (role === "magnitude") required |= REQUIRED.MAGNITUDE;
    else if (role !== "carried") required |= REQUIRED.REPLACEMENT;
  }
  for (const encoding of encodings) {
    if (encoding.codec === "trellis") required |= REQUIRED.TRELLIS;
    if ("scale" in encoding && encoding.scale === "f32") compatible |= COMPATIBLE.F32_SCALE;
  }
  return { required, compatible };
}

export function checkFeatures(
  prologue: Prologue,
  modules: readonly ModuleRecord[],
  tensors: readonly TensorRecord[],
  encodings: readonly Encoding[],
): void {
  const { required, compatible } = featureBits(modules, tensors, encodings);
  if (prologue.required !== required)
    fail(KIND.FEATURE_BITS, {
      where: "required features",
      offset: 12,
      expected: hex32(required),
      actual: hex32(prologue.required),
    });
  if (((prologue.compatible ^ compatible) & COMPATIBLE.F32_SCALE) !== 0)
    fail(KIND.FEATURE_BITS, {
      where: "compatible features",
      offset: 20,
      expected: hex32(compatible),
      actual: hex32(prologue.compatible),
    });
}
