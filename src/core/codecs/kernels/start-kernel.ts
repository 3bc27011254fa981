/**
 * Starts as a WebAssembly kernel with 128-bit SIMD (source: `start.as`). It gives the bits of `../start/mt19937.ts` and
 * `../start/mixture.ts`. When it adds mixtures, draws never leave its memory.
 *
 * @module
 */
import { growTo, KernelMemory, kernelMaker } from "../../wasm/kernel.ts";
import type { Mixture } from "../start/mixture.ts";
import type { Twister } from "../start/mt19937.ts";
import { STATE_WORDS } from "../start/start.ts";
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
    if (!this.#reserve(FREE + 2 * draws.length + 16)) return false;
    this.#words.set(words);
    this.#kernel.draws(WORDS, next, draws.length, FREE);
    draws.set(new Int16Array(this.#memory.memory.buffer, FREE, draws.length));
    return true;
  }

  /**
   * Makes draws `[rank][length]`, and adds their mixtures to the rows of `target` from `offset` on.
   *
   * @param more whether more draws will be needed
   * @returns the generator after these draws, if more will be needed; undefined if the engine has no such memory: then the call has
   *   changed nothing
   */
  add(
    twister: Twister,
    mixture: Mixture,
    length: number,
    target: Float32Array,
    offset: number,
    more: boolean,
  ): Twister | undefined {
    const { components, added, rank, integers, scales } = mixture;
    const rows = (components.length + 3) & ~3;
    const pairs = (rank + 1) >> 1;
    const columns = Math.min(Math.max(LEAST_COLUMNS, (TILE / rows) & ~7), (length + 7) & ~7);
    const stride = 4 * columns + 64;
    const scalesAt = FREE + 4 * rows * pairs;
    const values = scalesAt + 8 * rows;
    const draws = values + stride * rows;
    if (!this.#reserve(draws + 2 * rank * length + 16)) return undefined;
    const factors = this.#memory.halves;
    factors.fill(0, FREE / 2, FREE / 2 + 2 * rows * pairs);
    for (let c = 0, from = 0; c < components.length; c++) {
      const row = FREE / 2 + 8 * pairs * (c >> 2) + 2 * (c & 3);
      for (let k = 0; k < rank; k++) factors[row + 8 * (k >> 1) + (k & 1)] = integers[from++]!;
    }
    new Float64Array(this.#memory.memory.buffer, scalesAt, rows).fill(0).set(scales);
    this.#words.set(twister.words);
    const next = this.#kernel.draws(WORDS, twister.next, rank * length, draws);
    const after = more ? { words: this.#words.slice(), next } : twister;
    const tile = this.#memory.words;
    for (let from = 0; from < length; from += columns) {
      const count = Math.min(columns, length - from);
      for (let c = 0; c < added; c++) {
        const at = offset + components[c]! * length + from;
        tile.set(target.subarray(at, at + count), (values + stride * c) / 4);
      }
      this.#kernel.mix(
        draws + 2 * from,
        2 * length,
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
        target.set(tile.subarray(row, row + count), offset + components[c]! * length + from);
      }
    }
    return after;
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
