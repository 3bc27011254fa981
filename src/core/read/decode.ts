/**
 * Decodes packed factors to weights, in the layout and type that the caller chooses (spec clause 8.7).
 *
 * An `f32` weight is exact, or with a start or a parent a sum rounded to binary32. An `f16` weight is that value, rounded once
 * to nearest even. The specification fixes every bit of both: if two readers differ in one bit, one of them is wrong.
 *
 * The target determines the speed. The system must page-fault new arrays (the default), which costs more than decoding;
 * `into` and `memory` reuse memory.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import type { Declared } from "../../model/declared.ts";
import { type DecodeTarget, decodeFactor, type FactorJob, factorJobs } from "../codecs/decode.ts";
import { DecodeKernel } from "../codecs/kernels/decode-kernel.ts";
import { hasStart, type PackedFactors } from "../codecs/packed.ts";
import { multiplyFactors } from "../codecs/product.ts";
import { allocateBytes, assertSums, CHUNK_BUDGET } from "./budget.ts";
import type { decodeChild, decodeWithStart } from "./decode-child.ts";

/** Order of the weights in a decoded factor. */
export type FactorLayout =
  /** B `[experts][out][rank]`, A `[experts][rank][in · kernel]`: the shapes of PEFT. */
  | "peft"
  /** B `[experts][rank][out]`, A `[experts][rank][in · kernel]`: component after component, as stored. */
  | "component";

/** Members of `Float16Array`, for projects whose libraries do not declare it. */
interface HalfFloats extends ArrayBufferView {
  readonly [Symbol.toStringTag]: "Float16Array";
  readonly BYTES_PER_ELEMENT: number;
  readonly length: number;
  [index: number]: number;
  [Symbol.iterator](): IterableIterator<number>;
  set(array: ArrayLike<number>, offset?: number): void;
}

/** `Float16Array` if the engine has it, otherwise `Uint16Array` of bit patterns. */
export type HalfArray = Uint16Array | Declared<"Float16Array", HalfFloats>;

/** The arrays that hold weights of each type. */
export interface WeightArrays {
  readonly f32: Float32Array;
  readonly f16: HalfArray;
}

/** Type of decoded weights: `f32` (binary32) or `f16` (binary16). */
export type WeightType = keyof WeightArrays;

/** The arrays of both factors of a module. */
export interface FactorArrays<T extends WeightType = WeightType> {
  readonly b: WeightArrays[T];
  readonly a: WeightArrays[T];
}

/** How to decode a module. */
export interface DecodeOptions<T extends WeightType = WeightType> {
  /** Default `peft`. */
  readonly layout?: FactorLayout;
  /** Default `f32`. */
  readonly type?: T;
  /** Most bytes of new arrays, and of f32 sums that become f16; decoding takes at most 16 MiB more. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Arrays to decode into, of exactly the right length: `Float32Array` for f32, `Uint16Array` or `Float16Array` for f16. */
  readonly into?: FactorArrays<T>;
  /** Memory to decode into; its arrays are valid until its next use. The fastest option. Not together with `into`. */
  readonly memory?: DecodeMemory;
  /**
   * Multiplies B by the module's multiplier, so that ΔW = B · A. The product rounds to binary32, and for `f16` once more.
   * Default false.
   */
  readonly multiplier?: boolean;
}

/**
 * A decoded factor. With type `f16` the data is a `Float16Array` if the engine has it (Node ≥ 24, Bun, Deno, current
 * browsers), otherwise a `Uint16Array` of binary16 bit patterns.
 */
export interface DecodedFactor<T extends WeightType = "f32"> {
  /** The weights, row-major. */
  readonly data: WeightArrays[T];
  /**
   * Sizes of the dimensions, slowest first: `[out, rank]` for B (`[rank, out]` in the layout `component`) and
   * `[rank, in · kernel]` for A. If the module has several experts, their number comes first.
   */
  readonly shape: readonly number[];
}

/** A decoded module: ΔW = multiplier · B · A. */
export interface DecodedModule<T extends WeightType = "f32"> {
  readonly name: string;
  /** Multiply B · A by this: the module's multiplier, or 1 if it was decoded with `multiplier`. */
  readonly multiplier: number;
  readonly b: DecodedFactor<T>;
  readonly a: DecodedFactor<T>;
}

type HalfConstructor = new (buffer: ArrayBufferLike, offset: number, length: number) => HalfArray;
const NativeHalf = (globalThis as { Float16Array?: HalfConstructor }).Float16Array;

/**
 * Decodes both factors of a packed module. Synchronous, because packed factors are in memory.
 *
 * @param shape the record of the module, or its shape
 * @param packed the packed factors, from `packed` of an open file
 * @throws LqaError BUDGET if the arrays would be larger than `budgetBytes`, than the `memory` may hold, or than the
 *   engine allows; TARGET_SIZE if an array in `into` has the wrong length or type, or is detached (its length is 0 then);
 *   USAGE for factors with a start or a parent in a thread that has opened no file with one; PARENT_MISSING if the caller did
 *   not provide the parent
 * @throws LqaError NONFINITE_VALUE if the type is f16 and a sum with a start or a parent is 65520 or more
 * @throws RangeError if the bands imply a start and there is none, or if the parent has another shape
 */
