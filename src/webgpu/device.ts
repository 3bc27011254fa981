/**
 * State of one device: pipelines, each compiled at its first use, trellis tables, scratch memory that all modules share, and
 * whether the device was lost.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { decodeCalls } from "./decode-calls.ts";
import { allTables } from "./program.ts";
import { EXPAND, EXPAND_ROTATED, PROJECT, ROUND, TURN } from "./shaders/apply.ts";
import { DECODE_ROTATED_SHADER, DECODE_SHADER, DECODE_WORDS } from "./shaders/decode.ts";
import type { GpuBuffer, GpuComputePipeline, GpuDevice } from "./types.ts";

/** Values of GPUBufferUsage, which is a global of browsers only. */
export const USAGE = { copySource: 0x4, copyTarget: 0x8, uniform: 0x40, storage: 0x80 } as const;

/** Value of GPUShaderStage.COMPUTE. */
const COMPUTE_STAGE = 0x4;
const CALL_BINDING = 3;

/** Names of the kernels. */
export type KernelName =
  | "decode"
  | "decodeWords"
  | "decodeRotated"
  | "turn"
  | "project"
  | "expand"
  | "expandRotated"
  | "round";

interface Kernel {
  readonly code: string;
  /** Binding numbers of the storage buffers that the kernel reads and writes. Number 3 is the uniform with its arguments. */
  readonly reads: readonly number[];
  readonly writes: number;
}

const KERNELS: Readonly<Record<KernelName, Kernel>> = {
  decode: { code: DECODE_SHADER, reads: [0, 1, 2], writes: 4 },
  decodeWords: { code: DECODE_WORDS, reads: [0, 1, 2], writes: 4 },
  decodeRotated: { code: DECODE_ROTATED_SHADER, reads: [0, 1, 2], writes: 4 },
  turn: { code: TURN, reads: [0, 4], writes: 5 },
  project: { code: PROJECT, reads: [0, 1, 2, 4, 5], writes: 6 },
  expand: { code: EXPAND, reads: [0, 1, 2, 4], writes: 5 },
  expandRotated: { code: EXPAND_ROTATED, reads: [0, 1, 2, 4], writes: 5 },
  round: { code: ROUND, reads: [0, 4], writes: 5 },
};

/** All binding numbers of a kernel. */
export function bindingNumbers(name: KernelName): number[] {
  const { reads, writes } = KERNELS[name];
  return [...reads, writes, CALL_BINDING];
}

/** Memory that several tasks use one after the other, large enough for each of them. */
interface Scratch {
  readonly buffer: GpuBuffer;
  users: number;
}

/** A piece of scratch memory that a task holds. */
export interface ScratchHold {
  readonly buffer: GpuBuffer;
  release(): void;
}

/** Pipelines and buffers that the tasks of a device share. */
export class DeviceState {
  readonly device: GpuDevice;
  #lost: string | undefined;
  #tables: GpuBuffer | undefined;
  #calls: GpuBuffer | undefined;
  readonly #pipelines = new Map<KernelName, Promise<GpuComputePipeline>>();
  readonly #scratch = new Map<string, Scratch>();

  constructor(device: GpuDevice) {
    this.device = device;
    device.lost.then(({ reason, message }) => {
      this.#lost = `${reason ?? "unknown"}: ${message}`;
    });
  }

