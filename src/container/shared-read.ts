/**
 * Shared records of an index: encodings, band plans and module types (spec clauses 6.3 to 6.6). Each must be listed
 * once, be referred to, and stand in the order of first use, so that one content has one index.
 *
 * @module
 */
import type { Encoding } from "../codecs/encoding.ts";
import type { Band } from "../codecs/packed.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { DIMENSION, EXPERTS, RANK } from "../limits.ts";
import { inputLength, type ModuleShape } from "../model/adapter.ts";
import type { LimitCheck } from "./chunk-rules.ts";
import {
  BASE_LAYOUTS,
  KERNEL_DIMENSIONS,
  MODULE_ROLES,
  MULTIPLIER_RULES,
  readEncoding,
} from "./encoding-record.ts";
import type { ModuleTypeRecord } from "./generated/schema.ts";
import type { ReadIndex } from "./index-read.ts";

export function readEncodings(read: ReadIndex): Encoding[] {
  const seen = new Set<string>();
  return read.vectors.encodings.map((record, i) => {
    const offset = read.locate("encodings", i);
    const encoding = readEncoding(record, `encoding ${i}`, offset);
    const key = JSON.stringify(encoding);
    if (seen.has(key))
      fail(KIND.RECORD_REFERENCE, { where: `encoding ${i}`, offset, expected: "each encoding once" });
    seen.add(key);
    return encoding;
  });
}

/** A band plan and its rank. */
export interface Plan {
  readonly bands: readonly Band[];
  readonly rank: number;
}

export function readPlans(read: ReadIndex, encodings: readonly Encoding[], limit: LimitCheck): Plan[] {
  const { bands, plans } = read.vectors;
  const used = firstUse(encodings.length, "encodings", read);
  const seen = new Set<string>();
  let at = 0;
  const result = plans.map((count, i) => {
    const where = `plan ${i}`;
    const offset = read.locate("plans", i);
    if (count < 1) fail(KIND.BAND_PLAN, { where, offset, expected: "at least one band", actual: count });
    if (count > bands.length - at)
      fail(KIND.RECORD_REFERENCE, {
        where,
        offset,
        expected: `at most ${bands.length - at} bands`,
        actual: count,
      });
    const members = bands.slice(at, at + count);
    let rank = 0;
    const plan = members.map((band, k): Band => {
      const bandOffset = read.locate("bands", at + k);
      if (band.components < 1)
        fail(KIND.BAND_PLAN, { where, offset: bandOffset, expected: "at least one component", actual: 0 });
      const before = members[k - 1];
      if (before !== undefined && before.b === band.b && before.a === band.a)
        fail(KIND.BAND_PLAN, {
          where,
          offset: bandOffset,
          expected: "neighbouring bands with different encodings",
        });
      rank += band.components;
      return {
        components: band.components,
        b: used(band.b, where, bandOffset, encodings),
        a: used(band.a, where, bandOffset, encodings),
      };
    });
    limit(rank, RANK, "plans", i, where);
    at += count;
    const key = JSON.stringify(members);
    if (seen.has(key)) fail(KIND.RECORD_REFERENCE, { where, offset, expected: "each plan once" });
    seen.add(key);
    return { bands: plan, rank };
  });
  if (at !== bands.length)
    fail(KIND.RECORD_REFERENCE, {
      where: "bands",
      offset: read.locate("bands", at),
      expected: `${at} bands`,
      actual: bands.length,
    });
  used.finish();
  return result;
}

/** All module types, each once. @throws LqaError of classes M, V, U and L */
export function readTypes(read: ReadIndex, limit: LimitCheck): Omit<ModuleShape, "name" | "rank">[] {
  const seen = new Set<string>();
  return read.vectors.types.map((record, i) => {
    const type = readType(record, i, read, limit);
    const key = JSON.stringify(record);
    if (seen.has(key))
      fail(KIND.RECORD_REFERENCE, {
        where: `module type ${i}`,
        offset: read.locate("types", i),
        expected: "each module type once",
      });
    seen.add(key);
    return type;
  });
}

function readType(
  record: ModuleTypeRecord,
  i: number,
  read: ReadIndex,
  limit: LimitCheck,
): Omit<ModuleShape, "name" | "rank"> {
  const where = `module type ${i}`;
  const offset = read.locate("types", i);
  const role =
    MODULE_ROLES[record.role] ?? fail(KIND.UNSUPPORTED_ROLE, { where, offset, actual: record.role });
  const baseLayout =
    BASE_LAYOUTS[record.baseLayout] ??
    fail(KIND.ROLE_SHAPE, { where, offset, expected: "base layout 0 or 1", actual: record.baseLayout });
  const rule =
    MULTIPLIER_RULES[record.rule] ??
    fail(KIND.MULTIPLIER, { where, offset, expected: "rule 0 to 3", actual: record.rule });
  if (record.reserved !== 0)
    fail(KIND.RECORD_RESERVED_NONZERO, { where, offset, expected: 0, actual: record.reserved });
  for (const field of ["outSize", "inSize", "experts"] as const)
    if (record[field] < 1)
      fail(KIND.DIMENSION_RANGE, { where: `${where}.${field}`, offset, expected: "at least 1", actual: 0 });
  const kernels = [record.kernel0, record.kernel1, record.kernel2];
  const kernel = kernels.slice(0, KERNEL_DIMENSIONS[role]);
  if (kernels.some((size, k) => size > 0 !== k < kernel.length))
    fail(KIND.ROLE_SHAPE, {
      where,
      offset,
      expected: `${kernel.length} kernel sizes for ${role}`,
      actual: kernels.join("×"),
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
      where,
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

/** References to shared records: each must exist, and new ones must come in order; all must be used in the end. */
export function firstUse(
  count: number,
  name: "encodings" | "plans" | "types",
  read: ReadIndex,
): { <T>(reference: number, where: string, offset: number, records: readonly T[]): T; finish(): void } {
  let used = 0;
  const resolve = <T>(reference: number, where: string, offset: number, records: readonly T[]): T => {
    if (reference >= count || reference > used)
      fail(KIND.RECORD_REFERENCE, {
        where,
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
          offset: read.locate(name, used),
          expected: `${used} ${name}, all used`,
          actual: count,
        });
    },
  });
}
