/**
 * What goes wrong around the program: it is killed at any moment, the disk is full, files cannot be read, two of it write
 * one output, clock, time zone and language are others. With real processes. Under its name an output is whole or absent.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory, tinyDisk } from "../helpers/temporary.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const preload = (name: string): string[] => ["--import", fileURLToPath(new URL(name, import.meta.url))];
const place = temporaryDirectory();
const path = (name: string): string => join(place, name);
const LINUX = process.platform === "linux";

interface Done {
  readonly code: number | null;
  readonly signal: string | null;
  readonly err: string;
  readonly out: string;
  /** What a preloaded module wrote. */
  readonly extra: string;
}

function run(
  words: readonly string[],
  env: Record<string, string> = {},
  loaded: readonly string[] = [],
): Done {
  const { NO_COLOR: _, FORCE_COLOR: __, ...rest } = process.env;
  const done = spawnSync(process.execPath, [...loaded, MAIN, ...words], {
    env: { ...rest, ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const [, out, err, extra] = done.output.map(String);
  return { code: done.status, signal: done.signal, err: err!, out: out!, extra: extra! };
}

/** One hash for a file, or for all files of a directory with their names; undefined if there is nothing. */
function contents(target: string): string | undefined {
  if (!existsSync(target)) return undefined;
  const hash = createHash("sha256");
  const add = (at: string, name: string): void => {
    if (statSync(at).isDirectory())
      for (const one of readdirSync(at).sort()) add(join(at, one), `${name}/${one}`);
    else hash.update(`${name}\0${statSync(at).size}\0`).update(readFileSync(at));
  };
  add(target, "");
  return hash.digest("hex");
}

/** Words with an output added as the command takes it. */
const into = (words: readonly string[], output: string): string[] =>
  words[0] === "convert" ? [...words, output] : [...words, "-o", output];

/** The commands that write, without their output: words, and whether that is a directory. */
const COMMANDS: readonly (readonly [name: string, words: readonly string[]])[] = [
  ["encode", ["encode", path("adapter"), "--profile", "raw"]],
  ["decode", ["decode", path("a.lqa")]],
  ["convert", ["convert", "--to", "loralib", path("adapter")]],
];

beforeAll(() => {
  // Rank 8: every output is larger than the one page that the full disk still has.
  writePeftDirectory(path("adapter"), { layers: 1, rank: 8 });
  expect(run(["encode", path("adapter"), "-o", path("a.lqa"), "--profile", "raw"]).code).toBe(0);
  writeFileSync(path("cut.lqa"), readFileSync(path("a.lqa")).subarray(0, -10));
  writePeftDirectory(path("base"), { layers: 1, seed: 1 });
  cpSync(join(path("base"), "adapter_model.safetensors"), path("base.safetensors"));
});

describe.skipIf(!LINUX)("a process that is killed", () => {
  it.each(COMMANDS)("%s: before each of its operations on files", { timeout: 300_000 }, (name, words) => {
    const whole = path(`${name}-whole`);
    const done = run(into(words, whole), {}, preload("kill-at.mjs"));
    expect(done, done.err).toMatchObject({ code: 0 });
    const operations = Number(done.extra);
    expect(operations).toBeGreaterThan(3);
    const expected = contents(whole);
    const folder = path(`${name}-killed`);
    const output = join(folder, "output");
    const seen = { absent: 0, whole: 0 };
    for (let at = 1; at <= operations; at++) {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      const killed = run(into(words, output), { LQA_KILL_AT: String(at) }, preload("kill-at.mjs"));
      expect(killed.signal, `operation ${at}`).toBe("SIGKILL");
      const found = contents(output);
      if (found !== undefined) expect(found, `operation ${at}`).toBe(expected);
      seen[found === undefined ? "absent" : "whole"]++;
      // What is left behind says by its name that it is temporary, and is in nobody's way.
      for (const one of listing(folder))
        if (one !== "output") expect(one).toMatch(/^\.output\.[0-9a-f]+\.tmp$/);
      const again = run([...into(words, output), ...(found === undefined ? [] : ["--force"])]);
      expect(again.code, again.err).toBe(0);
      expect(contents(output)).toBe(expected);
    }
    expect(seen.absent).toBeGreaterThan(0);
  });

  it("leaves the old output or the new one where it replaces", { timeout: 300_000 }, () => {
    const words = ["encode", path("adapter"), "--profile", "raw", "-o", path("replaced.lqa"), "--force"];
    const old = contents(path("a.lqa"));
    cpSync(path("cut.lqa"), path("replaced.lqa"));
    const operations = Number(run(words, {}, preload("kill-at.mjs")).extra);
    for (let at = 1; at <= operations; at++) {
      cpSync(path("cut.lqa"), path("replaced.lqa"));
      run(words, { LQA_KILL_AT: String(at) }, preload("kill-at.mjs"));
      expect([contents(path("cut.lqa")), old]).toContain(contents(path("replaced.lqa")));
    }
    for (const name of listing(place)) if (name.endsWith(".tmp")) rmSync(path(name));
  });

  it("leaves the old directory or the new one where it replaces one, under a name that says so", {
    timeout: 300_000,
  }, () => {
    const folder = path("directories");
    const output = join(folder, "output");
    const words = ["decode", path("a.lqa"), "-o", output, "--force"];
    const begin = (): void => {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      cpSync(path("adapter"), output, { recursive: true });
      // Another adapter than the one that replaces it.
      cpSync(path("base.safetensors"), join(output, "adapter_model.safetensors"));
    };
    begin();
    const old = contents(output);
    const operations = Number(run(words, {}, preload("kill-at.mjs")).extra);
    const fresh = contents(output);
    expect(fresh).not.toBe(old);
    const seen = { old: 0, fresh: 0, aside: 0 };
    for (let at = 1; at <= operations; at++) {
      begin();
      run(words, { LQA_KILL_AT: String(at) }, preload("kill-at.mjs"));
      const aside = listing(folder).filter((name) => /^output\.replaced-[0-9a-f]{12}$/.test(name));
      const found = contents(output);
      if (found === undefined) {
        expect(aside.map((name) => contents(join(folder, name)))).toEqual([old]);
        seen.aside++;
      } else {
        expect([old, fresh]).toContain(found);
        seen[found === old ? "old" : "fresh"]++;
      }
    }
    expect(
      Object.values(seen).every((count) => count > 0),
      JSON.stringify(seen),
    ).toBe(true);
  });

  it("at any time of a run leaves no output or the whole one", { timeout: 300_000 }, async () => {
    const words = ["encode", path("adapter"), "--profile", "raw", "-o", path("timed.lqa")];
    const begin = performance.now();
    run(words);
    const time = performance.now() - begin;
    const expected = contents(path("timed.lqa"));
    for (let i = 0; i < 12; i++) {
      rmSync(path("timed.lqa"), { force: true });
      const child = spawn(process.execPath, [MAIN, ...words], { stdio: "ignore" });
      const ended = new Promise((resolve) => child.on("exit", resolve));
      setTimeout(() => child.kill("SIGKILL"), (time * (i + 1)) / 12);
      await ended;
      expect([undefined, expected]).toContain(contents(path("timed.lqa")));
    }
  });
});

describe("a disk that is full", () => {
  const disk = tinyDisk(48);
  if ("skipped" in disk) console.log(`full disk: skipped, ${disk.skipped}`);

  it.skipIf("skipped" in disk).each(COMMANDS)("%s: says so, and leaves nothing", (_, words) => {
    if ("skipped" in disk) return;
    for (const name of listing(disk.path)) rmSync(join(disk.path, name), { recursive: true });
    writeFileSync(join(disk.path, "filler"), new Uint8Array(44 * 1024));
    const done = run(into(words, join(disk.path, "output")));
    expect(done.code).toBe(2);
    expect(done.err).toContain("the disk is full (ENOSPC)");
    expect(listing(disk.path)).toEqual(["filler"]);
  });

  it.skipIf(!LINUX)("a limit on the size of files is treated alike", () => {
    const words = [
      process.execPath,
      MAIN,
      "encode",
      path("adapter"),
      "--profile",
      "raw",
      "-o",
      path("limited.lqa"),
    ];
    // 2 KiB in blocks of 512 bytes.
    const shell = spawnSync("sh", ["-c", `ulimit -f 4; exec "$@"`, "sh", ...words]);
    expect(shell.status === 2 || shell.signal === "SIGXFSZ", String(shell.stderr)).toBe(true);
    expect(existsSync(path("limited.lqa"))).toBe(false);
  });

  it.skipIf(!LINUX)("a report that cannot be printed is an error", () => {
    for (const words of [
      ["inspect", path("a.lqa")],
      ["validate", path("a.lqa"), "--json"],
    ]) {
      const shell = spawnSync("sh", ["-c", `exec "$@" > /dev/full`, "sh", process.execPath, MAIN, ...words]);
      expect(shell.status, words.join(" ")).not.toBe(0);
    }
  });
});

describe("input that cannot be read", () => {
  it.skipIf(!existsSync("/proc/self/mem"))("an error of the device is I/O, not a bad file", () => {
    // Reading the first page of a process's own memory is EIO.
    for (const words of [["validate"], ["inspect"], ["diff", path("a.lqa")]]) {
      const { code, err } = run([...words, "/proc/self/mem"]);
      expect(code, words.join(" ")).toBe(2);
      expect(err).toMatch(/EIO|IO/);
    }
    const done = run(["decode", "/proc/self/mem", "-o", path("none.lqa")]);
    expect(done.code).toBe(2);
    expect(existsSync(path("none.lqa"))).toBe(false);
  });

  it("a directory without .lqa files and an absent file are I/O", () => {
    expect(run(["validate", path("adapter")]).code).toBe(2);
    expect(run(["validate", path("nothing.lqa")]).code).toBe(2);
  });

  it.skipIf(!existsSync("/dev/zero"))("a device without an end is left after its first bytes", () => {
    expect(run(["validate", "/dev/zero"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("BAD_MAGIC"),
    });
  });
});

describe("several writers of one output", () => {
  const start = (words: readonly string[]): Promise<number | null> => {
    const child = spawn(process.execPath, [MAIN, ...words], { stdio: "ignore" });
    return new Promise((resolve) => child.on("exit", resolve));
  };

  it.each([
    ["encode", "raw"],
    ["decode", undefined],
  ] as const)(
    "%s: one has the name, the others say that it is taken",
    { timeout: 120_000 },
    async (command, profile) => {
      const output = path(`shared-${command}`);
      const words =
        command === "encode" ? ["encode", path("adapter"), "--profile", profile!] : ["decode", path("a.lqa")];
      const codes = await Promise.all(Array.from({ length: 6 }, () => start([...words, "-o", output])));
      expect(codes.toSorted()).toEqual([0, 2, 2, 2, 2, 2]);
      // A process that was killed by another test may have left one of another name.
      expect(listing(place).filter((name) => name.startsWith(`.shared-${command}.`))).toEqual([]);
      const alone = path(`alone-${command}`);
      expect(run([...words, "-o", alone]).code).toBe(0);
      expect(contents(output)).toBe(contents(alone));
    },
  );

  it("with --force all succeed, and one of the outputs is there, whole", { timeout: 120_000 }, async () => {
    const output = path("forced.lqa");
    const profiles = [["raw"], ["rtn"], ["sign"], ["raw"], ["rtn"], ["sign"]];
    const codes = await Promise.all(
      profiles.map(([profile]) =>
        start(["encode", path("adapter"), "--profile", profile!, "-o", output, "--force"]),
      ),
    );
    expect(codes).toEqual([0, 0, 0, 0, 0, 0]);
    expect(run(["validate", output, "--level", "canonical"]).code).toBe(0);
  });
});

describe("clock, time zone and language", () => {
  it("do not change a byte, nor what is said to programs", { timeout: 120_000 }, () => {
    const outcome = (name: string, env: Record<string, string>, loaded: readonly string[] = []) => {
      const encoded = path(`${name}.lqa`);
      const words = ["encode", path("adapter"), "-o", encoded, "--profile", "rtn"];
      expect(run(words, env, loaded)).toMatchObject({ code: 0, err: "" });
      const { out } = run(["inspect", encoded, "--json", "--modules"], env, loaded);
      expect(run(["decode", encoded, "-o", path(name)], env, loaded).code).toBe(0);
      return [contents(encoded), contents(path(name)), out.replaceAll(`${name}.lqa`, "")];
    };
    const usual = outcome("usual", { TZ: "UTC", LC_ALL: "C" });
    const turkish = { TZ: "Asia/Kathmandu", LC_ALL: "tr_TR.UTF-8", LANG: "tr_TR.UTF-8", LANGUAGE: "tr" };
    expect(outcome("turkish", turkish)).toEqual(usual);
    for (const [name, clock] of [
      ["past", -1e12],
      ["epoch", 0],
      ["future", 4.4e12],
    ] as const)
      expect(outcome(name, { LQA_CLOCK: String(clock) }, preload("clock.mjs")), name).toEqual(usual);
  });
});
