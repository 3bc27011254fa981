/**
 * Budgets (spec clause 14): the caller bounds memory, not the file. These are the defaults; SECURITY.md has them in a table.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { parameterCount } from "../../model/adapter.ts";
import { DecodeKernel, type FactorJob } from "../codecs/kernels/decode-kernel.ts";
import { CRC_BYTES } from "../container/bytes.ts";
import type { ChunkRecord, ModuleRecord } from "../container/types.ts";

/** Bytes of one chunk, stored and inflated together, or of the decoded arrays of one module. Fits the largest Core chunk. */
export const CHUNK_BUDGET: number = 2 ** 30;

/** Bytes of the decoded arrays of a whole adapter: 6 times those of rank 64 for all linear layers of a 7B model. */
export const ADAPTER_BUDGET: number = 4 * 2 ** 30;

/**
 * Most pieces of a whole adapter. Each band of each expert is one; it takes microseconds to decode and to compare, even if it
 * is empty. A mixture of 256 experts in 58 layers has 200,000. Stops 65,536 modules of 1,024 empty experts, in 1 MB.
 */
const ADAPTER_PIECES = 2 ** 22;

/** Bands of all experts of a module. */
export function pieceCount({ bands, experts }: Pick<ModuleRecord, "bands" | "experts">): number {
  return bands.length * experts;
}

/**
 * Checks, from the index alone, that a whole adapter may be decoded.
 *
 * @param budget most bytes of its factors as f32
 * @throws LqaError BUDGET
 */
export function assertAdapter(modules: readonly ModuleRecord[], budget: number = ADAPTER_BUDGET): void {
  const where = "the adapter";
  const bytes = 4 * modules.reduce((sum, record) => sum + parameterCount(record), 0);
  if (bytes > budget) fail(KIND.BUDGET, { where, expected: `at most ${budget} bytes`, actual: bytes });
  const pieces = modules.reduce((sum, record) => sum + pieceCount(record), 0);
  if (pieces > ADAPTER_PIECES)
    fail(KIND.BUDGET, {
      where,
      expected: `at most ${ADAPTER_PIECES} bands of experts`,
      actual: pieces,
      advice: "Decode the modules that you need, one at a time; no known adapter has a tenth of this.",
    });
}

/** Memory that a validator needs for one chunk in addition to its window: a zstd frame, or a small chunk. */
export const PIECE_BUDGET: number = 2 ** 24;

/** Inflating this much takes about a second, so even the smallest file may do it. */
const INFLATE_BYTES = 2 ** 30;
/** Real weights shrink by a tenth, zeros by thousands: no legitimate file inflates to more than this many times its size. */
const INFLATE_TIMES = 16;

/** Counts a chunk before it is inflated. @throws LqaError BUDGET */
export type InflateCount = (record: ChunkRecord, where: string) => void;

/**
 * Counts the bytes that the compressed chunks of one file inflate to, so that time stays linear in the size of the file: zstd
 * makes 30,000 zeros of one byte, and a file may have 65,536 such chunks. The limit is 1 GiB, 16 times the file, or
 * `budgetBytes`, whichever is largest.
 */
export function inflateCount(fileLength: number, budgetBytes: number | undefined): InflateCount {
  const most = Math.max(INFLATE_BYTES, INFLATE_TIMES * fileLength, budgetBytes ?? 0);
  let total = 0;
  return (record, where) => {
    if (record.compression === "none") return;
    total += record.payload;
    if (total > most)
      fail(KIND.BUDGET, {
        where,
        offset: record.chunk.offset,
        expected: `chunks that inflate to at most ${most} bytes together`,
        actual: total,
      });
  };
}

/** Checks that the stored payload of a chunk, and the inflated one with it, fit in the budget. @throws LqaError BUDGET */
export function assertRoom(
  { chunk, compression, payload }: ChunkRecord,
  budget: number,
  where: string,
): void {
  const room = chunk.length - CRC_BYTES + (compression === "none" ? 0 : payload);
  if (room > budget)
    fail(KIND.BUDGET, { where, offset: chunk.offset, expected: `at most ${budget} bytes`, actual: room });
}

// Reusable memory for decoded weights.
//
// New arrays cost more than decoding: the system page-faults fresh memory at 2 GB/s, while a decoder produces 5 to 20 GB/s. A
// caller that decodes one module after another, to upload it or to add it to a model, needs the arrays of only one module at
// a time.

/** Options of {@link DecodeMemory}. */
export interface DecodeMemoryOptions {
  /** Most bytes of decoded arrays at a time. Default 256 MiB. */
  readonly maxBytes?: number;
}

const DEFAULT_BYTES = 2 ** 28;
/** Arrays begin at multiples of this: a cache line. */
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

  /** Releases all memory. Arrays from earlier calls stay valid, and the object stays usable. */
  release(): void {
    this.#kernel = undefined;
    this.#plain = new ArrayBuffer(0);
  }

  /**
   * Reserves room for two arrays of `sizes` bytes. `kernel` is the one whose memory holds them; undefined if none does. Only the
   * library itself uses this.
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

/** A new buffer. @throws LqaError BUDGET if the engine has no memory for it */
export function allocateBytes(bytes: number, where: string): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    return fail(KIND.BUDGET, { where, actual: `${bytes} bytes, which the engine refuses`, cause });
  }
}
