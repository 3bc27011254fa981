/**
 * Interprets an index: it turns records into modules, tensors and sections with positions (spec clauses 6.3 to 6.10), in the
 * order of checks of clause 15.2. It bounds every count and product before it uses it.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { BANDS, CHUNK_BYTES, ENCODINGS, EXPERT_BANDS, type LimitSet, SHARED_RECORDS } from "../../limits.ts";
import { consistentMultiplier } from "../../model/adapter.ts";
import {
  checkChunkLength,
  expansionCheck,
  type LimitCheck,
  type Pauses,
  pacer,
  readSections,
} from "./chunks-read.ts";
import type { ReadIndex } from "./index-read.ts";
import { layOut, payloadLength } from "./layout.ts";
import { type NameReader, nameReader } from "./names.ts";
import type { ParentReader, parentReader } from "./parent-record.ts";
import { checkFeatures, checkLimit, hasParent, hasStarts, type Prologue } from "./prologue.ts";
import { firstUse, type ModuleType, type Plan, readEncodings, readPlans, readTypes } from "./shared-read.ts";
import type { StartReader, startReader } from "./start-record.ts";
import type { checkRoles, readTensors } from "./tensor-records.ts";
import type { ContainerIndex, Extent, ModuleRecord } from "./types.ts";

/** Inputs for interpreting an index in addition to its records. */
export interface InterpretOptions {
  readonly prologue: Prologue;
  /** The column of clause 14 that bounds the file. */
  readonly limits: LimitSet;
}

/** Readers of records that few files have (`rare-records.ts`). */
export interface RareReaders {
  readonly startReader: typeof startReader;
  readonly parentReader: typeof parentReader;
  readonly readTensors: typeof readTensors;
  readonly checkRoles: typeof checkRoles;
}

/** Whether a file has plain tensors, a start or a parent. */
export function hasRareRecords(read: ReadIndex, prologue: Prologue): boolean {
  return (
    read.count("tensors") > 0 || read.count("dimensions") > 0 || hasStarts(prologue) || hasParent(prologue)
  );
}

/** An index, and the position of the first name that is not front-coded canonically. */
export interface Interpreted {
  readonly index: ContainerIndex;
  readonly noncanonicalName: number | undefined;
}

/**
 * Interprets the records of a verified index, in time that is linear in its bytes.
 *
 * @param rare required if {@link hasRareRecords}; `interpretRareIndex` has them
 * @returns the index, and the position of the first record whose name is not front-coded canonically
 * @throws LqaError of classes M, V, U and L, with the byte offset of the record
 */
export function* interpretIndex(
  read: ReadIndex,
  options: InterpretOptions,
  rare?: RareReaders,
): Pauses<Interpreted> {
  const { prologue } = options;
  const limit: LimitCheck = (value, bound, name, i, where) => {
    if (value > bound[options.limits])
      checkLimit(value, bound, { where: where(), offset: read.locate(name)(i), limits: options.limits });
  };

  checkCounts(read, options);
  // Without their readers, plain tensors would be taken for sections.
  if (rare === undefined && hasRareRecords(read, prologue))
    throw new TypeError("an index with rare records, without their readers");
  const encodings = readEncodings(read, hasStarts(prologue));
  const plans = yield* readPlans(read, encodings, limit);
  const types = yield* readTypes(read, limit);
  const names = nameReader(read.names, read.locate("names")(0), options.limits);
  const layout = layOut(prologue.indexLength, chunkLengths(read), prologue.alignment);
  const { chunks, spans, digests, trailer, fileLength } = layout;
  const starts = hasStarts(prologue) ? rare!.startReader(read, limit) : undefined;
  const parent = hasParent(prologue) ? rare!.parentReader(read) : undefined;
  const modules = yield* readModules(
    moduleReader(read, types, plans, names, limit, chunks, starts, parent),
    read.count("modules"),
  );
  const expands = expansionCheck(limit);
  const tensors =
    rare === undefined
      ? []
      : yield* rare.readTensors(read, names, limit, chunks.slice(modules.length), expands);
  names.finish();
  rare?.checkRoles(tensors, modules, read.locate("tensors"));
  const sections = readSections(read, limit, chunks.slice(modules.length + tensors.length), expands);
  checkFeatures(prologue, modules, tensors, encodings);
  if (fileLength !== prologue.fileLength)
    fail(KIND.FILE_LENGTH_MISMATCH, { offset: 24, expected: fileLength, actual: prologue.fileLength });
  return {
    index: { modules, tensors, sections, parentId: parent?.id, digests, spans, trailer },
    noncanonicalName: names.noncanonical,
  };
}

