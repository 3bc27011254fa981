/**
 * Every command and every store on directories that somebody else filled: links that lead out, pipes that nobody writes to,
 * devices that never end, sockets, directories with names of files. Each ends by itself, and nothing outside changes.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { directoryStore, openModel, readBaseDescription, readSourceFiles } from "../../src/node/index.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** Far above what a command takes on a busy machine, and no end of a pipe that nobody writes to. */
const LIMIT = 60_000;

const base = temporaryDirectory();
const at = (...parts: string[]): string => join(base, ...parts);

/** Runs a command in the directory. What it reads from standard input is empty. */
function lqa(...words: string[]): {
  readonly code: number | null;
  readonly err: string;
  readonly out: string;
} {
  const { status, stderr, stdout } = spawnSync(process.execPath, [MAIN, ...words], {
    cwd: base,
    encoding: "utf8",
    timeout: LIMIT,
    killSignal: "SIGKILL",
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { code: status, err: stderr, out: stdout };
}

/** Everything below a directory, links not followed: kind, contents, time of the last change. */
function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .sort()
    .map((name) => {
      const status = lstatSync(join(folder, name));
      const small = status.isFile() && status.size < 2 ** 20;
      const held = small ? readFileSync(join(folder, name), "latin1") : status.size;
      const leads = status.isSymbolicLink() ? readlinkSync(join(folder, name)) : "";
      return [name, status.mode, status.mtimeMs, held, leads].join(" ");
    });
}

const unix = process.platform !== "win32";
const server = createServer();

/** An adapter, one of whose files is something else. */
function adapter(name: string, file: string, make: (path: string) => void): void {
  cpSync(at("good"), at(name), { recursive: true });
  execFileSync("rm", [at(name, file)]);
  make(at(name, file));
}

const pipe = (path: string): void => void execFileSync("mkfifo", [path]);
const zero = (path: string): void => symlinkSync("/dev/zero", path);
const directory = (path: string): void => {
  mkdirSync(path);
  writeFileSync(join(path, "a year of work"), "x");
};
const enormous = (path: string): void => {
  writeFileSync(path, "");
  truncateSync(path, 2 ** 26);
};

const [CONFIG, WEIGHTS] = ["adapter_config.json", "adapter_model.safetensors"];
/** Name, file, what it is, and how commands that read the adapter end. */
const HOSTILE: readonly (readonly [
  name: string,
  file: string,
  make: (path: string) => void,
  says: RegExp,
])[] = [
  ["config-pipe", CONFIG, pipe, /a named pipe.*LQA-X001 IO/],
  ["config-zero", CONFIG, zero, /a device.*LQA-X001 IO/],
  ["config-directory", CONFIG, directory, /LQA-X001 IO[\s\S]*a directory/],
  ["config-enormous", CONFIG, enormous, /LQA-L003 BUDGET[\s\S]*4194304 bytes/],
  ["weights-pipe", WEIGHTS, pipe, /a named pipe.*LQA-X001 IO/],
  ["weights-zero", WEIGHTS, zero, /a device.*LQA-X001 IO/],
  ["weights-directory", WEIGHTS, directory, /LQA-X001 IO[\s\S]*a directory/],
];

describe.skipIf(!unix)("hostile directories", { timeout: 600_000 }, () => {
  let outside: string[];
  beforeAll(async () => {
    mkdirSync(at("victim/photos"), { recursive: true });
    writeFileSync(at("victim/photos/a"), "a");
    writeFileSync(at("victim/b.lqa"), "b");
    writePeftDirectory(at("good"), { layers: 1, width: 32 });
    for (const [name, file, make] of HOSTILE) adapter(name, file, make);
    await new Promise<void>((resolve) => server.listen(at("socket.lqa"), resolve));
    expect(lqa("encode", "good", "-o", "good.lqa").code).toBe(0);
    outside = snapshot(at("victim"));
  });
  afterAll(() => {
    server.close();
    expect(snapshot(at("victim"))).toEqual(outside);
  });

  it.each(HOSTILE)(
    "are refused by every command that reads adapters: %s",
    async (name, _file, _make, says) => {
      const before = snapshot(at(name));
      for (const words of [
        ["encode", name, "-o", "out.lqa"],
        ["convert", name, "converted", "--to", "mlx"],
        ["diff", name, "good.lqa"],
        ["compare", name],
      ]) {
        const { code, err } = lqa(...words);
        expect([2, 4], words.join(" ") + err).toContain(code);
        expect(err).toMatch(says);
      }
      await expect(readSourceFiles(at(name))).rejects.toMatchObject({ name: "LqaError" });
      expect(snapshot(at(name))).toEqual(before);
      expect(readdirSync(base)).not.toContain("out.lqa");
    },
  );

  it("hold back one adapter of many, and no other", () => {
    mkdirSync(at("many"));
    for (const name of ["good", ...HOSTILE.map(([one]) => one)])
      cpSync(at(name), at("many", name), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (path) => !lstatSync(path).isFIFO(),
      });
    for (const [name, file, make] of HOSTILE) if (make === pipe) pipe(at("many", name, file));
    mkdirSync(at("many/flat"));
    pipe(at("many/flat/x.safetensors"));
    symlinkSync("/dev/zero", at("many/flat/y.safetensors"));
    symlinkSync(at("victim"), at("many/linked"));
    symlinkSync(at("many"), at("many/circle"));
    const run = lqa("encode", "many", "--out-dir", "encoded", "--json");
    const items = JSON.parse(run.out) as { input: string; state: string }[];
    expect(items.filter(({ state }) => state === "encoded").map(({ input }) => input)).toEqual(["many/good"]);
    expect(items.length).toBe(HOSTILE.length + 3);
    expect(run.code).toBe(2);
    expect(readdirSync(at("encoded"))).toEqual(["good.lqa"]);
  });

  it("are no models: bases, indices of shards, configurations", async () => {
    mkdirSync(at("index"));
    mkdirSync(at("shard"));
    mkdirSync(at("base"));
    pipe(at("index/model.safetensors.index.json"));
    pipe(at("shard/model.safetensors"));
    pipe(at("base/config.json"));
    zero(at("zero.json"));
    zero(at("zero.gguf"));
    for (const model of ["index", "shard"]) {
      await expect(openModel(at(model))).rejects.toMatchObject({ kind: "IO" });
    }
    for (const place of ["base", "zero.json", "zero.gguf"])
      await expect(readBaseDescription(at(place))).rejects.toMatchObject({ kind: "IO" });
    expect(lqa("validate", "good.lqa", "--base", "zero.json").err).toMatch(/a device/);
  });

  it("do not stop what a pattern finds, nor a store of adapters", async () => {
    mkdirSync(at("store"));
    cpSync(at("good.lqa"), at("store/good.lqa"));
    pipe(at("store/pipe.lqa"));
    symlinkSync("/dev/zero", at("store/zero.lqa"));
    mkdirSync(at("store/folder.lqa"));
    symlinkSync(at("socket.lqa"), at("store/socket.lqa"));
    symlinkSync(at("store/none"), at("store/dangling.lqa"));
    const run = lqa("validate", "store/*.lqa");
    expect(run.code).toBe(2);
    expect(run.out).toMatch(/valid /);
    const store = directoryStore(at("store"));
    for (const name of ["pipe", "zero", "folder", "socket"])
      await expect(store.open(name)).rejects.toMatchObject({ kind: "IO", expected: "a regular file" });
    await expect(store.open("dangling")).rejects.toMatchObject({ kind: "NOT_FOUND" });
    for (const name of ["..", "../victim/b", "a/b"])
      await expect(store.open(name)).rejects.toMatchObject({ kind: "NOT_FOUND" });
  });

  it("may be the cache of the hub, whose files are links", async () => {
    mkdirSync(at("hub/blobs"), { recursive: true });
    mkdirSync(at("hub/snapshots/main"), { recursive: true });
    for (const [i, name] of [CONFIG, WEIGHTS].entries()) {
      cpSync(at("good", name!), at("hub/blobs", `${i}`));
      symlinkSync(`../../blobs/${i}`, at("hub/snapshots/main", name!));
    }
    const before = snapshot(at("hub"));
    expect(lqa("encode", "hub/snapshots/main", "-o", "hub.lqa").code).toBe(0);
    expect(readFileSync(at("hub.lqa")).equals(readFileSync(at("good.lqa")))).toBe(true);
    // Writing onto it removes links, and never what they lead to.
    expect(lqa("decode", "good.lqa", "-o", "hub/snapshots/main", "--force").code).toBe(0);
    expect(snapshot(at("hub/blobs"))).toEqual(
      before.filter((line) => line.startsWith("blobs/")).map((line) => line.slice("blobs/".length)),
    );
    expect(lstatSync(at("hub/snapshots/main", CONFIG)).isFile()).toBe(true);
  });

  it("are written into through no link below the one that was given", () => {
    cpSync(at("good"), at("adapters/one/two"), { recursive: true });
    cpSync(at("good"), at("adapters/b"), { recursive: true });
    for (const [i, prepare] of [
      () => symlinkSync(at("victim"), at("0/one")),
      () => symlinkSync(at("victim/b.lqa"), at("1/b.lqa")),
      () => symlinkSync(at("nowhere"), at("2/b.lqa")),
      () => pipe(at("3/b.lqa")),
      () => mkdirSync(at("4/b.lqa")),
      () => writeFileSync(at("5/one"), "a file"),
      () => symlinkSync(at("victim"), at("6/.b.lqa.0123456789ab.tmp")),
    ].entries()) {
      mkdirSync(at(String(i)));
      prepare();
      const before = snapshot(at(String(i)));
      const { code, err, out } = lqa("encode", "adapters", "--out-dir", String(i), "--force", "--json");
      const items = JSON.parse(out) as { state: string; error?: { kind: string } }[];
      expect([items.length, code], err).toEqual([2, i === 6 ? 0 : 2]);
      const failed = items.filter(({ state }) => state === "failed");
      expect(failed.map(({ error }) => error!.kind)).toEqual(i === 6 ? [] : ["OUTPUT_EXISTS"]);
      expect(snapshot(at(String(i)))).toEqual(
        expect.arrayContaining(before.filter((line) => !line.startsWith("one "))),
      );
      expect(snapshot(at("victim"))).toEqual(outside);
    }
  });

  it("are replaced only if they hold an adapter and nothing else", () => {
    for (const [name, make] of [
      ["kept-directory", directory],
      ["kept-linked", (path: string) => symlinkSync(at("victim"), path)],
    ] as const) {
      mkdirSync(at(name));
      make(at(name, CONFIG!));
      const before = snapshot(at(name));
      const { code, err } = lqa("decode", "good.lqa", "-o", name, "--force");
      if (make === directory) {
        expect(code).toBe(2);
        expect(err).toMatch(/OUTPUT_EXISTS/);
        expect(snapshot(at(name))).toEqual(before);
      } else {
        expect(code, err).toBe(0);
        expect(lstatSync(at(name, CONFIG!)).isFile()).toBe(true);
      }
    }
    expect(readdirSync(base).filter((name) => name.includes("replaced"))).toEqual([]);
  });
});
