/** The budgets that hold where nobody gives one, and the count of what is inflated. */

import { expect, it } from "vitest";
import { type ChunkRecord, isLqaError, open } from "../../src/core/index.ts";
import {
  ADAPTER_BUDGET,
  assertRoom,
  CHUNK_BUDGET,
  decodedBudgets,
  inflateCount,
} from "../../src/core/read/budget.ts";
import { fileBytes, tensor } from "../container/fixtures.ts";

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

it("all chunks together inflate to 1 GiB, 16 times the file, or what the caller allows", () => {
  for (const [fileLength, budget, most] of [
    [40_000, undefined, 1024 * MIB],
    [40_000, 1000, 1024 * MIB],
    [40_000, 1025 * MIB, 1025 * MIB],
    [80 * MIB, undefined, 1280 * MIB],
    [80 * MIB, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  ] as const) {
    const count = inflateCount(fileLength, budget);
    const bomb = chunk(16 * MIB, 600, "zstd");
    // What is stored as it is does not count.
    count(chunk(1024 * MIB, 1024 * MIB + 4, "none"), "m");
    for (let total = 16 * MIB; total <= Math.min(most, 2048 * MIB); total += 16 * MIB) count(bomb, "t");
    expect(refusal(() => count(bomb, "t"))?.valueOf()).toEqual(
      most === Number.POSITIVE_INFINITY
        ? undefined
        : { kind: "BUDGET", offset: 4096, actual: (Math.floor(most / (16 * MIB)) + 1) * 16 * MIB },
    );
  }
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

it("commands decode 128 MiB, or 256 times what is stored and 64 times for a module, up to 4 GiB", () => {
  expect(decodedBudgets(364)).toEqual({ adapter: 128 * MIB, module: 128 * MIB });
  expect(decodedBudgets(MIB)).toEqual({ adapter: 256 * MIB, module: 128 * MIB });
  expect(decodedBudgets(4 * MIB)).toEqual({ adapter: 1024 * MIB, module: 256 * MIB });
  expect(decodedBudgets(1024 * MIB)).toEqual({ adapter: ADAPTER_BUDGET, module: ADAPTER_BUDGET });
});
