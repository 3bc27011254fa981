/**
 * Imports the decoder of starts with the first file that has a start, because most files have none.
 *
 * @module
 */
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import type { decodeStarted } from "./decode-started.ts";

let loaded: typeof decodeStarted | undefined;

/** Imports the decoder for this thread. */
export async function loadStartDecoder(): Promise<void> {
  useStartDecoder((await import("./decode-started.ts")).decodeStarted);
}

/** Sets the decoder in a thread that has imported it already. */
export function useStartDecoder(decoder: typeof decodeStarted): void {
  loaded = decoder;
}

/** The decoder. @throws LqaError USAGE on a thread that has opened no file with a start */
export function startDecoder(where: string): typeof decodeStarted {
  return (
    loaded ??
    fail(KIND.USAGE, {
      where,
      actual: "factors with a start, on a thread that has opened no file with one",
      advice: "Decode where the file was opened, or open it on this thread as well.",
    })
  );
}
