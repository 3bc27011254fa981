/**
 * Packed factors → weights, in the layout and type the caller wants (spec clause 8.7).
 *
 * `f32` is exact wherever scales are f16 or bf16; `f16` is one round-to-nearest-even of that. Both are bit patterns
 * the specification fixes: two readers that differ in one bit are not both right.
 *
 * @module
 */
import { type DecodeTarget, decodePlanes } from "../codecs/decode.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { fail } from "../errors.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";

/** Order of the weights in a decoded factor. */
export type FactorLayout =
  /** B `[experts][out][rank]`, A `[experts][rank][in · kernel]`: the shapes of PEFT. */
  | "peft"
  /** B `[experts][rank][out]`, A `[experts][rank][in · kernel]`: component after component, as stored. */
  | "component";

/** `Float16Array` where the engine has one. */
export type HalfArray = Uint16Array | Float16Array;

export interface DecodeOptions {
  /** Default `peft`. */
  readonly layout?: FactorLayout;
  /** Default `f32`. */
  readonly type?: "f32" | "f16";
  /** Most bytes of new arrays; a file of a few hundred bytes may declare gigabytes of zeros. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Arrays to decode into, of exactly the right length: `Float32Array` for f32, `Uint16Array` or `Float16Array` for f16. */
  readonly into?: { readonly b: Float32Array | HalfArray; readonly a: Float32Array | HalfArray };
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

/** Spec clause 14: memory is bounded by the caller, not by the file. */
const DEFAULT_BUDGET = 2 ** 30;

/**
 * Decodes both factors of a module.
 *
 * @throws LqaError BUDGET if the arrays would be larger than `budgetBytes`; TARGET_SIZE if an array in `into` has the wrong length or type
 */
export function decodeFactors(
  shape: ModuleShape,
  factors: PackedFactors,
  options: DecodeOptions = {},
): DecodedFactors {
  const { layout = "peft", type = "f32", into } = options;
  const { rank, experts, out } = shape;
  const n = inputLength(shape);
  const bytes = experts * rank * (out + n) * (type === "f32" ? 4 : 2);
  const budget = options.budgetBytes ?? DEFAULT_BUDGET;
  if (into === undefined && bytes > budget)
    fail("BUDGET", { where: `module "${shape.name}"`, expected: `at most ${budget} bytes`, actual: bytes });
  const b = target(into?.b, experts * rank * out, type, `B of module "${shape.name}"`);
  const a = target(into?.a, experts * rank * n, type, `A of module "${shape.name}"`);
  for (let expert = 0; expert < experts; expert++) {
    let component = 0;
    factors.bands.forEach((band, i) => {
      const planes = factors.planes[expert]![i]!;
      decodePlanes(
        band.b,
        planes.b,
        band.components,
        out,
        b.view,
        layout === "peft"
          ? { offset: expert * rank * out + component, componentStride: 1, weightStride: rank }
          : { offset: (expert * rank + component) * out, componentStride: out, weightStride: 1 },
      );
      decodePlanes(band.a, planes.a, band.components, n, a.view, {
        offset: (expert * rank + component) * n,
        componentStride: n,
        weightStride: 1,
      });
      component += band.components;
    });
  }
  return { b: b.array, a: a.array };
}

/** The array to return, and the view the codecs write: halves are always written as bit patterns. */
function target(
  given: Float32Array | HalfArray | undefined,
  length: number,
  type: "f32" | "f16",
  where: string,
): { array: Float32Array | HalfArray; view: DecodeTarget } {
  if (given === undefined) {
    if (type === "f32") {
      const array = new Float32Array(length);
      return { array, view: array };
    }
    const view = new Uint16Array(length);
    return { array: NativeHalf === undefined ? view : new NativeHalf(view.buffer, 0, length), view };
  }
  const fits = type === "f32" ? given instanceof Float32Array : given.BYTES_PER_ELEMENT === 2;
  if (!fits || given.length !== length)
    fail("TARGET_SIZE", {
      where,
      expected: `${type === "f32" ? "Float32Array" : "Float16Array or Uint16Array"} of ${length}`,
      actual: `${given.constructor.name} of ${given.length}`,
    });
  if (type === "f32") return { array: given as Float32Array, view: given as Float32Array };
  return { array: given, view: new Uint16Array(given.buffer, given.byteOffset, given.length) };
}
