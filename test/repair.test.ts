/**
 * Repair: what is written is the original, byte for byte, or nothing is written. A file has one form for its index and
 * payloads, so the original is the only right answer for every damage to it.
 */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type ContainerIndex,
  isLqaError,
  open,
  type Repaired,
  repairLqa,
  validate,
} from "../src/core/index.ts";
import { fileBytes, smallInput } from "./container/fixtures.ts";
import { crc32 } from "./helpers/parts.ts";

let original: Uint8Array;
let index: ContainerIndex;
let payloads: (readonly [begin: number, end: number])[];
let chunks: number;
beforeAll(async () => {
  original = await fileBytes(smallInput());
  expect(await validate(original, { level: "canonical" })).toMatchObject({ valid: true });
  const header = await open(original);
  index = header.index;
  payloads = [...index.modules, ...index.tensors, ...index.sections].map(({ chunk }) => [
    chunk.offset,
    chunk.offset + chunk.length - 4,
  ]);
  chunks = payloads[0]![0];
});

/** The repaired file, or undefined where repair refuses; then with the first error of the file. */
async function repaired(bytes: Uint8Array): Promise<Repaired | undefined> {
  const before = bytes.slice();
  try {
    return await repairLqa(bytes);
  } catch (error) {
    if (!isLqaError(error)) throw error;
    const { error: first } = await validate(bytes);
    expect({ kind: error.kind, offset: error.offset }).toEqual({ kind: first!.kind, offset: first!.offset });
    expect(error.advice).toContain("without guessing");
    return undefined;
  } finally {
    expect(Buffer.compare(before, bytes), "the input is left alone").toBe(0);
  }
}

/** Names the part of the file a byte is in. */
function partOf(at: number): string {
  if (at < 64) return "prologue";
  if (at < chunks) return at < 64 + indexLength() ? "index" : "padding";
  if (payloads.some(([begin, end]) => at >= begin && at < end)) return "payload";
  if (at >= index.trailer.offset) return "trailer";
  return at >= index.digests.offset ? "digests" : "chunk end";
}

const indexLength = (): number => new DataView(original.buffer, original.byteOffset).getUint32(32, true);
const same = (bytes: Uint8Array): boolean => Buffer.compare(bytes, original) === 0;

describe("repair", () => {
  it("copies a valid file", async () => {
    expect(await repaired(original)).toMatchObject({ repairs: [], lost: [], proof: "none needed" });
  });

  it("puts every single damaged byte right that carries no data, and refuses the others", {
    timeout: 120_000,
  }, async () => {
    const outcomes = new Map<string, Set<string>>();
    for (let at = 0; at < original.length; at++) {
      const part = partOf(at);
      // Payloads and index are long; a part of them is enough.
      if ((part === "payload" || part === "index") && at % 7 !== 0) continue;
      const bytes = original.slice();
      bytes[at]! ^= 1 << (at % 8);
      const result = await repaired(bytes);
      if (result !== undefined) {
        expect(same(result.bytes), `byte ${at}`).toBe(true);
        expect(result.repairs, `byte ${at}`).toMatchObject([{ offset: at, bytes: 1 }]);
      }
      const seen = outcomes.get(part) ?? new Set();
      outcomes.set(part, seen.add(result === undefined ? "refused" : result.proof));
    }
    expect(Object.fromEntries([...outcomes].map(([part, seen]) => [part, [...seen].sort()]))).toEqual({
      prologue: ["root digest"],
      index: ["refused"],
      payload: ["refused"],
      "chunk end": ["root digest"],
      digests: ["root digest"],
      trailer: ["chunk checksums", "root digest"],
    });
  });

  it("gives a truncated file its end back, if all payloads and their checksums are there", async () => {
    const lastChunk = Math.max(...payloads.map(([, end]) => end + 4));
    for (let length = 0; length < original.length; length++) {
      if (length < lastChunk - 40 && length % 50 !== 0) continue;
      const result = await repaired(original.subarray(0, length));
      expect(result !== undefined, `cut at ${length}`).toBe(length >= lastChunk);
      if (result === undefined) continue;
      expect(same(result.bytes)).toBe(true);
      expect(result.proof).toBe("chunk checksums");
      expect(result.lost[0]).toMatch(/root digest/);
    }
  });

  it("cuts what stands behind the end", async () => {
    const longer = new Uint8Array(original.length + 100).fill(7);
    longer.set(original);
    const result = await repaired(longer);
    expect(same(result!.bytes)).toBe(true);
    expect(result).toMatchObject({
      proof: "root digest",
      repairs: [{ what: "bytes behind the end, cut", offset: original.length, bytes: 100 }],
      lost: [expect.stringMatching(/^100 bytes behind the end/)],
    });
  });

  it.each([
    ["file length", 24],
    ["index length", 32],
    ["number of modules", 36],
    ["number of plain tensors", 40],
    ["number of sections", 44],
  ])("corrects a wrong %s whose checksum is right", async (_, at) => {
    const bytes = original.slice();
    const view = new DataView(bytes.buffer);
    view.setUint32(at, view.getUint32(at, true) + 1, true);
    view.setUint32(60, crc32(bytes.subarray(0, 60)), true);
    const result = await repaired(bytes);
    expect(result !== undefined && same(result.bytes)).toBe(true);
    // Without its root digest nothing shows who is wrong, but about lengths, which a cut changes.
    const cut = await repaired(bytes.subarray(0, -30));
    expect(cut?.proof).toBe(at === 24 ? "chunk checksums" : undefined);
  });

  it("never writes anything but the original, however the file was damaged", {
    timeout: 120_000,
  }, async () => {
    let done = 0;
    const damage = fc.array(
      fc.record({ at: fc.nat(), length: fc.integer({ min: 1, max: 40 }), value: fc.nat(255) }),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(damage, fc.option(fc.nat(), { freq: 3 }), async (places, cut) => {
        let bytes = original.slice();
        for (const { at, length, value } of places) {
          // Half of the damage lies in the last quarter, where there is something to repair.
          const from = at % 2 === 0 ? at % bytes.length : index.digests.offset + (at % 200);
          bytes.fill(value, from, Math.min(from + length, bytes.length));
        }
        if (cut !== null) bytes = bytes.slice(0, bytes.length - (cut % 300));
        const result = await repaired(bytes);
        if (result === undefined) return;
        done++;
        expect(same(result.bytes)).toBe(true);
      }),
      { numRuns: 400, seed: 11 },
    );
    expect(done).toBeGreaterThan(20);
  });

  it("repairs files of every kind by the same rule", async () => {
    for (const name of ["../spec/example.lqa", "../fuzz/corpus/lqa/saved-rd", "../fuzz/corpus/lqa/dora-rd"]) {
      const file = readFileSync(new URL(name, import.meta.url));
      const whole = Uint8Array.from(name.endsWith(".lqa") ? file : file.subarray(0, -1));
      const result = await repairLqa(whole.subarray(0, whole.length - 30));
      expect(Buffer.compare(result.bytes, whole), name).toBe(0);
      expect(await validate(result.bytes, { level: "canonical" })).toMatchObject({ valid: true });
    }
  });

  it("refuses what is no such file, and what promises more than it has", async () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(64), new Uint8Array(5000).fill(0x20)])
      expect(await repaired(bytes)).toBeUndefined();
    const header = original.slice(0, chunks);
    expect(await repaired(header)).toBeUndefined();
  });
});
