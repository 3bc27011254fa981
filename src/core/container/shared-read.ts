/**
 * Reads the shared records of an index: encodings, band plans and module types (spec clauses 6.3 to 6.6). The index must list
 * each record once, refer to it, and have it in the order of first use, so that one content has one index.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { DIMENSION, EXPERTS, RANK } from "../../limits.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import type { Encoding } from "../codecs/encoding.ts";
import { type Band, hasStart } from "../codecs/packed.ts";
import { type LimitCheck, type Pauses, pacer, type Where } from "./chunks-read.ts";
import {
  BASE_LAYOUTS,
  KERNEL_DIMENSIONS,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  ROLE_LAYOUTS,
  readEncoding,
} from "./encoding-record.ts";
import type { ModuleTypeRecord } from "./generated/schema.ts";
import type { ReadIndex } from "./index-read.ts";

/** All encodings. @param started whether the file has the feature START @throws LqaError of classes M, V and U */
export function readEncodings(read: ReadIndex, started: boolean): Encoding[] {
  const distinct = read.distinct("encodings");
  return read.vectors.encodings.map((record, i) => {
    const offset = read.locate("encodings")(i);
    const encoding = readEncoding(record, `encoding ${i}`, offset, started);
    // The same encoding may not have two records.
    if (!distinct(i))
      fail(KIND.RECORD_REFERENCE, { where: `encoding ${i}`, offset, expected: "each encoding once" });
    return encoding;
  });
}

/** A band plan and its rank. */
export interface Plan {
  readonly bands: readonly Band[];
  readonly rank: number;
  /** Whether a vector of A' has a start. */
  readonly started: boolean;
}

/** All band plans. @throws LqaError of classes M, V and L */
export function* readPlans(
  read: ReadIndex,
  encodings: readonly Encoding[],
  limit: LimitCheck,
): Pauses<Plan[]> {
  const column = (field: string): ((i: number) => number) => read.column("bands", field);
  const [components, bs, as] = [column("components"), column("b"), column("a")];
  const [bandCount, counts] = [read.count("bands"), read.column("plans")];
  const used = firstUse(encodings.length, "encodings", read);
  const planCount = read.count("plans");
  const [locate, locateBand] = [read.locate("plans"), read.locate("bands")];
  const distinct = read.distinct("bands", planCount);
  const rest = pacer();
  const result: Plan[] = [];
  let at = 0;
  const where = (): string => `plan ${result.length}`;
  const readBand = (at: number, first: boolean): Band => {
    const offset = locateBand(at);
    const [count, b, a] = [components(at), bs(at), as(at)];
    if (count < 1)
      fail(KIND.BAND_PLAN, { where: where(), offset, expected: "at least one component", actual: 0 });
    if (!first && bs(at - 1) === b && as(at - 1) === a)
      fail(KIND.BAND_PLAN, {
        where: where(),
        offset,
        expected: "neighbouring bands with different encodings",
      });
    const band = {
      components: count,
      b: used(b, where, offset, encodings),
      a: used(a, where, offset, encodings),
    };
    if (band.b.mix !== undefined)
      fail(KIND.BAND_PLAN, { where: where(), offset, expected: "a start of A' only", actual: "one of B'" });
    return band;
  };
  const readPlan = (i: number): Plan => {
    const count = counts(i);
    const offset = locate(i);
    if (count < 1)
      fail(KIND.BAND_PLAN, { where: where(), offset, expected: "at least one band", actual: count });
    if (count > bandCount - at)
      fail(KIND.RECORD_REFERENCE, {
        where: where(),
        offset,
        expected: `at most ${bandCount - at} bands`,
        actual: count,
      });
    const first = at;
    const bands: Band[] = [];
    let rank = 0;
    for (const end = first + count; at < end; at++) {
      const band = readBand(at, at === first);
      rank += band.components;
      bands.push(band);
    }
    limit(rank, RANK, "plans", i, where);
    if (!distinct(first, count))
      fail(KIND.RECORD_REFERENCE, { where: where(), offset, expected: "each plan once" });
    return { bands, rank, started: hasStart(bands) };
  };
  while (result.length < planCount) {
    const plan = readPlan(result.length);
    result.push(plan);
    if (rest(plan.bands.length)) yield;
  }
  if (at !== bandCount)
    fail(KIND.RECORD_REFERENCE, {
      where: "bands",
      offset: read.locate("bands")(at),
      expected: `${at} bands`,
      actual: bandCount,
    });
  used.finish();
  return result;
}

/** A module type: the fields of a module's shape that its type states. */
export type ModuleType = Omit<ModuleShape, "name" | "rank">;

/** All module types. @throws LqaError of classes M, V, U and L */
export function* readTypes(read: ReadIndex, limit: LimitCheck): Pauses<ModuleType[]> {
  const distinct = read.distinct("types");
  const rest = pacer();
  const types: ModuleType[] = [];
  const recordAt = typeRecords(read);
  const count = read.count("types");
  const where = (): string => `module type ${types.length}`;
  for (let i = 0; i < count; i++) {
    const type = readType(recordAt(i), i, where, read, limit);
    if (!distinct(i))
      fail(KIND.RECORD_REFERENCE, {
        where: where(),
        offset: read.locate("types")(i),
        expected: "each module type once",
      });
    types.push(type);
    if (rest(1)) yield;
  }
  return types;
}

