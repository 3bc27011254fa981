/**
 * Reading by ranges (spec clause 13.2): an adapter on a server, in a file or a Blob, of which only the parts that are
 * asked for are read. Prologue and index come first and are checked in full; a chunk is handed out after its checksum, its
 * padding and its values have been checked.
 *
 * What is handed out is part of one whole, unchanged file: a source that may change is pinned to its root digest when it
 * is opened (`pin.ts`), and a chunk is handed out after the SHA-256 of its span. From a source that is `stable` (memory, a
 * Blob, a file held open) a chunk is handed out after its CRC-32.
 *
 * Nothing is requested that the checked index does not hold, so a file that lies costs no more than 64 KiB and its index.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Origin, PlainTensor } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { toHex } from "../container/bytes.ts";
import { shapeFingerprint } from "../container/digests.ts";
import { DIGEST_BYTES } from "../container/layout.ts";
import type { MetaMap } from "../container/meta.ts";
import type { ChunkRecord, ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";
import { type HttpOptions, httpSource } from "../io/http.ts";
import { type ByteSource, eitherSignal } from "../io/source.ts";
import { assertRoom, CHUNK_BUDGET } from "./budget.ts";
import { moduleFactors, plainTensor } from "./chunks.ts";
import { moduleFinder, type OpenOptions } from "./core.ts";
import { type DecodedFactors, type DecodeOptions, decodeFactors } from "./decode.ts";
import { Engine } from "./engine.ts";
import type { LqaEvent, ModuleEvent } from "./events.ts";
import { chunksStart, type Header, type OpenedIndex } from "./header.ts";
import { type AnyRecord, type Pin, pinFile, placeOf, readProven } from "./pin.ts";
import { type PlannedRange, type PlanOptions, planRanges } from "./plan.ts";
import { sectionMap } from "./section.ts";
import { FIRST_BYTES, type KeepingSource, openHeader, piecesFrom, readExactly } from "./source-read.ts";
import { eventsOf } from "./stream.ts";
import { readerValues } from "./values.ts";
import { storedRoot, type VerifiedIds } from "./verify.ts";
import { zstdFor } from "./zstd.ts";

/** How a source is read. */
export interface SourceOptions extends OpenOptions, PlanOptions {
  /** Ends every request. */
  readonly signal?: AbortSignal | undefined;
  /** Ranges read ahead by {@link RangedLqa.fetchModules}. Default 4. Memory: so many times `rangeBytes`. */
  readonly ahead?: number | undefined;
  /**
   * The file id that the file must have, hexadecimal, from a place you trust. Compared when the file is opened, so that it
   * holds for everything that is read.
   */
  readonly fileId?: string | undefined;
}

/** One call on a source. */
export interface FetchOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told after each range: bytes read so far, and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A file that is read by ranges. */
export interface RangedLqa extends OpenedIndex {
  readonly source: ByteSource;
  /** Modules in natural order of their names. */
  readonly modules: readonly ModuleRecord[];
  readonly tensors: readonly TensorRecord[];
  readonly sections: readonly SectionRecord[];
  /** The shape fingerprint (spec 9.5), hexadecimal. */
  readonly shapeFingerprint: string;
  /** @throws LqaError USAGE if there is no such module */
  module(name: string): ModuleRecord;
  /** The ranges that {@link fetchModules} reads for these modules (default: all): whole spans unless the source is stable. */
  plan(modules?: Iterable<ModuleRecord | string>): PlannedRange<ModuleRecord>[];
  /** The packed planes of a module. @throws LqaError as `openLqa`, and as the source */
  fetchModule(module: ModuleRecord | string, options?: FetchOptions): Promise<PackedFactors>;
  /** Modules in file order, by merged ranges, some of which are read ahead. Leaving the loop ends the requests. */
  fetchModules(
    modules?: Iterable<ModuleRecord | string>,
    options?: FetchOptions,
  ): AsyncGenerator<ModuleEvent, void, undefined>;
  decodeModule(
    module: ModuleRecord | string,
    options?: DecodeOptions & FetchOptions,
  ): Promise<DecodedFactors>;
  fetchTensor(tensor: TensorRecord, options?: FetchOptions): Promise<PlainTensor>;
  /** The META section; empty if there is none. */
  meta(options?: FetchOptions): Promise<MetaMap>;
  /** The ORIG section: how the source named things. */
  origin(options?: FetchOptions): Promise<Origin | undefined>;
  /**
   * File id and content id as they are stored. The file id is proven already unless the source is stable; {@link verify}
   * proves both.
   */
  storedIds(options?: FetchOptions): Promise<VerifiedIds>;
  /**
   * Everything behind the index in file order, every byte checked: modules, tensors, sections, and the ids at the end. Unless
   * the source is stable, an event comes after the digest of its span.
   */
  events(options?: FetchOptions): AsyncGenerator<LqaEvent, void, undefined>;
  /**
   * Reads everything behind the index, and checks every byte. Unless the source is stable, the file id that it proves is the
   * one the file was pinned to when it was opened: it covers the chunks handed out before, too.
   */
  verify(options?: FetchOptions): Promise<VerifiedIds>;
}

