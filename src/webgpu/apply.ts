/**
 * Packed application on the device: selects the kernels of a module and binds their buffers.
 *
 * @module
 */
import { assertApplicable } from "../core/format.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { inputLength } from "../model/adapter.ts";

import { rotatedBlocks } from "./decode.ts";
import { filledBuffer, type ScratchHold, USAGE } from "./device.ts";
import type { GpuModule } from "./module.ts";
import { CHUNK, ROTATED_TILE, TILE } from "./shaders/apply.ts";
import { bindingOf, type GpuTarget } from "./targets.ts";
import { type GpuTask, prepareTask, type Step } from "./task.ts";
import type { GpuBufferBinding, GpuDevice } from "./types.ts";

/** Rows that a module is applied to, and the rows that receive the result. */
export interface GpuApplyOptions {
  /** `[rows][in · kernel]`, usage STORAGE. */
  readonly x: GpuTarget;
  /** `[rows][out]`, usage STORAGE: output of the base layer, to which the task adds the update. May share a buffer with x. */
  readonly y: GpuTarget;
  readonly rows: number;
  /** Types of x and y. A word holds two `f16`, the first in its low bits. Default `f32`. */
  readonly xType?: "f32" | "f16";
  readonly yType?: "f32" | "f16";
  /** Number of the expert whose factors to apply; required if the module has more than one. */
  readonly expert?: number;
}

/** See {@link GpuModule.prepareApply}. */
export async function prepareApply(module: GpuModule, options: GpuApplyOptions): Promise<GpuTask> {
  module.assertUsable();
  assertApplicable(module.shape);
  const application = applicationOf(module, options);
  const holds: ScratchHold[] = [];
  const release = (): void => {
    for (const hold of holds) hold.release();
  };
  try {
    const buffers = await buffersOf(module, application, holds);
    return await prepareTask(module.state, application.where, stepsOf(module, application, buffers), {
      gone: () => (module.destroyed ? "a module that was destroyed" : undefined),
      release,
    });
  } catch (error) {
    release();
    throw error;
  }
}

/** What is applied to what, checked. */
interface Application {
  readonly where: string;
  readonly rows: number;
  readonly expert: number;
  readonly x: GpuBufferBinding;
  readonly y: GpuBufferBinding;
  readonly halfX: boolean;
  readonly halfY: boolean;
  /** Length of a row of x, and the chunks that it is divided into. */
  readonly n: number;
  readonly chunks: number;
  /** Bytes of the scratch buffers. */
  readonly sizes: { readonly h: number; readonly turned: number; readonly update: number };
}

function applicationOf({ state, shape, program }: GpuModule, options: GpuApplyOptions): Application {
  const { device } = state;
  const where = `module "${shape.name}"`;
  const { rows, xType = "f32", yType = "f32" } = options;
  const expert = options.expert ?? (shape.experts === 1 ? 0 : -1);
  if (!(Number.isInteger(rows) && rows > 0))
    fail(KIND.ACTIVATION_SHAPE, { where, expected: "at least one row", actual: rows });
  if (!(Number.isInteger(expert) && expert >= 0 && expert < shape.experts))
    fail(KIND.ACTIVATION_SHAPE, {
      where,
      expected: `an expert from 0 to ${shape.experts - 1}`,
      actual: options.expert ?? "none",
    });
  const n = inputLength(shape);
  const bound = (name: "x" | "y", type: "f32" | "f16", elements: number): GpuBufferBinding => {
    const bytes = type === "f32" ? 4 * elements : 4 * Math.ceil(elements / 2);
    assertBinding(device, `${name} of ${where}`, bytes);
    return bindingOf(device, options[name], bytes, (expected, actual) =>
      fail(KIND.ACTIVATION_SHAPE, { where: `${name} of ${where}`, expected, actual }),
    );
  };
  const x = bound("x", xType, rows * n);
  const y = bound("y", yType, rows * shape.out);
  const chunks = Math.ceil(n / CHUNK);
  const sizes = {
    h: 4 * chunks * rows * shape.rank,
    // An empty binding is invalid.
    turned: program.a.appliedRotated > 0 ? 4 * rows * n : 4,
    update: yType === "f16" ? 4 * rows * shape.out : 0,
  };
  for (const [purpose, bytes] of Object.entries(sizes))
    assertBinding(device, `${purpose} of ${where}`, bytes);
  return { where, rows, expert, x, y, halfX: xType === "f16", halfY: yType === "f16", n, chunks, sizes };
}

interface ApplyBuffers {
  readonly h: GpuBufferBinding;
  readonly turned: GpuBufferBinding;
  readonly update: GpuBufferBinding;
  /** The parameters of the call. */
  readonly call: GpuBufferBinding;
}

/** Scratch buffers and parameters; `holds` gets what to release. */
function buffersOf(
  { state }: GpuModule,
  { where, rows, expert, y, halfX, halfY, chunks, sizes }: Application,
  holds: ScratchHold[],
): Promise<ApplyBuffers> {
  return state.guarded(where, () => {
    const scratch = (purpose: keyof typeof sizes): GpuBufferBinding => {
      const hold = state.scratch(purpose, sizes[purpose]);
      holds.push(hold);
      return { buffer: hold.buffer, size: sizes[purpose] };
    };
    const own = filledBuffer(
      state.device,
      { label: `lqa apply: ${where}`, size: 32, usage: USAGE.uniform },
      (range) => new Uint32Array(range).set([rows, expert, Number(halfX), chunks, Number(!halfY)]),
    );
    holds.push({ buffer: own, release: () => own.destroy() });
    return {
      h: scratch("h"),
      turned: scratch("turned"),
      update: halfY ? scratch("update") : y,
      call: { buffer: own },
    };
  });
}

function stepsOf(
  { shape, program: { b, a }, bindings }: GpuModule,
  { rows, x, y, halfY, n, chunks }: Application,
  { h, turned, update, call }: ApplyBuffers,
): Step[] {
  const applied = b.appliedStraight + b.appliedRotated;
  const steps: Step[] = [];
  if (applied === 0) return steps;
  const common = { ...bindings, 3: call };
  const rowTiles = Math.ceil(rows / TILE);
  if (a.appliedRotated > 0)
    steps.push({
      kernel: "turn",
      bindings: { ...common, 4: x, 5: turned },
      groups: rows * rotatedBlocks(n),
    });
  steps.push({
    kernel: "project",
    bindings: { ...common, 4: x, 5: turned, 6: h },
    groups: rowTiles * chunks * applied,
  });
  // For f16, `expand` runs even without straight components, because it initializes the scratch memory.
  if (b.appliedStraight > 0 || halfY)
    steps.push({
      kernel: "expand",
      bindings: { ...common, 4: h, 5: update },
      groups: rowTiles * Math.ceil(shape.out / 64),
    });
  if (b.appliedRotated > 0)
    steps.push({
      kernel: "expandRotated",
      bindings: { ...common, 4: h, 5: update },
      groups: Math.ceil(rows / ROTATED_TILE) * rotatedBlocks(shape.out),
    });
  if (halfY)
    steps.push({
      kernel: "round",
      bindings: { ...common, 4: update, 5: y },
      groups: Math.ceil((rows * shape.out) / 128),
    });
  return steps;
}

function assertBinding(device: GpuDevice, where: string, bytes: number): void {
  const most = device.limits.maxStorageBufferBindingSize;
  if (bytes > most)
    fail(KIND.GPU_LIMIT, { where, expected: `a binding of at most ${most} bytes`, actual: bytes });
}
