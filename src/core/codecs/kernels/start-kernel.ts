/**
 * Starts as a WebAssembly kernel with 128-bit SIMD (source: `start.as`). It gives the bits of `../start/mt19937.ts` and
 * `../start/mixture.ts`. When it adds mixtures, draws never leave its memory, which holds at most {@link DRAW_BYTES} of them.
 *
 * @module
 */

import type { Twister } from "../../../common/mt19937.ts";
import { STATE_WORDS } from "../../../common/mt19937.ts";
import { growTo, KernelMemory, kernelMaker } from "../../../common/wasm/kernel.ts";
import { columnsAtOnce, DRAW_BYTES, type Mixture } from "../start/mixture.ts";
import { WASM_TEXT } from "./start.wasm.ts";

interface Exports {
  advance(words: number, blocks: number): void;
  draws(words: number, next: number, count: number, to: number): number;
  mix(
    from: number,
    apart: number,
    rank: number,
    factors: number,
    scales: number,
    rows: number,
    added: number,
    values: number,
    stride: number,
    count: number,
    pairs: number,
  ): void;
}

const newKernel = kernelMaker<Exports>(WASM_TEXT);

/** Addresses: words of the generator; pairs of draws, for at most 256 rows; memory that depends on the factor. */
const WORDS = 1024;
const PAIRS = 4096;
const FREE: number = PAIRS + 32 * 128;
/** Approximate number of values of a tile. */
const TILE = 2 ** 15;
/** Fewest values of each row of a tile. */
const LEAST_COLUMNS = 64;
/** Most bytes of memory of a kernel that stays loaded for the next call. */
const KEPT_BYTES = 2 ** 23;

/** An instance of the kernel, with its memory. */
class StartKernel {
  readonly #kernel: Exports;
  readonly #memory: KernelMemory;
  /** The words of the generator. */
  #words: Uint32Array;

  constructor(kernel: Exports & { readonly memory: WebAssembly.Memory }) {
    this.#kernel = kernel;
    this.#memory = new KernelMemory(kernel.memory);
    this.#words = new Uint32Array(kernel.memory.buffer, WORDS, STATE_WORDS);
  }

  get length(): number {
    return this.#memory.length;
  }

  /** Writes to `after` the words `blocks` blocks after `words`. */
  advance(words: Uint32Array, blocks: number, after: Uint32Array): true {
    this.#words.set(words);
    this.#kernel.advance(WORDS, blocks);
    after.set(this.#words);
    return true;
  }

  /** Fills `draws`, and leaves the generator as it is. @returns false if the engine has no such memory */
  draws({ words, next }: Twister, draws: Int16Array): boolean {
    const most = Math.min(draws.length, DRAW_BYTES / 2);
    if (!this.#reserve(FREE + 2 * most + 16)) return false;
    this.#words.set(words);
    for (let at = 0, from = next; at < draws.length; at += most) {
      const count = Math.min(most, draws.length - at);
      from = this.#kernel.draws(WORDS, from, count, FREE);
      draws.set(new Int16Array(this.#memory.memory.buffer, FREE, count), at);
    }
    return true;
  }

  /**
   * Makes draws `[rank][length]`, some columns at a time, and adds their mixtures to the rows of `target`.
   *
   * @returns false if the engine has no such memory: then the call has changed nothing
   */
  add(twister: Twister, mixture: Mixture, length: number, target: Float32Array): boolean {
    const { components, added, rank, integers, scales } = mixture;
    const rows = (components.length + 3) & ~3;
    const pairs = (rank + 1) >> 1;
    const wide = columnsAtOnce(rank, length);
    const columns = Math.min(Math.max(LEAST_COLUMNS, (TILE / rows) & ~7), (wide + 7) & ~7);
    const stride = 4 * columns + 64;
    const scalesAt = FREE + 4 * rows * pairs;
    const values = scalesAt + 8 * rows;
    const draws = values + stride * rows;
    if (!this.#reserve(draws + 2 * rank * wide + 16)) return false;
    const factors = this.#memory.halves;
    factors.fill(0, FREE / 2, FREE / 2 + 2 * rows * pairs);
    for (let c = 0, from = 0; c < components.length; c++) {
      const row = FREE / 2 + 8 * pairs * (c >> 2) + 2 * (c & 3);
      for (let k = 0; k < rank; k++) factors[row + 8 * (k >> 1) + (k & 1)] = integers[from++]!;
    }
    new Float64Array(this.#memory.memory.buffer, scalesAt, rows).fill(0).set(scales);
    const tile = this.#memory.words;
    const generators = wide < length ? this.#rowGenerators(twister, rank, length) : [];
    for (let first = 0; first < length; first += wide) {
      const width = Math.min(wide, length - first);
      if (wide === length) {
        this.#words.set(twister.words);
        this.#kernel.draws(WORDS, twister.next, rank * length, draws);
      }
      for (const [k, row] of generators.entries()) {
        this.#words.set(row.words);
        row.next = this.#kernel.draws(WORDS, row.next, width, draws + 2 * k * width);
        row.words.set(this.#words);
      }
      for (let from = 0; from < width; from += columns) {
        const count = Math.min(columns, width - from);
        const place = (c: number): number => components[c]! * length + first + from;
        for (let c = 0; c < added; c++)
          tile.set(target.subarray(place(c), place(c) + count), (values + stride * c) / 4);
        this.#kernel.mix(
          draws + 2 * from,
          2 * width,
          rank,
          FREE,
          scalesAt,
          rows,
          added,
          values,
          stride,
          count,
          PAIRS,
        );
        for (let c = 0; c < components.length; c++) {
          const row = (values + stride * c) / 4;
          target.set(tile.subarray(row, row + count), place(c));
        }
      }
    }
    return true;
  }

  /** The generator before the first draw of each row. */
  #rowGenerators({ words, next }: Twister, rank: number, length: number): Twister[] {
    const rows: Twister[] = [];
    this.#words.set(words);
    for (let from = next; rows.length < rank; ) {
      rows.push({ words: this.#words.slice(), next: from });
      const blocks = Math.ceil((from + length) / STATE_WORDS) - 1;
      this.#kernel.advance(WORDS, blocks);
      from += length - STATE_WORDS * blocks;
    }
    return rows;
  }

  #reserve(bytes: number): boolean {
    if (!this.#memory.reserve(bytes)) return false;
    const { buffer } = this.#memory.memory;
    if (this.#words.buffer !== buffer) this.#words = new Uint32Array(buffer, WORDS, STATE_WORDS);
    return true;
  }
}

let shared: StartKernel | undefined | null;

/** The kernel that all callers share; undefined if {@link kernelMaker} makes none. */
export function startKernel(): StartKernel | undefined {
  if (shared && shared.length > KEPT_BYTES) shared = undefined;
  if (shared === undefined) {
    const kernel = newKernel();
    shared = kernel && growTo(kernel.memory, FREE) ? new StartKernel(kernel) : null;
  }
  return shared ?? undefined;
}