const AHEAD = 4;

/**
 * Opens a file behind a source: a `Blob` (`blobSource`), a file by path (`openFileSource` of `lqa/node`), memory.
 *
 * @throws LqaError as `openLqa`, and as the source. Unless the source is stable, or with `fileId`, also TRAILER_CRC,
 *   TRAILER_MISMATCH, ROOT_DIGEST, WRONG_FILE; USAGE for a `fileId` that is not 64 hexadecimal digits
 */
export async function openSource(source: ByteSource, options: SourceOptions = {}): Promise<RangedLqa> {
  const { fileId, signal } = options;
  if (fileId !== undefined && !/^[0-9a-f]{64}$/i.test(fileId))
    fail(KIND.USAGE, { where: "fileId", expected: "64 hexadecimal digits", actual: fileId.slice(0, 80) });
  const { header, source: keeping } = await openHeader(source, options);
  const pin =
    source.stable === true && fileId === undefined
      ? undefined
      : await pinFile(keeping, header, fileId, signal);
  return rangedOf(keeping, header, pin, options);
}

/**
 * Opens a file on a web server with two requests: 64 KiB, and digest list, trailer and small sections. A file below 64 KiB
 * takes one, an index above 64 KiB one more. See `httpSource` for what a server may do.
 *
 * ```ts
 * const file = await openRemote("https://example.org/adapter.lqa");
 * for await (const { record, decode } of file.fetchModules(["layers.0.q_proj", "layers.0.v_proj"])) use(record, decode());
 * ```
 *
 * @throws LqaError as {@link openSource}; USAGE, NOT_FOUND, HTTP_RESPONSE, REMOTE_CHANGED, NETWORK, ABORTED
 */
export async function openRemote(
  url: string | URL,
  options: SourceOptions & HttpOptions = {},
): Promise<RangedLqa> {
  return openSource(httpSource(url, options), options);
}

