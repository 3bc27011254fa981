/** Shares of many adapters: each adapter in one of them, the same files as without, whatever happens to a process. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { encodeMany } from "../../src/node/index.ts";
import { lqaIn } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

interface Item {
  readonly output: string;
  readonly state: string;
}

/** A directory with adapters in `in/`. */
function adapters(count: number, width = 16): string {
  const folder = temporaryDirectory();
  for (let seed = 0; seed < count; seed++)
    writePeftDirectory(join(folder, "in", `a${seed}`), { seed, layers: 2, width });
  return folder;
}

/** Files below a directory, with their bytes. */
const contents = (folder: string): Record<string, string> =>
  Object.fromEntries(listing(folder).map((name) => [name, readFileSync(join(folder, name), "base64")]));

it("each adapter is in one share, the same wherever the adapters lie, and its file is that of a run without shares", () => {
  const folder = adapters(12);
  expect(lqaIn({ cwd: folder }, "encode", "--out-dir", "all", "in").code).toBe(0);
  const shares = [0, 1, 2, 3].map((i) => {
    const run = lqaIn({ cwd: folder }, "encode", "--out-dir", "out", "in", "--shard", `${i}/4`, "--json");
    expect(run.code).toBe(0);
    const items = run.json<Item[]>();
    expect(items.every(({ state }) => state === "encoded")).toBe(true);
    return items.map(({ output }) => output.slice("out/".length));
  });
  expect(contents(join(folder, "out"))).toEqual(contents(join(folder, "all")));
  expect(shares.flat().sort()).toEqual(listing(join(folder, "all")));
  // What other versions of the program, and other machines, must agree on.
  expect(shares[0]).toEqual(["a4.lqa", "a7.lqa"]);
  const elsewhere = lqaIn(
    { cwd: folder },
    "encode",
    "--out-dir",
    "out",
    "./in/*",
    "--shard",
    "0/4",
    "--json",
  );
  expect(elsewhere.json<Item[]>().map(({ output, state }) => [output, state])).toEqual([
    ["out/a4.lqa", "kept"],
    ["out/a7.lqa", "kept"],
  ]);
});

it("a share without adapters is done; no adapters at all are an error", () => {
  const folder = adapters(1);
  const codes = [0, 1].map(
    (i) => lqaIn({ cwd: folder }, "encode", "--out-dir", "out", "in", "--shard", `${i}/2`).code,
  );
  expect(codes).toEqual([0, 0]);
  expect(lqaIn({ cwd: folder }, "encode", "--out-dir", "out", "none/*", "--shard", "0/2").code).toBe(2);
});

it("a share that does not exist, or one of a single adapter, is refused before anything is written", async () => {
  const folder = adapters(1);
  for (const shard of ["4/4", "0/0", "-1/4", "1", "/4", "$JOB_COMPLETION_INDEX/4", "0/1000001"]) {
    const run = lqaIn({ cwd: folder }, "encode", "--out-dir", "out", "in", "--shard", shard);
    expect([run.code, run.err], shard).toEqual([2, expect.stringMatching(/USAGE/)]);
  }
  expect(lqaIn({ cwd: folder }, "encode", "--out-dir", "out", "in", "--shard", "4/4").err).toMatch(
    /4\/4.*an index from 0 to 3/s,
  );
  expect(lqaIn({ cwd: folder }, "encode", "in/a0", "-o", "x.lqa", "--shard", "0/1").err).toMatch(/--out-dir/);
  const half = encodeMany([join(folder, "in")], join(folder, "out"), { shard: { index: 0.5, count: 2 } });
  await expect(half).rejects.toMatchObject({ kind: "USAGE" });
  expect(existsSync(join(folder, "out"))).toBe(false);
});

it("an array job with a process killed in the middle: whole files only, and the same index again makes the rest", async () => {
  const folder = adapters(24, 256);
  expect(lqaIn({ cwd: folder }, "encode", "--out-dir", "all", "in").code).toBe(0);
  /** As an engine starts it: by a shell, with the index in the environment. */
  const task = (index: number) =>
    spawn(
      "/bin/sh",
      [
        "-c",
        `exec "$0" "$1" encode --out-dir out in --workers 1 --shard $JOB_COMPLETION_INDEX/2`,
        process.execPath,
        MAIN,
      ],
      {
        cwd: folder,
        stdio: "ignore",
        env: { ...process.env, JOB_COMPLETION_INDEX: String(index) },
      },
    );
  const ended = (child: ReturnType<typeof task>) =>
    new Promise<[code: number | null, signal: string | null]>((resolve) =>
      child.on("exit", (code, signal) => resolve([code, signal])),
    );
  const out = join(folder, "out");
  const whole = () => (existsSync(out) ? readdirSync(out).filter((name) => name.endsWith(".lqa")) : []);
  const first = task(0);
  const end = ended(first);
  while (whole().length < 2 && first.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 2));
  first.kill("SIGKILL");
  expect(await end).toEqual([null, "SIGKILL"]);
  const all = contents(join(folder, "all"));
  for (const name of whole()) expect(readFileSync(join(out, name), "base64"), name).toBe(all[name]);
  expect(whole().length).toBeLessThan(24);
  // Two processes of one index at once, as engines may start them.
  expect(await Promise.all([task(0), task(1), task(0)].map(ended))).toEqual([0, 1, 2].map(() => [0, null]));
  expect(
    Object.fromEntries(Object.entries(contents(out)).filter(([name]) => !name.endsWith(".tmp"))),
  ).toEqual(all);
}, 120_000);

it("two runs that encode the same adapter at the same time make one file, and neither fails", async () => {
  const folder = adapters(4);
  const run = () => encodeMany([join(folder, "in")], join(folder, "out"), { workers: 1 });
  const runs = await Promise.all([run(), run()]);
  const states = runs.map((items) => items.map(({ state }) => state));
  for (const [i, state] of states[0]!.entries())
    expect([state, states[1]![i]].sort(), `a${i}`).toEqual(["encoded", "kept"]);
  expect(listing(join(folder, "out"))).toEqual(["a0.lqa", "a1.lqa", "a2.lqa", "a3.lqa"]);
});
