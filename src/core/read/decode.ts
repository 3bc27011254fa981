/**
 * Packed factors → weights, in the layout and type the caller wants (spec clause 8.7).
 *
 * `f32` is exact wherever scales are f16 or bf16; `f16` is one round-to-nearest-even of that. Both are bit patterns
 * the specification fixes: two readers that differ in one bit are not both right.
 *
 * Where the weights go decides how long it takes. New arrays (the default) are touched for the first time, page by page,
 * which costs more than decoding does; `into` and `memory` use the same memory again.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import type { Declared } from "../../model/declared.ts";
import { type DecodeTarget, decodeFactor, type FactorJob, factorJobs } from "../codecs/decode.ts";
import type { DecodeKernel } from "../codecs/kernels/decode-kernel.ts";
import { hasStart, type PackedFactors } from "../codecs/packed.ts";
import { multiplyFactors } from "../codecs/product.ts";
import { startDecoder } from "../codecs/start/loaded.ts";
import { allocateBytes, CHUNK_BUDGET, type DecodeMemory } from "./budget.ts";
import type { decodeChild } from "./decode-child.ts";

/** Order of the weights in a decoded factor. */
export type FactorLayout =
  /** B `[experts][out][rank]`, A `[experts][rank][in · kernel]`: the shapes of PEFT. */
  | "peft"
  /** B `[experts][rank][out]`, A `[experts][rank][in · kernel]`: component after component, as stored. */
  | "component";

/** What can be done with a `Float16Array` in a project whose libraries do not declare one. */
interface HalfFloats extends ArrayBufferView {
  readonly [Symbol.toStringTag]: "Float16Array";
  readonly BYTES_PER_ELEMENT: number;
  readonly length: number;
  [index: number]: number;
  [Symbol.iterator](): IterableIterator<number>;
  set(array: ArrayLike<number>, offset?: number): void;
}

/** `Float16Array` where the engine has one, else `Uint16Array` of bit patterns. */
export type HalfArray = Uint16Array | Declared<"Float16Array", HalfFloats>;

/** The arrays that hold weights of each type. */
export interface WeightArrays {
  readonly f32: Float32Array;
  readonly f16: HalfArray;
}

/** `f32`, or `f16`: bit patterns of binary16. */
export type WeightType = keyof WeightArrays;

/** The arrays of both factors of a module. */
export interface FactorArrays<T extends WeightType = WeightType> {
  readonly b: WeightArrays[T];
  readonly a: WeightArrays[T];
}

export interface DecodeOptions<T extends WeightType = WeightType> {
  /** Default `peft`. */
  readonly layout?: FactorLayout;
  /** Default `f32`. */
  readonly type?: T;
  /** Most bytes of new arrays; a file of a few hundred bytes may declare gigabytes of zeros. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Arrays to decode into, of exactly the right length: `Float32Array` for f32, `Uint16Array` or `Float16Array` for f16. */
  readonly into?: FactorArrays<T>;
  /** Memory to decode into, whose arrays are valid until it is used again: the fastest way. Not together with `into`. */
  readonly memory?: DecodeMemory;
  /**
   * Multiplies B by the module's multiplier, so that ΔW = B · A. A weight is the exact one times the multiplier, rounded
   * to binary32, and for f16 that rounded once more. Default false.
   */
  readonly multiplier?: boolean;
}

/**
 * A decoded factor. With type `f16` the data is a `Float16Array` where the engine has it (Node ≥ 24, Bun, Deno,
 * current browsers), else a `Uint16Array` of binary16 bit patterns.
 */
export interface DecodedFactor<T extends WeightType = "f32"> {
  /** The weights, row-major. */
  readonly data: WeightArrays[T];
  /**
   * Sizes of the dimensions, slowest first: `[out, rank]` of B (`[rank, out]` in the layout `component`) and
   * `[rank, in · kernel]` of A; of a module with experts one dimension more in front, their number.
   */
  readonly shape: readonly number[];
}