/** Checks the numbers of records against the prologue and the limits. @throws LqaError COUNT_MISMATCH, HARD_LIMIT, CORE_LIMIT */
function checkCounts(read: ReadIndex, { prologue, limits }: InterpretOptions): void {
  for (const [name, offset] of [
    ["modules", 36],
    ["tensors", 40],
    ["sections", 44],
  ] as const)
    if (read.count(name) !== prologue[name])
      fail(KIND.COUNT_MISMATCH, {
        where: `number of ${name}`,
        offset,
        expected: read.count(name),
        actual: prologue[name],
      });
  for (const [name, bound] of [
    ["encodings", ENCODINGS],
    ["bands", BANDS],
    ["plans", SHARED_RECORDS],
    ["types", SHARED_RECORDS],
  ] as const)
    checkLimit(read.count(name), bound, {
      where: `number of ${name}`,
      offset: read.locate(name)(0) - 4,
      limits,
    });
}

/** The declared lengths of all chunks, in file order. The readers of the records check them. */
function chunkLengths(read: ReadIndex): number[] {
  const lengths: number[] = [];
  for (const name of ["modules", "tensors", "sections"] as const) {
    const length = read.column(name, "chunkLength");
    for (let i = 0; i < read.count(name); i++) lengths.push(length(i));
  }
  return lengths;
}

// Module records (spec clause 6.7): each gets its name, its type, its plan and its chunk, in the order of checks of clause
// 15.2. Time is linear in the records and in the bands of all modules together, which have a limit.

interface ModuleReader {
  /** Reads record `i`. Call it in order. @throws LqaError of classes M, V, U and L */
  module(i: number): ModuleRecord;
  /** Checks, after the last record, that all shared records are used. @throws LqaError of class M */
  finish(): void;
}

function* readModules(next: ModuleReader, count: number): Pauses<ModuleRecord[]> {
  const rest = pacer();
  const modules: ModuleRecord[] = [];
  for (let i = 0; i < count; i++) {
    const module = next.module(i);
    modules.push(module);
    if (rest(module.bands.length)) yield;
  }
  next.finish();
  return modules;
}

/**
 * Reads one module record after the other. Not a generator: engines optimize these later or not at all.
 *
 * @param chunks extents of all chunks, those of modules first
 */
function moduleReader(
  read: ReadIndex,
  types: readonly ModuleType[],
  plans: readonly Plan[],
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
  starts: StartReader | undefined,
  parent: ParentReader | undefined,
): ModuleReader {
  const column = (field: string): ((i: number) => number) => read.column("modules", field);
  const [suffix, shared] = [column("nameSuffix"), column("nameShared")];
  const [typeNumber, planNumber] = [column("moduleType"), column("plan")];
  const [reserved, lengths] = [column("reserved"), column("chunkLength")];
  const locate = read.locate("modules");
  const usedTypes = firstUse(types.length, "types", read);
  const usedPlans = firstUse(plans.length, "plans", read);
  let expertBands = 0;
  let lastType: ModuleType | undefined;
  let lastBands: Plan["bands"] | undefined;
  let payload = 0;
  let name = "";
  const where = (): string => `module "${name}"`;
  return {
    module(i) {
      const offset = locate(i);
      name = names.next(shared(i), suffix(i), "module", i, offset);
      if (i > 0 && names.order >= 0)
        fail(KIND.NAME_ORDER, { where: where(), offset, expected: "a name after the one before it" });
      const type = usedTypes(typeNumber(i), where, offset, types);
      const { bands, rank, started } = usedPlans(planNumber(i), where, offset, plans);
      if (!consistentMultiplier(type, rank))
        fail(KIND.MULTIPLIER, {
          where: where(),
          offset,
          expected: `the multiplier that ${type.rule} gives for alpha ${type.alpha} and rank ${rank}`,
          actual: type.multiplier,
        });
      expertBands += type.experts * bands.length;
      limit(expertBands, EXPERT_BANDS, "modules", i, where);
      // Neighbours often have the same type and plan. In any case, the sum of bands over all modules has a limit.
      if (type !== lastType || bands !== lastBands) payload = payloadLength(type, bands);
      [lastType, lastBands] = [type, bands];
      const chunkLength = lengths(i);
      limit(Math.max(payload, chunkLength), CHUNK_BYTES, "modules", i, where);
      if (reserved(i) !== 0)
        fail(KIND.RECORD_RESERVED_NONZERO, {
          where: where(),
          offset,
          expected: 0,
          actual: `${reserved(i)}; only drafts before 1.0 compressed modules`,
        });
      checkChunkLength(chunkLength, payload, "none", where, offset);
      // Without the feature no encoding has a mixture.
      const start = started ? starts!.next(where, { ...type, rank }, bands, chunkLength, i) : undefined;
      const parentModule = parent?.moduleOf(where, i);
      // Field by field: engines give a copy of `type` with more fields another, slower object layout.
      return {
        role: type.role,
        out: type.out,
        in: type.in,
        kernel: type.kernel,
        experts: type.experts,
        baseLayout: type.baseLayout,
        multiplier: type.multiplier,
        alpha: type.alpha,
        rule: type.rule,
        name,
        rank,
        bands,
        start,
        parentModule,
        parentId: parentModule === undefined ? undefined : parent!.id,
        compression: "none",
        payload,
        chunk: chunks[i]!,
      };
    },
    finish() {
      usedTypes.finish();
      usedPlans.finish();
      starts?.finish();
    },
  };
}
