/**
 * Work that has been prepared: a few dispatches with everything that they are bound to, to be encoded as often as wanted.
 *
 * @module
 */
// Symbol.dispose, for projects whose libraries do not have it.
/// <reference lib="esnext.disposable" preserve="true" />
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { bindingNumbers, type DeviceState, type KernelName } from "./device.ts";
import type {
  GpuBindGroup,
  GpuBufferBinding,
  GpuCommandEncoder,
  GpuComputePassEncoder,
  GpuComputePipeline,
  GpuDevice,
} from "./types.ts";

/** One dispatch. */
export interface Step {
  readonly kernel: KernelName;
  /** By number of the binding. */
  readonly bindings: Readonly<Record<number, GpuBufferBinding>>;
  /** Groups of invocations; more than a row of the grid takes are laid out in rows. */
  readonly groups: number;
}

interface BoundStep {
  readonly pipeline: GpuComputePipeline;
  readonly bindGroup: GpuBindGroup;
  readonly grid: readonly [x: number, y: number];
}

/** What a task needs until it is destroyed. */
export interface Held {
  /** Why it cannot be encoded any more, if so. */
  gone(): string | undefined;
  release(): void;
}

/** Prepared work on the device. */
export class GpuTask {
  readonly #state: DeviceState;
  readonly #where: string;
  readonly #steps: readonly BoundStep[];
  readonly #held: Held;
  #destroyed = false;

  /** @internal */
  constructor(state: DeviceState, where: string, steps: readonly BoundStep[], held: Held) {
    this.#state = state;
    this.#where = where;
    this.#steps = steps;
    this.#held = held;
  }

  /**
   * Encodes the dispatches: into a pass that is open, or as a pass of their own. What they read is read when the commands
   * run.
   *
   * @throws LqaError USAGE if the task or its module was destroyed; GPU_DEVICE if the device is lost
   */
  encode(encoder: GpuCommandEncoder | GpuComputePassEncoder): void {
    const gone = this.#destroyed ? "a task that was destroyed" : this.#held.gone();
    if (gone !== undefined) fail(KIND.USAGE, { where: this.#where, actual: gone });
    this.#state.assertPresent(this.#where);
    const own = "beginComputePass" in encoder ? encoder.beginComputePass({ label: this.#where }) : undefined;
    const pass = own ?? (encoder as GpuComputePassEncoder);
    for (const { pipeline, bindGroup, grid } of this.#steps) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...grid);
    }
    own?.end();
  }

  /** Frees what the task holds on the device. Commands that were encoded must have been submitted before. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#held.release();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

/**
 * Compiles what is missing and binds everything.
 *
 * @throws LqaError GPU_DEVICE; GPU_LIMIT if there are more groups than a grid may have
 */
export async function prepareTask(
  state: DeviceState,
  where: string,
  steps: readonly Step[],
  held: Held,
): Promise<GpuTask> {
  const { device } = state;
  const pipelines = await Promise.all(
    steps.map(({ kernel }) => state.guarded(where, () => state.pipeline(kernel))),
  );
  const bound = await state.guarded(where, () =>
    steps.map(({ bindings, groups, kernel }, i) => ({
      pipeline: pipelines[i]!,
      bindGroup: device.createBindGroup({
        label: `lqa ${kernel}: ${where}`,
        layout: pipelines[i]!.getBindGroupLayout(0),
        entries: bindingNumbers(kernel).map((binding) => ({ binding, resource: bindings[binding]! })),
      }),
      grid: gridOf(device, groups, where),
    })),
  );
  return new GpuTask(state, where, bound, held);
}

function gridOf(device: GpuDevice, groups: number, where: string): readonly [number, number] {
  const most = device.limits.maxComputeWorkgroupsPerDimension;
  const x = Math.min(groups, most);
  const y = Math.ceil(groups / x);
  if (y > most)
    fail(KIND.GPU_LIMIT, { where, expected: `at most ${most * most} groups of invocations`, actual: groups });
  return [x, y];
}
