/**
 * The front door of the encoder's value level: one module in, packed factors and a quality report out.
 *
 * Deterministic: the same module and options give the same bytes on every engine. Only `+ − × ÷`, `Math.sqrt`,
 * `Math.fround` and integer operations lead to them, in a fixed order.
 *
 * @module
 */
import type { FloatType } from "../codecs/encoding.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { fail } from "../errors.ts";
import { inputLength, type LoraModule } from "../model/adapter.ts";
import { loraQuant, type Refine } from "./loraquant.ts";
import { type ModuleQuality, moduleQuality } from "./quality.ts";
import { rawFactors } from "./raw.ts";
import { type HRule, parseVariant } from "./variant.ts";

/** How to quantize. */
export interface QuantizeOptions {
  /** `loraquant`: arXiv 2510.26690. `raw`: the original factors, unchanged. */
  readonly profile: "loraquant" | "raw";
  /** `loraquant`: bits@coverage. Default `2@0.8`. */
  readonly variant?: string | undefined;
  /** `loraquant`: which count of strong components, the program's or the paper's text. Default `code`. */
  readonly hRule?: HRule | undefined;
  /** `loraquant`: how scales of strong components are found. Default `search`. */
  readonly refine?: Refine | undefined;
  /** `loraquant`: weights that share a scale, a power of two from 16 to 1024, or 0 for the whole vector. Default 128. */
  readonly group?: number | undefined;
  /** `raw`: element type. Default `f32`. */
  readonly element?: FloatType | undefined;
}

/** A quantized module. */
export interface QuantizedModule {
  readonly factors: PackedFactors;
  readonly quality: ModuleQuality;
}

/**
 * Quantizes one module and measures the result.
 *
 * @throws LqaError USAGE for an option outside its domain; SOURCE_SHAPE if a factor has not the length its shape
 *   says; SOURCE_NONFINITE for a NaN or Inf weight; SOURCE_RANGE for weights beyond every scale type.
 */
export function quantizeModule(module: LoraModule, options: QuantizeOptions): QuantizedModule {
  const encode = encoderFor(options);
  checkFactor(module, "B", module.b, module.experts * module.out * module.rank);
  checkFactor(module, "A", module.a, module.experts * module.rank * inputLength(module));
  const factors = encode(module);
  return { factors, quality: moduleQuality(module, factors) };
}

/**
 * The options with every default filled in, and nothing that the profile does not use.
 *
 * @throws LqaError USAGE for an option outside its domain
 */
export function resolveOptions(options: Partial<QuantizeOptions>): QuantizeOptions {
  const profile = oneOf("profile", options.profile ?? "loraquant", ["loraquant", "raw"]);
  if (profile === "raw")
    return { profile, element: oneOf("element", options.element ?? "f32", ["f32", "f16", "bf16"]) };
  const variant = options.variant ?? "2@0.8";
  parseVariant(variant);
  return {
    profile,
    variant,
    hRule: oneOf("hRule", options.hRule ?? "code", ["code", "text"]),
    refine: oneOf("refine", options.refine ?? "search", ["search", "none", "sgd"]),
    group: oneOf("group", options.group ?? 128, [0, 16, 32, 64, 128, 256, 512, 1024]),
  };
}

function encoderFor(options: QuantizeOptions): (module: LoraModule) => PackedFactors {
  const { profile, variant, hRule, refine, group, element } = resolveOptions(options);
  if (profile === "raw") return (module) => rawFactors(module, element!);
  const parsed = { variant: parseVariant(variant!), hRule: hRule!, refine: refine!, group: group! };
  return (module) => loraQuant(module, parsed);
}

function oneOf<const T extends string | number>(option: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) fail("USAGE", { where: option, expected: allowed.join(", "), actual: value });
  return value;
}

function checkFactor(module: LoraModule, factor: "A" | "B", weights: Float32Array, length: number): void {
  const where = `module "${module.name}", factor ${factor}`;
  if (weights.length !== length) fail("SOURCE_SHAPE", { where, expected: length, actual: weights.length });
  for (let i = 0; i < length; i++) {
    if (Number.isFinite(weights[i])) continue;
    fail("SOURCE_NONFINITE", { where: `${where}, index ${i}`, actual: String(weights[i]) });
  }
}
