/**
 * Decodes planes to binary32 or binary16 weights (spec clauses 8.1 to 8.7): with the kernel if the runtime has WebAssembly
 * with SIMD and the planes are large enough, otherwise with the reference decoders. Both give the same bits.
 *
 * This file checks the lengths of planes against the encoding, because planes of other lengths would decode to other weights.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { numberToF16, storeFloats } from "../../floats.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import {
  type DecodeTarget,
  type Encoding,
  type Kind,
  type Placement,
  type Planes,
  type ReferenceDecoder,
  sizesOf,
} from "./encoding.ts";
import { decodeGrouped } from "./grouped.ts";
import { DecodeKernel, type FactorJob, type FactorPart } from "./kernels/decode-kernel.ts";
import type { PackedFactors } from "./packed.ts";
import { decodeFloats } from "./raw.ts";
import { lower, planeSizes } from "./registry.ts";
import { decodeWindows } from "./trellis.ts";
import { decodeNothing } from "./zero.ts";

export type { DecodeTarget, Placement } from "./encoding.ts";
export type { FactorJob, FactorPart } from "./kernels/decode-kernel.ts";

const REFERENCE: Readonly<Record<Kind, ReferenceDecoder>> = {
  nothing: decodeNothing,
  floats: decodeFloats,
  signs: decodeGrouped,
  codes: decodeGrouped,
  windows: decodeWindows,
};

/** Decodes with the `ReferenceDecoder` of the kind. */
export const decodePlain: ReferenceDecoder = (lowered, ...rest) => REFERENCE[lowered.kind](lowered, ...rest);

const NO_BYTES = new Uint8Array(0);
const NO_PLANES: Planes = { codes: NO_BYTES, scales: NO_BYTES, zeroPoints: NO_BYTES };

/** A part of zeros. */
export function emptyPart(components: number): FactorPart {
  return { encoding: { codec: "zero" }, planes: NO_PLANES, components };
}

/** A job that stores decoded weights, rounded once if the target is binary16. It takes over `values`, and may overwrite them. */
export function storing(values: Float32Array): FactorJob {
  const planes = { ...NO_PLANES, codes: storeFloats(values) };
  const part: FactorPart = { encoding: { codec: "raw", element: "f32" }, planes, components: 1 };
  return { parts: [part], length: values.length, order: "component", multiplier: 1 };
}

/** Below this many weights the kernel's calls and copies cost more than they save. */
const KERNEL_WEIGHTS = 512;
/** Most bytes of memory of a kernel that stays loaded after a call. */
const KEPT_BYTES = 2 ** 23;

let shared: DecodeKernel | undefined | null;

/** Decodes with the kernel that all callers share. Returns false if there is none, or if it does not take the job. */
function byKernel(job: FactorJob, target: DecodeTarget, offset: number): boolean {
  if (shared === undefined) shared = DecodeKernel.make() ?? null;
  const done = shared?.decode(job, target, offset) ?? false;
  if (shared && shared.memory.buffer.byteLength > KEPT_BYTES) shared = undefined;
  return done;
}

/**
 * Decodes the planes of one factor of one band.
 *
 * @param components Number of vectors in the planes.
 * @param length Weights of each vector.
 * @param target Its type selects the output: `Float32Array` binary32, `Uint16Array` bits of binary16. A binary32
 *   value of 65520 or more overflows to infinity in binary16.
 * @throws LqaError UNSUPPORTED_CODEC for an unknown trellis table; TARGET_SIZE if a weight would fall outside `target`.
 * @throws RangeError if a plane does not have the length that its encoding implies.
 */
export function decodePlanes(
  encoding: Encoding,
  planes: Planes,
  components: number,
  length: number,
  target: DecodeTarget,
  at: Placement,
): void {
  assertPlanes(encoding, planes, components, length);
  const last = at.offset + (components - 1) * at.componentStride + (length - 1) * at.weightStride;
  if (!(at.offset >= 0 && at.componentStride >= 0 && at.weightStride >= 0 && last < target.length)) {
    fail(KIND.TARGET_SIZE, {
      expected: `${last + 1} elements at least`,
      actual: `${target.length} elements`,
    });
  }
  const order = orderOf(at, components, length);
  if (order !== undefined && components * length >= KERNEL_WEIGHTS) {
    const parts = [{ encoding, planes, components }];
    if (byKernel({ parts, length, order, multiplier: 1 }, target, at.offset)) return;
  }
  decodePlain(lower(encoding), planes, components, length, target, at);
}

