/**
 * Inputs of a command that reads many files once, from the first byte to the last: paths, patterns, standard input (`-`), URLs,
 * and files on the hub.
 *
 * @module
 */

import type { HttpOptions } from "../core/io/http.ts";
import { type ByteReader, piecesReader } from "../core/validate/window.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../errors.ts";
import { isPipe } from "../node/files/file.ts";
import { expandPattern, isPattern } from "../node/files/glob.ts";
import { openLqa } from "../node/open-lqa.ts";
import { isRemote } from "../node/remote/location.ts";
import { printable } from "./format.ts";
import { STANDARD_INPUT } from "./open-input.ts";

/** An input that can be opened. */
export interface Input {
  readonly name: string;
  open(): Promise<OpenInput>;
}

export interface OpenInput {
  readonly reader: ByteReader;
  /** Some bytes of the input, after it was read; undefined if they are no longer available. */
  again(begin: number, end: number): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/** Resolves arguments to inputs; a pattern without a match becomes an input that fails. */
export async function inputsOf(words: readonly string[], remote: HttpOptions): Promise<Input[]> {
  const inputs: Input[] = [];
  for (const word of words) {
    if (word === STANDARD_INPUT) inputs.push({ name: word, open: openStandardInput });
    else if (isRemote(word)) inputs.push({ name: word, open: () => openLqa(word, { remote }) });
    else
      try {
        // Open a pipe only if the user names it, not if a pattern matches it: it might never get any data.
        const regular = await isPattern(word);
        for (const path of await expandPattern(word))
          inputs.push({ name: path, open: () => openPath(path, regular) });
      } catch (error) {
        if (!isLqaError(error)) throw error;
        inputs.push({ name: word, open: () => Promise.reject<OpenInput>(error as LqaError) });
      }
  }
  if (inputs.filter(({ name }) => name === STANDARD_INPUT).length > 1)
    fail(KIND.USAGE, { actual: "- is given twice", expected: "standard input once" });
  return inputs;
}

async function openPath(path: string, regular: boolean): Promise<OpenInput> {
  // Opening a pipe blocks until another process opens its other end.
  if (!regular && process.stderr.isTTY && (await isPipe(path)))
    process.stderr.write(`lqa: ${printable(path)} is a pipe: waiting for data\n`);
  return await openLqa(path, { regular });
}

async function openStandardInput(): Promise<OpenInput> {
  return {
    reader: piecesReader(process.stdin),
    again: async () => undefined,
    close: async () => {},
  };
}
