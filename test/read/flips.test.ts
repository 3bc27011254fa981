/** One byte of a file changed, each in turn: what notices it when weights are decoded, and what when the file is verified. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isLqaError, open, validate } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { trained } from "../start/trained.ts";

const { modules } = trained(0.05);
const named = { modules: modules.slice(0, 2), tensors: [], origin: undefined, meta: { base: "a model" } };
const files: [string, Uint8Array][] = [
  ["the example", new Uint8Array(readFileSync(new URL("../../spec/example.lqa", import.meta.url)))],
  ["an encoded adapter", (await encodeAdapter(named, { profile: "sign", alignment: 64 })).bytes],
];

async function decodes(bytes: Uint8Array): Promise<boolean> {
  return await succeeds(async () => {
    for await (const _ of (await open(bytes)).decodeAll());
  });
}

/** Whether it ends without an error; any error but an LqaError is thrown. */
async function succeeds(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return false;
  }
}

describe.each(files)("each byte of %s, changed", (_name, sound) => {
  it("is found by open or decodeAll before the end of the last module, and anywhere by verify and validate", async () => {
    const { prologue, index, sections, tensors } = await open(sound);
    const { offset, length } = index.modules.at(-1)!.chunk;
    const weightsEnd = offset + length;
    expect(sections.length + tensors.length).toBeGreaterThan(0);
    const padding = new Set<number>();
    for (const { chunk } of index.modules) {
      const next = chunk.offset + chunk.length;
      for (let at = next; at % prologue.alignment !== 0; at++) padding.add(at);
    }
    const missed: string[] = [];
    let unseen = 0;
    // A long file has each seventh byte changed, which is every place of a word.
    const step = sound.length > 2000 ? 7 : 1;
    for (let at = 0; at < sound.length; at += step) {
      const bytes = sound.with(at, sound[at]! ^ (1 << (at % 8))) as Uint8Array<ArrayBuffer>;
      const holdsWeights = at < weightsEnd && !padding.has(at);
      if (await decodes(bytes)) {
        if (holdsWeights) missed.push(`decodeAll at ${at}`);
        unseen++;
      }
      if (await succeeds(async () => (await open(bytes)).verify())) missed.push(`verify at ${at}`);
      if ((await validate(bytes)).valid) missed.push(`validate at ${at}`);
    }
    expect(missed).toEqual([]);
    // Behind the weights decodeAll looks at nothing.
    expect(unseen).toBeGreaterThan(0);
  });
});
