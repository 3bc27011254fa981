/**
 * What kernels of decoding are told beside the module. There are 16 cases, so that all of them stand in one buffer, and
 * nobody makes one for each module.
 *
 * @module
 */
import { FACTOR } from "./program.ts";
import type { GpuBuffer, GpuBufferBinding } from "./types.ts";

/** The largest alignment of a binding that a device may ask for. */
export const BINDING_ALIGNMENT = 256;
const CALLS = 16;
const WORDS = 4;

/** All cases, each at a place that can be bound: factor, PEFT layout, multiplier, binary16, a word each. */
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
