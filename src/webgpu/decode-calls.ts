/**
 * Uniform arguments of the decode kernels, in addition to the module. There are only 16 cases, so one buffer holds all of
 * them, shared by all modules.
 *
 * @module
 */
import { FACTOR } from "./program.ts";
import type { GpuBuffer, GpuBufferBinding } from "./types.ts";

/** The largest alignment of a binding that a device may require. */
export const BINDING_ALIGNMENT = 256;
const CALLS = 16;
const WORDS = 4;

/** All cases, each at an offset that can be bound. A case is four words of 0 or 1: factor, PEFT layout, multiplier, binary16. */
export function decodeCalls(): Uint32Array {
  const stride = BINDING_ALIGNMENT / 4;
  const words = new Uint32Array(CALLS * stride);
  for (let call = 0; call < CALLS; call++)
    for (let bit = 0; bit < WORDS; bit++) words[call * stride + bit] = (call >> bit) & 1;
  return words;
}

/** The binding of a case. */
export function callBinding(
  buffer: GpuBuffer,
  factor: keyof typeof FACTOR,
  how: { readonly peft: boolean; readonly multiply: boolean; readonly half: boolean },
): GpuBufferBinding {
  const call =
    FACTOR[factor] | (Number(how.peft) << 1) | (Number(how.multiply) << 2) | (Number(how.half) << 3);
  return { buffer, offset: call * BINDING_ALIGNMENT, size: 4 * WORDS };
}
