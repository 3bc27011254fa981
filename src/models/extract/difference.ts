/**
 * The difference of two stored tensors, read in pieces: at most 2^20 elements of each are in memory (4 MiB as F32).
 *
 * Element types may differ. The reader widens both sides exactly, subtracts in float64 and rounds once to float32. That
 * rounding loses nothing if the two are close, as weights before and after a fine-tuning are. It sums energies in float64.
 *
 * @module
 */
import { toFloat32 } from "../../adapters/elements.ts";
import { quoteName } from "../../adapters/json.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { ELEMENT_BYTES, type ElementType } from "../../model/adapter.ts";
import type { StoredTensor } from "./model.ts";

/** Elements of one piece. */
const PIECE = 1024 * 1024;

const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The energies of a difference and of its base. */
export interface Difference {
  /** ‖tuned − base‖², of the rounded differences. */
  readonly energy: number;
  /** ‖base‖². */
  readonly baseEnergy: number;
}

/** True for float types: integer tensors have no difference. */
export function isFloat(element: ElementType): boolean {
  return element === "F32" || element === "F16" || element === "BF16" || element === "F64";
}

/**
 * Reads `tuned − base`.
 *
 * @param target receives the difference, flat in C order; if it is undefined, the function computes the energies only
 * @param pause awaited after each piece
 * @throws LqaError SOURCE_NONFINITE with the index of the element; SOURCE_RANGE if a difference overflows float32;
 * TRUNCATED_SOURCE if a source gives less than it promised; IO, ABORTED
 */
export async function readDifference(
  base: StoredTensor,
  tuned: StoredTensor,
  target: Float32Array | undefined,
  pause: () => Promise<void>,
  signal?: AbortSignal,
): Promise<Difference> {
  const count = tuned.shape.reduce((product, size) => product * size, 1);
  const scratch = target === undefined ? new Float32Array(Math.min(count, PIECE)) : undefined;
  let energy = 0;
  let baseEnergy = 0;
  for (let at = 0; at < count; at += PIECE) {
    const length = Math.min(PIECE, count - at);
    const before = await readValues(base, at, length, signal);
    const after = await readValues(tuned, at, length, signal);
    const out = target === undefined ? scratch!.subarray(0, length) : target.subarray(at, at + length);
    const sums = subtract(before, after, out);
    // A NaN or an infinity anywhere makes a sum NaN or infinite.
    if (!(sums.energy < Number.POSITIVE_INFINITY && sums.baseEnergy < Number.POSITIVE_INFINITY)) {
      refuseNonfinite(base, before, "base", at);
      refuseNonfinite(tuned, after, "tuned", at);
      refuseOverflow(tuned, out, at);
    }
    energy += sums.energy;
    baseEnergy += sums.baseEnergy;
    await pause();
  }
  return { energy, baseEnergy };
}

/**
 * Whether two stored tensors of one shape differ, and by how much; `energy` is null if they are not both floats.
 *
 * @throws LqaError as {@link readDifference}; Inf and NaN are no error if both tensors have the same type and bytes
 */
export async function compareStored(
  base: StoredTensor,
  tuned: StoredTensor,
  pause: () => Promise<void>,
  signal?: AbortSignal,
): Promise<{ readonly changed: boolean; readonly energy: number | null }> {
  if (base.element === tuned.element && (await sameBytes(base, tuned, pause, signal))) {
    return { changed: false, energy: 0 };
  }
  if (!isFloat(base.element) || !isFloat(tuned.element)) return { changed: true, energy: null };
  const { energy } = await readDifference(base, tuned, undefined, pause, signal);
  return { changed: energy > 0, energy };
}

/** All bytes of a stored tensor. */
export async function readStored(tensor: StoredTensor, signal?: AbortSignal): Promise<Uint8Array> {
  return await readExactly(tensor, 0, tensor.length, signal);
}

async function sameBytes(
  x: StoredTensor,
  y: StoredTensor,
  pause: () => Promise<void>,
  signal?: AbortSignal,
): Promise<boolean> {
  for (let at = 0; at < x.length; at += 4 * PIECE) {
    const length = Math.min(4 * PIECE, x.length - at);
    const left = await readExactly(x, at, length, signal);
    const right = await readExactly(y, at, length, signal);
    for (let i = 0; i < length; i++) if (left[i] !== right[i]) return false;
    await pause();
  }
  return true;
}

async function readExactly(
  { name, source, offset, length: size }: StoredTensor,
  at: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await source.read(offset + at, length, signal);
  if (bytes.length === length) return bytes;
  return fail(KIND.TRUNCATED_SOURCE, {
    where: `tensor ${quoteName(name)}`,
    expected: `${size} bytes`,
    actual: at + bytes.length,
    offset: offset + at + bytes.length,
  });
}

async function readValues(
  tensor: StoredTensor,
  at: number,
  count: number,
  signal?: AbortSignal,
): Promise<Float32Array | Float64Array> {
  const { element, name } = tensor;
  const size = ELEMENT_BYTES[element];
  const data = await readExactly(tensor, at * size, count * size, signal);
  if (element === "F64") {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    return Float64Array.from({ length: count }, (_, i) => view.getFloat64(8 * i, true));
  }
  if (element === "F32" && LITTLE_ENDIAN && data.byteOffset % 4 === 0) {
    return new Float32Array(data.buffer, data.byteOffset, count);
  }
  return toFloat32({ element, data }, `tensor ${quoteName(name)}`);
}

function subtract(
  before: Float32Array | Float64Array,
  after: Float32Array | Float64Array,
  out: Float32Array,
): Difference {
  let energy = 0;
  let baseEnergy = 0;
  for (let i = 0; i < out.length; i++) {
    const base = before[i]!;
    const difference = Math.fround(after[i]! - base);
    out[i] = difference;
    energy += difference * difference;
    baseEnergy += base * base;
  }
  return { energy, baseEnergy };
}

function refuseNonfinite(
  { name }: StoredTensor,
  values: Float32Array | Float64Array,
  which: string,
  at: number,
): void {
  const index = values.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return;
  fail(KIND.SOURCE_NONFINITE, {
    where: `tensor ${quoteName(name)} of the ${which} model`,
    actual: `${values[index]} at element ${at + index}`,
    advice: "The model is broken: there is no difference to take. Leave the tensor out with --exclude.",
  });
}

function refuseOverflow({ name }: StoredTensor, difference: Float32Array, at: number): void {
  const index = difference.findIndex((value) => !Number.isFinite(value));
  if (index < 0) return;
  fail(KIND.SOURCE_RANGE, {
    where: `tensor ${quoteName(name)}`,
    expected: "differences that F32 can hold",
    actual: `more at element ${at + index}`,
    advice: "Leave the tensor out with --exclude.",
  });
}
