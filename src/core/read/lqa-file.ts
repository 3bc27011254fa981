/**
 * The interface of an open `.lqa` file. It does not depend on where the bytes are; `file.ts` implements it.
 *
 * @module
 */

import type { Input } from "../../io/input.ts";
import type { ByteSource } from "../../io/source.ts";
import type { LimitSet } from "../../limits.ts";
import type { Adapter, Origin, PlainTensor } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import type { MetaMap } from "../container/meta.ts";
import type { Prologue } from "../container/prologue.ts";
import type { ContainerIndex, ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import type { Zstd } from "../container/zstd.ts";
import type { DecodedModule, DecodeOptions, FactorArrays, WeightType } from "./decode.ts";
import type { LqaEvent, PackedModule } from "./events.ts";
import type { PlannedRange, PlanOptions } from "./ranges.ts";
import type { WatchOptions } from "./steps.ts";
import type { VerifiedIds } from "./verify.ts";

/** How to open a file. */
export interface OpenOptions extends PlanOptions {
  /** zstd implementation; by default the native one or zstd-codec, loaded only if the file uses it. */
  readonly zstd?: Zstd | undefined;
  /**
   * Most bytes in addition to the file: the arrays of {@link LqaFile.adapter} (default 4 GiB), and one compressed chunk,
   * stored and inflated (default 1 GiB). For a stream, also the most bytes to keep (default 1 GiB).
   */
  readonly budgetBytes?: number | undefined;
  /** Which column of clause 14 bounds a file: `device`, `core` (default) or `hard`. `device` also refuses what clause 14.1 does. */
  readonly limits?: LimitSet | undefined;
  /**
   * The file id that the file must have, hexadecimal, from a place that you trust. Opening compares it, so it holds for all
   * that you read.
   */
  readonly fileId?: string | undefined;
  /** Aborts every read, now and later. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The parents of a child, which holds only its differences from them (spec 8.9): open files, or inputs to open. Opening finds
   * the parent by its content id, and verifies it unless it is verified already. The parent must not change as long as you use
   * the child. Provide all parents of a chain. A file without a parent ignores them; a child without its parent can be read,
   * but not decoded.
   */
  readonly parents?: Iterable<LqaFile | Input> | undefined;
  /** Number of ranges that {@link LqaFile.packedAll} reads ahead. Default 4. Memory: this many times `rangeBytes`. */
  readonly ahead?: number | undefined;
}

/** Which modules of a file to read, and how to watch that: progress is in bytes read, after each range. */
export interface ReadOptions extends WatchOptions {
  /** Records or names. Default: all modules. */
  readonly modules?: Iterable<ModuleRecord | string> | undefined;
}

/** How to decode the modules of a file one after the other. */
export interface DecodeAllOptions<T extends WeightType = WeightType>
  extends ReadOptions,
    Omit<DecodeOptions<T>, "into"> {
  /** Returns arrays for a module, of exactly the right length. It may return the same arrays every time. */
  readonly into?: (module: ModuleRecord) => FactorArrays<T>;
}

/**
 * Who vouches for the identity of an open file. `bytes`: the caller, who gave the bytes or a local file. `fileId`: the caller, who gave
 * the id. `digest`: a hub, in whose list the whole file has the digest. `server`: only the server that sent the ranges, and the
 * connection to it, so another file of the same length would be taken too.
 */
export type VouchedBy = "bytes" | "fileId" | "digest" | "server";

/** An open `.lqa` file. Its verbs do not depend on where the bytes are. */
export interface LqaFile {
  readonly source: ByteSource;
  readonly prologue: Prologue;
  readonly index: ContainerIndex;
  /** Modules in natural order of their names. */
  readonly modules: readonly ModuleRecord[];
  readonly tensors: readonly TensorRecord[];
  readonly sections: readonly SectionRecord[];
  /** The content id of the parent, hexadecimal, if the file has one (spec 8.9). */
  readonly parentId: string | undefined;
  /** The parents that opening found, the nearest first. */
  readonly parents: readonly LqaFile[];
  /** File id and content id, once the whole file has been verified; undefined before. */
  readonly verified: VerifiedIds | undefined;
  /** Who says that this is the file that was meant. Everything that is read is of one file, in each case. */
  readonly vouchedBy: VouchedBy;
  /** The record of a module. @throws LqaError USAGE if there is no such module */
  module(name: string): ModuleRecord;
  /**
   * The packed planes of a module, with those of its parent if that was provided. They have passed all checks, those of scales
   * and raw weights included.
   *
   * @throws LqaError BUDGET, CHUNK_CRC, PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE; SPAN_DIGEST unless the source is
   *   stable; USAGE if there is no such module; and as the source
   */
  packed(module: ModuleRecord | string, options?: WatchOptions): Promise<PackedFactors>;
  /** Decodes a module. @throws LqaError as {@link packed}; TARGET_SIZE; PARENT_MISSING */
  decode<T extends WeightType = "f32">(
    module: ModuleRecord | string,
    options?: DecodeOptions<T> & WatchOptions,
  ): Promise<DecodedModule<T>>;
  /**
   * Packed modules in file order, read by coalesced ranges, with read-ahead. Leaving the loop aborts the requests.
   *
   * @throws LqaError as {@link packed}, when the loop reaches the module; ABORTED
   */
  packedAll(options?: ReadOptions): AsyncGenerator<PackedModule, void, undefined>;
  /**
   * Decoded modules in file order, read as by {@link packedAll}. With opening, this checks every byte that weights depend on:
   * prologue, index, and the CRC-32 of each module's chunk. {@link verify} also checks tensors, sections, digests and trailer.
   *
   * With `memory`, a module is valid until you request the next
   * one. New arrays for each module take three times as long as `memory`, because page-faulting fresh memory costs more than
   * decoding (docs/decoding.md).
   *
   * @throws LqaError as {@link decode}, when the loop reaches the module; ABORTED
   */
  decodeAll<T extends WeightType = "f32">(
    options?: DecodeAllOptions<T>,
  ): AsyncGenerator<DecodedModule<T>, void, undefined>;
  /** The ranges that {@link packedAll} reads for these modules (default: all): whole spans unless the source is stable. */
  plan(modules?: Iterable<ModuleRecord | string>): PlannedRange<ModuleRecord>[];
  /**
   * A plain tensor with its data.
   *
   * @throws LqaError BUDGET, CHUNK_CRC, ZSTD_FRAME, TENSOR_RECORD, NONFINITE_VALUE; and as {@link packed}
   */
  tensor(tensor: TensorRecord, options?: WatchOptions): Promise<PlainTensor>;
  /** The META section; empty if there is none. @throws LqaError as {@link tensor}; META_ENCODING */
  meta(options?: WatchOptions): Promise<MetaMap>;
  /** The ORIG section: names and types of the source; undefined if there is none. @throws LqaError as {@link meta} */
  origin(options?: WatchOptions): Promise<Origin | undefined>;
  /** The shape fingerprint (spec 9.5), hexadecimal. */
  shapeFingerprint(): Promise<string>;
  /**
   * File id and content id as the file states them. Unless the source is stable, opening has proven the file id; {@link verify}
   * proves both.
   *
   * @throws LqaError TRUNCATED_FILE, TRAILER_CRC, TRAILER_MISMATCH; and as the source
   */
  storedIds(options?: WatchOptions): Promise<VerifiedIds>;
  /**
   * Reads everything behind the index, and checks every byte up to and including the trailer. The second call returns at once.
   * Progress is in bytes behind the index. Unless the source is stable, it proves the file id to which opening pinned the file;
   * so the proof covers chunks from earlier calls, too.
   *
   * @returns file id and content id, hexadecimal
   * @throws LqaError the first error of the file; BUDGET; ABORTED; and as the source
   */
  verify(options?: WatchOptions): Promise<VerifiedIds>;
  /**
   * The whole adapter, with factors decoded to f32, in one pass that also verifies the file unless it is verified. Progress is
   * in modules.
   *
   * @throws LqaError as {@link verify}; BUDGET before it decodes anything; PARENT_MISSING
   */
  adapter(options?: WatchOptions): Promise<Adapter>;
  /**
   * Everything behind the index in file order, with every byte checked: modules, tensors, sections, and the ids at the end.
   * Unless the source is stable, an event comes after the check of its span's digest.
   *
   * @throws LqaError as {@link verify}
   */
  events(options?: WatchOptions): AsyncGenerator<LqaEvent, void, undefined>;
}
