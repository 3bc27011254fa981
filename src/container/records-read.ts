/**
 * The meaning of an index: records → modules, tensors and sections with positions (spec clauses 6.3 to 6.10), in the
 * order of checks of clause 15.2. Every count and product is bounded before it is used.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { BANDS, CHUNK_BYTES, ENCODINGS, SHARED_RECORDS } from "../limits.ts";
import { consistentMultiplier, type ModuleShape } from "../model/adapter.ts";
import { checkChunkLength, type LimitCheck } from "./chunk-rules.ts";
import { readSections, readTensors } from "./chunks-read.ts";
import { checkFeatures } from "./features.ts";
import type { ReadIndex } from "./index-read.ts";
import { layOut, payloadLength } from "./layout.ts";
import { compareNames, nameReader } from "./names.ts";
import { checkLimit, type Prologue } from "./prologue.ts";
import { firstUse, readEncodings, readPlans, readTypes } from "./shared-read.ts";
import { checkCompanions } from "./tensor-rules.ts";
import type { ContainerIndex, Extent, ModuleRecord, SectionRecord, TensorRecord, Unplaced } from "./types.ts";

/** What reading an index needs to know beside its bytes. */
export interface InterpretOptions {
  readonly prologue: Prologue;
  /** Accept up to the Hard limits instead of Core. */
  readonly hardOnly: boolean;
}

/**
 * Interprets the records of a verified index.
 *
 * @returns the index, and the position of the first record whose name is not front-coded canonically
 * @throws LqaError of classes M, V, U and L, with the byte offset of the record
 */
export function interpretIndex(
  read: ReadIndex,
  options: InterpretOptions,
): { index: ContainerIndex; noncanonicalName: number | undefined } {
  const { vectors } = read;
  const { prologue } = options;
  const limit: LimitCheck = (value, bound, name, i, where) =>
    checkLimit(value, bound, { where, offset: read.locate(name, i), hardOnly: options.hardOnly });

  for (const [name, offset] of [
    ["modules", 36],
    ["tensors", 40],
    ["sections", 44],
  ] as const)
    if (vectors[name].length !== prologue[name])
      fail(KIND.COUNT_MISMATCH, {
        where: `number of ${name}`,
        offset,
        expected: vectors[name].length,
        actual: prologue[name],
      });
  for (const [name, bound] of [
    ["encodings", ENCODINGS],
    ["bands", BANDS],
    ["plans", SHARED_RECORDS],
    ["types", SHARED_RECORDS],
  ] as const)
    checkLimit(vectors[name].length, bound, {
      where: `number of ${name}`,
      offset: read.locate(name, 0) - 4,
      hardOnly: options.hardOnly,
    });

  const encodings = readEncodings(read);
  const plans = readPlans(read, encodings, limit);
  const types = readTypes(read, limit);
  const names = nameReader(vectors.names, read.locate("names", 0), options.hardOnly);
  const usedTypes = firstUse(types.length, "types", read);
  const usedPlans = firstUse(plans.length, "plans", read);

  const payloads = new Map<number, number>();
  let previous: Uint8Array | undefined;
  const modules = vectors.modules.map((record, i): Unplaced<ModuleRecord> => {
    const offset = read.locate("modules", i);
    const { bytes, name } = names.next(record, `module ${i}`, offset);
    const where = `module "${name}"`;
    if (previous !== undefined && compareNames(previous, bytes) >= 0)
      fail(KIND.NAME_ORDER, { where, offset, expected: "a name after the one before it" });
    previous = bytes;
    const type = usedTypes(record.moduleType, where, offset, types);
    const plan = usedPlans(record.plan, where, offset, plans);
    const shape: ModuleShape = { ...type, name, rank: plan.rank };
    if (!consistentMultiplier(shape))
      fail(KIND.MULTIPLIER, {
        where,
        offset,
        expected: `the multiplier that ${shape.rule} gives for alpha ${shape.alpha} and rank ${shape.rank}`,
        actual: shape.multiplier,
      });
    // Modules that share type and plan share the sum over its bands: time stays linear in the index.
    const pair = record.moduleType * SHARED_RECORDS.hard + record.plan;
    const payload = payloads.get(pair) ?? payloadLength(shape, plan.bands);
    payloads.set(pair, payload);
    limit(Math.max(payload, record.chunkLength), CHUNK_BYTES, "modules", i, where);
    if (record.reserved !== 0)
      fail(KIND.RECORD_RESERVED_NONZERO, {
        where,
        offset,
        expected: 0,
        actual: `${record.reserved}; only drafts before 1.0 compressed modules`,
      });
    const compression = "none";
    checkChunkLength(record.chunkLength, payload, compression, where, offset);
    return { ...shape, bands: plan.bands, compression, payload, chunkLength: record.chunkLength };
  });
  usedTypes.finish();
  usedPlans.finish();

  const tensors = readTensors(read, names, limit);
  names.finish();
  checkCompanions(tensors, modules, (i) => read.locate("tensors", i));
  const sections = readSections(read, limit);
  checkFeatures(prologue, modules, tensors, encodings);

  const chunkLengths = [...modules, ...tensors, ...sections].map((record) => record.chunkLength);
  const { chunks, spans, digests, trailer, fileLength } = layOut(
    prologue.indexLength,
    chunkLengths,
    prologue.alignment,
  );
  if (fileLength !== prologue.fileLength)
    fail(KIND.FILE_LENGTH_MISMATCH, { offset: 24, expected: fileLength, actual: prologue.fileLength });
  let next = 0;
  const place = <T extends { chunk: Extent }>({ chunkLength: _, ...record }: Unplaced<T>): T =>
    ({ ...record, chunk: chunks[next++]! }) as unknown as T;
  return {
    index: {
      modules: modules.map((m) => place<ModuleRecord>(m)),
      tensors: tensors.map((t) => place<TensorRecord>(t)),
      sections: sections.map((s) => place<SectionRecord>(s)),
      digests,
      spans,
      trailer,
    },
    noncanonicalName: names.noncanonical,
  };
}
