/**
 * Reading by ranges (spec clause 13.2): an adapter on a server, in a file or a Blob, of which only the parts that are
 * asked for are read. Prologue and index come first and are checked in full; a chunk is handed out after its CRC-32, its
 * padding and its values have been checked.
 *
 * Nothing is requested that the checked index does not hold, so a file that lies costs no more than 64 KiB and its index.
 * That what was read belongs to the whole, unchanged file is only known after {@link RangedLqa.verify}.
 *
 * @module
 */
import type { PackedFactors } from "../codecs/packed.ts";
import { toHex } from "../container/bytes.ts";
import { shapeFingerprint } from "../container/digests.ts";
import { DIGEST_BYTES } from "../container/layout.ts";
import type { MetaMap } from "../container/meta.ts";
import { readTrailer } from "../container/trailer.ts";
import type { ChunkRecord, Extent, ModuleRecord, SectionRecord, TensorRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";
import { type HttpOptions, httpSource } from "../io/http.ts";
import { type ByteSource, eitherSignal } from "../io/source.ts";
import type { Origin, PlainTensor } from "../model/adapter.ts";
import { assertRoom, CHUNK_BUDGET } from "./budget.ts";
import { moduleFactors, plainTensor } from "./chunks.ts";
import { moduleFinder, type OpenOptions } from "./core.ts";
import { type DecodedFactors, type DecodeOptions, decodeFactors } from "./decode.ts";
import { Engine } from "./engine.ts";
import type { LqaEvent, ModuleEvent } from "./events.ts";
import { chunksStart, type Header, type OpenedIndex } from "./header.ts";
import { type PlannedRange, type PlanOptions, planRanges } from "./plan.ts";
import { sectionMap } from "./section.ts";
import { openHeader, piecesFrom, readExactly } from "./source-read.ts";
import { eventsOf } from "./stream.ts";
import { readerValues } from "./values.ts";
import type { VerifiedIds } from "./verify.ts";
import { zstdFor } from "./zstd.ts";

/** How a source is read. */
export interface SourceOptions extends OpenOptions, PlanOptions {
  /** Ends every request. */
  readonly signal?: AbortSignal | undefined;
  /** Ranges read ahead by {@link RangedLqa.fetchModules}. Default 4. Memory: so many times `rangeBytes`. */
  readonly ahead?: number | undefined;
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
  /** The ranges that {@link fetchModules} reads for these modules (default: all). */
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
  /** File id and content id as they are stored; {@link verify} proves them. */
  storedIds(options?: FetchOptions): Promise<VerifiedIds>;
  /** Everything behind the index in file order, every byte checked: modules, tensors, sections, and the ids at the end. */
  events(options?: FetchOptions): AsyncGenerator<LqaEvent, void, undefined>;
  /** Reads everything behind the index, and checks every byte. */
  verify(options?: FetchOptions): Promise<VerifiedIds>;
}

const AHEAD = 4;

/**
 * Opens a file behind a source: a `Blob` (`blobSource`), a file by path (`openFileSource` of `lqa/node`), memory.
 *
 * @throws LqaError as `openLqa`, and as the source
 */
export async function openSource(source: ByteSource, options: SourceOptions = {}): Promise<RangedLqa> {
  const { header, source: cached } = await openHeader(source, options);
  return rangedOf(cached, header, options);
}

/**
 * Opens a file on a web server with one request of 64 KiB; a second one only if the index is longer. See `httpSource`
 * for what a server may do.
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

function rangedOf(source: ByteSource, header: Header, options: SourceOptions): RangedLqa {
  const { prologue, index, noncanonicalName } = header;
  const budget = options.budgetBytes ?? CHUNK_BUDGET;
  const values = readerValues(prologue);
  let zstd: Promise<Decompressor | undefined> | undefined;
  let details: Details | undefined;

  const recordOf = moduleFinder(index.modules);
  /** For modules and tensors; sections may need another one. */
  const zstdOf = ({ compression }: ChunkRecord): Promise<Decompressor | undefined> | undefined =>
    compression === "none" ? undefined : (zstd ??= zstdFor([...index.modules, ...index.tensors], options));
  const read = (extent: Extent, where: string, signal?: AbortSignal): Promise<Uint8Array> =>
    readExactly(source, extent, where, prologue.fileLength, eitherSignal(signal, options.signal));
  /** Sections, digest list and trailer stand together at the end: usually one request, made once. */
  const fetchDetails = async (signal?: AbortSignal): Promise<Details> => {
    if (details !== undefined) return details;
    const section = (type: string): Part | undefined => {
      const record = index.sections.find((s) => s.type === type);
      if (record !== undefined) assertRoom(record, budget, `section ${type}`);
      return record && { chunk: record.chunk };
    };
    const content: Part = { chunk: { offset: index.digests.offset, length: DIGEST_BYTES } };
    const trailer: Part = { chunk: index.trailer };
    const [meta, origin] = [section("META"), section("ORIG")];
    const bytes = new Map<Part | undefined, Uint8Array>();
    const parts = [meta, origin, content, trailer].filter((part) => part !== undefined);
    for (const range of planRanges(parts, options)) {
      const whole = await read(range, "sections and trailer", signal);
      for (const part of range.chunks) bytes.set(part, slice(whole, range, part.chunk));
    }
    details = {
      meta: bytes.get(meta),
      origin: bytes.get(origin),
      content: bytes.get(content)!,
      trailer: bytes.get(trailer)!,
    };
    return details;
  };
  const section = async (type: "META" | "ORIG", signal?: AbortSignal): Promise<MetaMap | undefined> => {
    const record = index.sections.find((s) => s.type === type);
    if (record === undefined) return undefined;
    const chunk = (await fetchDetails(signal))[type === "META" ? "meta" : "origin"]!;
    return sectionMap(chunk, record, await zstdFor([record], options));
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
    plan: (modules = index.modules) => planRanges([...modules].map(recordOf), options),
    async fetchModule(module, { signal } = {}) {
      const record = recordOf(module);
      const where = `module "${record.name}"`;
      assertRoom(record, budget, where);
      return moduleFactors(await read(record.chunk, where, signal), record, await zstdOf(record), values);
    },
    async *fetchModules(modules, { signal, onProgress } = {}) {
      const ranges = file.plan(modules);
      for (const { chunks } of ranges)
        for (const record of chunks) assertRoom(record, budget, `module "${record.name}"`);
      const total = ranges.reduce((sum, { length }) => sum + length, 0);
      let done = 0;
      const control = new AbortController();
      const abort = (): void => control.abort(signal?.reason);
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort);
      const reading: Promise<Uint8Array>[] = [];
      try {
        for (const [i, range] of ranges.entries()) {
          while (reading.length < ranges.length && reading.length < i + (options.ahead ?? AHEAD)) {
            const next = ranges[reading.length]!;
            const promise = read(next, `module "${next.chunks[0]!.name}"`, control.signal);
            // Its error is thrown when its turn comes, or never if an earlier one failed.
            promise.catch(() => {});
            reading.push(promise);
          }
          const bytes = await reading[i]!;
          reading[i] = NONE;
          onProgress?.((done += range.length), total);
          for (const record of range.chunks) {
            const chunk = slice(bytes, range, record.chunk);
            const factors = moduleFactors(chunk, record, await zstdOf(record), values);
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
      const where = `tensor "${record.name}"`;
      assertRoom(record, budget, where);
      return plainTensor(await read(record.chunk, where, signal), record, await zstdOf(record), values);
    },
    meta: async ({ signal } = {}) => (await section("META", signal)) ?? {},
    origin: async ({ signal } = {}) => (await section("ORIG", signal)) as Origin | undefined,
    async storedIds({ signal } = {}) {
      const { content, trailer } = await fetchDetails(signal);
      const root = readTrailer(trailer, index.trailer.offset, {
        fileLength: prologue.fileLength,
        digestsLength: index.digests.length,
        indexLength: prologue.indexLength,
      });
      return { fileId: toHex(root), contentId: toHex(content) };
    },
    async *events({ signal, onProgress } = {}) {
      const start = chunksStart(prologue);
      const either = eitherSignal(signal, options.signal);
      const engine = new Engine({ ...options, budgetBytes: budget, signal: either }, header);
      const pieces = piecesFrom(source, start, prologue.fileLength, either, onProgress);
      yield* eventsOf(engine, pieces, either);
    },
    async verify(options) {
      for await (const event of file.events(options))
        if (event.type === "end") return { fileId: event.fileId, contentId: event.contentId };
      throw new TypeError("a file ended without its end");
    },
  };
  return file;
}

/** A stretch of the file that is no chunk, or is one. */
type Part = Pick<ChunkRecord, "chunk">;

interface Details {
  readonly meta: Uint8Array | undefined;
  readonly origin: Uint8Array | undefined;
  readonly content: Uint8Array;
  readonly trailer: Uint8Array;
}

const NONE: Promise<Uint8Array> = Promise.resolve(new Uint8Array(0));

/** The bytes of `part` in those of a range around it. */
function slice(bytes: Uint8Array, range: Extent, part: Extent): Uint8Array {
  const at = part.offset - range.offset;
  return bytes.subarray(at, at + part.length);
}
