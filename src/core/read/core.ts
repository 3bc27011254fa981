/**
 * Opening a file that is in memory, to compute with it (spec clauses 5, 6 and 13): prologue and index are checked in full
 * before anything else is touched; a chunk is checked when it is used (CRC-32, padding, values), and never handed out before.
 *
 * It is what a runtime in a browser needs, and nothing else: sections, digests and the whole adapter are in `open.ts`, which
 * stands on this. So nothing here may reach MessagePack, SHA-256 or the verification (test/read/core.test.ts).
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { LimitSet } from "../../limits.ts";
import type { PlainTensor } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { toHex } from "../container/bytes.ts";
import { DIGEST_BYTES } from "../container/layout.ts";
import type { Prologue } from "../container/prologue.ts";
import type {
  ChunkRecord,
  ContainerIndex,
  ModuleRecord,
  SectionRecord,
  TensorRecord,
} from "../container/types.ts";
import type { Zstd } from "../container/zstd.ts";
import { assertRoom, CHUNK_BUDGET } from "./budget.ts";
import { moduleFactors, plainTensor } from "./chunks.ts";
import { type DecodedFactors, type DecodeOptions, decodeFactors } from "./decode.ts";
import { type Header, headerSteps } from "./header.ts";
import { truncated } from "./steps.ts";
import { readerValues } from "./values.ts";
import { runWatched } from "./watch.ts";
import { zstdFor } from "./zstd.ts";

export interface OpenOptions {
  /** zstd implementation; by default the native one or zstd-codec, loaded only if the file uses it. */
  readonly zstd?: Zstd;
  /**
   * Most bytes beside the file: what `readAdapter` of {@link openLqa} decodes into (default 4 GiB), and a compressed chunk,
   * stored and inflated (default 1 GiB). All chunks together inflate to 1 GiB, 16 times the file, or this at most.
   */
  readonly budgetBytes?: number;
  /** Which column of clause 14 bounds a file: `device`, `core` (default) or `hard`. `device` also refuses what clause 14.1 does. */
  readonly limits?: LimitSet;
}

/** What a runtime needs of an open `.lqa` file to compute with it. */
export interface LqaCore {
  readonly bytes: Uint8Array;
  readonly prologue: Prologue;
  readonly index: ContainerIndex;
  /** Modules in natural order of their names. */
  readonly modules: readonly ModuleRecord[];
  readonly tensors: readonly TensorRecord[];
  readonly sections: readonly SectionRecord[];
  /** The file id as stored in the trailer, hexadecimal; `verify` of {@link openLqa} proves it. */
  readonly fileId: string;
  /** The content id as stored in the digest list, hexadecimal; `verify` of {@link openLqa} proves it. */
  readonly contentId: string;
  /** True if names are front-coded as the canonical form wants. */
  readonly canonicalNames: boolean;
  /** @throws LqaError USAGE if there is no such module */
  module(name: string): ModuleRecord;
  /**
   * The packed planes of a module, as views. Their values have been checked: scales, and that raw weights are finite unless
   * the file declares others.
   *
   * @throws LqaError BUDGET, CHUNK_CRC, ZSTD_FRAME, PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE
   */
  packed(module: ModuleRecord): PackedFactors;
  /** Decodes the factors of a module (by record or name). @throws LqaError as {@link packed}; TARGET_SIZE */
  decodeModule(module: ModuleRecord | string, options?: DecodeOptions): DecodedFactors;
  /**
   * A plain tensor with its data (a view unless compressed).
   *
   * @throws LqaError BUDGET, CHUNK_CRC, ZSTD_FRAME, TENSOR_RECORD, NONFINITE_VALUE
   */
  tensor(tensor: TensorRecord): PlainTensor;
}

/**
 * Opens a file in memory to compute with it: modules, plain tensors, and the ids as stored. The smallest reader there is;
 * {@link openLqa} adds sections, the whole adapter and `verify`.
 *
 * ```ts
 * const file = await openCore(new Uint8Array(await response.arrayBuffer()));
 * const { b, a } = file.decodeModule("layers.0.q_proj");
 * ```
 *
 * @param bytes exactly the file
 * @throws LqaError as {@link openLqa}, but TRUNCATED_FILE or TRAILING_BYTES before what is wrong behind the index: it has no
 *   SHA-256 to look at that with
 */
export async function openCore(bytes: Uint8Array, options: OpenOptions = {}): Promise<LqaCore> {
  const header = await headerOf(bytes, options);
  const { fileLength } = header.prologue;
  if (bytes.length < fileLength) truncated(bytes.length, fileLength);
  if (bytes.length > fileLength)
    fail(KIND.TRAILING_BYTES, { offset: fileLength, expected: `${fileLength} bytes`, actual: bytes.length });
  return coreOf(bytes, header, options);
}

/** Prologue and index of a file in memory, read with pauses. @throws LqaError as {@link openCore} */
export function headerOf(bytes: Uint8Array, { limits = "core" }: OpenOptions): Promise<Header> {
  return runWatched(bytes, 0, bytes.length, headerSteps(limits), {});
}

/** The core of a file whose prologue and index were checked. */
export async function coreOf(
  bytes: Uint8Array,
  { prologue, index, noncanonicalName }: Header,
  options: OpenOptions,
): Promise<LqaCore> {
  const { modules, tensors, sections, trailer, digests } = index;
  const zstd = await zstdFor(tensors, options);
  const values = readerValues();
  const module = moduleFinder(modules);
  const packed = (record: ModuleRecord): PackedFactors =>
    moduleFactors(chunkOf(bytes, record), record, values);
  const idAt = (offset: number): string => toHex(bytes.subarray(offset, offset + DIGEST_BYTES));
  return {
    bytes,
    prologue,
    index,
    modules,
    tensors,
    sections,
    fileId: idAt(trailer.offset),
    contentId: idAt(digests.offset),
    canonicalNames: noncanonicalName === undefined,
    module,
    packed,
    decodeModule(which, options) {
      const record = module(which);
      return decodeFactors(record, packed(record), options);
    },
    tensor(record) {
      // What is not compressed is there already.
      if (record.compression !== "none")
        assertRoom(record, options.budgetBytes ?? CHUNK_BUDGET, `"${record.name}"`);
      return plainTensor(chunkOf(bytes, record), record, zstd, values);
    },
  };
}

/** The bytes of a chunk, a view. */
export function chunkOf(bytes: Uint8Array, { chunk }: ChunkRecord): Uint8Array {
  return bytes.subarray(chunk.offset, chunk.offset + chunk.length);
}

/** Finds modules by name; a record is found by itself. What it returns throws USAGE if there is no such module. */
export function moduleFinder(
  modules: readonly ModuleRecord[],
): (module: ModuleRecord | string) => ModuleRecord {
  /** Made for the first name: who reads all modules needs none. */
  let byName: Map<string, ModuleRecord> | undefined;
  return (which) => {
    if (typeof which !== "string") return which;
    byName ??= new Map(modules.map((module) => [module.name, module]));
    return (
      byName.get(which) ??
      fail(KIND.USAGE, { where: "module name", expected: "a module of this file", actual: which })
    );
  };
}
