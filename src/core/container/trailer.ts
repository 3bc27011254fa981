/**
 * The last 64 bytes of a file (spec clause 11.4). Columns: offset, bytes, field.
 *
 * ```
 *  0 32 root digest (file_id)     40 4 digest list bytes    48 4 zero       56 8 closing magic
 * 32  8 file length               44 4 index bytes          52 4 own CRC
 * ```
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { equalBytes } from "../../model/bytes.ts";
import { crc32, viewOf } from "./bytes.ts";
import { TRAILER_BYTES } from "./layout.ts";
import { hex32, MAGIC } from "./prologue.ts";

/** The magic backwards. */
const CLOSING_MAGIC: Uint8Array = MAGIC.slice().reverse();

/** The fields of a trailer. Lengths are in bytes. */
export interface Trailer {
  readonly rootDigest: Uint8Array;
  readonly fileLength: number;
  readonly digestsLength: number;
  readonly indexLength: number;
}

/** The 64 bytes of a trailer. */
export function writeTrailer(t: Trailer): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES);
  const view = viewOf(bytes);
  bytes.set(t.rootDigest);
  view.setBigUint64(32, BigInt(t.fileLength), true);
  view.setUint32(40, t.digestsLength, true);
  view.setUint32(44, t.indexLength, true);
  view.setUint32(52, crc32(bytes.subarray(0, 52)), true);
  bytes.set(CLOSING_MAGIC, 56);
  return bytes;
}

/**
 * Checks a trailer against prologue and records, and returns its root digest.
 *
 * @param base position of the trailer in the file
 * @param expected lengths that follow from prologue and records
 * @throws LqaError TRAILER_CRC, TRAILER_MISMATCH
 */
export function readTrailer(
  bytes: Uint8Array,
  base: number,
  expected: Omit<Trailer, "rootDigest">,
): Uint8Array {
  const view = viewOf(bytes);
  const crc = crc32(bytes.subarray(0, 52));
  if (view.getUint32(52, true) !== crc)
    fail(KIND.TRAILER_CRC, {
      offset: base + 52,
      expected: hex32(crc),
      actual: hex32(view.getUint32(52, true)),
    });
  const fields: [at: number, name: string, expected: number, actual: number | bigint][] = [
    [32, "file length", expected.fileLength, view.getBigUint64(32, true)],
    [40, "digest list length", expected.digestsLength, view.getUint32(40, true)],
    [44, "index length", expected.indexLength, view.getUint32(44, true)],
    [48, "reserved bytes", 0, view.getUint32(48, true)],
  ];
  for (const [at, where, want, found] of fields)
    if (BigInt(found) !== BigInt(want))
      fail(KIND.TRAILER_MISMATCH, {
        where: `trailer ${where}`,
        offset: base + at,
        expected: want,
        actual: String(found),
      });
  if (!equalBytes(bytes.subarray(56, 64), CLOSING_MAGIC))
    fail(KIND.TRAILER_MISMATCH, { where: "trailer closing magic", offset: base + 56 });
  return bytes.slice(0, 32);
}
