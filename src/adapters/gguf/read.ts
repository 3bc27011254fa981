/**
 * GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): header, key-value pairs, tensor infos, data.
 *
 * Versions 2 and 3, little-endian. The reader returns views into the caller's bytes. It guarantees that every tensor's size
 * follows from its dimensions and type, and that the tensors follow each other in the order of their infos, each at the next
 * multiple of the alignment, as llama.cpp requires: no overlaps, no gaps. The caller interprets the keys and tensors.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type Cursor, cursorOf, malformed, readCount, readName, readU32, readU64, take } from "../cursor.ts";
import { quoteName } from "../json.ts";
import { type GgufValue, readMetadata } from "./metadata.ts";
import { GGUF_TYPES, type GgufType } from "./types.ts";

export type { GgufValue } from "./metadata.ts";

/** One tensor: little-endian blocks, first dimension innermost. `data` may begin at any offset in its buffer. */
export interface GgufTensor {
  /** Name of the element type in ggml's spelling, e.g. `F32` or `Q4_K`. */
  readonly type: string;
  /** Innermost first, the reverse of safetensors. Up to four; none for a single value. */
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/** A whole file. */
export interface Gguf {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** The pairs as the file stores them, without their number. */
  readonly pairs: Uint8Array;
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** "GGUF" as the format writes numbers. */
const MAGIC = 0x46554747;
export const DEFAULT_ALIGNMENT = 32;
const MAX_DIMS = 4;
/** Least bytes of a pair (empty key, one byte) and of a tensor info (empty name, no dimensions). */
const LEAST_PAIR = 8 + 4 + 1;
const LEAST_INFO = 8 + 4 + 4 + 8;

interface Info {
  readonly type: GgufType;
  readonly dims: readonly number[];
  /** Length of the data in bytes. */
  readonly size: number;
  /** First byte of the data, relative to the end of the header. */
  readonly begin: number;
  /** Offset of the info in the file, for messages. */
  readonly offset: number;
}

/** True if the bytes begin like a GGUF file. */
export function isGguf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && cursorOf(bytes, "").view.getUint32(0, true) === MAGIC;
}

/**
 * Reads a GGUF file.
 *
 * @throws LqaError TRUNCATED_SOURCE if the file ends early; UNSUPPORTED_DIALECT for another version or byte order;
 *   SOURCE_ELEMENT_TYPE for an element type this version does not know; SOURCE_HEADER for everything else that breaks
 *   the format; all with the byte offset
 */
export function readGguf(bytes: Uint8Array): Gguf {
  const { cursor, tensorCount, pairs, ...header } = readHeader(bytes);
  const alignment = alignmentOf(cursor, header.metadata);
  const infos = readInfos(cursor, tensorCount);
  return { ...header, pairs: bytes.slice(...pairs), tensors: locate(cursor, infos, alignment) };
}

/**
 * Reads the key-value pairs and the dimensions of the tensors. `bytes` may be only the beginning of the file. The tensors may
 * have element types that this version does not know.
 *
 * @throws LqaError as {@link readGguf}; TRUNCATED_SOURCE if the pairs or dimensions continue after `bytes`
 */
export function readGgufHeader(
  bytes: Uint8Array,
): Pick<Gguf, "metadata"> & { readonly dims: ReadonlyMap<string, readonly number[]> } {
  const { metadata, cursor, tensorCount } = readHeader(bytes, false);
  const dims = new Map<string, readonly number[]>();
  for (let i = 0; i < tensorCount; i++) {
    const info = readInfo(cursor, dims);
    dims.set(info.name, info.dims);
  }
  return { metadata, dims };
}

interface Header extends Omit<Gguf, "tensors" | "pairs"> {
  readonly cursor: Cursor;
  readonly tensorCount: number;
  /** Offsets at which the pairs begin and end. */
  readonly pairs: readonly [number, number];
}

/** @param whole `bytes` is the whole file, so the reader can check counts against its length */
function readHeader(bytes: Uint8Array, whole = true): Header {
  const cursor = cursorOf(bytes, "GGUF file");
  if (readU32(cursor, "the signature") !== MAGIC) malformed(cursor, '"GGUF"', "other bytes", 0);
  const version = readU32(cursor, "the version");
  if (version !== 2 && version !== 3) {
    const actual = version % 2 ** 16 === 0 ? "big-endian data" : `version ${version}`;
    fail(KIND.UNSUPPORTED_DIALECT, {
      where: cursor.where,
      expected: "version 2 or 3, little-endian",
      actual,
      offset: 4,
    });
  }
  const tensorCount = whole
    ? readCount(cursor, LEAST_INFO, "a number of tensors")
    : readU64(cursor, "a number of tensors");
  const pairCount = readCount(cursor, LEAST_PAIR, "a number of pairs");
  const begin = cursor.at;
  const metadata = readMetadata(cursor, pairCount);
  return { version, metadata, tensorCount, cursor, pairs: [begin, cursor.at] };
}

/** @throws LqaError SOURCE_HEADER */
export function alignmentOf(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  const power = typeof value === "number" && value > 0 && value <= 2 ** 30 && (value & (value - 1)) === 0;
  if (power && Number.isInteger(value)) return value;
  return malformed(cursor, "a power of two as general.alignment", String(value).slice(0, 40));
}

function readInfos(cursor: Cursor, count: number): Map<string, Info> {
  const infos = new Map<string, Info>();
  for (let i = 0; i < count; i++) {
    const { name, dims, number, begin, offset } = readInfo(cursor, infos);
    const type = GGUF_TYPES.get(number);
    if (type === undefined) {
      const where = `tensor ${quoteName(name)}`;
      const expected = "an element type of ggml";
      return fail(KIND.SOURCE_ELEMENT_TYPE, { where, expected, actual: number, offset: cursor.at - 12 });
    }
    infos.set(name, { type, dims, size: sizeOf(cursor, name, type, dims, offset), begin, offset });
  }
  return infos;
}

/** The next tensor info; `number` is that of its element type. `before`: the infos before it, by name. */
function readInfo(
  cursor: Cursor,
  before: ReadonlyMap<string, unknown>,
): Pick<Info, "dims" | "begin" | "offset"> & { readonly name: string; readonly number: number } {
  const offset = cursor.at;
  const name = readName(cursor, readU64(cursor, "the length of a tensor name"), "a tensor name");
  if (before.has(name)) malformed(cursor, "distinct names", `${quoteName(name)} a second time`, offset);
  const rank = readU32(cursor, "a number of dimensions");
  if (rank > MAX_DIMS) malformed(cursor, `at most ${MAX_DIMS} dimensions`, rank, cursor.at - 4);
  const dims = Array.from({ length: rank }, () => readU64(cursor, "a dimension"));
  const number = readU32(cursor, "an element type");
  return { name, dims, number, begin: readU64(cursor, "a data offset"), offset };
}

function sizeOf(
  cursor: Cursor,
  name: string,
  type: GgufType,
  dims: readonly number[],
  offset: number,
): number {
  const of = `tensor ${quoteName(name)} of ${type.name} [${dims}]`;
  if ((dims[0] ?? 1) % type.weights !== 0) {
    malformed(cursor, `a multiple of ${type.weights} as first dimension`, of, offset);
  }
  let weights = 1;
  for (const dim of dims) {
    weights *= dim;
    // Below 2^53 every product is exact, so one comparison after each factor is enough.
    if (weights * type.bytes > Number.MAX_SAFE_INTEGER)
      malformed(cursor, "fewer than 2^53 bytes", of, offset);
  }
  return (weights / type.weights) * type.bytes;
}

/** Locates the tensors. @throws LqaError SOURCE_HEADER, TRUNCATED_SOURCE */
function locate(
  cursor: Cursor,
  infos: ReadonlyMap<string, Info>,
  alignment: number,
): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  const aligned = (position: number): number => Math.ceil(position / alignment) * alignment;
  // A file without tensors may end with its header.
  if (infos.size > 0) take(cursor, aligned(cursor.at) - cursor.at, "padding");
  const start = cursor.at;
  for (const [name, { type, dims, size, begin, offset }] of infos) {
    const next = aligned(cursor.at - start);
    if (begin !== next) {
      const expected = `data of tensor ${quoteName(name)} at ${next}, where the one before it ends`;
      malformed(cursor, expected, begin, offset);
    }
    take(cursor, start + begin - cursor.at, "padding");
    const at = take(cursor, size, `tensor ${quoteName(name)}`);
    tensors.set(name, { type: type.name, dims, data: cursor.bytes.subarray(at, at + size) });
  }
  // Most writers also pad the last tensor.
  const length = cursor.bytes.length;
  if (length > start + aligned(cursor.at - start))
    malformed(cursor, "the end of the file", `${length - cursor.at} bytes more`);
  return tensors;
}
