/**
 * Encodes one adapter with every method and compares cost and error with the rate-distortion bound.
 *
 * The comparison encodes a whole file for each method, measures it, and discards it before the next. It gives bits twice: as
 * papers count them (codes, scales and zero points), and on disk. The distance to the bound uses the bits on disk, of which index and metadata
 * are a large part if the adapter is small.
 *
 * @module
 */
import {
  type BoundComponent,
  type EncodeControls,
  type EncodeReport,
  encodeAdapter,
  paced,
  type QuantizeOptions,
  type QuantizeSettings,
} from "../encode/index.ts";
import { boundComponents, checkSourceModule, relativeBound, resolveOptions } from "../encode/rooms.ts";

import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../errors.ts";
import { type Adapter, parameterCount } from "../model/adapter.ts";
import type { RdCurve, RdMethod, RdPoint } from "./rd-curve-svg.ts";

/** The methods to compare. The inherited options are those of `encodeAdapter`. */
export interface CompareOptions extends Omit<EncodeControls, "calibration"> {
  /** Goals of `rd` in bits per weight on disk. Default 1, 1.25, 1.5, 2 and 3. */
  readonly bits?: readonly number[];
  /** Floor of `rd`: 0, 0.5 or 1. Default as in `encodeAdapter`. */
  readonly floor?: number;
}

/** Figures of one encoding. */
export interface Measured
  extends Pick<
    EncodeReport,
    | "averageBits"
    | "bitsPerParameter"
    | "relativeError"
    | "restoredError"
    | "gain"
    | "snrDb"
    | "outputBytes"
    | "tensorBytes"
  > {
  /** The smallest relative error that Gaussian components allow at the bits on disk. */
  readonly bound: number;
  /** 10 log₁₀ (relativeError / bound); undefined if either is 0. */
  readonly aboveBoundDb: number | undefined;
  /** Time to encode and measure. */
  readonly seconds: number;
}

/** One row of the comparison. */
export interface ComparedMethod {
  /** Such as `rtn 2`, `rd 1.25`. */
  readonly method: string;
  /** The options in force. */
  readonly settings: QuantizeSettings;
  /** Undefined if the goal cannot be met. */
  readonly measured: Measured | undefined;
  /** For a goal that cannot be met: the fewest bits on disk that are possible. */
  readonly leastBits: number | undefined;
}

/** The bits that `rd` needs for the error of plain rounding to 3 bits, with the same aim: `fit: "least-squares"`. */
export interface Match {
  readonly method: string;
  readonly relativeError: number;
  /** Bits per weight on disk of that method. */
  readonly bits: number;
  /** Bits per weight on disk of `rd`. */
  readonly rdBits: number;
  /** At most `relativeError`; far below it if the floor alone takes all those bits. */
  readonly rdRelativeError: number;
}

/** The result of {@link compareAdapter}. */
export interface Comparison {
  /** Number of weights of all factors. */
  readonly parameters: number;
  /** Floor of `rd`. */
  readonly floor: number;
  readonly rows: readonly ComparedMethod[];
  /** Undefined if there is no error to match, or `rd` cannot get as low. */
  readonly match: Match | undefined;
  /** The bound from 0 bits to the most bits of any row. */
  readonly bound: readonly RdPoint[];
}

const DEFAULT_BITS = [1, 1.25, 1.5, 2, 3];
const RTN_BITS = [1, 2, 3, 4];
/** The method whose error `rd` has to match. */
const MATCHED = "rtn 3";
/** Bytes by which the text of a goal in the metadata may grow. */
const GOAL_DIGITS = 8;
/** Number of segments of the drawn bound. */
const CURVE_STEPS = 48;

interface Method {
  readonly method: string;
  readonly options: QuantizeOptions;
  /** The goal of `rd`. */
  readonly bits?: number;
}

/**
 * Encodes an adapter in memory with `sign`, `rtn` and `rd`, without known starts: the bound is of files that have all weights.
 *
 * `onProgress` counts methods, and names the current method and module. If the floor rules out a goal of `rd`, the goal
 * becomes a row without figures.
 *
 * @throws LqaError USAGE for an adapter without modules or an option outside its domain; otherwise as `encodeAdapter`
 */
