/**
 * The types of WebGPU under this entry's names: those of the user's project, from TypeScript's `dom` library or
 * `@webgpu/types`. Without them, they are interfaces of the members that this library uses. This file declares nothing global.
 *
 * @module
 */

import type { Declared } from "../model/declared.ts";

/** The members of a buffer that this library uses. */
interface BufferLike {
  readonly size: number;
  readonly usage: number;
  destroy(): void;
}

/** The members of a device by which the type system recognises it: its limits, its loss, and that it creates buffers. */
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
/** `GPUComputePipeline`, which this library only passes on. */
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
