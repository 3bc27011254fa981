/**
 * Tensor and section records (spec clauses 6.8 and 6.9).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { CHUNK_BYTES, META_BYTES } from "../../limits.ts";
import { ELEMENT_BYTES } from "../../model/adapter.ts";
import { checkChunkLength, type LimitCheck, readCompression } from "./chunk-rules.ts";
import { ELEMENT_TYPES, TENSOR_ROLES } from "./encoding-record.ts";
import type { TensorRecord as TensorTableRecord } from "./generated/schema.ts";
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
  const next = tensorReader(read, names, limit, chunks);
  const rest = pacer();
  const tensors: TensorRecord[] = [];
  names.restart();
  for (let i = 0; i < read.count("tensors"); i++) {
    tensors.push(next.tensor(i));
    if (rest(1)) yield;
  }
  next.finish();
  return tensors;
}

/** Reads one record after the other. Not a generator, which engines optimize later or not at all. */
function tensorReader(
  read: ReadIndex,
  names: NameReader,
  limit: LimitCheck,
  chunks: readonly Extent[],
): { tensor(i: number): TensorRecord; finish(): void } {
  const column = (field: keyof TensorTableRecord): ((i: number) => number) => read.column("tensors", field);
  const [suffix, shared] = [column("nameSuffix"), column("nameShared")];
  const [roles, elements, axes] = [column("role"), column("element"), column("axis")];
  const [compressions, lengths] = [column("compression"), column("chunkLength")];
  const [dimensions, sizes] = [column("dimensions"), read.column("dimensions")];
  const sizeCount = read.count("dimensions");
  const locate = read.locate("tensors");
  let at = 0;
  let name = "";
  const where = (): string => `tensor "${name}"`;
  return {
    tensor(i) {
      const offset = locate(i);
      name = names.next(shared(i), suffix(i), "tensor", i, offset);
      if (i > 0 && (names.order > 0 || (names.order === 0 && roles(i - 1) >= roles(i))))
        fail(KIND.NAME_ORDER, {
          where: where(),
          offset,
          expected: "a name (or role) after the one before it",
        });
      const role =
        TENSOR_ROLES[roles(i)] ?? fail(KIND.UNSUPPORTED_ROLE, { where: where(), offset, actual: roles(i) });
      const element =
        ELEMENT_TYPES[elements(i)] ??
        fail(KIND.UNSUPPORTED_CODEC, {
          where: where(),
          offset,
          expected: "element type 1 to 13",
          actual: elements(i),
        });
      const rank = dimensions(i);
      if (rank > 8)
        fail(KIND.HARD_LIMIT, { where: where(), offset, expected: "at most 8 dimensions", actual: rank });
      if (rank > sizeCount - at)
        fail(KIND.RECORD_REFERENCE, {
          where: where(),
          offset,
          expected: `at most ${sizeCount - at} dimensions`,
          actual: rank,
        });
      const shape: number[] = [];
      // Eight dimensions of 32 bits stay far below infinity; with one of them 0 there is nothing.
      let payload = ELEMENT_BYTES[element];
      for (const end = at + rank; at < end; at++) {
        shape.push(sizes(at));
        payload *= sizes(at);
      }
      const axis = axes(i);
      checkMagnitudeAxis(role, axis, where, offset);
      limit(payload, CHUNK_BYTES, "tensors", i, where);
      const chunkLength = lengths(i);
      limit(chunkLength, CHUNK_BYTES, "tensors", i, where);
      const compression = readCompression(compressions(i), "tensor", where, offset);
      checkChunkLength(chunkLength, payload, compression, where, offset);
      return { name, role, element, shape, axis, compression, payload, chunk: chunks[i]! };
    },
    finish() {
      if (at !== sizeCount)
        fail(KIND.RECORD_REFERENCE, {
          where: "dimensions",
          offset: read.locate("dimensions")(at),
          expected: `${at} dimensions`,
          actual: sizeCount,
        });
    },
  };
}

/** @param chunks where those of sections stand */
export function readSections(read: ReadIndex, limit: LimitCheck, chunks: readonly Extent[]): SectionRecord[] {
  let previous = "";
  return read.vectors.sections.map((record, i) => {
    const offset = read.locate("sections")(i);
    const type = String.fromCharCode(...[0, 8, 16, 24].map((shift) => (record.tag >>> shift) & 0xff));
    const where = (): string => `section ${i} (${JSON.stringify(type)})`;
    if (![...type].every((letter) => /[A-Za-z]/.test(letter)))
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "a type of four ASCII letters",
        actual: hex32(record.tag),
      });
    if (record.flags > 3)
      fail(KIND.RECORD_RESERVED_NONZERO, {
        where: where(),
        offset,
        expected: "flags 0 to 3",
        actual: record.flags,
      });
    if (record.reserved !== 0)
      fail(KIND.RECORD_RESERVED_NONZERO, { where: where(), offset, expected: 0, actual: record.reserved });
    if (type <= previous)
      fail(KIND.SECTION_ORDER, { where: where(), offset, expected: `a type after ${previous}` });
    previous = type;
    const critical = (record.flags & 1) !== 0;
    if (critical && /^[a-z]/.test(type))
      fail(KIND.SECTION_RECORD, {
        where: where(),
        offset,
        expected: "a private section that is not critical",
      });
    if (critical && !KNOWN_SECTIONS.has(type)) fail(KIND.UNSUPPORTED_SECTION, { where: where(), offset });
    limit(Math.max(record.rawLength, record.chunkLength), CHUNK_BYTES, "sections", i, where);
    if (KNOWN_SECTIONS.has(type)) limit(record.rawLength, META_BYTES, "sections", i, where);
    if (type === "META" && record.compression !== 0)
      fail(KIND.SECTION_RECORD, {
        where: where(),
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
