/**
 * Packed application as a WebAssembly kernel with 128-bit SIMD (source: `apply.as`, definition: `../apply-plain.ts`).
 *
 * Its memory holds one module's payload and at most 64 rows at a time. Each call copies the payload there, which takes a
 * twentieth of the time of one row; thousands of adapters do not fit in WebAssembly's 4 GiB. Draws of a start are
 * copied only if they differ from those of the last call: adapters with one start share them.
 *
 * @module
 */

import { KernelMemory, kernelMaker } from "../../common/wasm/kernel.ts";
import type { ResidentModule } from "../../core/format.ts";
import { FLOAT_NUMBERS, prepareTable, type TablePreparing } from "../../core/rooms.ts";
import { inputLength } from "../../model/adapter.ts";
import type { RowList, Rows } from "../activations.ts";
import { type ApplyProgram, ENTRY_WORDS, type StartProgram, WORD } from "../program.ts";
import { expertDraws, programFor, residentGenerations } from "../resident-module.ts";
import { type Rotating, rotating } from "../rotating.ts";
import { WASM_TEXT } from "./apply.wasm.ts";
import { type Places, placesFor, rowBytes } from "./apply-places.ts";

interface Exports extends TablePreparing {
  convert(element: number, wide: boolean, from: number, count: number, to: number): void;
  project(
    list: number,
    components: number,
    payload: number,
    x: number,
    xApart: number,
    rows: number,
    length: number,
    multiplier: number,
    integers: number,
    sums: number,
    tiles: number,
    h: number,
    hApart: number,
  ): number;
  expand(
    list: number,
    components: number,
    payload: number,
    h: number,
    hApart: number,
    rows: number,
    length: number,
    integers: number,
    z: number,
    zApart: number,
    tiles: number,
    fresh: boolean,
  ): number;
  add(from: number, count: number, to: number): void;
  addSums(one: number, other: number, count: number, to: number): void;
  rotate(transposed: boolean, at: number, length: number): void;
}

type Instance = Exports & { readonly memory: WebAssembly.Memory };

const newKernel = kernelMaker<Exports>(WASM_TEXT);

/** Most rows per call of the kernel. */
const MOST_ROWS = 64;
/** Most bytes of rows that are staged together, if there are several. */
const ROW_BYTES = 2 ** 24;
/** Most bytes of kernel memory; a call that needs more uses the plain path. */
const MOST_BYTES = 2 ** 31;

/** A module or one of its parents. */
interface Generation {
  readonly module: ResidentModule;
  readonly program: ApplyProgram;
}

/** How to apply modules to rows: how many at a time, what to rotate, and the addresses. */
interface Layout {
  readonly most: number;
  readonly turns: Rotating;
  readonly places: Places;
}

/** A call: a module followed by its parents, and how to apply it. */
interface Call extends Layout {
  readonly generations: readonly Generation[];
  readonly expert: number;
}

function alone(module: ResidentModule): Generation {
  return { module, program: programFor(module, false) };
}

function inLineage(module: ResidentModule): Generation {
  return { module, program: programFor(module, true) };
}

/** An instance with its memory. */
export class ApplyKernel {
  readonly #kernel: Instance;
  readonly #memory: KernelMemory;
  readonly #prepared = new Set<number>();
  /** Layouts for one row of modules without parents. They depend on the program alone. */
  readonly #forOneRow = new WeakMap<ApplyProgram, Layout>();
  /** The draws that its memory holds. */
  #draws: Int16Array | undefined;

  private constructor(kernel: Instance) {
    this.#kernel = kernel;
    this.#memory = new KernelMemory(kernel.memory);
  }