function rangedOf(
  source: KeepingSource,
  header: Header,
  pin: Pin | undefined,
  options: SourceOptions,
): RangedLqa {
  const { prologue, index, noncanonicalName } = header;
  const { fileLength } = prologue;
  const budget = options.budgetBytes ?? CHUNK_BUDGET;
  const values = readerValues();
  let zstd: Promise<Decompressor | undefined> | undefined;

  const recordOf = moduleFinder(index.modules);
  /** For tensors; sections may need another one. */
  const zstdOf = ({ compression }: ChunkRecord): Promise<Decompressor | undefined> | undefined =>
    compression === "none" ? undefined : (zstd ??= zstdFor(index.tensors, options));
  const planOf = <T extends AnyRecord>(records: Iterable<T>): PlannedRange<T>[] =>
    planRanges(records, options, pin && (({ chunk }) => pin.spanOf(chunk)));
  /** The chunks of a range, as many as there are records in it. */
  const readRange = async (range: PlannedRange<AnyRecord>, signal?: AbortSignal): Promise<Uint8Array[]> => {
    const either = eitherSignal(signal, options.signal);
    const where = placeOf(range.chunks[0]!);
    if (pin !== undefined)
      return await readProven(source, range, pin, {
        rangeBytes: options.rangeBytes,
        fileLength,
        where,
        signal: either,
      });
    const bytes = await readExactly(source, range, where, fileLength, either);
    return range.chunks.map(({ chunk: { offset, length } }) =>
      bytes.subarray(offset - range.offset, offset - range.offset + length),
    );
  };
  const readChunk = async (record: AnyRecord, signal?: AbortSignal): Promise<Uint8Array> => {
    assertRoom(record, budget, placeOf(record));
    const range = planOf([record])[0]!;
    if (pin === undefined || range.length > FIRST_BYTES) return (await readRange(range, signal))[0]!;
    // Small modules share a span: who reads one after the other reads it once.
    const { offset, length } = range;
    source.keep("last", offset, await source.read(offset, length, eitherSignal(signal, options.signal)));
    try {
      return (await readRange(range, signal))[0]!;
    } catch (error) {
      source.keep("last", offset, new Uint8Array(0));
      throw error;
    }
  };
  const section = async (type: "META" | "ORIG", signal?: AbortSignal): Promise<MetaMap | undefined> => {
    const record = index.sections.find((s) => s.type === type);
    if (record === undefined) return undefined;
    return sectionMap(await readChunk(record, signal), record, await zstdFor([record], options));
  };

  const file: RangedLqa = {
    source,
    prologue,
    index,
    noncanonicalName,
    modules: index.modules,
    tensors: index.tensors,
    sections: index.sections,
    get shapeFingerprint() {
      return toHex(shapeFingerprint(index.modules));
    },
    module: recordOf,
    plan: (modules = index.modules) => planOf([...modules].map(recordOf)),
    async fetchModule(module, { signal } = {}) {
      const record = recordOf(module);
      return moduleFactors(await readChunk(record, signal), record, values);
    },
    async *fetchModules(modules, { signal, onProgress } = {}) {
      const ranges = file.plan(modules);
      for (const { chunks } of ranges)
        for (const record of chunks) assertRoom(record, budget, placeOf(record));
      const total = ranges.reduce((sum, { length }) => sum + length, 0);
      let done = 0;
      const control = new AbortController();
      const abort = (): void => control.abort(signal?.reason);
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort);
      const reading: Promise<Uint8Array[]>[] = [];
      try {
        for (const [i, range] of ranges.entries()) {
          while (reading.length < ranges.length && reading.length < i + (options.ahead ?? AHEAD)) {
            const promise = readRange(ranges[reading.length]!, control.signal);
            // Its error is thrown when its turn comes, or never if an earlier one failed.
            promise.catch(() => {});
            reading.push(promise);
          }
          const chunks = await reading[i]!;
          reading[i] = NONE;
          onProgress?.((done += range.length), total);
          for (const [k, record] of range.chunks.entries()) {
            const factors = moduleFactors(chunks[k]!, record, values);
            yield { type: "module", record, factors, decode: (how) => decodeFactors(record, factors, how) };
          }
        }
      } finally {
        signal?.removeEventListener("abort", abort);
        control.abort();
      }
    },
    async decodeModule(module, { signal, onProgress: _, ...how } = {}) {
      const record = recordOf(module);
      return decodeFactors(record, await file.fetchModule(record, { signal }), how);
    },
    async fetchTensor(record, { signal } = {}) {
      return plainTensor(await readChunk(record, signal), record, await zstdOf(record), values);
    },
    meta: async ({ signal } = {}) => (await section("META", signal)) ?? {},
    origin: async ({ signal } = {}) => (await section("ORIG", signal)) as Origin | undefined,
    async storedIds({ signal } = {}) {
      const { offset } = index.digests;
      const extent = { offset, length: fileLength - offset };
      const end =
        pin?.end ??
        (await readExactly(source, extent, "trailer", fileLength, eitherSignal(signal, options.signal)));
      return {
        fileId: pin?.fileId ?? toHex(storedRoot(header, end.subarray(index.digests.length))),
        contentId: toHex(end.subarray(0, DIGEST_BYTES)),
      };
    },
    async *events({ signal, onProgress } = {}) {
      const either = eitherSignal(signal, options.signal);
      const { digests: pinned, end } = pin ?? {};
      const engine = new Engine({ ...options, budgetBytes: budget, signal: either, pinned }, header);
      const start = chunksStart(prologue);
      const stop = pin === undefined ? fileLength : index.digests.offset;
      async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
        let at = start;
        for await (const piece of piecesFrom(source, start, stop, either, { onProgress })) {
          at += piece.length;
          yield piece;
        }
        // What the file was pinned to, not what the source would say now.
        if (end !== undefined && at === stop) yield end;
      }
      yield* eventsOf(engine, pieces(), either);
    },
    async verify(options) {
      for await (const event of file.events(options))
        if (event.type === "end") return { fileId: event.fileId, contentId: event.contentId };
      throw new TypeError("a file ended without its end");
    },
  };
  return file;
}

const NONE: Promise<Uint8Array[]> = Promise.resolve([]);
