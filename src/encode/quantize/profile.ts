/**
 * The entry to quantization: one module in, packed factors and a quality report out.
 *
 * Deterministic: the same module and options give the same bytes on every engine. Only `+ − × ÷`, `Math.sqrt`,
 * `Math.fround` and integer operations produce them, in a fixed order.
 *
 * @module
 */
import type { FloatType, PackedFactors } from "../../core/index.ts";

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type LoraModule } from "../../model/adapter.ts";
import { rtnFactors, signFactors } from "./baseline.ts";
import { type ModuleQuality, moduleQuality } from "./quality.ts";
import { rawFactors } from "./raw.ts";
import type { Fit } from "./rd/gain.ts";

/**
 * Bits per weight of the modules, for each preset of `rd`. docs/results.md shows the results of adapters for several tasks.
 */
export const QUALITY_BITS = { low: 1, balanced: 1.5, high: 2.5, "near-lossless": 4 } as const;

/** A preset of `rd`. */
export type QualityName = keyof typeof QUALITY_BITS;

/** The goals of `rd`. */
interface RdGoals {
  /** Bits per weight of the modules, see {@link QUALITY_BITS}, without the container. Default `balanced`. */
  readonly quality: QualityName;
  /** Bits per weight of the file: all bytes except those of plain tensors, divided by the weights of the modules. */
  readonly bits: number;
  /** Bytes of the file, plain tensors included. */
  readonly maxBytes: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules. */
  readonly maxError: number;
}

/** One member for each goal, which has this goal and no other. */
type OneGoal = {
  [G in keyof RdGoals]: Pick<RdGoals, G> & { readonly [other in Exclude<keyof RdGoals, G>]?: undefined };
}[keyof RdGoals];

/** Puts bits where they save most, over all modules at once. At most one goal; without one, `quality` is `balanced`. */
export type RdOptions = {
  readonly profile?: "rd" | undefined;
  /**
   * Minimum bits per weight of every nonzero component: 0 (default), 0.5 or 1. At equal bytes a floor loses more weight
   * energy, and more right answers on the task that was measured (docs/fidelity.md).
   */
  readonly floor?: number | undefined;
  /**
   * `unbiased` (default) restores the length of every coded component, and counts shrinkage five times as
   * much as noise. `least-squares` has the least squared error, and weakens more. See docs/fidelity.md.
   */
  readonly fit?: Fit | undefined;
  /**
   * Weights errors of input channels by the square roots of their second moments in the calibration file: a
   * compromise between ‖ΔW − ΔŴ‖² and the error of the modules' outputs (docs/results.md). Default: true with a calibration.
   */
  readonly weighted?: boolean | undefined;
} & (OneGoal | { readonly [goal in keyof RdGoals]?: undefined });

/** Weights that share a scale. */
interface Grouped {
  /** A power of two from 16 to 1024, or 0 for the whole vector. Default 128. */
  readonly group?: number | undefined;
}

/** For comparison: the original factors, rounded to a few bits. */
export interface RtnOptions extends Grouped {
  readonly profile: "rtn";
  /** Bits per code, 1 to 8, without scales and zero points. Default 2. */
  readonly codeBits?: number | undefined;
}

/** For comparison: the signs of the original factors. */
export interface SignOptions extends Grouped {
  readonly profile: "sign";
}

/** The original factors in floating point. */
export interface RawOptions {
  readonly profile: "raw";
  /** Element type. Default `f32`, which changes nothing. */
  readonly element?: FloatType | undefined;
}

/** How to quantize: options of one profile. */
export type QuantizeOptions = RdOptions | RtnOptions | SignOptions | RawOptions;

/** Options with every default filled in. */
export type QuantizeSettings =
  | ({
      readonly profile: "rd";
      readonly floor: number;
      readonly fit: Fit;
      readonly weighted?: boolean;
    } & OneGoal)
  | InForce<RtnOptions>
  | InForce<SignOptions>
  | InForce<RawOptions>;
type InForce<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> };

/** Names of all members of a union. */
export type NamesOf<T> = T extends unknown ? keyof T : never;

/** A quantized module. */
export interface QuantizedModule {
  readonly factors: PackedFactors;
  /** Whether the factors are the differences from the parent. */
  readonly fromParent?: boolean;
  readonly quality: ModuleQuality;
  /** The factors without the tuning of a calibration; absent if it has none. */
  readonly untuned?: PackedFactors;
  /** The loss that the allocation of `rd` made least: compares encodings of one adapter. */
  readonly loss?: number;
}