/** The kernel's order for a placement; undefined if the placement has gaps. */
function orderOf(at: Placement, components: number, length: number): FactorJob["order"] | undefined {
  if (at.weightStride === 1 && (components === 1 || at.componentStride === length)) return "component";
  if (at.componentStride === 1 && at.weightStride === components) return "weight";
  return undefined;
}

/**
 * Decodes a whole factor, with all its parts, to `target` from `offset` on.
 *
 * @param kernel the caller's own instance; its memory may hold the target. Default: the shared one
 * @throws as {@link decodePlanes}
 */
export function decodeFactor(
  job: FactorJob,
  target: DecodeTarget,
  offset: number,
  kernel?: DecodeKernel,
): void {
  const { parts, length, order, multiplier, add = false } = job;
  const components = parts.reduce((sum, part) => sum + part.components, 0);
  for (const part of parts) assertPlanes(part.encoding, part.planes, part.components, length);
  const end = offset + components * length;
  if (!(offset >= 0 && end <= target.length))
    fail(KIND.TARGET_SIZE, { expected: `${end} elements at least`, actual: `${target.length} elements` });
  if (components * length >= KERNEL_WEIGHTS) {
    if (kernel ? kernel.decode(job, target, offset) : byKernel(job, target, offset)) return;
  }
  let component = 0;
  for (const { encoding, planes, components: own } of parts) {
    const at =
      order === "component"
        ? { offset: offset + component * length, componentStride: length, weightStride: 1 }
        : { offset: offset + component, componentStride: 1, weightStride: components };
    if (multiplier === 1 && !add) decodePlain(lower(encoding), planes, own, length, target, at);
    else decodeVectors(encoding, planes, own, length, target, at, multiplier, add);
    component += own;
  }
}

/** Decodes vector by vector. If `add`, adds each weight to the one in the target; then multiplies. */
function decodeVectors(
  encoding: Encoding,
  planes: Planes,
  components: number,
  length: number,
  target: DecodeTarget,
  at: Placement,
  multiplier: number,
  add: boolean,
): void {
  const wide = target instanceof Float32Array;
  const lowered = lower(encoding);
  const sizes = sizesOf(lowered, 1, length);
  const values = new Float32Array(length);
  const row = { offset: 0, componentStride: length, weightStride: 1 };
  for (let c = 0; c < components; c++) {
    const own = (plane: keyof Planes): Uint8Array =>
      planes[plane].subarray(c * sizes[plane], (c + 1) * sizes[plane]);
    const one = { codes: own("codes"), scales: own("scales"), zeroPoints: own("zeroPoints") };
    decodePlain(lowered, one, 1, length, values, row);
    for (let i = 0, to = at.offset + c * at.componentStride; i < length; i++, to += at.weightStride) {
      const sum = add ? Math.fround(target[to]! + values[i]!) : values[i]!;
      const value = Math.fround(sum * multiplier);
      target[to] = wide ? value : numberToF16(value);
    }
  }
}

/**
 * Checks that planes have the lengths that the encoding implies.
 *
 * @throws LqaError UNSUPPORTED_CODEC for an unknown trellis table; RangeError for a wrong length.
 */
export function assertPlanes(encoding: Encoding, planes: Planes, components: number, length: number): void {
  const sizes = planeSizes(encoding, components, length);
  for (const plane of ["scales", "zeroPoints", "codes"] as const) {
    if (planes[plane].length !== sizes[plane]) {
      throw new RangeError(`plane ${plane}: expected ${sizes[plane]} bytes, found ${planes[plane].length}`);
    }
  }
}

/**
 * The jobs that decode a module: B' and A' of each expert.
 *
 * @param order order of the weights of B'; A' is always component after component
 * @param multiplier factor of B'
 */
export function factorJobs(
  shape: ModuleShape,
  { bands, planes }: PackedFactors,
  order: FactorJob["order"],
  multiplier: number,
): [b: FactorJob, a: FactorJob][] {
  return planes.map((own) => {
    const parts = (factor: "b" | "a"): FactorPart[] =>
      bands.map(({ components, [factor]: encoding }, i) => ({
        encoding,
        planes: own[i]![factor],
        components,
      }));
    return [
      { parts: parts("b"), length: shape.out, order, multiplier },
      { parts: parts("a"), length: inputLength(shape), order: "component", multiplier: 1 },
    ];
  });
}
