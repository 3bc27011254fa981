/**
 * Opening a file that is in memory (spec clauses 5, 6 and 13): prologue and index are checked in full before anything
 * else is touched; a chunk is checked by its CRC-32 when it is first used, and never handed out before.
 *
 * An open file whose chunks pass their CRC is good enough to compute with; that it is the *whole, unchanged* file is
 * only known after {@link LqaFile.verify}.
 *
 * @module
 */

import type { PackedFactors } from "../codecs/packed.ts";
import type { Zstd } from "../container/compression.ts";
import { shapeFingerprint } from "../container/digests.ts";
import { DIGEST_BYTES } from "../container/layout.ts";
import type { MetaMap } from "../container/meta.ts";
import type { Prologue } from "../container/prologue.ts";
import { toHex } from "../container/sha256.ts";
import {
  allChunks,
  type ChunkRecord,
  type ContainerIndex,
  type ModuleRecord,
  type SectionRecord,
  type TensorRecord,
} from "../container/types.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import {
  type Adapter,
  type LoraModule,
  type Origin,
  type PlainTensor,
  parameterCount,
  shapeOf,
} from "../model/adapter.ts";
import { ADAPTER_BUDGET, assertRoom, CHUNK_BUDGET } from "./budget.ts";
import { moduleFactors, plainTensor, sectionMap } from "./chunks.ts";
import { type DecodedFactors, type DecodeOptions, decodeFactors } from "./decode.ts";
import { chunksStart, type Header, openIndex, requirePadding } from "./header.ts";
import { runWatched, truncated } from "./steps.ts";
import { bodySteps, type VerifiedIds } from "./verify.ts";
import { breather, type WatchOptions } from "./watch.ts";
import { zstdFor } from "./zstd.ts";

export interface OpenOptions {
  /** zstd implementation; by default the native one or zstd-codec, loaded only if the file uses it. */
  readonly zstd?: Zstd;
  /**
   * Most bytes beside the file: what {@link LqaFile.readAdapter} decodes into (default 4 GiB), and a compressed chunk,
   * stored and inflated (default 1 GiB). All chunks together inflate to 1 GiB, 16 times the file, or this at most.
   */
  readonly budgetBytes?: number;
  /** Accept files up to the Hard limits of clause 14 instead of the Core ones. */
  readonly hardLimits?: boolean;
}

/** An open `.lqa` file. */
export interface LqaFile {
  readonly bytes: Uint8Array;
  readonly prologue: Prologue;
  readonly index: ContainerIndex;
  /** Modules in natural order of their names. */
  readonly modules: readonly ModuleRecord[];
  readonly tensors: readonly TensorRecord[];
  readonly sections: readonly SectionRecord[];
  /** The file id as stored in the trailer, hexadecimal; {@link verify} proves it. */
  readonly fileId: string;
  /** The content id as stored in the digest list, hexadecimal; {@link verify} proves it. */
  readonly contentId: string;
  /** The META section; empty if there is none. Checked on first access. */
  readonly meta: MetaMap;
  /**
   * The ORIG section: how the source named things. Asynchronous, since it is usually compressed with the text
   * dictionary and the implementation of that is only loaded when it is needed.
   */
  origin(): Promise<Origin | undefined>;
  /** The shape fingerprint (spec 9.5), hexadecimal. */
  readonly shapeFingerprint: string;
  /** True if names are front-coded as the canonical form wants. */
  readonly canonicalNames: boolean;
  /** @throws LqaError USAGE if there is no such module */
  module(name: string): ModuleRecord;
  /** The packed planes of a module, as views. @throws LqaError BUDGET, CHUNK_CRC, PADDING_NONZERO, ZSTD_FRAME */
  packed(module: ModuleRecord): PackedFactors;
  /** Decodes the factors of a module (by record or name). @throws LqaError as {@link packed}; TARGET_SIZE */
  decodeModule(module: ModuleRecord | string, options?: DecodeOptions): DecodedFactors;
  /** A plain tensor with its data (a view unless compressed). */
  tensor(tensor: TensorRecord): PlainTensor;
  /**
   * The whole adapter, factors decoded to f32. Verifies the file first; progress is in modules.
   *
   * @throws LqaError as {@link verify}; BUDGET before anything is decoded
   */
  readAdapter(options?: WatchOptions): Promise<Adapter>;
  /**
   * Checks every byte up to and including the trailer. Progress is in bytes behind the index.
   *
   * @returns file id and content id, hexadecimal
   * @throws LqaError the first error of the file; BUDGET; ABORTED
   */
  verify(options?: WatchOptions): Promise<VerifiedIds>;
}