  /** Checks that the device has not reported its loss. @throws LqaError GPU_DEVICE */
  assertPresent(where: string): void {
    if (this.#lost !== undefined) fail(KIND.GPU_DEVICE, { where, actual: `lost (${this.#lost})` });
  }

  /** The trellis tables on the device, 2 KiB. */
  get tables(): GpuBuffer {
    if (this.#tables === undefined) {
      const tables = allTables();
      const how = { label: "lqa trellis tables", size: tables.length, usage: USAGE.storage };
      this.#tables = filledBuffer(this.device, how, (range) => new Uint8Array(range).set(tables));
    }
    return this.#tables;
  }

  /** Arguments of the `decode` kernels for all cases, 4 KiB; `callBinding` selects one. */
  get decodeCalls(): GpuBuffer {
    if (this.#calls === undefined) {
      const calls = decodeCalls();
      const how = { label: "lqa decode calls", size: calls.byteLength, usage: USAGE.uniform };
      this.#calls = filledBuffer(this.device, how, (range) => new Uint32Array(range).set(calls));
    }
    return this.#calls;
  }

  /** The pipeline of a kernel, compiled once. */
  pipeline(name: KernelName): Promise<GpuComputePipeline> {
    let pipeline = this.#pipelines.get(name);
    if (pipeline === undefined) {
      const { device } = this;
      const label = `lqa ${name}`;
      const { code, reads, writes } = KERNELS[name];
      const entry = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({
        binding,
        visibility: COMPUTE_STAGE,
        buffer: { type },
      });
      const entries = [
        ...reads.map((binding) => entry(binding, "read-only-storage")),
        entry(writes, "storage"),
        entry(CALL_BINDING, "uniform"),
      ];
      const group = device.createBindGroupLayout({ label, entries });
      pipeline = device.createComputePipelineAsync({
        label,
        layout: device.createPipelineLayout({ label, bindGroupLayouts: [group] }),
        compute: { module: device.createShaderModule({ label, code }) },
      });
      this.#pipelines.set(name, pipeline);
      // Do not cache a failure.
      pipeline.catch(() => this.#pipelines.delete(name));
    }
    return pipeline;
  }

  /**
   * Scratch memory for a purpose, of at least `bytes`. Tasks share it, because a queue runs them one after the other. A task
   * that needs more gets a new buffer; the last user of the old one destroys it.
   */
  scratch(purpose: string, bytes: number): ScratchHold {
    let scratch = this.#scratch.get(purpose);
    if (scratch === undefined || scratch.buffer.size < bytes) {
      const buffer = this.device.createBuffer({
        label: `lqa scratch: ${purpose}`,
        size: bytes,
        usage: USAGE.storage,
      });
      scratch = { buffer, users: 0 };
      this.#scratch.set(purpose, scratch);
    }
    const held = scratch;
    held.users++;
    let released = false;
    return {
      buffer: held.buffer,
      release: () => {
        if (released) return;
        released = true;
        if (--held.users > 0) return;
        held.buffer.destroy();
        if (this.#scratch.get(purpose) === held) this.#scratch.delete(purpose);
      },
    };
  }

  /**
   * Runs `work` inside error scopes of the device, and waits until the device has reported its errors.
   *
   * @throws LqaError GPU_DEVICE if the device refuses or is lost; GPU_LIMIT if it has no memory left; an LqaError or RangeError
   *   of `work`
   */
  async guarded<T>(where: string, work: () => T | Promise<T>): Promise<T> {
    this.assertPresent(where);
    const { device } = this;
    for (const filter of ["internal", "validation", "out-of-memory"] as const) device.pushErrorScope(filter);
    let working: Promise<T>;
    try {
      working = Promise.resolve(work());
    } catch (error) {
      working = Promise.reject(error);
    }
    // Scopes are a stack, so this pops them before `work` settles: they cover only the synchronous part of `work`.
    const [done, memory, ...refused] = await Promise.allSettled([
      working,
      device.popErrorScope(),
      device.popErrorScope(),
      device.popErrorScope(),
    ]);
    this.assertPresent(where);
    if (memory.status === "fulfilled" && memory.value !== null)
      fail(KIND.GPU_LIMIT, { where, actual: "no memory left on the device" });
    for (const scope of refused)
      if (scope.status === "fulfilled" && scope.value !== null)
        fail(KIND.GPU_DEVICE, { where, actual: scope.value.message });
    if (done.status === "fulfilled") return done.value;
    const error: unknown = done.reason;
    if (isLqaError(error) || error instanceof RangeError) throw error;
    return fail(KIND.GPU_DEVICE, { where, actual: (error as Error).message, cause: error });
  }
}

const states = new WeakMap<GpuDevice, DeviceState>();

/** The state of a device, made at its first use. */
export function deviceState(device: GpuDevice): DeviceState {
  let state = states.get(device);
  if (state === undefined) states.set(device, (state = new DeviceState(device)));
  return state;
}

/**
 * Creates a buffer, and fills it through its mapped range.
 *
 * @throws LqaError GPU_LIMIT if there is no memory to map; whatever `fill` throws
 */
export function filledBuffer(
  device: GpuDevice,
  { label, size, usage }: { readonly label: string; readonly size: number; readonly usage: number },
  fill: (range: ArrayBuffer) => void,
): GpuBuffer {
  let buffer: GpuBuffer;
  try {
    buffer = device.createBuffer({ label, size, usage, mappedAtCreation: true });
  } catch (cause) {
    return fail(KIND.GPU_LIMIT, {
      where: label,
      actual: `no memory to fill a buffer of ${size} bytes from`,
      cause,
    });
  }
  try {
    fill(buffer.getMappedRange());
    buffer.unmap();
  } catch (error) {
    buffer.destroy();
    throw error;
  }
  return buffer;
}