/**
 * Quantizes one module and measures the result, also by `moments` of its inputs if there are any. Only for profiles that
 * handle one module at a time; `rd` is in `rd/rd.ts`.
 *
 * @throws LqaError USAGE for an option outside its domain; SOURCE_SHAPE if a factor does not have the length that its shape
 *   implies; SOURCE_NONFINITE for a NaN or Inf weight; SOURCE_RANGE for weights beyond every scale type
 */
export function quantizeModule(
  module: LoraModule,
  options: QuantizeOptions,
  moments?: Float64Array,
): QuantizedModule {
  const encode = encoderFor(options);
  checkSourceModule(module);
  const factors = encode(module);
  return { factors, quality: moduleQuality(module, factors, moments) };
}

/** The options of each profile. */
const OWN: Readonly<Record<QuantizeSettings["profile"], readonly NamesOf<QuantizeOptions>[]>> = {
  rd: ["quality", "bits", "maxBytes", "maxError", "floor", "fit", "weighted"],
  rtn: ["codeBits", "group"],
  sign: ["group"],
  raw: ["element"],
};
const PROFILES = Object.keys(OWN) as QuantizeSettings["profile"][];

/**
 * The options with every default filled in, and nothing else.
 *
 * @throws LqaError USAGE for an option outside its domain, or of another profile: the compiler refuses these too, but not every
 *   caller is compiled
 */
export function resolveOptions(options: QuantizeOptions): QuantizeSettings {
  const profile = oneOf("profile", options.profile ?? "rd", PROFILES);
  for (const stray of PROFILES.flatMap((name) => OWN[name])) {
    if ((options as Readonly<Record<string, unknown>>)[stray] === undefined || OWN[profile].includes(stray))
      continue;
    const owners = PROFILES.filter((name) => OWN[name].includes(stray));
    fail(KIND.USAGE, {
      where: "profile",
      expected: `${stray} only with profile ${owners.join(", ")}`,
      actual: `profile ${profile}`,
    });
  }
  switch (options.profile) {
    case "rtn":
      return {
        profile: "rtn",
        codeBits: oneOf("codeBits", options.codeBits ?? 2, [1, 2, 3, 4, 5, 6, 7, 8]),
        group: resolveGroup(options),
      };
    case "sign":
      return { profile: "sign", group: resolveGroup(options) };
    case "raw":
      return {
        profile: "raw",
        element: oneOf("element", options.element ?? "f32", ["f32", "f16", "bf16"]),
      };
    default:
      return resolveRd(options);
  }
}

function resolveGroup({ group = 128 }: Grouped): number {
  return oneOf("group", group, [0, 16, 32, 64, 128, 256, 512, 1024]);
}

function resolveRd(options: RdOptions): QuantizeSettings {
  const [goal = "quality", another] = (["quality", "bits", "maxBytes", "maxError"] as const).filter(
    (name) => options[name] !== undefined,
  );
  const floor = oneOf("floor", options.floor ?? 0, [0, 0.5, 1]);
  const fit = oneOf("fit", options.fit ?? "unbiased", ["unbiased", "least-squares"]);
  const choices = { floor, fit, ...(options.weighted === true && { weighted: true }) };
  if (another !== undefined)
    fail(KIND.USAGE, { expected: "one goal", actual: `two goals, ${goal} and ${another}` });
  if (goal === "quality") {
    const names = Object.keys(QUALITY_BITS) as QualityName[];
    return { profile: "rd", quality: oneOf("quality", options.quality ?? "balanced", names), ...choices };
  }
  const value: number = options[goal]!;
  const most = { bits: 16, maxBytes: Number.MAX_SAFE_INTEGER, maxError: 1 }[goal];
  if (!(value > 0 && value <= most))
    fail(KIND.USAGE, { where: goal, expected: `a number above 0, at most ${most}`, actual: value });
  return { profile: "rd", ...({ [goal]: value } as unknown as OneGoal), ...choices };
}

function encoderFor(options: QuantizeOptions): (module: LoraModule) => PackedFactors {
  const settings = resolveOptions(options);
  switch (settings.profile) {
    case "rd":
      return fail(KIND.USAGE, {
        where: "profile",
        expected: "a profile of single modules",
        actual: settings.profile,
      });
    case "rtn":
      return (module) => rtnFactors(module, settings.codeBits, settings.group);
    case "sign":
      return (module) => signFactors(module, settings.group);
    case "raw":
      return (module) => rawFactors(module, settings.element);
  }
}

function oneOf<const T extends string | number>(option: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value))
    fail(KIND.USAGE, { where: option, expected: allowed.join(", "), actual: value });
  return value;
}

/** @throws LqaError SOURCE_SHAPE, SOURCE_NONFINITE */
export function checkSourceModule(module: LoraModule): void {
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
