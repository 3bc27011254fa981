/**
 * The types of WebGPU as this entry names them: those of the project it is used in, from TypeScript's `dom` library or
 * `@webgpu/types`; where there are none, interfaces of what this library uses of them. Nothing global is declared.
 *
 * @module
 */

import type { Declared } from "../model/declared.ts";

/** What is used of a buffer. */
interface BufferLike {
  readonly size: number;
  readonly usage: number;
  destroy(): void;
}

/** What is used of a device that says which it is: its limits, and that it makes buffers. */
interface DeviceLike {
  readonly limits: {
    readonly maxBufferSize: number;
    readonly maxStorageBufferBindingSize: number;
    readonly minStorageBufferOffsetAlignment: number;
    readonly maxComputeWorkgroupsPerDimension: number;
  };
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
  createBuffer(descriptor: {
    label?: string;
    size: number;
    usage: number;
    mappedAtCreation?: boolean;
  }): BufferLike;
}

interface CommandEncoderLike {
  beginComputePass(descriptor?: { label?: string }): ComputePassLike;
}

interface ComputePassLike {
  dispatchWorkgroups(x: number, y?: number, z?: number): void;
  end(): void;
}

/** `GPUDevice`. */
export type GpuDevice = Declared<"GPUDevice", DeviceLike>;
/** `GPUBuffer`. */
export type GpuBuffer = Declared<"GPUBuffer", BufferLike>;
/** `GPUCommandEncoder`. */
export type GpuCommandEncoder = Declared<"GPUCommandEncoder", CommandEncoderLike>;
/** `GPUComputePassEncoder`. */
export type GpuComputePassEncoder = Declared<"GPUComputePassEncoder", ComputePassLike>;
/** `GPUComputePipeline`, which is only bound here. */
export type GpuComputePipeline = Declared<"GPUComputePipeline", object>;
/** `GPUBindGroup`. */
export type GpuBindGroup = Declared<"GPUBindGroup", object>;

/** `GPUBufferBinding`: a part of a buffer, in bytes. */
export interface GpuBufferBinding {
  buffer: GpuBuffer;
  /** Default 0. */
  offset?: number;
  /** Default: to the end of the buffer. */
  size?: number;
}
