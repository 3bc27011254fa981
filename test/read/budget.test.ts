/** The budgets that hold where nobody gives one, and what compressed chunks may expand to. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { expansionBound, type Stored } from "../../src/core/container/compression.ts";
import { type ChunkRecord, isLqaError, open } from "../../src/core/index.ts";
import {
  ADAPTER_BUDGET,
  assertAdapter,
  assertComparable,
  decodedBudgets,
} from "../../src/core/read/adapter-budget.ts";
import { assertRoom, CHUNK_BUDGET } from "../../src/core/read/budget.ts";
import { EXPANSION } from "../../src/limits.ts";
import { fileBytes, smallInput, tensor } from "../container/fixtures.ts";

const MIB = 2 ** 20;
const chunk = (payload: number, stored: number, compression: ChunkRecord["compression"]): ChunkRecord => ({
  payload,
  compression,
  chunk: { offset: 4096, length: stored },
});

function refusal(run: () => void): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return { kind: error.kind, offset: error.offset, actual: error.actual };
  }
}

/** A tensor that expands by `expansion` bytes. Its memory is touched by nobody. */
const expanding = (expansion: number): [Uint8Array, Stored] => {
  const bytes = new Uint8Array(60);
  return [new Uint8Array(16 * (bytes.length + 4) + expansion), { compression: "zstd", bytes }];
};

it("the writer compresses tensors up to what Core readers accept, with room for ORIG", () => {
  const most = 256 * MIB - MIB;
  const bounded = expansionBound();
  for (const [expansion, compression] of [
    [most - 10, "zstd"],
    [11, "none"],
    [10, "zstd"],
    [1, "none"],
    [-1, "zstd"],
  ] as const) {
    const [raw, stored] = expanding(expansion);
    const kept = bounded(raw, stored);
    expect(kept.compression).toBe(compression);
    expect(kept.bytes).toBe(compression === "none" ? raw : stored.bytes);
  }
});

it("a file expands by 256 MiB in Core, and by 16 GiB at most", async () => {
  const suite = (name: string): Uint8Array =>
    readFileSync(new URL(`../../conformance/suite/limits/${name}.lqa`, import.meta.url));
  const over = suite("above-core/expansion-of-tensors-added-up-2-to-the-28-and-1");
  await expect(open(over)).rejects.toThrow(/LQA-L002 CORE_LIMIT.*In tensor "u"/);
  await open(over, { limits: "hard" });
  await open(suite("core/expansion-of-tensors-added-up-2-to-the-28"));
  expect(EXPANSION).toMatchObject({ device: 2 ** 24, core: 2 ** 28, hard: 2 ** 34 });
});

it("a chunk takes its stored bytes, and its raw ones if it is compressed", () => {
  expect(refusal(() => assertRoom(chunk(900, 904, "none"), 900, "m"))).toBeUndefined();
  expect(refusal(() => assertRoom(chunk(900, 104, "zstd"), 999, "m"))).toEqual({
    kind: "BUDGET",
    offset: 4096,
    actual: 1000,
  });
});

it("the largest chunk of the Core limits fits without a word from the caller", () => {
  expect(refusal(() => assertRoom(chunk(2 ** 30 - 4, 2 ** 30, "none"), CHUNK_BUDGET, "m"))).toBeUndefined();
  expect(ADAPTER_BUDGET).toBeGreaterThan(CHUNK_BUDGET);
});

it("an open file inflates nothing above its budget", async () => {
  const data = new Uint8Array(MIB);
  const bytes = await fileBytes({
    modules: [],
    tensors: [tensor("t", { shape: [data.length / 4], data })],
    sections: [],
    compressTensors: true,
  });
  const file = await open(bytes, { budgetBytes: MIB });
  const [record] = file.tensors;
  expect(record!.compression).not.toBe("none");
  await expect(file.tensor(record!)).rejects.toThrow(/LQA-L003 BUDGET/);
  await expect(file.verify()).rejects.toThrow(/LQA-L003 BUDGET/);
  const rich = await open(bytes, { budgetBytes: 2 * MIB });
  // Element by element a megabyte takes seconds on a busy machine.
  expect(Buffer.compare((await rich.tensor(record!)).data, data)).toBe(0);
  await rich.verify();
});

it("an adapter has 262,144 bands of experts, or one for every four bytes of its chunks", async () => {
  const bands = (experts: number, stored: number): unknown => {
    const [record] = modules;
    const one = { ...record!, experts, chunk: { offset: 4096, length: stored } };
    return refusal(() => assertAdapter([one, one]));
  };
  const { modules } = await open(await fileBytes({ ...smallInput(), sections: [] }));
  const each = modules[0]!.bands.length;
  expect(bands(2 ** 17 / each, 4)).toBeUndefined();
  expect(bands(2 ** 17 / each + 1, 4)).toMatchObject({ kind: "BUDGET" });
  expect(bands(2 ** 18 / each, 2 ** 20)).toBeUndefined();
  expect(bands(2 ** 18 / each + 1, 2 ** 20)).toMatchObject({ kind: "BUDGET" });
});

it("comparing an adapter takes 2^31 multiplications, or 4,096 for each byte", async () => {
  const { modules } = await open(await fileBytes({ ...smallInput(), sections: [] }));
  // Two of rank 512 have 2^31 multiplications: 2^30 each.
  const one = { ...modules[0]!, experts: 1, rank: 512, out: 2 ** 11, in: 2 ** 11, kernel: [] };
  expect(refusal(() => assertComparable([one, one], 1))).toBeUndefined();
  expect(refusal(() => assertComparable([one, one, one], 1))).toMatchObject({
    kind: "BUDGET",
    actual: 3 * 2 ** 30,
  });
  expect(refusal(() => assertComparable([one, one, one], (3 * 2 ** 30) / 4096))).toBeUndefined();
});

it("commands decode 128 MiB, or 256 times what is stored and 64 times for a module, up to 4 GiB", () => {
  expect(decodedBudgets(364)).toEqual({ adapter: 128 * MIB, module: 128 * MIB });
  expect(decodedBudgets(MIB)).toEqual({ adapter: 256 * MIB, module: 128 * MIB });
  expect(decodedBudgets(4 * MIB)).toEqual({ adapter: 1024 * MIB, module: 256 * MIB });
  expect(decodedBudgets(1024 * MIB)).toEqual({ adapter: ADAPTER_BUDGET, module: ADAPTER_BUDGET });
});
