/**
 * Buffers of the caller, whole or in part. This file checks them before any call to the device.
 *
 * @module
 */
import { USAGE } from "./device.ts";
import type { GpuBuffer, GpuBufferBinding, GpuDevice } from "./types.ts";

/** A buffer, or a part of it from `offset` on (a multiple of the device's `minStorageBufferOffsetAlignment`). */
export type GpuTarget = GpuBuffer | GpuBufferBinding;

/**
 * A binding of exactly `bytes` at the start of the target.
 *
 * @param wrong throws; receives what a fitting buffer has and what this one has, if the target is too small, misaligned or has
 *   the wrong usage
 */
export function bindingOf(
  device: GpuDevice,
  target: GpuTarget,
  bytes: number,
  wrong: (expected: string, actual: string) => never,
): GpuBufferBinding {
  const { buffer, offset = 0, size } = "buffer" in target ? target : { buffer: target, size: undefined };
  const alignment = device.limits.minStorageBufferOffsetAlignment;
  if ((buffer.usage & USAGE.storage) === 0) wrong("a buffer with usage STORAGE", `usage ${buffer.usage}`);
  if (!(offset >= 0 && offset % alignment === 0))
    wrong(`an offset that is a multiple of ${alignment}`, `${offset}`);
  const room = Math.min(size ?? Number.POSITIVE_INFINITY, buffer.size - offset);
  if (!(room >= bytes)) wrong(`${bytes} bytes at least`, `${room} bytes`);
  return { buffer, offset, size: bytes };
}
