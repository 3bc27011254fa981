/**
 * The verbs of an open file that need all of its bytes or its ids: verify, events in file order, decode everything, read the
 * ids. `file.ts` imports it at the first use, because it needs the checks of whole files, SHA-256 and MessagePack.
 *
 * @module
 */

import { toHex } from "../../common/bytes.ts";
import { assertNotAborted } from "../../errors.ts";
import { eitherSignal } from "../../io/source.ts";
import {
  type Adapter,
  type LoraModule,
  type Origin,
  type PlainTensor,
  shapeOf,
} from "../../model/adapter.ts";
import { shapeFingerprint } from "../container/digests.ts";
import { DIGEST_BYTES } from "../container/layout.ts";
import type { MetaMap } from "../container/meta.ts";
import type { ModuleRecord } from "../container/types.ts";
import { ADAPTER_BUDGET, assertAdapter } from "./adapter-budget.ts";
import { CHUNK_BUDGET } from "./budget.ts";
import { readerValues } from "./chunks.ts";
import { Engine, eventsOf } from "./engine.ts";
import type { LqaEvent, PackedModule } from "./events.ts";
import { feedOf } from "./feed.ts";
import type { Reading } from "./file.ts";
import { chunksStart } from "./header.ts";
import type { LqaFile } from "./lqa-file.ts";
import { piecesFrom } from "./pieces-from.ts";
import { readExactly } from "./ranges.ts";
import { runSteps, type WatchOptions } from "./steps.ts";
import { type BodyOptions, bodySteps, storedRoot, type VerifiedIds } from "./verify.ts";

/** See {@link LqaFile.verify}. */
export async function verifyFile(reading: Reading, watch: WatchOptions): Promise<VerifiedIds> {
  const { bytes, header, options } = reading;
  const signal = eitherSignal(watch.signal, options.signal);
  assertNotAborted(signal);
  if (reading.verified !== undefined) return reading.verified;
  if (bytes === undefined) {
    for await (const _ of fileEvents(reading, watch));
    return reading.verified!;
  }
  const { prologue } = header;
  const steps = bodySteps(header, {
    zstd: options.zstd,
    values: readerValues(),
    sums: await sumsOf(reading.parents, signal),
    budgetBytes: options.budgetBytes ?? CHUNK_BUDGET,
  });
  const start = chunksStart(prologue);
  const feed = feedOf(bytes, start);
  const next = (count: number): Uint8Array | Promise<Uint8Array> => {
    // The steps have checked all earlier bytes by now.
    if (feed.taken > 0 && count > 0) watch.onProgress?.(feed.taken, prologue.fileLength - start);
    return feed.next(count);
  };
  reading.verified = await runSteps(steps, { next }, signal);
  return reading.verified;
}

/** Checks the sums of a child with its parents; undefined without any. */
async function sumsOf(
  parents: readonly LqaFile[],
  signal: AbortSignal | undefined,
): Promise<BodyOptions["sums"]> {
  if (parents.length === 0) return undefined;
  const { withParents } = await import("./lineage.ts");
  return (record, factors) => withParents(factors, record, parents, { signal });
}

/** See {@link LqaFile.events}. */
export async function* fileEvents(
  reading: Reading,
  { signal, onProgress }: WatchOptions,
): AsyncGenerator<LqaEvent, void, undefined> {
  const { header, source, pin, options, parents } = reading;
  const { prologue, index } = header;
  const either = eitherSignal(signal, options.signal);
  const budgetBytes = options.budgetBytes ?? CHUNK_BUDGET;
  const { digests: pinned, end } = pin ?? {};
  const { zstd } = options;
  const engine = new Engine({ zstd, budgetBytes, signal: either, pinned, parents }, header);
  const start = chunksStart(prologue);
  // If the size is not known, one more byte shows whether the source ends with the file.
  const more = source.size === undefined ? 1 : 0;
  const stop = end === undefined ? prologue.fileLength + more : index.digests.offset;
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    let at = start;
    for await (const piece of piecesFrom(source, start, stop, either, { onProgress })) {
      at += piece.length;
      yield piece;
    }
    // The bytes to which opening pinned the file, not those that the source would return now.
    if (end !== undefined && at === stop) yield end;
  }
  for await (const event of eventsOf(engine, pieces(), either)) {
    if (event.type === "end") reading.verified = { fileId: event.fileId, contentId: event.contentId };
    yield event;
  }
}

/** See {@link LqaFile.adapter}. */
export async function wholeAdapter(
  file: LqaFile,
  reading: Reading,
  { signal, onProgress }: WatchOptions,
): Promise<Adapter> {
  const budgetBytes = reading.options.budgetBytes ?? ADAPTER_BUDGET;
  assertAdapter(file.modules, budgetBytes);
  // Verify bytes in memory in place; verify any other source in the pass that reads it.
  if (reading.bytes !== undefined) await verifyFile(reading, { signal });
  const modules: LoraModule[] = [];
  const add = ({ record, decode }: Pick<PackedModule, "record" | "decode">): void => {
    const { b, a } = decode({ budgetBytes });
    modules.push({ ...shapeOf(record), b: b.data, a: a.data });
    onProgress?.(modules.length, file.modules.length);
  };
  const tensors: PlainTensor[] = [];
  if (reading.verified !== undefined) {
    for await (const module of file.packedAll({ signal })) add(module);
    for (const record of file.tensors) tensors.push(await file.tensor(record, { signal }));
    return { modules, tensors, origin: await file.origin({ signal }), meta: await file.meta({ signal }) };
  }
  const sections: { META?: MetaMap | undefined; ORIG?: MetaMap | undefined } = {};
  for await (const event of fileEvents(reading, { signal })) {
    if (event.type === "module") add(event);
    else if (event.type === "tensor") tensors.push(event.tensor);
    else if (event.type === "section") sections[event.record.type as "META" | "ORIG"] = event.map;
  }
  return { modules, tensors, origin: sections.ORIG as Origin | undefined, meta: sections.META ?? {} };
}

/** See {@link LqaFile.storedIds}. */
export async function storedIds(
  { header, source, pin, options }: Reading,
  signal: AbortSignal | undefined,
): Promise<VerifiedIds> {
  const { digests } = header.index;
  const { fileLength } = header.prologue;
  const extent = { offset: digests.offset, length: fileLength - digests.offset };
  const end =
    pin?.end ??
    (await readExactly(source, extent, "trailer", fileLength, eitherSignal(signal, options.signal)));
  return {
    fileId: pin?.fileId ?? toHex(storedRoot(header, end.subarray(digests.length))),
    contentId: toHex(end.subarray(0, DIGEST_BYTES)),
  };
}

/** See {@link LqaFile.shapeFingerprint}. */
export function fingerprintOf(modules: readonly ModuleRecord[]): string {
  return toHex(shapeFingerprint(modules));
}
