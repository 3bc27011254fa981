/** One verb for a file wherever it is: every kind of input gives the same findings. */
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { type Input, memorySource, validate } from "../../src/core/index.ts";
import { fileBytes, smallInput } from "../container/fixtures.ts";
import { good, serve } from "../helpers/server.ts";

const sound = await fileBytes(smallInput());
const damaged = sound.slice();
damaged[damaged.length - 1]! ^= 1;

/** Every kind of input, of the same bytes. */
const INPUTS: Readonly<Record<string, (bytes: Uint8Array) => Input | Promise<Input>>> = {
  "a Uint8Array": (bytes) => bytes,
  "a Buffer": (bytes) => Buffer.from(bytes),
  "an ArrayBuffer": (bytes) => bytes.slice().buffer,
  "a Blob": (bytes) => new Blob([new Uint8Array(bytes)]),
  "a URL": async (bytes) => new URL((await serve(good(bytes))).url),
  "a source of ranges": (bytes) => memorySource(bytes),
  "an AsyncBuffer": (bytes) => ({
    byteLength: bytes.length,
    slice: async (start: number, end?: number) => bytes.slice(start, end).buffer,
  }),
  "a web stream": (bytes) => new Blob([new Uint8Array(bytes)]).stream(),
  "a Node stream": (bytes) => Readable.from([bytes.subarray(0, 100), bytes.subarray(100)]),
  pieces: (bytes) => [bytes.subarray(0, 3), bytes.subarray(3)],
};

describe.each(Object.entries(INPUTS))("%s", (_, make) => {
  it.each(["structure", "integrity", "values", "canonical"] as const)("at level %s", async (level) => {
    for (const bytes of [sound, damaged, sound.subarray(0, 200)]) {
      const { error, ids, modules } = await validate(bytes, { level });
      const found = await validate(await make(bytes), { level });
      expect({ ...found, error: found.error?.message }).toMatchObject({ ids, modules });
      expect(found.error?.message).toBe(error?.message);
    }
  });
});

it.each([undefined, null, 5, "a.lqa", {}, { read: 1 }])("%j is no input", async (input) => {
  await expect(validate(input as never)).rejects.toThrow(TypeError);
});
