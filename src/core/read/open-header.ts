/**
 * Opens the header of a file that is not in memory: reads the first bytes of its source, and more of them if the index is long.
 *
 * @module
 */

import { concat } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ByteSource } from "../../io/source.ts";
import type { LimitSet } from "../../limits.ts";
import { Feed } from "./feed.ts";
import { type Header, headerSteps } from "./header.ts";
import { asRequested } from "./pieces-from.ts";
import { type KeepingSource, keepingSource } from "./ranges.ts";
import { runSteps, truncated } from "./steps.ts";

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
  const pieces: Uint8Array[] = [];
  const requested = asRequested(source, signal);
  const feed = new Feed({
    async more(missing) {
      const piece = await requested.more(missing);
      if (piece !== undefined) pieces.push(piece);
      return piece;
    },
  });
  const header = await runSteps(headerSteps(limits), feed, signal);
  const { fileLength } = header.prologue;
  // The first piece is the head of most files, and may be kept without a copy.
  const bytes = pieces.length === 1 ? pieces[0]! : concat(pieces);
  // If the source does not know its size, a later read detects that it is too short.
  const size = source.size ?? (requested.ended ? bytes.length : fileLength);
  const kept = keepingSource(source);
  kept.keep("head", 0, bytes);
  const checkLength = (): void => {
    if (size < fileLength) truncated(size, fileLength);
    if (size > fileLength)
      fail(KIND.TRAILING_BYTES, { offset: fileLength, expected: `${fileLength} bytes`, actual: size });
  };
  return { header, source: kept, checkLength };
}