/**
 * Opens a file in memory.
 *
 * @throws LqaError of any class but X, S and B; TRUNCATED_FILE or TRAILING_BYTES if `bytes` is not exactly the file
 */
export async function openLqa(bytes: Uint8Array, options: OpenOptions = {}): Promise<LqaFile> {
  const opened = openIndex(bytes, options);
  const { prologue, index } = opened;
  if (bytes.length < prologue.fileLength) truncated(bytes.length, prologue.fileLength);
  if (bytes.length > prologue.fileLength)
    fail(KIND.TRAILING_BYTES, {
      offset: prologue.fileLength,
      expected: `${prologue.fileLength} bytes`,
      actual: bytes.length,
    });
  return fileOf(bytes, opened, options, await zstdFor([...index.modules, ...index.tensors], options));
}

function fileOf(bytes: Uint8Array, header: Header, options: OpenOptions, zstd: Zstd | undefined): LqaFile {
  const { prologue, index, noncanonicalName } = header;
  const byName = new Map(index.modules.map((module) => [module.name, module]));
  const chunkOf = ({ chunk }: ChunkRecord): Uint8Array =>
    bytes.subarray(chunk.offset, chunk.offset + chunk.length);
  const sectionRecord = (type: string): SectionRecord | undefined =>
    index.sections.find((s) => s.type === type);
  let meta: MetaMap | undefined;
  const chunkBudget = options.budgetBytes ?? CHUNK_BUDGET;
  /** What is not compressed is there already. */
  const affordable = <R extends ChunkRecord & { readonly name: string }>(record: R): R => {
    if (record.compression !== "none") assertRoom(record, chunkBudget, `"${record.name}"`);
    return record;
  };
  const packed = (module: ModuleRecord): PackedFactors =>
    moduleFactors(chunkOf(module), affordable(module), zstd);
  const module = (name: string): ModuleRecord =>
    byName.get(name) ??
    fail(KIND.USAGE, { where: "module name", expected: "a module of this file", actual: name });
  const file: LqaFile = {
    bytes,
    prologue,
    index,
    modules: index.modules,
    tensors: index.tensors,
    sections: index.sections,
    fileId: toHex(bytes.subarray(index.trailer.offset, index.trailer.offset + DIGEST_BYTES)),
    contentId: toHex(bytes.subarray(index.digests.offset, index.digests.offset + DIGEST_BYTES)),
    get meta() {
      const record = sectionRecord("META");
      meta ??= record === undefined ? {} : sectionMap(chunkOf(record), record, undefined);
      return meta;
    },
    async origin() {
      const record = sectionRecord("ORIG");
      return record && (sectionMap(chunkOf(record), record, await zstdFor([record], options)) as Origin);
    },
    get shapeFingerprint() {
      return toHex(shapeFingerprint(index.modules));
    },
    canonicalNames: noncanonicalName === undefined,
    module,
    packed,
    decodeModule(which, options) {
      const record = typeof which === "string" ? module(which) : which;
      return decodeFactors(record, packed(record), options);
    },
    tensor: (record) => plainTensor(chunkOf(record), affordable(record), zstd),
    async readAdapter({ signal, onProgress } = {}) {
      const bytesNeeded = 4 * index.modules.reduce((sum, record) => sum + parameterCount(record), 0);
      const budget = options.budgetBytes ?? ADAPTER_BUDGET;
      if (bytesNeeded > budget)
        fail(KIND.BUDGET, { where: "the adapter", expected: `at most ${budget} bytes`, actual: bytesNeeded });
      await file.verify({ signal });
      const breathe = breather(signal);
      const modules: LoraModule[] = [];
      for (const record of index.modules) {
        const { b, a } = file.decodeModule(record, { budgetBytes: budget });
        modules.push({ ...shapeOf(record), b: b as Float32Array, a: a as Float32Array });
        onProgress?.(modules.length, index.modules.length);
        await breathe();
      }
      return {
        modules,
        tensors: index.tensors.map((record) => file.tensor(record)),
        origin: await file.origin(),
        meta: file.meta,
      };
    },
    async verify(watch = {}) {
      requirePadding(header, bytes.length);
      const tools = { zstd: await zstdFor(allChunks(index), options) };
      const steps = bodySteps(header, { tools, budgetBytes: chunkBudget });
      return runWatched(bytes, chunksStart(prologue), prologue.fileLength, steps, watch);
    },
  };
  return file;
}
