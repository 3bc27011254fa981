/**
 * The decoder as a WebAssembly kernel with 128-bit SIMD (source: `decode.as`): it decodes whole factors, part by part, with
 * the bits of the reference decoders.
 *
 * The kernel makes weights in a tile that stays in the cache, and copies them from there to the target, which is an array of
 * the caller or in the kernel's own memory. Storing 16 bytes at a time makes the machine read each cache line first, which
 * costs more than the copy; copying whole lines does not. The kernel decodes directly only into a target in its own memory
 * that fits in the second cache.
 *
 * @module
 */
import { KernelMemory, kernelMaker } from "../../../common/wasm/kernel.ts";
import { type DecodeTarget, FLOAT_NUMBERS, type Lowered, ROTATED } from "../encoding.ts";
import { WASM_TEXT } from "./decode.wasm.ts";
import {
  copySlice,
  type FactorJob,
  type LoweredPart,
  type Round,
  roundsOf,
  type Slice,
  type Staged,
} from "./decode-rounds.ts";
import { FREE, kindOf, prepareTable, type TablePreparing } from "./encoding-kinds.ts";

export type { FactorJob, FactorPart } from "./decode-rounds.ts";

interface Exports extends TablePreparing {
  rotate(table: number, lut: number, codes: number, length: number, small: number, to: number): void;
  convert(element: number, wide: boolean, from: number, count: number, to: number): void;
  multiply(at: number, count: number, factor: number): void;
  add(at: number, count: number, other: number): void;
  decode(
    kind: number,
    bits: number,
    scaleType: number,
    wide: boolean,
    source: number,
    sourceStride: number,
    lut: number,
    scales: number,
    scaleStride: number,
    zeros: number,
    zeroStride: number,
    group: number,
    fresh: boolean,
    from: number,
    count: number,
    components: number,
    out: number,
    apart: number,
  ): number;
  turn(
    wide: boolean,
    from: number,
    apart: number,
    rows: number,
    count: number,
    to: number,
    stride: number,
  ): void;
}

type Instance = Exports & { readonly memory: WebAssembly.Memory };

const newKernel = kernelMaker<Exports>(WASM_TEXT);

/** Most bytes of a target in the kernel's memory that the kernel decodes into without a tile. */
const DIRECT_BYTES = 2 ** 20;

/** An instance of the kernel, with its memory. Each job overwrites the work area of the job before. */
export class DecodeKernel {
  readonly #kernel: Instance;
  readonly #memory: KernelMemory;
  readonly #prepared = new Set<number>();

  private constructor(kernel: Instance) {
    this.#kernel = kernel;
    this.#memory = new KernelMemory(kernel.memory);
  }

  /** A new instance; undefined if {@link kernelMaker} makes none. */
  static make(): DecodeKernel | undefined {
    const kernel = newKernel();
    return kernel && new DecodeKernel(kernel);
  }

  get memory(): WebAssembly.Memory {
    return this.#memory.memory;
  }

