/** Encoding a location, or shares of it, without a queue: over storage in memory and, with processes killed, on a real S3 server. */

import { cpSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERRORS, LqaError } from "../../src/core/index.ts";
import {
  type Attempt,
  type EncodeFleetOptions,
  encodeFleet,
  submitFleet,
  workFleet,
} from "../../src/fleet/index.ts";
import { lqa, lqaIn } from "../helpers/cli.ts";
import {
  encodedAlone,
  results,
  SETTINGS,
  SETTINGS_WORDS,
  start,
  until,
  writeAdapters,
  writePoison,
} from "../helpers/many.ts";
import { type MemoryStorage, memoryQueue, memoryStorage } from "../helpers/memory-fleet.ts";
import { findS3, startS3 } from "../helpers/servers.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const base = temporaryDirectory();
const folder = join(base, "in");
const names = writeAdapters(folder, 12);
const expected = await encodedAlone(folder, join(base, "alone"));
const [source, target] = ["s3://in/adapters", "s3://out/lqa"];

function stored(from = folder): MemoryStorage {
  const storage = memoryStorage();
  storage.upload(from, source);
  return storage;
}

const encode = (storage: MemoryStorage, more: Partial<EncodeFleetOptions> = {}) =>
  encodeFleet(storage, { source, target, settings: SETTINGS, concurrency: 1, ...more });

describe("a fleet without a queue", () => {
  it("makes each file in one of the shares, with the bytes of a single process, and then has nothing to do", async () => {
    const storage = stored();
    const shares: string[][] = [];
    for (const index of [0, 1, 2]) {
      const done: string[] = [];
      const onAttempt = ({ job, outcome }: Attempt) => done.push(`${outcome} ${job.name}`);
      const result = await encode(storage, { shard: { index, count: 3 }, onAttempt });
      expect(result).toMatchObject({ encoded: done.length, kept: 0, failed: 0, retried: 0 });
      shares.push(done);
    }
    expect(shares.flat().sort()).toEqual(names.map((name) => `encoded ${name}`));
    expect(shares.every((share) => share.length > 0)).toBe(true);
    expect(storage.results(target)).toEqual(expected);
    expect(await encode(storage)).toMatchObject({ encoded: 0, kept: 12, failed: 0 });
  });

  it("shares as lqa encode --out-dir does", async () => {
    const named: string[] = [];
    await encode(stored(), {
      shard: { index: 1, count: 4 },
      onAttempt: ({ job }) => named.push(`${job.name}.lqa`),
    });
    const words = ["encode", folder, "--out-dir", join(base, "shared"), "--shard", "1/4"];
    expect(lqa(...words).code).toBe(0);
    expect([...results(join(base, "shared")).keys()]).toEqual(named.sort());
  });

  it("goes on where workers with a queue stopped, and they where it stopped", async () => {
    const [storage, queue] = [stored(), memoryQueue()];
    await encode(storage, { shard: { index: 0, count: 2 } });
    const first = storage.results(target).size;
    expect(first).toBeGreaterThan(0);
    expect(await submitFleet(queue, storage, { source, target, settings: SETTINGS })).toMatchObject({
      kept: first,
      queued: 12 - first,
    });
    const allow = { sources: [source], targets: [target] };
    await workFleet(queue, storage, { allow, untilEmpty: true, concurrency: 1 });
    expect(storage.results(target)).toEqual(expected);
    expect(await encode(storage)).toMatchObject({ encoded: 0, kept: 12 });
  });

  it("records what cannot be encoded, and makes the rest", async () => {
    const bad = join(base, "bad");
    cpSync(folder, bad, { recursive: true });
    writePoison(join(bad, "poison.safetensors"));
    const storage = stored(bad);
    // A name that no key of the target may have.
    storage.put(source, "group-0/a\\b.safetensors", "x");
    const failures: string[] = [];
    const onAttempt = ({ outcome, failure }: Attempt) => outcome === "failed" && failures.push(failure!.kind);
    expect(await encode(storage, { onAttempt })).toMatchObject({ encoded: 12, failed: 2 });
    expect(failures.sort()).toEqual(["JOB_INVALID", "UNSUPPORTED_DIALECT"]);
    expect(storage.results(target)).toEqual(expected);
    expect([...storage.objects.keys()].filter((key) => key.includes("/failures/"))).toEqual([
      "out/lqa/.lqa-fleet/failures/poison.json",
    ]);
  });

  it("tries again what may pass, and ends with what no other adapter escapes", async () => {
    const storage = stored();
    let broken = 1;
    const flaky = {
      ...storage,
      async open(location: string) {
        const store = await storage.open(location);
        return {
          ...store,
          async put(...[key, bytes, options]: Parameters<typeof store.put>) {
            if (key.endsWith(".lqa") && broken-- > 0) throw new LqaError(ERRORS.NETWORK);
            return await store.put(key, bytes, options);
          },
        };
      },
    };
    expect(await encode(flaky)).toMatchObject({ encoded: 12, retried: 1, failed: 0 });
    const denied = {
      ...storage,
      async open(location: string) {
        if (location === target) throw new LqaError(ERRORS.ACCESS_DENIED);
        return await storage.open(location);
      },
    };
    await expect(encode(denied)).rejects.toMatchObject({ kind: "ACCESS_DENIED" });
  });

  it("finishes what it has begun when it is stopped, and does not call that done", async () => {
    const storage = stored();
    const stop = new AbortController();
    const onAttempt = () => stop.abort();
    await expect(encode(storage, { signal: stop.signal, onAttempt })).rejects.toMatchObject({
      kind: "ABORTED",
    });
    const made = storage.results(target);
    expect(made.size).toBeGreaterThan(0);
    expect(made.size).toBeLessThan(12);
    for (const [name, bytes] of made) expect(bytes, name).toEqual(expected.get(name));
    expect(await encode(storage)).toMatchObject({ encoded: 12 - made.size, kept: made.size });
    expect(storage.results(target)).toEqual(expected);
  });

  it("refuses an empty location, a share that does not exist, wrong settings", async () => {
    await expect(encode(memoryStorage())).rejects.toMatchObject({ kind: "NOT_FOUND" });
    await expect(encode(stored(), { shard: { index: 3, count: 3 } })).rejects.toMatchObject({
      kind: "USAGE",
    });
    for (const words of [
      ["--shard", "2/2"],
      ["--shard", "a/2"],
      ["--bits", "1", "--quality", "high"],
    ])
      expect(lqa("fleet", "encode", "s3://in", "--to", "s3://out", ...words)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/USAGE/),
      });
    expect(lqa("fleet", "encode", folder, "--to", "s3://out").err).toMatch(/USAGE/);
  });
});