/** Records of types from their columns. The fields are explicit: adding them by name in a loop takes ten times as long. */
function typeRecords(read: ReadIndex): (i: number) => ModuleTypeRecord {
  const column = (field: keyof ModuleTypeRecord): ((i: number) => number) => read.column("types", field);
  const [outSize, inSize] = [column("outSize"), column("inSize")];
  const [multiplier, alpha, experts] = [column("multiplier"), column("alpha"), column("experts")];
  const [kernel0, kernel1, kernel2] = [column("kernel0"), column("kernel1"), column("kernel2")];
  const [role, baseLayout, rule] = [column("role"), column("baseLayout"), column("rule")];
  const reserved = column("reserved");
  return (i) => ({
    outSize: outSize(i),
    inSize: inSize(i),
    multiplier: multiplier(i),
    alpha: alpha(i),
    kernel0: kernel0(i),
    kernel1: kernel1(i),
    kernel2: kernel2(i),
    experts: experts(i),
    role: role(i),
    baseLayout: baseLayout(i),
    rule: rule(i),
    reserved: reserved(i),
  });
}

function readType(
  record: ModuleTypeRecord,
  i: number,
  where: Where,
  read: ReadIndex,
  limit: LimitCheck,
): ModuleType {
  const offset = read.locate("types")(i);
  const role =
    MODULE_ROLES[record.role] ?? fail(KIND.UNSUPPORTED_ROLE, { where: where(), offset, actual: record.role });
  const baseLayout =
    BASE_LAYOUTS[record.baseLayout] ??
    fail(KIND.UNSUPPORTED_ROLE, {
      where: where(),
      offset,
      expected: "base layout 0 or 1",
      actual: record.baseLayout,
    });
  const rule =
    MULTIPLIER_RULES[record.rule] ??
    fail(KIND.UNSUPPORTED_ROLE, { where: where(), offset, expected: "rule 0 to 3", actual: record.rule });
  if (record.reserved !== 0)
    fail(KIND.RECORD_RESERVED_NONZERO, { where: where(), offset, expected: 0, actual: record.reserved });
  for (const field of ["outSize", "inSize", "experts"] as const)
    if (record[field] < 1)
      fail(KIND.DIMENSION_RANGE, { where: `${where()}.${field}`, offset, expected: "at least 1", actual: 0 });
  const kernels = [record.kernel0, record.kernel1, record.kernel2];
  const kernel = kernels.slice(0, KERNEL_DIMENSIONS[role]);
  if (kernels.some((size, k) => size > 0 !== k < kernel.length))
    fail(KIND.ROLE_SHAPE, {
      where: where(),
      offset,
      expected: `${kernel.length} kernel sizes for ${role}`,
      actual: kernels.join("×"),
    });
  const layouts = ROLE_LAYOUTS[role];
  if (!layouts.includes(baseLayout))
    fail(KIND.ROLE_SHAPE, {
      where: where(),
      offset,
      expected: `base layout ${BASE_LAYOUTS.indexOf(layouts[0]!)} for ${role}`,
      actual: record.baseLayout,
    });
  limit(record.outSize, DIMENSION, "types", i, where);
  limit(inputLength({ in: record.inSize, kernel }), DIMENSION, "types", i, where);
  limit(record.experts, EXPERTS, "types", i, where);
  const { multiplier, alpha } = record;
  if (
    !Number.isFinite(multiplier) ||
    !Number.isFinite(alpha) ||
    Object.is(multiplier, -0) ||
    Object.is(alpha, -0)
  )
    fail(KIND.MULTIPLIER, {
      where: where(),
      offset,
      expected: "finite multiplier and alpha, not -0",
      actual: `${multiplier}, ${alpha}`,
    });
  return {
    role,
    out: record.outSize,
    in: record.inSize,
    kernel,
    experts: record.experts,
    baseLayout,
    multiplier,
    alpha,
    rule,
  };
}

/**
 * A function that resolves references to shared records. Each record must exist, and first references must come in order.
 * `finish` checks that all records were used.
 *
 * @throws LqaError RECORD_REFERENCE, also from `finish`
 */
export function firstUse(
  count: number,
  name: "encodings" | "plans" | "types",
  read: ReadIndex,
): { <T>(reference: number, where: Where, offset: number, records: readonly T[]): T; finish(): void } {
  let used = 0;
  const resolve = <T>(reference: number, where: Where, offset: number, records: readonly T[]): T => {
    if (reference >= count || reference > used)
      fail(KIND.RECORD_REFERENCE, {
        where: where(),
        offset,
        expected: `a reference to ${name} below ${Math.min(count, used + 1)}`,
        actual: reference,
      });
    if (reference === used) used++;
    return records[reference]!;
  };
  return Object.assign(resolve, {
    finish() {
      if (used !== count)
        fail(KIND.RECORD_REFERENCE, {
          where: name,
          offset: read.locate(name)(used),
          expected: `${used} ${name}, all used`,
          actual: count,
        });
    },
  });
}
