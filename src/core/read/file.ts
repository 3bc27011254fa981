/**
 * An open `.lqa` file (spec clauses 5, 6 and 13): one object, wherever its bytes are. Opening reads prologue and index first,
 * and checks them in full. The file reads a chunk when the caller needs it, and returns it after checks of its checksum, its
 * padding and its values. It requests only ranges that the checked index holds, so a hostile file costs no more than 64 KiB
 * and its index.
 *
 * All results are part of one whole, unchanged file. Opening pins a source that may change to its root digest (`pin.ts`), and
 * the file then returns a chunk only after the SHA-256 of its span. From a source that is `stable` (memory, a Blob, an open
 * file, a stream) it returns a chunk after its CRC-32. It checks each chunk of a stable source only once; it hashes spans of
 * any other source at every read.
 *
 * Opening and decoding need `file.ts` and its static imports. It imports everything else (HTTP, streams, pinning, verification,
 * sections) at the first use. So it must not statically import MessagePack, SHA-256 or the checks of whole files
 * (test/read/core.test.ts).
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { Input } from "../../io/input.ts";
import { bytesOf, memorySource } from "../../io/source.ts";
import type { Origin } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { splitPayload } from "../container/layout.ts";
import type { MetaMap } from "../container/meta.ts";
import { isIncomplete } from "../container/prologue.ts";
import type { ContainerIndex, ModuleRecord } from "../container/types.ts";
import type { Decompressor } from "../container/zstd.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { moduleFactors, modulePayload } from "./chunks.ts";
import { decodeModule } from "./decode.ts";
import { feedOf } from "./feed.ts";
import { type Header, headerSteps } from "./header.ts";
import type { LqaFile, OpenOptions, ReadOptions } from "./lqa-file.ts";
import type { Pin } from "./pin.ts";
import { type KeepingSource, keepingSource } from "./ranges.ts";
import { breather, runSteps, type WatchOptions } from "./steps.ts";
import type { VerifiedIds } from "./verify.ts";

/** State that the verbs of an open file share. */
export interface Reading {
  readonly header: Header;
  readonly source: KeepingSource;
  /** All bytes of the file, if they are in memory. */
  readonly bytes: Uint8Array | undefined;
  readonly pin: Pin | undefined;
  readonly options: OpenOptions;
  readonly parents: readonly LqaFile[];
  verified: VerifiedIds | undefined;
}

/**
 * Opens a file: bytes in memory, a `Blob` or `File`, a `URL`, anything with ranges, or a stream.
 *
 * ```ts
 * const file = await open(new URL("https://example.org/adapter.lqa"));
 * for await (const { name, multiplier, b, a } of file.decodeAll()) load(name, multiplier, b.data, a.data);
 * ```
 *
 * Opening a file on a server takes two requests: the first 64 KiB; and digest list, trailer and small sections. A file below
 * 64 KiB takes one, an index above 64 KiB one more. The file keeps all bytes that it reads of a stream; `decodeStream` decodes
 * with one chunk in memory.
 *
 * @throws LqaError of any class except X, S and B, and the errors of the source. For bytes that are shorter or longer than the
 *   file: its first error, as {@link LqaFile.verify}. For any other source of another length: TRUNCATED_FILE or TRAILING_BYTES.
 *   If the source is not stable, or with `fileId`: also TRAILER_CRC, TRAILER_MISMATCH, ROOT_DIGEST, WRONG_FILE. With `parents`:
 *   PARENT_MISMATCH and the errors of the parents. USAGE for a `fileId` that is not 64 hexadecimal digits
 * @throws TypeError for a value that is no input
 */
export async function open(input: Input, options: OpenOptions = {}): Promise<LqaFile> {
  const { fileId, signal, limits = "core" } = options;
  if (fileId !== undefined && !/^[0-9a-f]{64}$/i.test(fileId))
    fail(KIND.USAGE, { where: "fileId", expected: "64 hexadecimal digits", actual: fileId.slice(0, 80) });
  const bytes = bytesOf(input);
  if (bytes === undefined) {
    const { header, source, checkLength } = await (await import("./open-source.ts")).openInputHeader(
      input,
      options,
    );
    const parents = await parentsOf(header.index, options);
    checkLength();
    return await fileOf(header, source, undefined, options, parents);
  }
  const header = await runSteps(headerSteps(limits), feedOf(bytes), signal);
  const source = keepingSource(memorySource(bytes));
  const parents = await parentsOf(header.index, options);
  // The length is wrong. That is the first error only if nothing before the end is wrong.
  if (bytes.length !== header.prologue.fileLength)
    await verify({ header, source, bytes, pin: undefined, options, parents, verified: undefined });
  return await fileOf(header, source, bytes, options, parents);
}

/** The parents of a file among `options.parents`. @throws LqaError PARENT_MISMATCH, HARD_LIMIT, CORE_LIMIT; as {@link open} */
export async function parentsOf(
  index: ContainerIndex,
  options: Pick<OpenOptions, "parents" | "zstd" | "budgetBytes" | "limits" | "signal">,
): Promise<readonly LqaFile[]> {
  if (index.parentId === undefined || options.parents === undefined) return [];
  const { asParent, findParents } = await import("./lineage.ts");
  const { zstd, budgetBytes, limits, signal } = options;
  const files: Parameters<typeof findParents>[1][number][] = [];
  for (const one of options.parents)
    files.push("packedAll" in one ? one : await asParent(open(one, { zstd, budgetBytes, limits, signal })));
  return await findParents(index, files, options);
}

