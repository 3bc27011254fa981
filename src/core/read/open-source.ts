/**
 * Opens files that are not in memory: a Blob, a URL, ranges, or a stream. `file.ts` imports this file with the first of them.
 *
 * @module
 */
import { type Input, openInput } from "../../io/input.ts";
import { piecesSource } from "../../io/pieces.ts";
import { memorySource } from "../../io/source.ts";
import { CHUNK_BUDGET } from "./budget.ts";
import type { OpenOptions } from "./lqa-file.ts";
import { type OpenedHeader, openHeader } from "./open-header.ts";

/**
 * Opens the header of an input.
 *
 * @throws LqaError as {@link openHeader}; USAGE for a URL that is not http or https, or that holds a password
 * @throws TypeError for a value that is no input
 */
export async function openInputHeader(input: Input, options: OpenOptions): Promise<OpenedHeader> {
  const opened = openInput(input);
  switch (opened.kind) {
    case "bytes":
      return await openHeader(memorySource(opened.bytes), options);
    case "source":
      return await openHeader(opened.source, options);
    case "pieces": {
      const { budgetBytes = CHUNK_BUDGET, signal } = options;
      return await openHeader(piecesSource(opened.pieces, budgetBytes, signal), options);
    }
    case "url":
      return await (await import("./open-url.ts")).openUrl(opened.url, options);
  }
}
