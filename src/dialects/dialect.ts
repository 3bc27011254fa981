/**
 * What a dialect is: one convention for naming, shaping and scaling an adapter's tensors.
 *
 * A dialect turns the files of its convention into an `Adapter` and back. It resolves everything that its convention
 * leaves to the loader (the multiplier, the rank of each module, which axis of the base weight is which), so that
 * nothing to the right of it needs to know the convention.
 *
 * @module
 */
import type { Adapter } from "../model/adapter.ts";

/**
 * The bytes of a file: all of them in memory, or read when they are asked for. `subarray` ends where the file ends.
 */
export interface SourceBytes {
  readonly length: number;
  subarray(begin: number, end: number): Uint8Array;
}

/** The files of one adapter: base name, e.g. `adapter_config.json`, to contents. A `Uint8Array` will do for each. */
export type SourceFiles = ReadonlyMap<string, SourceBytes>;

/** How to read an adapter. */
export interface ReadOptions {
  /**
   * The factors are made from the files anew each time they are asked for, and are not kept: an adapter then takes no
   * more memory than its files. What is changed in such an array is lost. Default false.
   */
  readonly lazy?: boolean;
}

/** How to write an adapter. */
export interface WriteOptions {
  /**
   * Element type of the factors: rounded from F32 once, to nearest, ties to even. `source`: the type each factor had
   * in the file it was read from, F32 if there was none.
   */
  readonly factors: "F32" | "F16" | "BF16" | "source";
}

/** One convention. */
export interface Dialect {
  /** Short name, stored as `origin.dialect`. */
  readonly name: string;
  /** True if the files look like this dialect, broken ones included. Never throws. */
  detect(files: SourceFiles): boolean;
  /**
   * Reads an adapter. Its modules may be lazy.
   *
   * @throws LqaError TRUNCATED_SOURCE or of class S for broken files; UNSUPPORTED_ADAPTER_FEATURE for sound ones that
   * LQA cannot express.
   */
  read(files: SourceFiles): Adapter;
  /**
   * Writes an adapter: file name to contents.
   *
   * @throws LqaError UNSUPPORTED_DIALECT if this dialect cannot say what the adapter holds; SOURCE_RANGE if a factor
   * overflows the chosen element type.
   */
  write(adapter: Adapter, options: WriteOptions): Map<string, Uint8Array>;
}
