/**
 * Zip archives, whole and in memory: the container of PyTorch's and NumPy's files.
 *
 * Guarantees that entries lie inside the archive and do not overlap, and that each unpacks to the size that its record in
 * the central directory states. It does not compare checksums: PyTorch has an option not to compute them, and then writes wrong
 * ones. It does not read sizes in local headers, because programs that stream leave them empty.
 *
 * @module
 */
import { inflateSync } from "fflate";
import { decodeUtf8 } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type Cursor, cursorOf, malformed } from "../cursor.ts";
import { quoteName } from "../json.ts";

/** Largest factor by which deflate can compress. */
const DEFLATE_RATIO = 1032;
/** Most bytes unpacked. No adapter is larger, and browsers cannot hold such an array. */
const MAX_UNPACKED = 2 ** 31;
/**
 * Largest ratio of unpacked to packed size, beyond the first {@link SMALL} bytes. Trained weights shrink by a tenth, an adapter
 * whose B is zero or whose F32 values hold F16 at most by a factor of four. Stops megabytes of packed zeros from filling memory.
 */
const MOST_GROWTH = 16;
const SMALL = 2 ** 24;

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_BYTES = 22;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
/** Marks a number that is in zip64's records instead. Archives of less than 4 GiB do not need them. */
const ELSEWHERE = 0xffffffff;

interface Entry {
  readonly name: string;
  readonly method: number;
  /** Bytes in the archive. */
  readonly stored: number;
  /** Bytes unpacked. */
  readonly size: number;
  /** Offset of its local header. */
  readonly header: number;
}

/**
 * Reads all entries of an archive by name, except directories.
 *
 * @throws LqaError SOURCE_HEADER for a broken archive, two entries with one name, or impossible sizes; TRUNCATED_SOURCE
 */
export function readZip(bytes: Uint8Array, where: string): Map<string, Uint8Array> {
  const cursor = cursorOf(bytes, where);
  const { entries, end } = readDirectory(cursor);
  const unpacked = entries.reduce((sum, { size }) => sum + size, 0);
  const total = Math.min(MAX_UNPACKED, SMALL + MOST_GROWTH * bytes.length);
  if (unpacked > total) malformed(cursor, `at most ${total} bytes unpacked`, unpacked);
  const found = new Map<string, Uint8Array>();
  // In the order of their offsets, so that one comparison per entry detects overlaps.
  let free = 0;
  const data = new Map<Entry, Uint8Array>();
  for (const entry of [...entries].sort((x, y) => x.header - y.header)) {
    const begin = dataBegin(cursor, entry, end);
    if (entry.header < free)
      malformed(cursor, "entries that do not overlap", quoteName(entry.name), entry.header);
    free = begin + entry.stored;
    if (free > end) {
      const expected = `${entry.stored} bytes of ${quoteName(entry.name)}`;
      fail(KIND.TRUNCATED_SOURCE, { where, expected, actual: Math.max(0, end - begin), offset: begin });
    }
    data.set(entry, bytes.subarray(begin, free));
  }
  for (const entry of entries) {
    if (found.has(entry.name))
      malformed(cursor, "distinct entries", `${quoteName(entry.name)} a second time`);
    if (!entry.name.endsWith("/")) found.set(entry.name, unpack(cursor, entry, data.get(entry)!));
  }
  return found;
}

/** The records of the central directory, and its offset. */
function readDirectory(cursor: Cursor): { entries: Entry[]; end: number } {
  const { bytes, view } = cursor;
  let at = bytes.length - END_BYTES;
  // A comment of up to 65,535 bytes may follow.
  const least = Math.max(0, at - 0xffff);
  while (at >= least && view.getUint32(at, true) !== END) at--;
  if (at < least) return malformed(cursor, "a zip archive", "no end of its directory", bytes.length);
  const count = view.getUint16(at + 10, true);
  const begin = view.getUint32(at + 16, true);
  if (count === 0xffff || begin === ELSEWHERE)
    malformed(cursor, "an archive without zip64", "one with it", at);
  const directory = at;
  const entries: Entry[] = [];
  let next = begin;
  for (let i = 0; i < count; i++) {
    if (next + CENTRAL_BYTES > directory || view.getUint32(next, true) !== CENTRAL) {
      malformed(cursor, `${count} entries`, `${i}`, Math.min(next, directory));
    }
    const [nameLength, extra, comment] = [28, 30, 32].map((field) => view.getUint16(next + field, true)) as [
      number,
      number,
      number,
    ];
    const nameAt = next + CENTRAL_BYTES;
    if (nameAt + nameLength + extra + comment > directory)
      malformed(cursor, "a whole record", "a cut one", next);
    let name: string;
    try {
      name = decodeUtf8(bytes.subarray(nameAt, nameAt + nameLength));
    } catch {
      return malformed(cursor, "a name in UTF-8", "bytes that are not", nameAt);
    }
    const method = view.getUint16(next + 10, true);
    const [stored, size, header] = [20, 24, 42].map((field) => view.getUint32(next + field, true)) as [
      number,
      number,
      number,
    ];
    const most = method === 0 ? stored : stored * DEFLATE_RATIO;
    if (method !== 0 && method !== 8)
      malformed(cursor, "stored or deflated entries", `method ${method}`, next);
    if (view.getUint16(next + 8, true) & 1)
      malformed(cursor, "entries that are not encrypted", quoteName(name), next);
    if ([stored, size, header].includes(ELSEWHERE))
      malformed(cursor, "an archive without zip64", "one with it", next);
    if (method === 0 ? size !== stored : size > most) {
      malformed(cursor, `${method === 0 ? "" : "at most "}${most} bytes of ${quoteName(name)}`, size, next);
    }
    entries.push({ name, method, stored, size, header });
    next = nameAt + nameLength + extra + comment;
  }
  return { entries, end: begin };
}

function dataBegin(cursor: Cursor, { header, name }: Entry, end: number): number {
  const { view } = cursor;
  if (header + LOCAL_BYTES > end || view.getUint32(header, true) !== LOCAL) {
    malformed(cursor, `entry ${quoteName(name)}`, "none", Math.min(header, end));
  }
  return header + LOCAL_BYTES + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
}

function unpack(cursor: Cursor, { name, method, size, header }: Entry, data: Uint8Array): Uint8Array {
  if (method === 0) return data;
  let unpacked: Uint8Array;
  try {
    // One byte more than allowed, to notice longer data: fflate drops what does not fit.
    unpacked = inflateSync(data, { out: new Uint8Array(size + 1) });
  } catch {
    return malformed(cursor, `entry ${quoteName(name)} deflated`, "other bytes", header);
  }
  if (unpacked.length === size) return unpacked;
  const actual = unpacked.length > size ? "more" : `${unpacked.length}`;
  return malformed(cursor, `${size} bytes of ${quoteName(name)}`, actual, header);
}
