import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeDirectoryAtomic, writeFileAtomic } from "../../src/node/index.ts";
import { listing, temporaryDirectory, tinyDisk } from "../helpers/temporary.ts";

const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 253);
const files = new Map([
  ["adapter_config.json", new TextEncoder().encode("{}")],
  ["adapter_model.safetensors", bytes],
]);
const disk = tinyDisk(64);
if ("skipped" in disk) console.log(`full disk: skipped, ${disk.skipped}`);

describe("writeFileAtomic", () => {
  it("writes a file and leaves nothing else", async () => {
    const folder = temporaryDirectory();
    const path = join(folder, "a file.lqa");
    await writeFileAtomic(path, bytes);
    expect(new Uint8Array(readFileSync(path))).toEqual(bytes);
    expect(listing(folder)).toEqual(["a file.lqa"]);
  });

  it("replaces a file only with force", async () => {
    const folder = temporaryDirectory();
    const path = join(folder, "x");
    writeFileSync(path, "old");
    await expect(writeFileAtomic(path, bytes)).rejects.toMatchObject({ kind: "OUTPUT_EXISTS", exitCode: 2 });
    expect(readFileSync(path, "utf8")).toBe("old");
    await writeFileAtomic(path, bytes, { force: true });
    expect(readFileSync(path)).toHaveLength(bytes.length);
    expect(listing(folder)).toEqual(["x"]);
  });

  it("lets exactly one of several writers have the name", async () => {
    const folder = temporaryDirectory();
    const path = join(folder, "x");
    const results = await Promise.allSettled(
      [1, 2, 3, 4].map((n) => writeFileAtomic(path, bytes.subarray(0, n))),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ kind: "OUTPUT_EXISTS" });
    }
    expect(listing(folder)).toEqual(["x"]);
  });

  it("follows a link, and refuses one to nothing", async () => {
    const folder = temporaryDirectory();
    writeFileSync(join(folder, "real"), "old");
    symlinkSync("real", join(folder, "link"));
    symlinkSync("nothing", join(folder, "dangling"));
    await writeFileAtomic(join(folder, "link"), bytes, { force: true });
    expect(readFileSync(join(folder, "real"))).toHaveLength(bytes.length);
    await expect(writeFileAtomic(join(folder, "dangling"), bytes)).rejects.toMatchObject({
      kind: "OUTPUT_EXISTS",
    });
    expect(listing(folder)).toEqual(["dangling", "link", "real"]);
  });

  it("names the missing directory and the directory in the way", async () => {
    const folder = temporaryDirectory();
    const missing = join(folder, "none", "x");
    await expect(writeFileAtomic(missing, bytes)).rejects.toMatchObject({
      kind: "IO",
      where: JSON.stringify(missing),
    });
    mkdirSync(join(folder, "dir"));
    await expect(writeFileAtomic(join(folder, "dir"), bytes, { force: true })).rejects.toMatchObject({
      kind: "IO",
    });
    expect(listing(folder)).toEqual(["dir"]);
  });

  it.skipIf("skipped" in disk)("says that the disk is full and leaves nothing", async () => {
    if ("skipped" in disk) return;
    const path = join(disk.path, "x");
    await expect(writeFileAtomic(path, bytes)).rejects.toMatchObject({
      kind: "IO",
      actual: "the disk is full (ENOSPC)",
    });
    expect(listing(disk.path)).toEqual([]);
    writeFileSync(path, "old");
    await expect(writeFileAtomic(path, bytes, { force: true })).rejects.toMatchObject({ kind: "IO" });
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(listing(disk.path)).toEqual(["x"]);
  });

  it.skipIf(process.platform !== "linux")("writes to a device as it is", async () => {
    await writeFileAtomic("/dev/null", bytes);
    await expect(writeFileAtomic("/dev/full", bytes)).rejects.toMatchObject({
      kind: "IO",
      actual: "the disk is full (ENOSPC)",
    });
  });
});

describe("writeDirectoryAtomic", () => {
  it("writes a directory, also onto an empty one", async () => {
    const folder = temporaryDirectory();
    mkdirSync(join(folder, "empty"));
    for (const name of ["new", "empty"]) {
      await writeDirectoryAtomic(join(folder, name), files);
      expect(listing(join(folder, name))).toEqual([...files.keys()]);
    }
    expect(listing(folder)).toEqual(["empty", "new"]);
  });

  it("replaces an adapter only with force, and nothing but an adapter", async () => {
    const folder = temporaryDirectory();
    const path = join(folder, "adapter");
    await writeDirectoryAtomic(path, new Map([["adapter_config.json", bytes]]));
    await expect(writeDirectoryAtomic(path, files)).rejects.toMatchObject({ kind: "OUTPUT_EXISTS" });
    expect(listing(path)).toEqual(["adapter_config.json"]);
    await writeDirectoryAtomic(path, files, { force: true });
    expect(listing(path)).toEqual([...files.keys()]);
    writeFileSync(join(path, "notes.txt"), "a year of work");
    await expect(writeDirectoryAtomic(path, files, { force: true })).rejects.toMatchObject({
      kind: "OUTPUT_EXISTS",
      actual: 'a directory that also holds "notes.txt"',
    });
    expect(readFileSync(join(path, "notes.txt"), "utf8")).toBe("a year of work");
    expect(listing(folder)).toEqual(["adapter"]);
  });

  it("never replaces a file", async () => {
    const folder = temporaryDirectory();
    writeFileSync(join(folder, "x"), "old");
    for (const force of [false, true]) {
      await expect(writeDirectoryAtomic(join(folder, "x"), files, { force })).rejects.toMatchObject({
        kind: "OUTPUT_EXISTS",
      });
    }
    expect(readFileSync(join(folder, "x"), "utf8")).toBe("old");
  });

  it.skipIf("skipped" in disk)("leaves nothing on a full disk", async () => {
    if ("skipped" in disk) return;
    const before = listing(disk.path);
    await expect(writeDirectoryAtomic(join(disk.path, "d"), files)).rejects.toMatchObject({ kind: "IO" });
    expect(listing(disk.path)).toEqual(before);
  });

  it("takes plain file names only", async () => {
    const folder = temporaryDirectory();
    for (const name of ["", ".", "..", "../x", "a/b", "a\\b"]) {
      const bad = new Map([[name, bytes]]);
      await expect(writeDirectoryAtomic(join(folder, "d"), bad)).rejects.toBeInstanceOf(RangeError);
    }
    expect(listing(folder)).toEqual([]);
  });
});

describe("temporary files", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "are removed by %s, which then ends the process",
    async (signal) => {
      const folder = temporaryDirectory();
      const path = join(folder, "half");
      // A process of its own that has a temporary file and waits: the built module, as Node 20 runs no TypeScript.
      const module = new URL("../../dist/node/files/temporary.js", import.meta.url).href;
      const code = `const { registerTemporary } = await import(${JSON.stringify(module)});
      const { writeFileSync } = await import("node:fs");
      registerTemporary(${JSON.stringify(path)}); writeFileSync(${JSON.stringify(path)}, "half");
      setInterval(() => {}, 1000); console.log("ready");`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
      expect(listing(folder)).toEqual(["half"]);
      child.kill(signal);
      const [, by] = await once(child, "exit");
      expect(by).toBe(signal);
      expect(listing(folder)).toEqual([]);
    },
  );
});
