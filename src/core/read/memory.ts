/**
 * Reusable memory for decoded weights.
 *
 * New arrays cost more than decoding: the system page-faults fresh memory at 2 GB/s, while a decoder produces 5 to 20 GB/s. A
 * caller that decodes one module after another, to upload it or to add it to a model, needs the arrays of only one module at
 * a time.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { DecodeKernel, type FactorJob } from "../codecs/kernels/decode-kernel.ts";

export interface DecodeMemoryOptions {
  /** Most bytes of decoded arrays at a time. Default 256 MiB. */
  readonly maxBytes?: number;
}

const DEFAULT_BYTES = 2 ** 28;
/** Arrays begin at multiples of it: a line of the cache. */
const ALIGNMENT = 64;

/**
 * Holds the arrays of the last module that was decoded with `{ memory }`. **The next call overwrites or detaches them**
 * (their length is 0 then): use them before that, or copy them.
 *
 * With WebAssembly they are views on its memory, and nothing is copied. The memory also holds the work area of the decoder,
 * usually 2 MiB.
 */
export class DecodeMemory {
  readonly maxBytes: number;
  #kernel: DecodeKernel | undefined;
  #plain: ArrayBuffer = new ArrayBuffer(0);

  constructor({ maxBytes = DEFAULT_BYTES }: DecodeMemoryOptions = {}) {
    this.maxBytes = maxBytes;
  }

  /** Bytes held. */
  get heldBytes(): number {
    return this.#plain.byteLength + (this.#kernel?.memory.buffer.byteLength ?? 0);
  }

  /** Lets go of everything; arrays handed out stay as they are. The object can be used again. */
  release(): void {
    this.#kernel = undefined;
    this.#plain = new ArrayBuffer(0);
  }

  /**
   * Room for two arrays, and the kernel whose memory they lie in. For the library's own use.
   *
   * @internal
   * @throws LqaError BUDGET
   */
  take(
    jobs: readonly FactorJob[],
    wide: boolean,
    sizes: readonly [number, number],
    where: string,
  ): { buffer: ArrayBufferLike; offsets: [number, number]; kernel: DecodeKernel | undefined } {
    const padded = Math.ceil(sizes[0] / ALIGNMENT) * ALIGNMENT;
    const bytes = padded + sizes[1];
    if (bytes > this.maxBytes)
      fail(KIND.BUDGET, { where, expected: `at most ${this.maxBytes} bytes`, actual: bytes });
    this.#kernel ??= DecodeKernel.make();
    const at = this.#kernel?.allocate(jobs, wide, bytes);
    if (at !== undefined) {
      const { buffer } = this.#kernel!.memory;
      return { buffer, offsets: [at, at + padded], kernel: this.#kernel };
    }
    if (this.#plain.byteLength < bytes) this.#plain = allocateBytes(bytes, where);
    return { buffer: this.#plain, offsets: [0, padded], kernel: undefined };
  }
}

/** A new buffer. @throws LqaError BUDGET where the engine has no memory for it */
export function allocateBytes(bytes: number, where: string): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    return fail(KIND.BUDGET, { where, actual: `${bytes} bytes, which the engine refuses`, cause });
  }
}
