/**
 * Opening a file that is in memory, with all that is in it (spec clauses 5, 6 and 13): what `core.ts` opens, and sections,
 * the shape fingerprint, the whole adapter, and the verification.
 *
 * An open file whose chunks pass their checks is good enough to compute with; that it is the *whole, unchanged* file is
 * only known after {@link LqaFile.verify}.
 *
 * @module
 */

import { type Adapter, type LoraModule, type Origin, shapeOf } from "../../model/adapter.ts";
import { toHex } from "../container/bytes.ts";
import { shapeFingerprint } from "../container/digests.ts";
import type { MetaMap } from "../container/meta.ts";
import { allChunks, type SectionRecord } from "../container/types.ts";
import { ADAPTER_BUDGET, assertAdapter, CHUNK_BUDGET } from "./budget.ts";
import { chunkOf, coreOf, headerOf, type LqaCore, type OpenOptions } from "./core.ts";
import { chunksStart } from "./header.ts";
import { sectionMap } from "./section.ts";
import { readerValues } from "./values.ts";
import { bodySteps, type VerifiedIds } from "./verify.ts";
import { breather, runWatched, type WatchOptions } from "./watch.ts";
import { zstdFor } from "./zstd.ts";

/** An open `.lqa` file. */
export interface LqaFile extends LqaCore {
  /** The META section; empty if there is none. Checked on first access. */
  readonly meta: MetaMap;
  /**
   * The ORIG section: how the source named things. Asynchronous, since it is usually compressed with the text
   * dictionary and the implementation of that is only loaded when it is needed.
   */
  origin(): Promise<Origin | undefined>;
  /** The shape fingerprint (spec 9.5), hexadecimal. */
  readonly shapeFingerprint: string;
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
 * @throws LqaError of any class but X, S and B. If `bytes` is shorter or longer than the file, the first error of the file,
 *   as {@link LqaFile.verify}: TRUNCATED_FILE or TRAILING_BYTES, or what is wrong before that
 */
export async function openLqa(bytes: Uint8Array, options: OpenOptions = {}): Promise<LqaFile> {
  const header = await headerOf(bytes, options);
  const verify = async (watch: WatchOptions): Promise<VerifiedIds> => {
    const steps = bodySteps(header, {
      tools: { zstd: await zstdFor(allChunks(header.index), options) },
      values: readerValues(),
      budgetBytes: options.budgetBytes ?? CHUNK_BUDGET,
    });
    return runWatched(bytes, chunksStart(header.prologue), header.prologue.fileLength, steps, watch);
  };
  // The length is wrong, which is the first error only if nothing before the end is.
  if (bytes.length !== header.prologue.fileLength) await verify({});
  const core = await coreOf(bytes, header, options);
  const { index, modules, tensors } = core;
  const sectionRecord = (type: string): SectionRecord | undefined =>
    index.sections.find((s) => s.type === type);
  let meta: MetaMap | undefined;
  const file: LqaFile = {
    ...core,
    get meta() {
      const record = sectionRecord("META");
      meta ??= record === undefined ? {} : sectionMap(chunkOf(bytes, record), record, undefined);
      return meta;
    },
    async origin() {
      const record = sectionRecord("ORIG");
      return (
        record && (sectionMap(chunkOf(bytes, record), record, await zstdFor([record], options)) as Origin)
      );
    },
    get shapeFingerprint() {
      return toHex(shapeFingerprint(modules));
    },
    async readAdapter({ signal, onProgress } = {}) {
      const budget = options.budgetBytes ?? ADAPTER_BUDGET;
      assertAdapter(modules, budget);
      await file.verify({ signal });
      const breathe = breather(signal);
      const decoded: LoraModule[] = [];
      for (const record of modules) {
        const { b, a } = file.decodeModule(record, { budgetBytes: budget });
        decoded.push({ ...shapeOf(record), b: b as Float32Array, a: a as Float32Array });
        onProgress?.(decoded.length, modules.length);
        await breathe();
      }
      return {
        modules: decoded,
        tensors: tensors.map((record) => file.tensor(record)),
        origin: await file.origin(),
        meta: file.meta,
      };
    },
    verify: (watch = {}) => verify(watch),
  };
  return file;
}