export async function compareAdapter(adapter: Adapter, options: CompareOptions = {}): Promise<Comparison> {
  const { bits, floor: asked, onProgress, ...surroundings } = options;
  const resolved = resolveOptions({ floor: asked });
  const floor = resolved.profile === "rd" ? resolved.floor : 0;
  const methods = methodsOf(
    [...new Set(bits ?? DEFAULT_BITS)].sort((x, y) => x - y),
    floor,
  );
  // Report wrong options before computing anything.
  const settings = methods.map((method) => resolveOptions(method.options));
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  if (parameters === 0)
    fail(KIND.USAGE, { where: "the adapter", expected: "at least one module", actual: "none" });

  let step = 0;
  const steps = methods.length + 2;
  const during = (what: string): EncodeControls => ({
    ...surroundings,
    onProgress: (_done, _total, name) => onProgress?.(step, steps, `${what}: ${name}`),
  });
  const boundAt = relativeBound(await componentsOf(adapter, during("bound")));
  const measure = async ({ method, options: told }: Method): Promise<Measured> => {
    const started = performance.now();
    const { report } = await encodeAdapter(adapter, { ...during(method), ...told, start: "none" });
    const bound = boundAt(report.bitsPerParameter * parameters);
    const { averageBits, bitsPerParameter, relativeError, restoredError, gain } = report;
    const { snrDb, outputBytes, tensorBytes } = report;
    return {
      ...{ averageBits, bitsPerParameter, relativeError, restoredError, gain, bound },
      ...{ snrDb, outputBytes, tensorBytes },
      aboveBoundDb: relativeError > 0 && bound > 0 ? 10 * Math.log10(relativeError / bound) : undefined,
      seconds: (performance.now() - started) / 1000,
    };
  };

  const rows: ComparedMethod[] = [];
  for (const [i, method] of methods.entries()) {
    step++;
    const row = { method: method.method, settings: settings[i]! };
    try {
      rows.push({ ...row, measured: await measure(method), leastBits: undefined });
    } catch (error) {
      if (!isSizeGoal(error)) throw error;
      const leastBits = leastBitsOf(error, method.bits!, parameters);
      rows.push({ ...row, measured: undefined, leastBits });
    }
  }
  step++;
  const match = await matchOf(rows, floor, measure);
  const most = Math.max(...rows.map(({ measured }) => measured?.bitsPerParameter ?? 0));
  const curve = Array.from({ length: CURVE_STEPS + 1 }, (_, i): RdPoint => {
    // The bound bends most at few bits.
    const at = (i / CURVE_STEPS) ** 1.5 * most;
    return { bits: at, relativeError: boundAt(at * parameters) };
  });
  return { parameters, floor, rows, match, bound: curve };
}

function methodsOf(bits: readonly number[], floor: number): Method[] {
  return [
    { method: "sign", options: { profile: "sign" } },
    ...RTN_BITS.map((b): Method => ({ method: `rtn ${b}`, options: { profile: "rtn", codeBits: b } })),
    ...bits.map((b): Method => ({ method: `rd ${b}`, bits: b, options: { profile: "rd", bits: b, floor } })),
  ];
}

async function componentsOf(
  adapter: Adapter,
  options: Pick<EncodeControls, "onProgress" | "signal">,
): Promise<BoundComponent[]> {
  const progress = paced(options);
  const components: BoundComponent[] = [];
  for (const [i, module] of adapter.modules.entries()) {
    checkSourceModule(module);
    components.push(...boundComponents(module));
    await progress(i + 1, adapter.modules.length, module.name);
  }
  return components;
}

function isSizeGoal(error: unknown): error is LqaError {
  return isLqaError(error, "USAGE") && error.where === "this adapter";
}

/**
 * The lowest goal in bits per weight that the encoder would accept, rounded up to thousandths. The error gives the smallest
 * file in bytes, and the bytes that the refused goal allowed, plain tensors included. The result adds room for two effects: a
 * goal with more digits lengthens the metadata, and chunks may need other padding (0.1 % at most).
 */
function leastBitsOf({ expected, actual }: LqaError, bits: number, parameters: number): number | undefined {
  const least = Number(/^at least (\d+) bytes/.exec(String(expected))?.[1]);
  if (Number.isNaN(least) || typeof actual !== "number") return undefined;
  const bytes = Math.floor((bits * parameters) / 8) + least - actual + GOAL_DIGITS + least / 1000;
  return Math.ceil((8000 * bytes) / parameters) / 1000;
}

async function matchOf(
  rows: readonly ComparedMethod[],
  floor: number,
  measure: (method: Method) => Promise<Measured>,
): Promise<Match | undefined> {
  const target = rows.find(({ method }) => method === MATCHED)?.measured;
  if (target === undefined || !(target.relativeError > 0 && target.relativeError <= 1)) return undefined;
  // Rounding to nearest does not stretch what it codes, so rd does not here.
  const options = { profile: "rd", maxError: target.relativeError, floor, fit: "least-squares" } as const;
  try {
    const rd = await measure({ method: `rd for ${MATCHED}`, options });
    const { relativeError, bitsPerParameter: bits } = target;
    return {
      ...{ method: MATCHED, relativeError, bits },
      rdBits: rd.bitsPerParameter,
      rdRelativeError: rd.relativeError,
    };
  } catch (error) {
    if (!isLqaError(error, "USAGE")) throw error;
    return undefined;
  }
}

/** Converts a comparison to a curve. */
export function comparisonCurve({ rows, bound }: Comparison, title: string): RdCurve {
  const rd: RdPoint[] = [];
  const methods: RdMethod[] = [];
  for (const { method, settings, measured } of rows) {
    if (measured === undefined) continue;
    const point = { bits: measured.bitsPerParameter, relativeError: measured.relativeError };
    const { profile } = settings;
    if (profile === "rd") rd.push(point);
    else if (profile !== "raw") methods.push({ ...point, family: profile, label: labelOf(method) });
  }
  return { title, rd, bound, methods };
}

/** The label of a method's point: `2-bit RTN`, `sign`. */
function labelOf(method: string): string {
  return method.startsWith("rtn ") ? `${method.slice(4)}-bit RTN` : method;
}
