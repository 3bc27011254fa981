/**
 * The meaning of an index: records → modules, tensors and sections with positions (spec clauses 6.3 to 6.10), in the
 * order of checks of clause 15.2. Every count and product is bounded before it is used.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { BANDS, ENCODINGS, type LimitSet, SHARED_RECORDS } from "../../limits.ts";
import type { LimitCheck } from "./chunk-rules.ts";
import { readSections, readTensors } from "./chunks-read.ts";
import type { ReadIndex } from "./index-read.ts";
import { layOut } from "./layout.ts";
import { readModules } from "./modules-read.ts";
import { nameReader } from "./names.ts";
import type { Pauses } from "./pauses.ts";
import { checkFeatures, checkLimit, hasStarts, type Prologue } from "./prologue.ts";
import { readEncodings, readPlans, readTypes } from "./shared-read.ts";
import { startReader } from "./starts-read.ts";
import { checkRoles } from "./tensor-rules.ts";
import type { ContainerIndex } from "./types.ts";

/** Inputs for reading an index in addition to its bytes. */
export interface InterpretOptions {
  readonly prologue: Prologue;
  /** The column of clause 14 that bounds the file. */
  readonly limits: LimitSet;
}

/** What an index says. */
interface Interpreted {
  readonly index: ContainerIndex;
  readonly noncanonicalName: number | undefined;
}

/**
 * Interprets the records of a verified index, in time that is linear in its bytes.
 *
 * @returns the index, and the position of the first record whose name is not front-coded canonically
 * @throws LqaError of classes M, V, U and L, with the byte offset of the record
 */
export function* interpretIndex(read: ReadIndex, options: InterpretOptions): Pauses<Interpreted> {
  const { prologue } = options;
  const limit: LimitCheck = (value, bound, name, i, where) => {
    if (value > bound[options.limits])
      checkLimit(value, bound, { where: where(), offset: read.locate(name)(i), limits: options.limits });
  };

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
      limits: options.limits,
    });

  const encodings = readEncodings(read, hasStarts(prologue));
  const plans = yield* readPlans(read, encodings, limit);
  const types = yield* readTypes(read, limit);
  const names = nameReader(read.names, read.locate("names")(0), options.limits);
  const layout = layOut(prologue.indexLength, chunkLengths(read), prologue.alignment);
  const { chunks, spans, digests, trailer, fileLength } = layout;
  const starts = hasStarts(prologue) ? startReader(read, limit) : undefined;
  const modules = yield* readModules(read, types, plans, names, limit, chunks, starts);
  const tensors = yield* readTensors(read, names, limit, chunks.slice(modules.length));
  names.finish();
  checkRoles(tensors, modules, read.locate("tensors"));
  const sections = readSections(read, limit, chunks.slice(modules.length + tensors.length));
  checkFeatures(prologue, modules, tensors, encodings);
  if (fileLength !== prologue.fileLength)
    fail(KIND.FILE_LENGTH_MISMATCH, { offset: 24, expected: fileLength, actual: prologue.fileLength });
  return {
    index: { modules, tensors, sections, digests, spans, trailer },
    noncanonicalName: names.noncanonical,
  };
}

/** As the records have them: what they mean is checked with each record. */
function chunkLengths(read: ReadIndex): number[] {
  const lengths: number[] = [];
  for (const name of ["modules", "tensors", "sections"] as const) {
    const length = read.column(name, "chunkLength");
    for (let i = 0; i < read.count(name); i++) lengths.push(length(i));
  }
  return lengths;
}