export function decodeModule<T extends WeightType = "f32">(
  shape: ModuleShape,
  packed: PackedFactors,
  options: DecodeOptions<T> = {},
): DecodedModule<T> {
  const { layout = "peft", multiplier = false } = options;
  const { rank, out } = shape;
  const n = inputLength(shape);
  const where = `module "${shape.name}"`;
  if (packed.parent !== undefined) return loadedDecoders("a parent", where).child(shape, packed, options);
  const start = hasStart(packed.bands) ? packed.start : undefined;
  if (start === undefined && hasStart(packed.bands))
    throw new RangeError(`${where}: expected the start that its bands imply, found none`);
  // Its sums are binary32 before they are rounded to binary16.
  if (start !== undefined && options.type === "f16") assertSums(4 * rank * n, shape, options.budgetBytes);
  const jobs = factorJobs(shape, packed, orderOf(layout), multiplier ? shape.multiplier : 1);
  const { b, a, kernel, done } = targetsOf(shape, options, jobs.flat());
  jobs.forEach(([bJob, aJob], expert) => {
    decodeFactor(bJob, b.view, expert * rank * out, kernel);
    if (start === undefined) decodeFactor(aJob, a.view, expert * rank * n, kernel);
  });
  if (start !== undefined) loadedDecoders("a start", where).started(shape, packed, start, a.view, kernel);
  return done();
}

/** The decoders of factors with a start and of those with a parent. */
interface RareDecoders {
  readonly started: typeof decodeWithStart;
  readonly child: typeof decodeChild;
}

/** Readers import these with the first file that needs one, because most files do not. */
let rareDecoders: RareDecoders | undefined;

/** Sets the decoders of factors with a start or a parent, for this thread. */
export function useDecoders(decoders: RareDecoders): void {
  rareDecoders = decoders;
}

/** @throws LqaError USAGE on a thread that has opened no file with a start or a parent */
function loadedDecoders(what: string, where: string): RareDecoders {
  return (
    rareDecoders ??
    fail(KIND.USAGE, {
      where,
      actual: `factors with ${what}, on a thread that has opened no file with one`,
      advice: "Decode where the file was opened, or open it on this thread as well.",
    })
  );
}

/** The order in which a job writes B' for a layout. */
export function orderOf(layout: FactorLayout): FactorJob["order"] {
  return layout === "peft" ? "weight" : "component";
}

/** A decoded module from its arrays. @param multiplied whether B contains the multiplier */
export function decodedOf<T extends WeightType>(
  shape: ModuleShape,
  { b, a }: FactorArrays<T>,
  layout: FactorLayout,
  multiplied: boolean,
): DecodedModule<T> {
  const { name, rank, experts, out } = shape;
  const each = experts > 1 ? [experts] : [];
  return {
    name,
    multiplier: multiplied ? 1 : shape.multiplier,
    b: { data: b, shape: layout === "peft" ? [...each, out, rank] : [...each, rank, out] },
    a: { data: a, shape: [...each, rank, inputLength(shape)] },
  };
}

/** An array to return, and the view that the decoder writes: binary16 weights as bit patterns. */
interface Target {
  readonly array: Float32Array | HalfArray;
  readonly view: DecodeTarget;
}

/** Targets of B and A, and the kernel whose memory holds them, if one does. */
interface Targets {
  readonly b: Target;
  readonly a: Target;
  readonly kernel: DecodeKernel | undefined;
}

type Lengths = readonly [b: number, a: number];

/** The targets to decode a module to; `done` returns the module when they are filled. @param jobs all jobs of the module */
export function targetsOf<T extends WeightType>(
  shape: ModuleShape,
  { into, memory, layout = "peft", type, multiplier = false, budgetBytes = CHUNK_BUDGET }: DecodeOptions<T>,
  jobs: readonly FactorJob[],
): Targets & { done(): DecodedModule<T> } {
  const weights = shape.experts * shape.rank;
  const lengths = [weights * shape.out, weights * inputLength(shape)] as const;
  const where = `module "${shape.name}"`;
  const own: WeightType = type ?? "f32";
  const targets =
    into !== undefined
      ? given(into, lengths, own, where)
      : memory !== undefined
        ? held(memory, jobs, lengths, own, where)
        : fresh(lengths, own, where, budgetBytes);
  const b = targets.b.array as WeightArrays[T];
  const a = targets.a.array as WeightArrays[T];
  return { ...targets, done: () => decodedOf(shape, { b, a }, layout, multiplier) };
}

