/**
 * Decodes a module on the device, with the same bits as `LqaFile.decode` (spec clause 8.7).
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";
import { callBinding } from "./decode-calls.ts";
import { USAGE } from "./device.ts";
import type { GpuModule } from "./module.ts";
import type { FACTOR } from "./program.ts";
import { RUN } from "./shaders/decode.ts";
import { bindingOf, type GpuTarget } from "./targets.ts";
import { type GpuTask, prepareTask, type Step } from "./task.ts";
import type { GpuBuffer } from "./types.ts";

/** How to decode a module; as `DecodeOptions`. */
export interface GpuDecodeOptions {
  /** Layout of B: `[experts][out][rank]` (`peft`, the default) or `[experts][rank][out]`. A is `[experts][rank][in · kernel]`. */
  readonly layout?: "peft" | "component";
  /** Default `f32`. A word holds two `f16`, the first in its low bits. */
  readonly type?: "f32" | "f16";
  /** Multiplies B by the module's multiplier, so that ΔW = B · A. Default false. */
  readonly multiplier?: boolean;
}

/** Buffers to decode to, with usage STORAGE; at least one. An odd number of f16 needs two more bytes, up to a multiple of 4. */
export interface GpuDecodeTargets {
  readonly b?: GpuTarget;
  readonly a?: GpuTarget;
}

/** Decoded factors, each in a new buffer. */
export interface GpuFactors {
  readonly b: GpuBuffer;
  readonly a: GpuBuffer;
}

type Factor = keyof typeof FACTOR;

/** Number of weights of a factor, all experts together, and bytes of its buffer. */
function sizeOf(module: GpuModule, factor: Factor, type: "f32" | "f16"): { weights: number; bytes: number } {
  const { shape } = module;
  const weights = shape.experts * shape.rank * (factor === "b" ? shape.out : inputLength(shape));
  return { weights, bytes: type === "f32" ? 4 * weights : 4 * Math.ceil(weights / 2) };
}

/** Checks that no sum of the factor, multiplied for B, overflows binary16. */
function assertFiniteHalf(
  { largest, shape }: GpuModule,
  factor: Factor,
  multiplier: boolean,
  where: string,
): void {
  const most =
    multiplier && factor === "b" ? Math.fround(largest.b * Math.abs(shape.multiplier)) : largest[factor];
  if (most >= 65520)
    fail(KIND.NONFINITE_VALUE, {
      where,
      expected: "sums that fit in binary16",
      actual: "one of 65520 or more",
      advice: "Decode this module to f32.",
    });
}

/** See {@link GpuModule.prepareDecode}. */
export async function prepareDecode(
  module: GpuModule,
  targets: GpuDecodeTargets,
  { layout = "peft", type = "f32", multiplier = false }: GpuDecodeOptions,
): Promise<GpuTask> {
  module.assertUsable();
  const { state, shape, program } = module;
  const { device } = state;
  const most = device.limits.maxStorageBufferBindingSize;
  const steps: Step[] = [];
  for (const factor of ["b", "a"] as const) {
    const target = targets[factor];
    if (target === undefined) continue;
    const where = `${factor.toUpperCase()} of module "${shape.name}"`;
    const { weights, bytes } = sizeOf(module, factor, type);
    if (type === "f16") assertFiniteHalf(module, factor, multiplier, where);
    if (bytes > most)
      fail(KIND.GPU_LIMIT, { where, expected: `a binding of at most ${most} bytes`, actual: bytes });
    const binding = bindingOf(device, target, bytes, (expected, actual) =>
      fail(KIND.TARGET_SIZE, { where, expected, actual }),
    );
    const [b, half] = [factor === "b", type === "f16"];
    const bindings = {
      ...module.bindings,
      3: callBinding(state.decodeCalls, factor, {
        peft: b && layout === "peft",
        multiply: b && multiplier,
        half,
      }),
      4: binding,
    };
    const { rotated } = program[factor];
    const length = weights / shape.experts / shape.rank;
    steps.push({
      ...straightGroups(shape, length, { peft: b && layout === "peft", half }),
      bindings,
    });
    if (rotated > 0)
      steps.push({
        kernel: "decodeRotated",
        bindings,
        groups: shape.experts * rotated * rotatedBlocks(length),
      });
  }
  if (steps.length === 0)
    fail(KIND.TARGET_SIZE, {
      where: `module "${shape.name}"`,
      expected: "a target for B or A",
      actual: "none",
    });
  return prepareTask(state, `module "${shape.name}"`, steps, {
    gone: () => (module.destroyed ? "a module that was destroyed" : undefined),
    release: () => {},
  });
}

/** The kernel for vectors that are not rotated, and its number of workgroups. */
function straightGroups(
  { experts, rank }: ModuleShape,
  length: number,
  { peft, half }: { readonly peft: boolean; readonly half: boolean },
): Pick<Step, "kernel" | "groups"> {
  // Weights that are contiguous in the target.
  const row = peft ? rank : length;
  if (half && row % 2 === 1)
    return { kernel: "decodeWords", groups: Math.ceil(Math.ceil((experts * rank * length) / 2) / 64) };
  const words = half ? row / 2 : row;
  const groups = peft
    ? experts * Math.ceil(length / 64) * Math.ceil(words / RUN)
    : experts * rank * Math.ceil(words / (64 * RUN));
  return { kernel: "decode", groups };
}

/** Workgroups for a rotated vector: one for every four columns of 64 weights, and one for the tail. */
export function rotatedBlocks(length: number): number {
  return Math.ceil(Math.floor(length / 64) / 4) + (length % 64 > 0 ? 1 : 0);
}

/** See {@link GpuModule.decode}. */
export async function decodeToNewBuffers(module: GpuModule, options: GpuDecodeOptions): Promise<GpuFactors> {
  module.assertUsable();
  const { state, shape } = module;
  const where = `module "${shape.name}"`;
  const { device } = state;
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const most = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const make = (factor: Factor): GpuBuffer => {
    const { bytes } = sizeOf(module, factor, options.type ?? "f32");
    if (bytes > most)
      fail(KIND.GPU_LIMIT, { where, expected: `a buffer of at most ${most} bytes`, actual: bytes });
    const usage = USAGE.storage | USAGE.copySource | USAGE.copyTarget;
    return device.createBuffer({ label: `${factor.toUpperCase()} of ${where}`, size: bytes, usage });
  };
  const factors = await state.guarded(where, () => ({ b: make("b"), a: make("a") }));
  try {
    const task = await prepareDecode(module, factors, options);
    await state.guarded(where, () => {
      const encoder = device.createCommandEncoder({ label: `lqa decode: ${where}` });
      task.encode(encoder);
      device.queue.submit([encoder.finish()]);
    });
    task.destroy();
    return factors;
  } catch (error) {
    factors.b.destroy();
    factors.a.destroy();
    throw error;
  }
}
