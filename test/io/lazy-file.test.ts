import { execFileSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openAdapterFiles } from "../../src/node/files/adapter-files.ts";
import { openLazyFile } from "../../src/node/files/lazy-file.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

function file(length: number): string {
  const path = join(temporaryDirectory(), "x.bin");
  writeFileSync(
    path,
    Uint8Array.from({ length }, (_, i) => i % 251),
  );
  return path;
}

describe("a lazy file", () => {
  it("reads the requested bytes up to the end of the file, into arrays of their own", () => {
    const lazy = openLazyFile(file(1000))!;
    expect(lazy.length).toBe(1000);
    expect([...lazy.subarray(250, 254)]).toEqual([250, 0, 1, 2]);
    expect(lazy.subarray(990, 2000)).toHaveLength(10);
    expect(lazy.subarray(2000, 3000)).toHaveLength(0);
    const once = lazy.subarray(0, 4);
    once.fill(9);
    expect([...lazy.subarray(0, 4)]).toEqual([0, 1, 2, 3]);
    lazy.close();
  });

  it("says so when the file has become shorter, or was never there", () => {
    const path = file(1000);
    const lazy = openLazyFile(path)!;
    truncateSync(path, 500);
    expect(() => lazy.subarray(400, 600)).toThrow(/IO.*1000 bytes.*500: it has become shorter/);
    lazy.close();
    expect(() => openLazyFile(join(temporaryDirectory(), "nothing"))).toThrow(/NOT_FOUND/);
  });

  it("leaves pipes to be read whole", async () => {
    const folder = temporaryDirectory();
    const pipe = join(folder, "x.safetensors");
    execFileSync("mkfifo", [pipe]);
    const writer = new Promise((resolve) =>
      import("node:fs/promises").then(({ writeFile }) => resolve(writeFile(pipe, "abc"))),
    );
    const { files, close } = await openAdapterFiles(pipe);
    expect(files.get("x.safetensors")).toBeInstanceOf(Uint8Array);
    await writer;
    close();
  });
});
