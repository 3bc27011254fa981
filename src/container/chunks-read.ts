/**
 * Tensor and section records (spec clauses 6.8 and 6.9).
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { CHUNK_BYTES, META_BYTES } from "../limits.ts";
import { ELEMENT_BYTES } from "../model/adapter.ts";
import { checkChunkLength, type LimitCheck, readCompression } from "./chunk-rules.ts";
import { ELEMENT_TYPES, TENSOR_ROLES } from "./encoding-record.ts";
import type { ReadIndex } from "./index-read.ts";
import type { NameReader } from "./names.ts";
import { type Pauses, pacer } from "./pauses.ts";
import { hex32 } from "./prologue.ts";
import { checkMagnitudeAxis } from "./tensor-rules.ts";
import type { Extent, SectionRecord, TensorRecord } from "./types.ts";

/** Section types this version knows. */
export const KNOWN_SECTIONS: ReadonlySet<string> = new Set(["META", "ORIG"]);

/** @param chunks where those of tensors stand */
export function* readTensors(
  read: ReadIndex,
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
): Pauses<TensorRecord[]> {
  const { tensors: records, dimensions } = read.vectors;
  const rest = pacer();
  const tensors: TensorRecord[] = [];
  let at = 0;
  names.restart();
  for (const [i, record] of records.entries()) {
    const offset = read.locate("tensors", i);
    const name = names.next(record.nameShared, record.nameSuffix, "tensor", i, offset);
    const where = `tensor "${name}"`;
    if (i > 0 && (names.order > 0 || (names.order === 0 && records[i - 1]!.role >= record.role)))
      fail(KIND.NAME_ORDER, { where, offset, expected: "a name (or role) after the one before it" });
    const role =
      TENSOR_ROLES[record.role] ?? fail(KIND.UNSUPPORTED_ROLE, { where, offset, actual: record.role });
    const element =
      ELEMENT_TYPES[record.element] ??
      fail(KIND.UNSUPPORTED_CODEC, {
        where,
        offset,
        expected: "element type 1 to 13",
        actual: record.element,
      });
    if (record.dimensions > 8)
      fail(KIND.HARD_LIMIT, { where, offset, expected: "at most 8 dimensions", actual: record.dimensions });
    if (record.dimensions > dimensions.length - at)
      fail(KIND.RECORD_REFERENCE, {
        where,
        offset,
        expected: `at most ${dimensions.length - at} dimensions`,
        actual: record.dimensions,
      });
    const shape = dimensions.slice(at, at + record.dimensions);
    at += record.dimensions;
    checkMagnitudeAxis(role, record.axis, where, offset);
    const payload = shape.reduce((product, dimension) => product * dimension, ELEMENT_BYTES[element]);
    // Eight dimensions of 32 bits stay far below infinity; with one of them 0 there is nothing.
    limit(payload, CHUNK_BYTES, "tensors", i, where);
    limit(record.chunkLength, CHUNK_BYTES, "tensors", i, where);
    const compression = readCompression(record.compression, "tensor", where, offset);
    checkChunkLength(record.chunkLength, payload, compression, where, offset);
    tensors.push({ name, role, element, shape, axis: record.axis, compression, payload, chunk: chunks[i]! });
    if (rest(1)) yield;
  }
  if (at !== dimensions.length)
    fail(KIND.RECORD_REFERENCE, {
      where: "dimensions",
      offset: read.locate("dimensions", at),
      expected: `${at} dimensions`,
      actual: dimensions.length,
    });
  return tensors;
}

/** @param chunks where those of sections stand */
export function readSections(read: ReadIndex, limit: LimitCheck, chunks: readonly Extent[]): SectionRecord[] {
  let previous = "";
  return read.vectors.sections.map((record, i) => {
    const offset = read.locate("sections", i);
    const type = String.fromCharCode(...[0, 8, 16, 24].map((shift) => (record.tag >>> shift) & 0xff));
    const where = `section ${i} (${JSON.stringify(type)})`;
    if (![...type].every((letter) => /[A-Za-z]/.test(letter)))
      fail(KIND.SECTION_RECORD, {
        where,
        offset,
        expected: "a type of four ASCII letters",
        actual: hex32(record.tag),
      });
    if (record.flags > 3)
      fail(KIND.RECORD_RESERVED_NONZERO, { where, offset, expected: "flags 0 to 3", actual: record.flags });
    if (record.reserved !== 0)
      fail(KIND.RECORD_RESERVED_NONZERO, { where, offset, expected: 0, actual: record.reserved });
    if (type <= previous) fail(KIND.SECTION_ORDER, { where, offset, expected: `a type after ${previous}` });
    previous = type;
    const critical = (record.flags & 1) !== 0;
    if (critical && /^[a-z]/.test(type))
      fail(KIND.SECTION_RECORD, { where, offset, expected: "a private section that is not critical" });
    if (critical && !KNOWN_SECTIONS.has(type)) fail(KIND.UNSUPPORTED_SECTION, { where, offset });
    limit(Math.max(record.rawLength, record.chunkLength), CHUNK_BYTES, "sections", i, where);
    if (KNOWN_SECTIONS.has(type)) limit(record.rawLength, META_BYTES, "sections", i, where);
    if (type === "META" && record.compression !== 0)
      fail(KIND.SECTION_RECORD, {
        where,
        offset,
        expected: "META stored as it is",
        actual: record.compression,
      });
    const compression = readCompression(record.compression, "section", where, offset);
    checkChunkLength(record.chunkLength, record.rawLength, compression, where, offset);
    return {
      type,
      critical,
      safeToCopy: (record.flags & 2) !== 0,
      compression,
      payload: record.rawLength,
      chunk: chunks[i]!,
    };
  });
}
