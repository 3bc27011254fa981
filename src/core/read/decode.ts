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
import { type DecodeTarget, decodeFactor, type FactorJob } from "../codecs/decode.ts";
import type { DecodeKernel } from "../codecs/kernels/decode-kernel.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { CHUNK_BUDGET } from "./budget.ts";
import { allocateBytes, type DecodeMemory } from "./memory.ts";

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

export interface DecodeOptions {
  /** Default `peft`. */
  readonly layout?: FactorLayout;
  /** Default `f32`. */
  readonly type?: "f32" | "f16";
  /** Most bytes of new arrays; a file of a few hundred bytes may declare gigabytes of zeros. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Arrays to decode into, of exactly the right length: `Float32Array` for f32, `Uint16Array` or `Float16Array` for f16. */
  readonly into?: DecodedFactors;
  /** Memory to decode into, whose arrays are valid until it is used again: the fastest way. Not beside `into`. */
  readonly memory?: DecodeMemory;
  /**
   * Multiplies B by the module's multiplier, so that ΔW = B · A. A weight is the exact one times the multiplier, rounded
   * to binary32, and for f16 that rounded once more. Default false.
   */
  readonly multiplier?: boolean;
}

/**
 * Decoded factors. With type `f16` the arrays are `Float16Array` where the engine has it (Node ≥ 24, Bun, Deno,
 * current browsers), else `Uint16Array` of binary16 bit patterns.
 */
export interface DecodedFactors {
  readonly b: Float32Array | HalfArray;
  readonly a: Float32Array | HalfArray;
}

type HalfConstructor = new (buffer: ArrayBufferLike, offset: number, length: number) => HalfArray;
const NativeHalf = (globalThis as { Float16Array?: HalfConstructor }).Float16Array;

/**
 * Decodes both factors of a module.
 *
 * @throws LqaError BUDGET if the arrays would be larger than `budgetBytes`, than the `memory` may hold, or than the
 *   engine allows; TARGET_SIZE if an array in `into` has the wrong length or type, or is detached (its length is 0 then)
 */
export function decodeFactors(
  shape: ModuleShape,
  factors: PackedFactors,
  options: DecodeOptions = {},
): DecodedFactors {
  const { type = "f32", into, memory } = options;
  const { rank, experts, out } = shape;
  const n = inputLength(shape);
  const where = `module "${shape.name}"`;
  const jobs = jobsOf(shape, factors, options);
  const lengths = [experts * rank * out, experts * rank * n] as const;
  const { b, a, kernel } =
    into !== undefined
      ? given(into, lengths, type, where)
      : memory !== undefined
        ? held(memory, jobs.flat(), lengths, type, where)
        : fresh(lengths, type, where, options.budgetBytes ?? CHUNK_BUDGET);
  jobs.forEach(([bJob, aJob], expert) => {
    decodeFactor(bJob, b.view, expert * rank * out, kernel);
    decodeFactor(aJob, a.view, expert * rank * n, kernel);
  });
  return { b: b.array, a: a.array };
}

/** What is to be decoded: B and A of each expert. */
function jobsOf(
  shape: ModuleShape,
  { bands, planes }: PackedFactors,
  { layout = "peft", multiplier = false }: DecodeOptions,
): [FactorJob, FactorJob][] {
  return planes.map((own) => [
    {
      parts: bands.map(({ b, components }, i) => ({ encoding: b, planes: own[i]!.b, components })),
      length: shape.out,
      order: layout === "peft" ? "weight" : "component",
      multiplier: multiplier ? shape.multiplier : 1,
    },
    {
      parts: bands.map(({ a, components }, i) => ({ encoding: a, planes: own[i]!.a, components })),
      length: inputLength(shape),
      order: "component",
      multiplier: 1,
    },
  ]);
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

function fresh(lengths: Lengths, type: "f32" | "f16", where: string, budget: number): Targets {
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
  type: "f32" | "f16",
  where: string,
): Targets {
  const size = type === "f32" ? 4 : 2;
  const sizes = [size * lengths[0], size * lengths[1]] as const;
  const { buffer, offsets, kernel } = memory.take(jobs, type === "f32", sizes, where);
  const [b, a] = lengths.map((length, i) => view(buffer, offsets[i]!, length, type));
  return { b: b!, a: a!, kernel };
}

function view(buffer: ArrayBufferLike, offset: number, length: number, type: "f32" | "f16"): Target {
  if (type === "f32") {
    const array = new Float32Array(buffer, offset, length);
    return { array, view: array };
  }
  const bits = new Uint16Array(buffer, offset, length);
  return { array: NativeHalf === undefined ? bits : new NativeHalf(buffer, offset, length), view: bits };
}

function given(into: DecodedFactors, lengths: Lengths, type: "f32" | "f16", where: string): Targets {
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
