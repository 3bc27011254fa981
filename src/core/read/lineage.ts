/**
 * Finds the parents of a file (spec clause 8.9.3) by content id among the files that the caller provides, and compares them with
 * the modules that refer to them. It fetches nothing. Readers import it with the first file that has a parent.
 *
 * The content id that a file states is no proof, so this verifies the whole file before it accepts it as a parent.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../../errors.ts";
import { GENERATIONS } from "../../limits.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { checkSums } from "../codecs/sums.ts";
import { checkParentModule } from "../container/parent-module.ts";
import { checkLimit } from "../container/prologue.ts";
import type { ContainerIndex, ModuleRecord } from "../container/types.ts";
import type { LqaFile, OpenOptions } from "./lqa-file.ts";
import type { WatchOptions } from "./steps.ts";

/**
 * Finds the parents of a file, the nearest first, up to the first that is missing.
 *
 * @param files open files that may be parents, and an {@link Invalid} for each file that is not valid
 * @throws LqaError PARENT_MISMATCH if none of the files is the parent, or if the parent's modules do not fit; HARD_LIMIT,
 *   CORE_LIMIT for too many generations; as {@link LqaFile.verify}
 */
export async function findParents(
  child: Pick<ContainerIndex, "modules" | "parentId">,
  files: readonly (LqaFile | Invalid)[],
  { limits = "core", signal }: Pick<OpenOptions, "limits" | "signal">,
): Promise<readonly LqaFile[]> {
  const found: LqaFile[] = [];
  for (let last = child; last.parentId !== undefined && files.length > 0; ) {
    const parent = await fileWith(last.parentId, files, found.length === 0, signal);
    if (parent === undefined) break;
    checkLimit(found.push(parent), GENERATIONS, { where: "parents", limits });
    for (const record of last.modules) checkParentModule(record, parent.modules);
    const { parents } = parent;
    last = parent;
    if (parents.length === 0) continue;
    // Opening the parent has checked its own parents.
    checkLimit(found.push(...parents), GENERATIONS, { where: "parents", limits });
    last = parents.at(-1)!;
  }
  return found;
}

/**
 * The file with a content id, verified. Passes over files that are not valid, whatever they state.
 *
 * @param needed throws if there is none, instead of returning undefined
 */
async function fileWith(
  id: string,
  files: readonly (LqaFile | Invalid)[],
  needed: boolean,
  signal: AbortSignal | undefined,
): Promise<LqaFile | undefined> {
  const found: string[] = [];
  for (const file of files) {
    if (file instanceof Invalid) {
      found.push(file.message);
      continue;
    }
    const stored = file.verified ?? (await asParent(file.storedIds({ signal })));
    const own =
      stored instanceof Invalid || stored.contentId !== id ? stored : await asParent(file.verify({ signal }));
    if (own instanceof Invalid) found.push(own.message);
    else if (own.contentId === id) return file;
    else found.push(own.contentId);
  }
  if (!needed) return undefined;
  return fail(KIND.PARENT_MISMATCH, {
    where: "parent",
    expected: `a valid file with content id ${id}`,
    actual: found.join(", "),
  });
}

/** A file that is not valid, among those that may be parents. */
export class Invalid {
  readonly message: string;

  constructor({ code, kind }: LqaError) {
    this.message = `a file that is not valid (${code} ${kind})`;
  }
}

/** Awaits work on a file that may be a parent. @throws errors that are not of the file: of the source, the budget, the caller */
export async function asParent<T>(work: Promise<T>): Promise<T | Invalid> {
  try {
    return await work;
  } catch (error) {
    if (!isLqaError(error) || "XL".includes(error.class)) throw error;
    return new Invalid(error);
  }
}

/**
 * Packed factors together with those of the parents; checks that their sums are finite.
 *
 * @param factors factors of the module, without its parent's
 * @param parents from {@link findParents}; if some are missing, the oldest factors keep the content id of their parent
 * @throws LqaError NONFINITE_VALUE; as {@link LqaFile.packed} of the parents
 */
export async function withParents(
  factors: PackedFactors,
  record: ModuleRecord,
  parents: readonly LqaFile[],
  watch: Pick<WatchOptions, "signal">,
): Promise<PackedFactors> {
  const joined = await joinParents(factors, record, parents, watch);
  checkSums(record, joined, record.chunk.offset);
  return joined;
}

async function joinParents(
  factors: PackedFactors,
  { parentModule }: ModuleRecord,
  [parent, ...others]: readonly LqaFile[],
  watch: Pick<WatchOptions, "signal">,
): Promise<PackedFactors> {
  if (parent === undefined || parentModule === undefined) return factors;
  const record = parent.modules[parentModule]!;
  const own = await parent.packed(record, watch);
  const whole = typeof own.parent === "string" ? await joinParents(own, record, others, watch) : own;
  return { ...factors, parent: whole };
}
