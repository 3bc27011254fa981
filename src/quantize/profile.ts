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
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { inputLength, type LoraModule } from "../model/adapter.ts";
import { rtnFactors, signFactors } from "./baseline.ts";
import { loraQuant, type Refine } from "./loraquant.ts";
import { type ModuleQuality, moduleQuality } from "./quality.ts";
import { rawFactors } from "./raw.ts";
import type { Fit } from "./rd/rd.ts";
import { type HRule, parseVariant } from "./variant.ts";

/**
 * Bits a weight of the modules for each preset of `rd`. What adapters of several tasks kept at each: docs/results.md.
 */
export const QUALITY_BITS = { small: 1, balanced: 1.5, high: 2.5, "near-lossless": 4 } as const;

/** A preset of `rd`. */
export type QualityName = keyof typeof QUALITY_BITS;

/** How to quantize. */
export interface QuantizeOptions {
  /**
   * `rd`: bits where they save most, over all modules at once. `loraquant`: arXiv 2510.26690. `rtn` and `sign`: what
   * those are compared with, the original factors rounded to a few bits, or to their signs. `raw`: the original factors,
   * unchanged.
   */
  readonly profile: "rd" | "loraquant" | "rtn" | "sign" | "raw";
  /**
   * `rd`: bits a weight of the modules by name, see {@link QUALITY_BITS}; the container is not counted. The goal if there
   * is no other: `balanced`.
   */
  readonly quality?: QualityName | undefined;
  /**
   * `rd`: bits a weight of the file, everything but plain tensors counted. `rtn`: bits of a code, 1 to 8; scales and zero
   * points come on top. Default 2.
   */
  readonly bits?: number | undefined;
  /** `rd`: bytes of the file, plain tensors included. */
  readonly maxBytes?: number | undefined;
  /** `rd`: ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules. */
  readonly maxError?: number | undefined;
  /** `rd`: least bits a weight of every component that is not zero: 0 (default), 0.5 or 1. At equal bytes
   * a floor loses more weight energy, and more right answers on the task it was measured on (docs/fidelity.md). */
  readonly floor?: number | undefined;
  /**
   * `rd`: `unbiased` (default) stretches each module so that its gain ⟨ΔW, ΔŴ⟩ / ‖ΔW‖² is 1; `least-squares` has the
   * least squared error, and a gain below 1. See docs/fidelity.md.
   */
  readonly fit?: Fit | undefined;
  /**
   * `rd`: errors of input channels are weighted by the square roots of their second moments in the importance file: a
   * compromise between ‖ΔW − ΔŴ‖² and what is lost of the modules' outputs (docs/results.md). Default: where there is one.
   */
  readonly weighted?: boolean | undefined;
  /** `loraquant`: bits@coverage. Default `2@0.8`. */
  readonly variant?: string | undefined;
  /** `loraquant`: which count of strong components, the program's or the paper's text. Default `code`. */
  readonly hRule?: HRule | undefined;
  /** `loraquant`: how scales of strong components are found. Default `search`. */
  readonly refine?: Refine | undefined;
  /**
   * `loraquant`, `rtn`, `sign`: weights that share a scale, a power of two from 16 to 1024, or 0 for the whole vector.
   * Default 128.
   */
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
 * Quantizes one module and measures the result, by `moments` of its inputs too if there are any. Profiles that look at
 * one module at a time only; `rd` is in `rd/rd.ts`.
 *
 * @throws LqaError USAGE for an option outside its domain; SOURCE_SHAPE if a factor has not the length its shape
 *   says; SOURCE_NONFINITE for a NaN or Inf weight; SOURCE_RANGE for weights beyond every scale type.
 */
export function quantizeModule(
  module: LoraModule,
  options: QuantizeOptions,
  moments?: Float64Array,
): QuantizedModule {
  const encode = encoderFor(options);
  checkModule(module);
  const factors = encode(module);
  return { factors, quality: moduleQuality(module, factors, moments) };
}

/**
 * Which options belong to which profile. An option of several profiles implies the first of them: `bits` alone is the
 * goal of `rd`, and only with `rtn` by name the bits of a code.
 */
const OWN: Readonly<Record<QuantizeOptions["profile"], readonly (keyof QuantizeOptions)[]>> = {
  rd: ["quality", "bits", "maxBytes", "maxError", "floor", "fit", "weighted"],
  loraquant: ["variant", "hRule", "refine", "group"],
  rtn: ["bits", "group"],
  sign: ["group"],
  raw: ["element"],
};
const PROFILES = Object.keys(OWN) as QuantizeOptions["profile"][];

/**
 * The options with every default filled in, and nothing else. Without a profile, it is the first one whose options are
 * given, `rd` if none is.
 *
 * @throws LqaError USAGE for an option outside its domain, or of another profile: it would be ignored silently
 */
export function resolveOptions(options: Partial<QuantizeOptions>): QuantizeOptions {
  const given = (name: keyof QuantizeOptions): boolean => options[name] !== undefined;
  const implied = PROFILES.find((name) => OWN[name].some(given)) ?? "rd";
  const profile = oneOf("profile", options.profile ?? implied, PROFILES);
  for (const stray of PROFILES.flatMap((name) => OWN[name])) {
    if (!given(stray) || OWN[profile].includes(stray)) continue;
    const owners = PROFILES.filter((name) => OWN[name].includes(stray));
    fail(KIND.USAGE, {
      where: "profile",
      expected: `${stray} only with profile ${owners.join(", ")}`,
      actual: `profile ${profile}`,
    });
  }
  switch (profile) {
    case "rd":
      return resolveRd(options);
    case "loraquant":
      return resolveLoraQuant(options);
    case "rtn":
      return {
        profile,
        bits: oneOf("bits", options.bits ?? 2, [1, 2, 3, 4, 5, 6, 7, 8]),
        group: resolveGroup(options),
      };
    case "sign":
      return { profile, group: resolveGroup(options) };
    case "raw":
      return { profile, element: oneOf("element", options.element ?? "f32", ["f32", "f16", "bf16"]) };
  }
}

function resolveLoraQuant(options: Partial<QuantizeOptions>): QuantizeOptions {
  const variant = options.variant ?? "2@0.8";
  parseVariant(variant);
  return {
    profile: "loraquant",
    variant,
    hRule: oneOf("hRule", options.hRule ?? "code", ["code", "text"]),
    refine: oneOf("refine", options.refine ?? "search", ["search", "none", "sgd"]),
    group: resolveGroup(options),
  };
}

function resolveGroup({ group = 128 }: Partial<QuantizeOptions>): number {
  return oneOf("group", group, [0, 16, 32, 64, 128, 256, 512, 1024]);
}

function resolveRd(options: Partial<QuantizeOptions>): QuantizeOptions {
  const [goal = "quality", another] = (["quality", "bits", "maxBytes", "maxError"] as const).filter(
    (name) => options[name] !== undefined,
  );
  const floor = oneOf("floor", options.floor ?? 0, [0, 0.5, 1]);
  const fit = oneOf("fit", options.fit ?? "unbiased", ["unbiased", "least-squares"]);
  const choices = { floor, fit, ...(options.weighted === true && { weighted: true }) };
  if (another !== undefined)
    fail(KIND.USAGE, { where: "rd", expected: "one goal", actual: `${goal} and ${another}` });
  if (goal === "quality") {
    const names = Object.keys(QUALITY_BITS) as QualityName[];
    return { profile: "rd", quality: oneOf("quality", options.quality ?? "balanced", names), ...choices };
  }
  const value = options[goal]!;
  const most = { bits: 16, maxBytes: Number.MAX_SAFE_INTEGER, maxError: 1 }[goal];
  if (!(value > 0 && value <= most))
    fail(KIND.USAGE, { where: goal, expected: `a number above 0, at most ${most}`, actual: value });
  return { profile: "rd", [goal]: value, ...choices };
}

function encoderFor(options: QuantizeOptions): (module: LoraModule) => PackedFactors {
  const { profile, bits, variant, hRule, refine, group, element } = resolveOptions(options);
  switch (profile) {
    case "rd":
      return fail(KIND.USAGE, { where: "profile", expected: "a profile of single modules", actual: profile });
    case "loraquant": {
      const parsed = { variant: parseVariant(variant!), hRule: hRule!, refine: refine!, group: group! };
      return (module) => loraQuant(module, parsed);
    }
    case "rtn":
      return (module) => rtnFactors(module, bits!, group!);
    case "sign":
      return (module) => signFactors(module, group!);
    case "raw":
      return (module) => rawFactors(module, element!);
  }
}

function oneOf<const T extends string | number>(option: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value))
    fail(KIND.USAGE, { where: option, expected: allowed.join(", "), actual: value });
  return value;
}

/** @throws LqaError SOURCE_SHAPE, SOURCE_NONFINITE */
export function checkModule(module: LoraModule): void {
  checkFactor(module, "B", module.b, module.experts * module.out * module.rank);
  checkFactor(module, "A", module.a, module.experts * module.rank * inputLength(module));
}

function checkFactor(module: LoraModule, factor: "A" | "B", weights: Float32Array, length: number): void {
  const where = `module "${module.name}", factor ${factor}`;
  if (weights.length !== length) fail(KIND.SOURCE_SHAPE, { where, expected: length, actual: weights.length });
  for (let i = 0; i < length; i++) {
    if (Number.isFinite(weights[i])) continue;
    fail(KIND.SOURCE_NONFINITE, { where: `${where}, index ${i}`, actual: String(weights[i]) });
  }
}