  /** Makes an instance; `undefined` if WebAssembly with SIMD is unavailable, or typed arrays are big-endian. */
  static make(): ApplyKernel | undefined {
    if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) return undefined;
    const kernel = newKernel();
    return kernel && new ApplyKernel(kernel);
  }

  /** Bytes of its memory. */
  get heldBytes(): number {
    return this.#memory.length;
  }

  /**
   * Applies one expert of a module to rows. The caller has checked the shapes.
   *
   * @returns the number of rows that are done, from the first on. The plain path must do the others: memory is
   *   insufficient, or a scale is not finite
   */
  apply(module: ResidentModule, expert: number, rows: Rows): number {
    const { list } = rows;
    const lineage = module.parent !== undefined;
    const generations = lineage ? residentGenerations(module).map(inLineage) : [alone(module)];
    const layout = this.#layoutOf(generations, rows);
    const { most, places } = layout;
    if (places.end > MOST_BYTES || !this.#memory.reserve(places.end)) return 0;
    const call = { generations, expert, ...layout };
    if (generations.length === 1) this.#stage(generations[0]!, call);
    for (let first = 0; first < list.length; first += most) {
      const count = Math.min(most, list.length - first);
      if (!this.#applyRows(call, rows, first, count)) return first;
    }
    return list.length;
  }

  #layoutOf(generations: readonly Generation[], { list, batchInvariant }: Rows): Layout {
    const programs = generations.map(({ program }) => program);
    const kept = list.length === 1 && programs.length === 1 ? programs[0] : undefined;
    const known = kept && this.#forOneRow.get(kept);
    if (known !== undefined) return known;
    const { shape } = generations[0]!.module;
    const lengths = [inputLength(shape), shape.out] as const;
    const each = Math.floor(ROW_BYTES / (8 * lengths[0] + 12 * lengths[1]));
    const most = Math.max(1, Math.min(MOST_ROWS, each, list.length));
    const turns = rotating(list.length, lengths, batchInvariant);
    const layout = { most, turns, places: placesFor(programs, lengths, most, turns) };
    if (kept !== undefined) this.#forOneRow.set(kept, layout);
    return layout;
  }

  #stage({ module, program }: Generation, { expert, places }: Call): void {
    const { payload } = module;
    const { lists, payloadBytes, expertStride, tables } = program;
    const { bytes } = this.#memory;
    for (const table of tables) prepareTable(this.#kernel, bytes, table, this.#prepared);
    for (let i = 0; i < lists.length; i++) bytes.set(lists[i]!, places.lists[i]!);
    const from = expert * expertStride;
    const whole = payload.length === payloadBytes;
    bytes.set(whole ? payload : payload.subarray(from, from + payloadBytes), places.payload);
    this.#stageDraws(expertDraws(module, expert), places);
  }

  /** Copies draws to their place, the first one, which does not depend on the module. A module without draws overwrites it. */
  #stageDraws(draws: Int16Array | undefined, places: Places): void {
    const known = this.#draws;
    this.#draws = draws;
    if (draws === undefined || (known !== undefined && areSame(known, draws))) return;
    new Int16Array(this.#memory.memory.buffer, places.draws, draws.length).set(draws);
  }

  #applyRows(call: Call, { x, y, list }: Rows, first: number, rows: number): boolean {
    const { generations, turns, places } = call;
    const { shape } = generations[0]!.module;
    const kernel = this.#kernel;
    const [n, out] = [inputLength(shape), shape.out];
    this.#load(x, list, first, rows, n, places.x[0], places.half);
    if (turns.a === "rows" && generations.some(({ program: { a } }) => a.straight < a.encodings.length)) {
      const [at, turned] = places.x;
      this.#memory.bytes.copyWithin(turned, at, at + rows * rowBytes(n));
      for (let r = 0; r < rows; r++) kernel.rotate(true, turned + r * rowBytes(n), n);
    }
    const [only] = generations;
    if (generations.length === 1) {
      if (!this.#project(only!, shape.multiplier, rows, call)) return false;
      this.#load(y, list, first, rows, out, places.y, places.half);
      if (!this.#expand(only!, rows, call)) return false;
    } else {
      this.#memory.bytes.fill(0, places.total, places.total + 4 * rows * shape.rank);
      for (const own of generations) {
        this.#stage(own, call);
        if (!this.#project(own, shape.multiplier, rows, call)) return false;
        kernel.add(places.h, rows * own.program.components, places.total);
      }
      this.#load(y, list, first, rows, out, places.y, places.half);
      for (let g = generations.length - 1; g >= 0; g--) {
        const own = generations[g]!;
        // The last generation is still staged.
        if (g < generations.length - 1) this.#stage(own, call);
        this.#gather(own.program, rows, places);
        if (!this.#expand(own, rows, call)) return false;
      }
    }
    this.#store(places.y, y, list, first, rows, out, places.half);
    return true;
  }

  /** Computes h of a generation, by its own component numbers. */
  #project(
    { module: { shape }, program }: Generation,
    multiplier: number,
    rows: number,
    { turns, places }: Call,
  ): boolean {
    const { a, start, components } = program;
    const { payload, tiles, integers, sums, h } = places;
    const n = inputLength(shape);
    const hApart = 4 * rows;
    const rotated = a.encodings.length - a.straight;
    // Otherwise each component has an entry, which overwrites its h.
    if (start !== undefined || a.encodings.length < components)
      this.#memory.bytes.fill(0, h, h + hApart * components);
    const project = (from: number, count: number, input: number, integers: number): boolean =>
      count === 0 ||
      this.#kernel.project(
        places.lists[0] + 4 * ENTRY_WORDS * from,
        count,
        payload,
        input,
        rowBytes(n),
        rows,
        n,
        multiplier,
        integers,
        sums,
        tiles,
        h,
        hApart,
      ) !== 0;
    if (!project(0, a.straight, places.x[0], 0)) return false;
    const turned = turns.a === "rows" ? ([places.x[1], 0] as const) : ([places.x[0], integers] as const);
    if (!project(a.straight, rotated, ...turned)) return false;
    return (
      start === undefined || this.#addStart(inputLength(shape), multiplier, start, components, rows, places)
    );
  }

  /** Copies the part of the summed h that belongs to components of B' into h, in the order of their list. */
  #gather({ b: { words, encodings } }: ApplyProgram, rows: number, { h, total }: Places): void {
    const { bytes } = this.#memory;
    for (let k = 0; k < encodings.length; k++) {
      const from = total + 4 * rows * words[ENTRY_WORDS * k + WORD.slot]!;
      bytes.copyWithin(h + 4 * rows * k, from, from + 4 * rows);
    }
  }

  /** Adds the update of a generation to the staged rows of y. */
  #expand({ module: { shape }, program: { b } }: Generation, rows: number, { turns, places }: Call): boolean {
    const kernel = this.#kernel;
    const { payload, tiles, integers, h } = places;
    const { out } = shape;
    const zApart = rowBytes(out);
    const hApart = 4 * rows;
    const rotatedCount = b.encodings.length - b.straight;
    if (b.encodings.length === 0) return true;
    const expand = (from: number, count: number, z: number, integers: number, fresh: boolean): boolean => {
      if (count === 0) return true;
      const list = places.lists[1] + 4 * ENTRY_WORDS * from;
      const own = h + hApart * from;
      return (
        kernel.expand(list, count, payload, own, hApart, rows, out, integers, z, zApart, tiles, fresh) !== 0
      );
    };
    const [straight, rotated] = places.z;
    if (!expand(0, b.straight, straight, 0, true)) return false;
    const words = (rows * zApart) / 4;
    if (rotatedCount === 0 || turns.b === "weights") {
      if (!expand(b.straight, rotatedCount, straight, integers, b.straight === 0)) return false;
      kernel.add(straight, words, places.y);
      return true;
    }
    if (!expand(b.straight, rotatedCount, rotated, 0, true)) return false;
    for (let r = 0; r < rows; r++) kernel.rotate(false, rotated + r * zApart, out);
    if (b.straight === 0) kernel.add(rotated, words, places.y);
    else kernel.addSums(straight, rotated, words, places.y);
    return true;
  }

  /** Adds the product of a start's mixed rows to h. */
  #addStart(
    n: number,
    multiplier: number,
    { rank, mix }: StartProgram,
    components: number,
    rows: number,
    { draws, lists, payload, x, sums, tiles, h, start: [products, turned, mixed] }: Places,
  ): boolean {
    const [apart, hApart] = [rowBytes(rank), 4 * rows];
    const multiply = [0, sums, tiles] as const;
    const { project } = this.#kernel;
    project(lists[2], rank, draws, x[0], rowBytes(n), rows, n, 1, ...multiply, products, hApart);
    const words = this.#memory.words;
    words.fill(0, turned / 4, (turned + rows * apart) / 4);
    for (let r = 0; r < rows; r++)
      for (let k = 0; k < rank; k++)
        words[(turned + r * apart) / 4 + k] = words[(products + k * hApart) / 4 + r]!;
    words.fill(0, mixed / 4, (mixed + hApart * components) / 4);
    const count = mix.encodings.length;
    if (!project(lists[3], count, payload, turned, apart, rows, rank, multiplier, ...multiply, mixed, hApart))
      return false;
    this.#kernel.add(mixed, rows * components, h);
    return true;
  }

  /** Loads the caller's rows as binary32, each followed by zeros. */
  #load(
    values: Float32Array | Uint16Array,
    list: RowList,
    first: number,
    rows: number,
    length: number,
    to: number,
    half: number,
  ): void {
    const apart = rowBytes(length);
    if (values instanceof Float32Array && apart === 4 * length && areNeighbours(list, first, rows)) {
      const from = list[first]! * length;
      this.#memory.words.set(values.subarray(from, from + rows * length), to / 4);
      return;
    }
    for (let r = 0; r < rows; r++, to += apart) {
      const own = values.subarray(list[first + r]! * length, (list[first + r]! + 1) * length);
      if (own instanceof Float32Array) this.#memory.words.set(own, to / 4);
      else {
        this.#memory.halves.set(own, half / 2);
        this.#kernel.convert(FLOAT_NUMBERS.f16, true, half, length, to);
      }
      if (apart > 4 * length) this.#memory.bytes.fill(0, to + 4 * length, to + apart);
    }
  }

  /** Stores rows of binary32 in the caller's array. */
  #store(
    from: number,
    values: Float32Array | Uint16Array,
    list: RowList,
    first: number,
    rows: number,
    length: number,
    half: number,
  ): void {
    const apart = rowBytes(length);
    if (values instanceof Float32Array && apart === 4 * length && areNeighbours(list, first, rows)) {
      values.set(this.#memory.words.subarray(from / 4, from / 4 + rows * length), list[first]! * length);
      return;
    }
    for (let r = 0; r < rows; r++, from += apart) {
      const to = list[first + r]! * length;
      if (values instanceof Float32Array)
        values.set(this.#memory.words.subarray(from / 4, from / 4 + length), to);
      else {
        this.#kernel.convert(FLOAT_NUMBERS.f32, false, from, length, half);
        values.set(this.#memory.halves.subarray(half / 2, half / 2 + length), to);
      }
    }
  }
}

function areSame(one: Int16Array, other: Int16Array): boolean {
  return one.buffer === other.buffer && one.byteOffset === other.byteOffset && one.length === other.length;
}

/** Whether rows follow each other. */
function areNeighbours(list: RowList, first: number, rows: number): boolean {
  for (let r = 1; r < rows; r++) if (list[first + r] !== list[first]! + r) return false;
  return true;
}