  /**
   * Decodes a factor to `target` from `offset` on. The caller has checked plane lengths and target.
   *
   * @returns false if the kernel cannot take the job, because of its size or a scale that no encoder writes: use the plain
   *   decoder. The target may then have other values, unless the job adds
   * @throws RangeError if a job that adds has a scale that no file may have
   */
  decode(job: FactorJob, target: DecodeTarget, offset: number): boolean {
    const wide = target instanceof Float32Array || job.multiplier !== 1;
    const rounds = roundsOf(job, wide ? 4 : 2, FREE);
    if (rounds === undefined) return false;
    const done = (round: Round): boolean => this.#decodeRound(job, round, wide, target, offset);
    if (job.add !== true) return rounds.every(done);
    // The plain decoder cannot repeat an addition that is half done. With all memory reserved, a round fails only because of
    // a scale that is not finite.
    if (target.buffer !== this.memory.buffer && !rounds.every(({ end }) => this.#memory.reserve(end)))
      return false;
    if (!rounds.every(done)) throw new RangeError("expected finite scales");
    return true;
  }

  /**
   * Reserves `bytes` behind the work area of these jobs. Earlier views on the kernel's memory may become invalid.
   *
   * @param wide whether the targets will be binary32
   * @returns the byte where the room begins; undefined if there is no such memory, or if the kernel cannot take the jobs
   */
  allocate(jobs: readonly FactorJob[], wide: boolean, bytes: number): number | undefined {
    let at = FREE;
    for (const job of jobs) {
      const rounds = roundsOf(job, wide || job.multiplier !== 1 ? 4 : 2, FREE);
      if (rounds === undefined) return undefined;
      for (const { end } of rounds) at = Math.max(at, end);
    }
    at = (at + 63) & ~63;
    // `add` of the kernel reads targets 16 bytes at a time.
    return this.#memory.reserve(at + bytes + 16) ? at : undefined;
  }

  #decodeRound(job: FactorJob, round: Round, wide: boolean, target: DecodeTarget, offset: number): boolean {
    const { length, order, multiplier, add = false } = job;
    const { slices, from, count, component, components, step } = round;
    const own = target.buffer === this.memory.buffer;
    if (!own && !this.#memory.reserve(round.end)) return false;
    for (const { part, slice, staged } of slices) this.#stage(part, length, slice, staged);
    const direct = own && multiplier === 1 && !add && target.byteLength <= DIRECT_BYTES;
    const size = wide ? 4 : 2;
    for (let i = 0; i < count; i += step) {
      const n = Math.min(step, count - i);
      const at = offset + (order === "component" ? component * length + from + i : (from + i) * components);
      const place = direct ? target.byteOffset + size * at : round.turned;
      const rows = order === "component" ? place : round.tile;
      let to = rows;
      for (const { part, slice, staged } of slices) {
        if (!this.#run(part.lowered, staged, slice, wide, i, n, to, round.apart)) return false;
        to += round.apart * part.components;
      }
      if (order === "weight")
        this.#kernel.turn(wide, rows, round.apart, components, n, place, size * components);
      if (add) this.#add(round, n * components, target as Float32Array, at);
      if (!direct) this.#deliver(round, n * components, multiplier, target, at);
    }
    return true;
  }

  /** Copies the planes of a slice into the kernel's memory, and rotates rotated vectors. */
  #stage(part: LoweredPart, length: number, slice: Slice, staged: Staged): void {
    copySlice(part, length, slice, staged, this.#memory.bytes);
    const { table, rotated } = part.lowered;
    if (table === undefined) return;
    const at = prepareTable(this.#kernel, this.#memory.bytes, table.number, this.#prepared);
    if (!rotated) return;
    for (let c = 0; c < slice.components; c++) {
      const codes = staged.codes + c * staged.codesStride;
      this.#kernel.rotate(table.number, at, codes, length, staged.small, staged.integers + 2 * c * length);
    }
  }

  #run(
    lowered: Lowered,
    staged: Staged,
    { components, from: begin, count: whole }: Slice,
    wide: boolean,
    from: number,
    count: number,
    to: number,
    apart: number,
  ): boolean {
    const { kind, bits, scale, group, lut } = kindOf(lowered);
    const integers = kind === ROTATED;
    return (
      this.#kernel.decode(
        kind,
        bits,
        scale,
        wide,
        integers ? staged.integers : staged.codes,
        integers ? 2 * whole : staged.codesStride,
        lut,
        staged.scales,
        staged.scaleStride,
        staged.zeros,
        staged.zeroStride,
        group,
        begin === 0,
        from,
        count,
        components,
        to,
        apart,
      ) !== 0
    );
  }

  /** Adds the values of the target to a tile. */
  #add({ turned, converted }: Round, count: number, target: Float32Array, at: number): void {
    let other = target.byteOffset + 4 * at;
    if (target.buffer !== this.memory.buffer) {
      this.#memory.words.set(target.subarray(at, at + count), converted / 4);
      other = converted;
    }
    this.#kernel.add(turned, count, other);
  }

  /** Copies a tile to the target; if necessary, multiplies and converts it first. */
  #deliver(round: Round, count: number, multiplier: number, target: DecodeTarget, at: number): void {
    let from = round.turned;
    if (multiplier !== 1) {
      this.#kernel.multiply(from, count, multiplier);
      if (!(target instanceof Float32Array)) {
        this.#kernel.convert(FLOAT_NUMBERS.f32, false, from, count, round.converted);
        from = round.converted;
      }
    }
    if (target instanceof Float32Array)
      target.set(this.#memory.words.subarray(from / 4, from / 4 + count), at);
    else target.set(this.#memory.halves.subarray(from / 2, from / 2 + count), at);
  }
}
