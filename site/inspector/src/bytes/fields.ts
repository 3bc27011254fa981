/**
 * The fields that lie in some bytes of a file: name, value and the clause of the specification that says what they mean.
 *
 * Fields are only built for the visible bytes, so time and memory do not grow with the file. Values are shown as stored,
 * valid or not: the validator decides that.
 *
 * @module
 */

import { CRC_BYTES, toHex } from "../../../../src/common/bytes.ts";
import { DIGEST_BYTES, TRAILER_BYTES } from "../../../../src/core/container/layout.ts";
import { PROLOGUE_BYTES, REQUIRED } from "../../../../src/core/container/prologue.ts";
import type { OpenedIndex } from "../../../../src/core/read/header.ts";
import { type ByteField, field, gap, type Stretch } from "./field.ts";
import { type IndexMap, indexFields } from "./index-fields.ts";
import { payloadFields } from "./payload-fields.ts";
import { chunkOf, type Region } from "./regions.ts";

/** What is known of a file before its bytes are looked at. */
export interface FieldContext {
  /** Undefined if prologue or index cannot be read. */
  readonly opened: OpenedIndex | undefined;
  /** Of the index, if that is looked at. */
  readonly index: IndexMap | undefined;
}

/** Most fields of one stretch; a window of some hundred bytes has fewer. */
export const MOST_FIELDS = 1024;

/** The fields of a region that lie in a stretch, at least with one byte, in their order. */
export function fieldsIn(region: Region, stretch: Stretch, context: FieldContext): ByteField[] {
  const found: ByteField[] = [];
  for (const field of regionFields(region, stretch, context)) {
    if (field.offset >= stretch.offset + stretch.bytes.length || found.length === MOST_FIELDS) break;
    if (field.length > 0 && field.offset + field.length > stretch.offset) found.push(field);
  }
  return found;
}

function* regionFields(region: Region, stretch: Stretch, context: FieldContext): Generator<ByteField> {
  const { opened } = context;
  switch (region.kind) {
    case "prologue":
      yield* fixed(PROLOGUE, region.offset, stretch);
      break;
    case "index":
      if (context.index !== undefined) yield* indexFields(context.index, stretch);
      if (opened !== undefined) yield* padding(PROLOGUE_BYTES + opened.prologue.indexLength, region, stretch);
      break;
    case "digests":
      if (opened !== undefined) yield* digestFields(opened, stretch);
      break;
    case "trailer":
      yield* fixed(TRAILER, region.offset, stretch);
      break;
    case "unknown":
      break;
    default: {
      const record = opened && chunkOf(opened.index, region);
      if (record === undefined) break;
      const end = region.offset + record.chunk.length;
      yield* payloadFields(region.kind, record, stretch);
      yield field(end - CRC_BYTES, CRC_BYTES, "CRC-32 of the stored payload", "7.1", stretch, hexadecimal);
      yield* padding(end, region, stretch);
    }
  }
}

const padding = (from: number, { offset, length }: Region, stretch: Stretch): Iterable<ByteField> =>
  gap(from, offset + length, "padding to the chunk alignment", "3.6", stretch);

function* digestFields({ index }: OpenedIndex, stretch: Stretch): Generator<ByteField> {
  const { digests, spans } = index;
  yield field(digests.offset, DIGEST_BYTES, "content id", "11.3", stretch, hexadecimal);
  const before = Math.floor((stretch.offset - digests.offset) / DIGEST_BYTES) - 1;
  for (let i = Math.max(0, before); i < spans.length; i++) {
    const [first, end] = spans[i]!;
    const chunks = end - first === 1 ? `chunk ${first}` : `chunks ${first} to ${end - 1}`;
    const offset = digests.offset + (1 + i) * DIGEST_BYTES;
    yield field(offset, DIGEST_BYTES, `SHA-256 of span ${i}, ${chunks}`, "11.1", stretch, hexadecimal);
  }
}

/** A field at a fixed place of prologue or trailer. */
type Fixed = readonly [
  at: number,
  length: number,
  name: string,
  clause: string,
  read: (bytes: Uint8Array) => string,
];

const hexadecimal = (bytes: Uint8Array): string =>
  bytes.length === 4 ? `0x${toHex(bytes.slice().reverse())}` : toHex(bytes);
const spaced = (bytes: Uint8Array): string => toHex(bytes).replace(/..(?=.)/g, "$& ");
const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const u16 = (bytes: Uint8Array): string => String(view(bytes).getUint16(0, true));
const u32 = (bytes: Uint8Array): string => String(view(bytes).getUint32(0, true));
const u64 = (bytes: Uint8Array): string => String(view(bytes).getBigUint64(0, true));

/** The names of the bits that are set; bits without a name by their number. */
function bits(names: Readonly<Record<string, number>>): (bytes: Uint8Array) => string {
  return (bytes) => {
    const value = view(bytes).getUint32(0, true);
    const set = Array.from({ length: 32 }, (_, i) => i).filter((i) => (value >>> i) & 1);
    const name = (i: number): string => Object.keys(names).find((key) => names[key] === 2 ** i) ?? `bit ${i}`;
    return set.length === 0 ? "none" : set.map(name).join(", ");
  };
}

const PROLOGUE: readonly Fixed[] = [
  [0, 8, "magic", "5.1", spaced],
  [8, 2, "major version", "5.2", u16],
  [10, 2, "minor version", "5.2", u16],
  [12, 4, "required features", "5.3", bits(REQUIRED)],
  [16, 4, "read-only-compatible features", "5.3", bits({})],
  [20, 4, "compatible features", "5.3", bits({})],
  [24, 8, "file length", "5.1", u64],
  [32, 4, "index length", "5.1", u32],
  [36, 4, "number of modules", "5.1", u32],
  [40, 4, "number of plain tensors", "5.1", u32],
  [44, 4, "number of sections", "5.1", u32],
  [48, 1, "alignment exponent", "4.3", (bytes) => `${bytes[0]}: ${2 ** bytes[0]!} bytes`],
  [49, 7, "zero", "5.1", spaced],
  [56, 4, "CRC-32 of the index", "6.2", hexadecimal],
  [60, 4, "CRC-32 of bytes 0 to 59", "5.1", hexadecimal],
];

const TRAILER: readonly Fixed[] = [
  [0, 32, "root digest: the file id", "11.2", hexadecimal],
  [32, 8, "file length", "11.4", u64],
  [40, 4, "length of the digest list", "11.4", u32],
  [44, 4, "index length", "11.4", u32],
  [48, 4, "zero", "11.4", spaced],
  [52, 4, "CRC-32 of the 52 bytes before it", "11.4", hexadecimal],
  [TRAILER_BYTES - 8, 8, "closing magic", "11.4", spaced],
];

function* fixed(table: readonly Fixed[], base: number, stretch: Stretch): Generator<ByteField> {
  for (const [at, length, name, clause, read] of table)
    yield field(base + at, length, name, clause, stretch, read);
}
