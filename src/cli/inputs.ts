/**
 * Inputs of a command that reads many files once, from the first byte to the last: paths, directories, patterns, standard input
 * (`-`), URLs, files on the hub, and those below a location in object storage.
 *
 * @module
 */
import { join } from "node:path";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../errors.ts";
import type { HttpOptions } from "../io/http.ts";
import type { Input as Bytes } from "../io/input.ts";
import { isDirectory, isPipe } from "../node/files/file.ts";
import { expandPattern, isPattern } from "../node/files/glob.ts";
import { isStored } from "../node/objects/location.ts";
import { openLqa } from "../node/open-lqa.ts";
import { isRemote } from "../node/remote/location.ts";
import { printable } from "./format.ts";
import { STANDARD_INPUT } from "./open-input.ts";

/** An input that can be opened. */
export interface NamedInput {
  readonly name: string;
  open(): Promise<OpenedInput>;
}

export interface OpenedInput {
  readonly input: Bytes;
  /** Some bytes of the input, after it was read; undefined if they are no longer available. */
  again(begin: number, end: number): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

/** Resolves arguments to inputs; a pattern without a match becomes an input that fails. */
export async function inputsOf(words: readonly string[], remote: HttpOptions): Promise<NamedInput[]> {
  const inputs: NamedInput[] = [];
  for (const word of words) {
    if (word === STANDARD_INPUT) inputs.push({ name: word, open: openStandardInput });
    else if (isRemote(word)) inputs.push({ name: word, open: () => openLqa(word, { remote }) });
    else if (isStored(word)) inputs.push(...(await storedInputs(word)));
    else
      try {
        // Open a pipe only if the user names it, not if a pattern matches it: it might never get any data.
        const regular = await isPattern(word);
        const inside = await lqaFilesBelow(word);
        for (const path of inside.length > 0 ? inside : await expandPattern(word))
          inputs.push({ name: path, open: () => openPath(path, regular || inside.length > 0) });
      } catch (error) {
        if (!isLqaError(error)) throw error;
        inputs.push({ name: word, open: () => Promise.reject<OpenedInput>(error as LqaError) });
      }
  }
  if (inputs.filter(({ name }) => name === STANDARD_INPUT).length > 1)
    fail(KIND.USAGE, { actual: "- is given twice", expected: "standard input once" });
  return inputs;
}

/** The `.lqa` files below a directory; none for anything else. */
async function lqaFilesBelow(path: string): Promise<string[]> {
  if (!(await isDirectory(path).catch(() => false))) return [];
  return await expandPattern(join(path, "**", "*.lqa")).catch(() => []);
}

async function storedInputs(location: string): Promise<NamedInput[]> {
  const { listLqaObjects } = await import("../node/objects/lqa-objects.ts");
  return (await listLqaObjects(location)).map((object) => ({
    name: object.location,
    open: async () => ({ ...object.open(), close: async () => {} }),
  }));
}

async function openPath(path: string, regular: boolean): Promise<OpenedInput> {
  // Opening a pipe blocks until another process opens its other end.
  if (!regular && process.stderr.isTTY && (await isPipe(path)))
    process.stderr.write(`lqa: ${printable(path)} is a pipe: waiting for data\n`);
  return await openLqa(path, { regular });
}

async function openStandardInput(): Promise<OpenedInput> {
  return {
    input: process.stdin,
    again: async () => undefined,
    close: async () => {},
  };
}
