/**
 * Prepared work: a few dispatches with their bindings, which a caller can encode any number of times.
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
  /** By binding number. */
  readonly bindings: Readonly<Record<number, GpuBufferBinding>>;
  /** Workgroups. If they are more than one row of the grid can have, the grid has several rows. */
  readonly groups: number;
}

interface BoundStep {
  readonly pipeline: GpuComputePipeline;
  readonly bindGroup: GpuBindGroup;
  readonly grid: readonly [x: number, y: number];
}

/** Resources that a task holds until it is destroyed. */
export interface Held {
  /** Why the task can no longer be encoded; undefined if it can. */
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
   * Encodes the dispatches into an open pass, or into a new pass of a command encoder. They read their buffers when the
   * commands run, not now.
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

  /** Frees the memory that the task holds on the device. Submit all encoded commands first. */
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
 * Compiles missing pipelines and binds the buffers of all steps.
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