async function verify(reading: Reading, watch: WatchOptions = {}): Promise<VerifiedIds> {
  return (await import("./whole.ts")).verifyFile(reading, watch);
}

async function fileOf(
  header: Header,
  source: KeepingSource,
  bytes: Uint8Array | undefined,
  options: OpenOptions,
  parents: readonly LqaFile[],
): Promise<LqaFile> {
  const { fileId, signal } = options;
  const pinned = source.stable !== true || fileId !== undefined;
  const pin = pinned ? await (await import("./pin.ts")).pinFile(source, header, fileId, signal) : undefined;
  return await verbsOf({ header, source, bytes, pin, options, parents, verified: undefined });
}

/** The open file of a header that has been read. */
export async function verbsOf(reading: Reading): Promise<LqaFile> {
  const { header, source, options, parents } = reading;
  const { prologue, index } = header;
  if (isIncomplete(prologue)) (await import("./decode-child.ts")).loadDecoders();
  const chunks = new ChunkReader(reading);
  /** zstd for plain tensors; sections may need another implementation. */
  let zstd: Promise<Decompressor | undefined> | undefined;

  const recordOf = moduleFinder(index.modules);
  const factorsOf = (record: ModuleRecord, chunk: Uint8Array): PackedFactors =>
    chunks.checked(record, (values) => moduleFactors(chunk, record, values));
  const wholeOf = async (
    record: ModuleRecord,
    factors: PackedFactors,
    signal?: AbortSignal,
  ): Promise<PackedFactors> =>
    parents.length === 0
      ? factors
      : await (await import("./lineage.ts")).withParents(factors, record, parents, { signal });
  /** The chunks of modules in file order, one at a time; between them it lets timers and abort signals run. */
  async function* chunksAll({ modules, ...how }: ReadOptions): AsyncGenerator<[ModuleRecord, Uint8Array]> {
    const breathe = breather(how.signal);
    for await (const some of chunks.all(file.plan(modules), how))
      for (const one of some) {
        const pause = breathe();
        if (pause !== undefined) await pause;
        yield one;
      }
  }
  const section = async (type: "META" | "ORIG", signal?: AbortSignal): Promise<MetaMap | undefined> => {
    const record = index.sections.find((s) => s.type === type);
    if (record === undefined) return undefined;
    const chunk = await chunks.read(record, signal);
    const { sectionMap, zstdFor } = await import("./other-chunks.ts");
    return sectionMap(chunk, record, await zstdFor([record], options));
  };

  const file: LqaFile = {
    source,
    prologue,
    index,
    modules: index.modules,
    tensors: index.tensors,
    sections: index.sections,
    parentId: index.parentId,
    parents,
    get verified() {
      return reading.verified;
    },
    get vouchedBy() {
      if (options.fileId !== undefined) return "fileId";
      return source.stable === true ? "bytes" : source.compared === true ? "digest" : "server";
    },
    module: recordOf,
    plan: (modules = index.modules) => chunks.plan([...modules].map(recordOf)),
    async packed(module, { signal } = {}) {
      const record = recordOf(module);
      return wholeOf(record, factorsOf(record, await chunks.read(record, signal)), signal);
    },
    async decode(module, { signal, onProgress: _, ...how } = {}) {
      const record = recordOf(module);
      return decodeModule(record, await file.packed(record, { signal }), how);
    },
    async *packedAll(how = {}) {
      for await (const [record, chunk] of chunksAll(how)) {
        const payload = chunks.checked(record, (values) => modulePayload(chunk, record, values));
        const split = (): PackedFactors => splitPayload(record, record.bands, payload);
        let found = parents.length === 0 ? undefined : await wholeOf(record, split(), how.signal);
        const factors = (): PackedFactors => (found ??= split());
        yield {
          ...{ record, payload, decode: (decoding) => decodeModule(record, factors(), decoding) },
          get factors() {
            return factors();
          },
        };
      }
    },
    async *decodeAll({ modules, signal, onProgress, into, ...how } = {}) {
      for await (const [record, chunk] of chunksAll({ modules, signal, onProgress })) {
        const own = factorsOf(record, chunk);
        const factors = parents.length === 0 ? own : await wholeOf(record, own, signal);
        yield decodeModule(record, factors, into === undefined ? how : { ...how, into: into(record) });
      }
    },
    async tensor(record, { signal } = {}) {
      const chunk = await chunks.read(record, signal);
      const { plainTensor, zstdFor } = await import("./other-chunks.ts");
      const tool =
        record.compression === "none" ? undefined : await (zstd ??= zstdFor(index.tensors, options));
      return chunks.checked(record, (values) => plainTensor(chunk, record, tool, values));
    },
    meta: async ({ signal } = {}) => (await section("META", signal)) ?? {},
    origin: async ({ signal } = {}) => (await section("ORIG", signal)) as Origin | undefined,
    shapeFingerprint: async () => (await import("./whole.ts")).fingerprintOf(index.modules),
    storedIds: async ({ signal } = {}) => (await import("./whole.ts")).storedIds(reading, signal),
    verify: (watch) => verify(reading, watch),
    adapter: async (watch = {}) => (await import("./whole.ts")).wholeAdapter(file, reading, watch),
    async *events(watch = {}) {
      yield* (await import("./whole.ts")).fileEvents(reading, watch);
    },
  };
  return file;
}

/** A function that returns the record of a name, and a record as it is. It throws USAGE if there is no such module. */
function moduleFinder(modules: readonly ModuleRecord[]): (module: ModuleRecord | string) => ModuleRecord {
  /** Made at the first name, because reading all modules needs none. */
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
