/**
 * One entry of a file of moments, whatever the format: moments under some name, not read before they are needed.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { type ErrorDetails, fail } from "../../errors.ts";
import { quoteName } from "../json.ts";

export interface Entry {
  /** As in the file, for messages. */
  readonly name: string;
  /** Input channels, where the file says so: the values are then those of `length / channels` experts. */
  readonly channels: number | undefined;
  /** How many moments there are. */
  readonly length: number;
  /** The moments; undefined if nothing went into them. @throws LqaError SOURCE_IMPORTANCE, SOURCE_ELEMENT_TYPE */
  read(): Float64Array | undefined;
}

/** Fails with SOURCE_IMPORTANCE about a tensor of the file. */
export function unfit(name: string, details: ErrorDetails): never {
  return fail(KIND.SOURCE_IMPORTANCE, { where: `tensor ${quoteName(name)}`, ...details });
}

/** Above this (that of binary32), weighted energies of sound weights might not be finite. */
const LARGEST = 2 ** 128;

/** @throws LqaError SOURCE_IMPORTANCE at the first value that no mean or sum of squares can have */
export function assertSquares(name: string, values: Float64Array | Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value >= 0 && value < LARGEST) continue;
    unfit(name, { expected: "finite squares, not negative", actual: `${value} at index ${i}` });
  }
}
