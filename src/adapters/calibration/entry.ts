/**
 * One entry of a file of moments, in any format: moments under some name, read on demand.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { type ErrorDetails, fail } from "../../errors.ts";
import { quoteName } from "../json.ts";

export interface MomentsEntry {
  /** As in the file, for messages. */
  readonly name: string;
  /** Input channels, if the file says so: then there are the values of `length / channels` experts. */
  readonly channels: number | undefined;
  /** Number of moments. */
  readonly length: number;
  /** The moments; undefined if no data went into them. @throws LqaError SOURCE_IMPORTANCE, SOURCE_ELEMENT_TYPE */
  read(): Float64Array | undefined;
}

/** Throws SOURCE_IMPORTANCE about a tensor of the file. */
export function unfit(name: string, details: ErrorDetails): never {
  return fail(KIND.SOURCE_IMPORTANCE, { where: `tensor ${quoteName(name)}`, ...details });
}

/** Upper bound of a moment, the range of binary32. Above it, weighted energies of valid weights might not be finite. */
const LARGEST = 2 ** 128;

/** @throws LqaError SOURCE_IMPORTANCE at the first value that cannot be a mean or a sum of squares */
export function assertSquares(name: string, values: Float64Array | Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value >= 0 && value < LARGEST) continue;
    unfit(name, { expected: "finite squares, not negative", actual: `${value} at index ${i}` });
  }
}
