import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ByteSource, blobSource, isLqaError, memorySource } from "../../src/core/index.ts";
import { openFileSource, readWholeFile } from "../../src/node/index.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
const folder = temporaryDirectory();
const path = join(folder, "ünï code.bin");
writeFileSync(path, bytes);

const sources: readonly [string, () => Promise<ByteSource & { close?(): Promise<void> }>][] = [
  ["memory", async () => memorySource(bytes)],
  ["blob", async () => blobSource(new Blob([bytes]))],
  ["file", () => openFileSource(path)],
];

describe.each(sources)("a byte source over %s", (_, open) => {
  it("knows its size and reads any range", async () => {
    const source = await open();
    expect(source.size).toBe(1000);
    for (const [offset, length] of [
      [0, 1000],
      [0, 0],
      [10, 1],
      [999, 1],
      [500, 250],
    ] as const) {
      expect(await source.read(offset, length)).toEqual(bytes.slice(offset, offset + length));
    }
    await source.close?.();
  });

  it("reads less at the end and nothing behind it", async () => {
    const source = await open();
    expect(await source.read(990, 100)).toEqual(bytes.slice(990));
    expect(await source.read(1000, 10)).toHaveLength(0);
    expect(await source.read(2 ** 40, 10)).toHaveLength(0);
    await source.close?.();
  });

  it("refuses an aborted read and a position that is none", async () => {
    const source = await open();
    const signal = AbortSignal.abort();
    await expect(source.read(0, 10, signal)).rejects.toSatisfy((error) => isLqaError(error, "ABORTED"));
    for (const [offset, length] of [
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [Number.NaN, 1],
      [2 ** 53 - 1, 1],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toBeInstanceOf(RangeError);
    }
    await source.close?.();
  });
});

describe("reading files", () => {
  it("tells a missing file from a directory", async () => {
    await expect(readWholeFile(join(folder, "none"))).rejects.toMatchObject({
      kind: "NOT_FOUND",
      exitCode: 2,
    });
    await expect(openFileSource(join(folder, "none"))).rejects.toMatchObject({ kind: "NOT_FOUND" });
    await expect(readWholeFile(folder)).rejects.toMatchObject({ kind: "IO", where: JSON.stringify(folder) });
    await expect(openFileSource(folder)).rejects.toMatchObject({ kind: "IO" });
  });

  it("reads whole files, empty ones and devices", async () => {
    expect(await readWholeFile(path)).toEqual(bytes);
    const empty = join(folder, "empty");
    writeFileSync(empty, "");
    expect(await readWholeFile(empty)).toHaveLength(0);
    if (process.platform === "linux") expect(await readWholeFile("/dev/null")).toHaveLength(0);
  });

  it("stops when aborted", async () => {
    await expect(readWholeFile(path, AbortSignal.abort())).rejects.toMatchObject({ kind: "ABORTED" });
  });
});