function fresh(lengths: Lengths, type: WeightType, where: string, budget: number): Targets {
  const size = type === "f32" ? 4 : 2;
  const bytes = size * (lengths[0] + lengths[1]);
  if (bytes > budget) fail(KIND.BUDGET, { where, expected: `at most ${budget} bytes`, actual: bytes });
  const [b, a] = lengths.map((length) => view(allocateBytes(size * length, where), 0, length, type));
  return { b: b!, a: a!, kernel: undefined };
}

function held(
  memory: DecodeMemory,
  jobs: readonly FactorJob[],
  lengths: Lengths,
  type: WeightType,
  where: string,
): Targets {
  const size = type === "f32" ? 4 : 2;
  const sizes = [size * lengths[0], size * lengths[1]] as const;
  const { buffer, offsets, kernel } = memory.take(jobs, type === "f32", sizes, where);
  const [b, a] = lengths.map((length, i) => view(buffer, offsets[i]!, length, type));
  return { b: b!, a: a!, kernel };
}

function view(buffer: ArrayBufferLike, offset: number, length: number, type: WeightType): Target {
  if (type === "f32") {
    const array = new Float32Array(buffer, offset, length);
    return { array, view: array };
  }
  const bits = new Uint16Array(buffer, offset, length);
  return { array: NativeHalf === undefined ? bits : new NativeHalf(buffer, offset, length), view: bits };
}

function given(into: FactorArrays, lengths: Lengths, type: WeightType, where: string): Targets {
  const [b, a] = (["b", "a"] as const).map((name, i) => {
    const array = into[name];
    const fits = type === "f32" ? array instanceof Float32Array : isHalf(array);
    if (!fits || array.length !== lengths[i])
      fail(KIND.TARGET_SIZE, {
        where: `${name.toUpperCase()} of ${where}`,
        expected: `${type === "f32" ? "Float32Array" : "Float16Array or Uint16Array"} of ${lengths[i]}`,
        actual: `${array.constructor.name} of ${array.length}`,
      });
    return type === "f32"
      ? { array, view: array as Float32Array }
      : { array, view: new Uint16Array(array.buffer, array.byteOffset, array.length) };
  });
  return { b: b!, a: a!, kernel: undefined };
}

function isHalf(array: Float32Array | HalfArray): boolean {
  return array instanceof Uint16Array || (NativeHalf !== undefined && array instanceof NativeHalf);
}

// Reusable memory for decoded weights.
//
// New arrays cost more than decoding: the system page-faults fresh memory at 2 GB/s, while a decoder produces 5 to 20 GB/s. A
// caller that decodes one module after another needs the arrays of only one module at a time.

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

// ΔW of one module as a dense matrix (spec clause 9.1), for merging it into a base weight or comparing it with one.
//
// Do not use it to apply an adapter: B · (A · x) takes rank · (out + in) multiplications, ΔW · x takes out · in.

/** Options of {@link decodeDelta}. */
export interface DeltaOptions {
  /** Maximum bytes of the result plus the factors. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Array to write to, of exactly the right length. */
  readonly into?: Float32Array;
}

/**
 * ΔW = multiplier · B · A, `[experts][out][in · kernel]`, for any layout of the base weight.
 *
 * It scales B first, as `{ multiplier: true }` does. An entry is then the product of the first component, plus those of the
 * others in their order (largest singular value first); every product and every sum rounds to binary32. So the result is the
 * same on every machine, but not always the binary32 number closest to the exact sum.
 *
 * @param packed the packed factors, from `file.packed(module)`
 * @throws LqaError BUDGET; TARGET_SIZE if `into` has the wrong length or type; and as {@link decodeModule}
 */
export function decodeDelta(
  module: ModuleShape,
  packed: PackedFactors,
  options: DeltaOptions = {},
): Float32Array {
  const { rank, experts, out } = module;
  const n = inputLength(module);
  const where = `ΔW of module "${module.name}"`;
  const length = experts * out * n;
  const bytes = 4 * experts * rank * (out + n) + (options.into === undefined ? 4 * length : 0);
  const budget = options.budgetBytes ?? CHUNK_BUDGET;
  if (bytes > budget) fail(KIND.BUDGET, { where, expected: `at most ${budget} bytes`, actual: bytes });
  if (options.into !== undefined && !(options.into instanceof Float32Array && options.into.length === length))
    fail(KIND.TARGET_SIZE, {
      where,
      expected: `Float32Array of ${length}`,
      actual: `${options.into.constructor.name} of ${options.into.length}`,
    });
  const result = options.into ?? new Float32Array(allocateBytes(4 * length, where));
  const decoded = decodeModule(module, packed, { multiplier: true, budgetBytes: budget });
  const [b, a] = [decoded.b.data, decoded.a.data];
  for (let e = 0; e < experts; e++)
    multiplyFactors(
      b.subarray(e * out * rank, (e + 1) * out * rank),
      rank,
      a.subarray(e * rank * n, (e + 1) * rank * n),
      n,
      result.subarray(e * out * n, (e + 1) * out * n),
    );
  return result;
}
