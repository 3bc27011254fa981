/**
 * Opens the header of a file that is not in memory: reads the first bytes of its source, and more of them if the index is long.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { LimitSet } from "../../limits.ts";
import { concat } from "../container/bytes.ts";
import type { ByteSource } from "../io/source.ts";
import type { Header } from "./header.ts";
import {
  FIRST_BYTES,
  headerSteps,
  type KeepingSource,
  keepingSource,
  runSteps,
  truncated,
} from "./opened.ts";

/** The largest alignment, so that the padding behind a long index comes with it. */
const PADDING_BYTES = 4096;

/** A header, and its source, which keeps the bytes that have been read. */
export interface OpenedHeader {
  readonly header: Header;
  readonly source: KeepingSource;
  /** Compares the length of the source with the declared one. @throws LqaError TRUNCATED_FILE, TRAILING_BYTES */
  checkLength(): void;
}

/**
 * Reads and checks prologue and index.
 *
 * @returns the header, and a source that keeps the bytes read so far. The caller checks its length after what the parents show
 * @throws LqaError as `headerSteps`; and as the source
 */
export async function openHeader(
  source: ByteSource,
  {
    signal,
    limits = "core",
  }: { readonly limits?: LimitSet | undefined; readonly signal?: AbortSignal | undefined },
): Promise<OpenedHeader> {
  let bytes = await source.read(0, FIRST_BYTES, signal);
  let ended = bytes.length < FIRST_BYTES;
  let at = 0;
  const take = async ({ bytes: wanted }: { readonly bytes: number }): Promise<Uint8Array> => {
    const end = at + wanted;
    if (end > bytes.length && !ended) {
      const missing = end - bytes.length + PADDING_BYTES;
      const more = await source.read(bytes.length, missing, signal);
      ended = more.length < missing;
      bytes = concat([bytes, more]);
    }
    const piece = bytes.subarray(at, end);
    at += piece.length;
    return piece;
  };
  const header = await runSteps(headerSteps(limits), take, signal);
  const { fileLength } = header.prologue;
  // If the source does not know its size, a later read detects that it is too short.
  const size = source.size ?? (ended ? bytes.length : fileLength);
  const kept = keepingSource(source);
  kept.keep("head", 0, bytes);
  const checkLength = (): void => {
    if (size < fileLength) truncated(size, fileLength);
    if (size > fileLength)
      fail(KIND.TRAILING_BYTES, { offset: fileLength, expected: `${fileLength} bytes`, actual: size });
  };
  return { header, source: kept, checkLength };
}