const program = findS3();
if (program === undefined) console.log("skipped: shares on S3: set LQA_S3 to versitygw");

it.skipIf(program === undefined)(
  "an array job on S3 with a process killed in the middle: the same index again makes the rest",
  async () => {
    const s3 = await startS3(program!);
    cpSync(folder, s3.folder("source"), { recursive: true });
    const words = ["s3://source/", "--to", "s3://target/", ...SETTINGS_WORDS, "--concurrency", "2", "--json"];
    const task = (index: number) => start(["fleet", "encode", ...words, "--shard", `${index}/2`], s3.env);
    const made = () => results(s3.folder("target"));
    const first = task(0);
    await until(() => made().size > 0 || first.child.exitCode !== null);
    first.child.kill("SIGKILL");
    expect((await first.ended).signal).toBe("SIGKILL");
    for (const [name, bytes] of made()) expect(bytes, name).toEqual(expected.get(name));
    // One index twice at the same time, as engines may start it.
    const tasks = [task(0), task(1), task(0)];
    for (const { ended, err } of tasks) expect((await ended).code, err()).toBe(0);
    expect(made()).toEqual(expected);
    expect(lqaIn({ env: s3.env }, "fleet", "verify", "s3://target/", "--json").json()).toMatchObject({
      files: 12,
      valid: 12,
      unrecorded: 0,
      missing: 0,
    });
  },
  120_000,
);
