/**
 * What an open `.lqa` file can do, wherever its bytes are. `file.ts` does it.
 *
 * @module
 */

import type { LimitSet } from "../../limits.ts";
import type { Adapter, Origin, PlainTensor } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import type { MetaMap } from "../container/meta.ts";
import type { Prologue } from "../container/prologue.ts";
import type { ContainerIndex, ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import type { Zstd } from "../container/zstd.ts";
import type { Input } from "../io/input.ts";
import type { ByteSource } from "../io/source.ts";
import type { DecodedModule, DecodeOptions, FactorArrays, WeightType } from "./decode.ts";
import type { LqaEvent, PackedModule } from "./events.ts";
import type { PlannedRange, PlanOptions } from "./ranges.ts";
import type { WatchOptions } from "./steps.ts";
import type { VerifiedIds } from "./verify.ts";

/** How a file is opened. */
export interface OpenOptions extends PlanOptions {
  /** zstd implementation; by default the native one or zstd-codec, loaded only if the file uses it. */
  readonly zstd?: Zstd | undefined;
  /**
   * Most bytes in addition to the file: what {@link LqaFile.adapter} decodes into (default 4 GiB), and a compressed chunk,
   * stored and inflated (default 1 GiB). All chunks together inflate to 1 GiB, 16 times the file, or this at most. Of a
   * stream, also the most bytes that are kept (default 1 GiB).
   */
  readonly budgetBytes?: number | undefined;
  /** Which column of clause 14 bounds a file: `device`, `core` (default) or `hard`. `device` also refuses what clause 14.1 does. */
  readonly limits?: LimitSet | undefined;
  /**
   * The file id that the file must have, hexadecimal, from a place you trust. Compared when the file is opened, so that it
   * holds for everything that is read.
   */
  readonly fileId?: string | undefined;
  /** Ends every read, now and later. */
  readonly signal?: AbortSignal | undefined;
  /**
   * The parents of a file that holds what differs from them (spec 8.9): open files, or what they can be opened from. The parent
   * is found by its content id, verified whole if that was not done before, and must stay as it is as long as this file is used. Of
   * a chain, all of them. Ignored for a file without a parent; a file whose parent is not given can be read, but not decoded.
   */
  readonly parents?: Iterable<LqaFile | Input> | undefined;
  /** Ranges read ahead by {@link LqaFile.packedAll}. Default 4. Memory: this many times `rangeBytes`. */
  readonly ahead?: number | undefined;
}

/** Which modules of a file are read, and how that is watched: progress is in bytes read, after each range. */
export interface ReadOptions extends WatchOptions {
  /** Records or names. Default: all modules. */
  readonly modules?: Iterable<ModuleRecord | string> | undefined;
}

/** How the modules of a file are decoded one after the other. */
export interface DecodeAllOptions<T extends WeightType = WeightType>
  extends ReadOptions,
    Omit<DecodeOptions<T>, "into"> {
  /** Arrays for a module, of exactly the right length; the same ones may be given again and again. */
  readonly into?: (module: ModuleRecord) => FactorArrays<T>;
}

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
  /** The parents, one behind the other, the nearest first, as far as they were given. */
  readonly parents: readonly LqaFile[];
  /** File id and content id, once the whole file has been verified; undefined before. */
  readonly verified: VerifiedIds | undefined;
  /** The record of a module. @throws LqaError USAGE if there is no such module */
  module(name: string): ModuleRecord;
  /**
   * The packed planes of a module, with those of its parent if that was given. Their values have been checked: scales, and that raw weights are finite unless the file
   * declares others.
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
   * Modules in file order, packed, by merged ranges, some of which are read ahead. Leaving the loop ends the requests.
   *
   * @throws LqaError as {@link packed}, at the module concerned; ABORTED
   */
  packedAll(options?: ReadOptions): AsyncGenerator<PackedModule, void, undefined>;
  /**
   * Modules in file order, decoded, read as by {@link packedAll}. With `memory`, a module is valid until the next one is
   * requested. New arrays for each module take three times as long as `memory`, because page-faulting fresh memory costs more
   * than decoding (docs/decoding.md).
   *
   * @throws LqaError as {@link decode}, at the module concerned; ABORTED
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
  /** The ORIG section: how the source named things. @throws LqaError as {@link meta} */
  origin(options?: WatchOptions): Promise<Origin | undefined>;
  /** The shape fingerprint (spec 9.5), hexadecimal. */
  shapeFingerprint(): Promise<string>;
  /**
   * File id and content id as they are stored. The file id is proven already unless the source is stable; {@link verify}
   * proves both.
   */
  storedIds(options?: WatchOptions): Promise<VerifiedIds>;
  /**
   * Reads everything behind the index, and checks every byte up to and including the trailer, unless that was done before.
   * Progress is in bytes behind the index. Unless the source is stable, the file id that it proves is the one the file was
   * pinned to when it was opened: it covers the chunks handed out before, too.
   *
   * @returns file id and content id, hexadecimal
   * @throws LqaError the first error of the file; BUDGET; ABORTED; and as the source
   */
  verify(options?: WatchOptions): Promise<VerifiedIds>;
  /**
   * The whole adapter, factors decoded to f32, in one pass that verifies the file unless that was done before. Progress is
   * in modules.
   *
   * @throws LqaError as {@link verify}; BUDGET before anything is decoded
   */
  adapter(options?: WatchOptions): Promise<Adapter>;
  /**
   * Everything behind the index in file order, every byte checked: modules, tensors, sections, and the ids at the end. Unless
   * the source is stable, an event comes after the digest of its span.
   *
   * @throws LqaError as {@link verify}
   */
  events(options?: WatchOptions): AsyncGenerator<LqaEvent, void, undefined>;
}