/** A decoded module: ΔW = multiplier · B · A. */
export interface DecodedModule<T extends WeightType = "f32"> {
  readonly name: string;
  /** What B · A is yet to be multiplied by: the module's multiplier, or 1 where it was decoded with `multiplier`. */
  readonly multiplier: number;
  readonly b: DecodedFactor<T>;
  readonly a: DecodedFactor<T>;
}

type HalfConstructor = new (buffer: ArrayBufferLike, offset: number, length: number) => HalfArray;
const NativeHalf = (globalThis as { Float16Array?: HalfConstructor }).Float16Array;

/**
 * Decodes both factors of a packed module. Synchronous: what is packed is in memory.
 *
 * @param shape the record of the module, or its shape
 * @param packed as `packed` of an open file gives it
 * @throws LqaError BUDGET if the arrays would be larger than `budgetBytes`, than the `memory` may hold, or than the
 *   engine allows; TARGET_SIZE if an array in `into` has the wrong length or type, or is detached (its length is 0 then); USAGE for
 *   factors with a start or a parent on a thread that has opened no file with one; PARENT_MISSING for factors whose parent was not given.
 *   RangeError where bands imply a start and there is none, or where the parent has another shape
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
  if (packed.parent !== undefined) {
    const decode =
      childDecoder ??
      fail(KIND.USAGE, {
        where,
        actual: "factors with a parent, on a thread that has opened no file with one",
        advice: "Decode where the file was opened, or open it on this thread as well.",
      });
    return decode(shape, packed, options);
  }
  const start = hasStart(packed.bands) ? packed.start : undefined;
  if (start === undefined && hasStart(packed.bands))
    throw new RangeError(`${where}: expected the start that its bands imply, found none`);
  const jobs = factorJobs(shape, packed, orderOf(layout), multiplier ? shape.multiplier : 1);
  const { b, a, kernel, done } = targetsOf(shape, options, jobs.flat());
  jobs.forEach(([bJob, aJob], expert) => {
    decodeFactor(bJob, b.view, expert * rank * out, kernel);
    if (start === undefined) decodeFactor(aJob, a.view, expert * rank * n, kernel);
  });
  if (start !== undefined) startDecoder(where)(packed, start, n, a.view, kernel);
  return done();
}

/** What decodes factors with a parent: loaded with the first file that has one, as most have none. */
let childDecoder: typeof decodeChild | undefined;

/** Says what decodes factors with a parent, on this thread. */
export function useChildDecoder(decoder: typeof decodeChild): void {
  childDecoder = decoder;
}

/** How the codecs write B in a layout. */
export function orderOf(layout: FactorLayout): FactorJob["order"] {
  return layout === "peft" ? "weight" : "component";
}

/** A module with its decoded factors. */
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

/** An array to return, and the view the codecs write: halves are always written as bit patterns. */
interface Target {
  readonly array: Float32Array | HalfArray;
  readonly view: DecodeTarget;
}

/** Targets of B and A, and the kernel whose memory they lie in, if they do. */
interface Targets {
  readonly b: Target;
  readonly a: Target;
  readonly kernel: DecodeKernel | undefined;
}

type Lengths = readonly [b: number, a: number];

/** Where a module is decoded to, and what it is then. @param jobs what is decoded */
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

// ΔW of one module as a dense matrix (spec clause 9.1), for merging it into a base weight or comparing it with one.
//
// Applying an adapter does not need it: B · (A · x) is rank · (out + in) multiplications, ΔW · x is out · in.

export interface DeltaOptions {
  /** Maximum bytes of the result plus the factors. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Array to write to, of exactly the right length. */
  readonly into?: Float32Array;
}

/**
 * ΔW = multiplier · B · A, `[experts][out][in · kernel]`, whatever the layout of the base weight.
 *
 * B is scaled first, as `{ multiplier: true }` does. An entry then begins as the product of the first component, and
 * those of the others are added in their order (largest singular value first); every product and every sum is rounded to
 * binary32. So the result is the same on every machine; it is not the closest binary32 to the exact sum.
 *
 * @param packed as `file.packed(module)` gives them
 * @throws LqaError BUDGET; TARGET_SIZE if `into` has the wrong length or type
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
