/** Entries of a queue that anyone with write access may have written: what a worker makes of each. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type FleetJob,
  type JobFile,
  openQueue,
  readCatalogue,
  submitFleet,
  verifyFleet,
  workFleet,
} from "../../src/fleet/index.ts";
import { encodedAlone, SETTINGS, writeAdapters } from "../helpers/many.ts";
import { jobOf, memoryQueue, memoryStorage, parseJob } from "../helpers/memory-fleet.ts";
import { findRedis, startRedis } from "../helpers/servers.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const base = temporaryDirectory();
const folder = join(base, "in");
writeAdapters(folder, 1);
const expected = await encodedAlone(folder, join(base, "alone"));
const [source, target] = ["s3://in/adapters", "s3://out/lqa"];
const allow = { sources: [source], targets: [target] };

const FILES: JobFile[] = [
  ["a/adapter_config.json", 100, '"1"'],
  ["a/adapter_model.safetensors", 1000, '"2"'],
];
/** A job with some fields changed, and the id that belongs to it, unless that is changed. */
function job(changes: Readonly<Record<string, unknown>> = {}): { id: string; text: string } {
  const fields = { source, target, name: "a", files: FILES, settings: { bits: 1.5 }, ...changes };
  let { id } = changes;
  if (id === undefined) {
    // The digest that parseJob expects is in its error.
    const wrong = { id: `j${"0".repeat(31)}`, ...fields };
    try {
      parseJob({ id: wrong.id, text: JSON.stringify(wrong) });
    } catch (error) {
      id = /id (j[0-9a-f]{31})/.exec((error as Error).message)?.[1] ?? wrong.id;
    }
  }
  return { id: String(id), text: JSON.stringify({ id, ...fields }) };
}

describe("a job", () => {
  it("is read as it was written", () => {
    const found = FILES.map(([key, size, version]) => ({ key, size, version }));
    const made = jobOf(
      source,
      target,
      { name: "a", files: found, resumeAfter: "" },
      { force: true, bits: 2 },
    );
    expect(parseJob({ id: made.id, text: JSON.stringify(made) })).toEqual(made);
    expect(parseJob(job())).toMatchObject({ name: "a", files: FILES });
    // Settings in another order are the same work.
    const other = jobOf(
      source,
      target,
      { name: "a", files: found, resumeAfter: "" },
      { bits: 2, force: true },
    );
    expect(other.id).toBe(made.id);
  });

  const file = (changed: string | number, at = 0) => ({
    files: FILES.with(0, FILES[0]!.with(at, changed) as never),
  });
  it.each<[string, Readonly<Record<string, unknown>>]>([
    ["an id that is a path", { id: "../../victim" }],
    ["an id of other work", { id: `j${"1".repeat(31)}` }],
    ["an unknown field", { scratch: "/" }],
    ["a directory as its target", { target: "/tmp/x" }],
    ["a relative source", { source: "s3://in/../other" }],
    ["a source that is no text", { source: 1 }],
    ["a name that cannot be printed", { name: { toString: 1 } }],
    ["a name that leads elsewhere", { name: "../x" }],
    ["an absolute name", { name: "/x" }],
    ["the fleet's own name", { name: ".lqa-fleet/records/x" }],
    ["a name with a line feed", { name: "a\nb" }],
    ["a long name", { name: "x/".repeat(500) }],
    ["no name", { name: undefined }],
    ["no files", { files: [] }],
    ["too many files", { files: Array.from({ length: 65 }, (_, i) => [`${i}`, 1, ""]) }],
    ["a key that leads elsewhere", file("../../etc/passwd")],
    ["a key in another directory", file("b/adapter_config.json")],
    ["a key twice", file("a/adapter_model.safetensors")],
    ["a negative size", file(-1, 1)],
    ["an enormous size", file(2 ** 50, 1)],
    ["a version with a header", file('"1"\r\nx: y', 2)],
    ["a file with more", { files: [[...FILES[0]!, "more"]] }],
    ["a path among its settings", { settings: { calibration: "/etc/passwd" } }],
    ["a scratch among its settings", { settings: { scratch: "/" } }],
    ["a prototype among its settings", { settings: JSON.parse('{"__proto__":{"force":true}}') }],
    ["bits as text", { settings: { bits: "2" } }],
    ["settings that exclude each other", { settings: { bits: 2, maxError: 0.1 } }],
    ["an alignment that is none", { settings: { alignment: 3 } }],
    ["settings that are a list", { settings: [] }],
  ])("is none with %s", (_what, changes) => {
    expect(() => parseJob(job(changes))).toThrow(expect.objectContaining({ kind: "JOB_INVALID" }));
  });

  it.each(["name", "settings"])(
    "is none with a %s that overflows the stack when it is written again",
    (field) => {
      const { id, text } = job({ [field]: "here", id: `j${"3".repeat(31)}` });
      const nested = text.replace('"here"', `${"[".repeat(100_000)}${"]".repeat(100_000)}`);
      expect(() => parseJob({ id, text: nested })).toThrow(expect.objectContaining({ kind: "JOB_INVALID" }));
    },
  );

  it.each(["", "{", "null", "[]", "7", '"j"', "{}", `[${"[".repeat(50_000)}`, `"${"x".repeat(2 ** 18)}"`])(
    "is none as %.20j",
    (text) => {
      expect(() => parseJob({ id: "x", text })).toThrow(expect.objectContaining({ kind: "JOB_INVALID" }));
    },
  );
});

describe("a worker", () => {
  /** Two entries of others, then those of a real submission. */
  async function worked(entries: readonly { id: string; text: string }[], allowed = allow) {
    const [storage, queue] = [memoryStorage(), memoryQueue()];
    storage.upload(folder, source);
    for (const entry of entries) queue.push(entry);
    await submitFleet(queue, storage, { source, target, settings: SETTINGS });
    storage.changes.length = 0;
    const scratch = temporaryDirectory();
    const options = { allow: allowed, untilEmpty: true, concurrency: 1, scratch };
    const done = await workFleet(queue, storage, options);
    const failures: Record<string, string> = {};
    for await (const { id, failure } of queue.failures()) failures[id] = failure.kind;
    expect(listing(scratch)).toEqual([]);
    return { storage, done, failures };
  }

  it("goes on behind entries that are no jobs, and touches nothing that they name", async () => {
    const victim = join(base, "victim");
    mkdirSync(victim);
    writeFileSync(join(victim, "photo"), "x");
    const entries = [
      job({ id: "../victim" }),
      { id: "broken", text: "{" },
      { id: "null", text: "null" },
      job({ target: victim, id: `j${"2".repeat(31)}` }),
      job({ settings: { calibration: join(victim, "photo") } }),
    ];
    const { storage, done, failures } = await worked(entries);
    expect(done).toMatchObject({ encoded: 1, failed: 5, retried: 0 });
    expect(new Set(Object.values(failures))).toEqual(new Set(["JOB_INVALID"]));
    expect(storage.results(target)).toEqual(expected);
    // The changes are those of the one good job.
    const [name] = expected.keys();
    expect(storage.changes.sort()).toEqual([
      `put out/lqa/.lqa-fleet/records/${name!.replace(".lqa", ".json")}`,
      `put out/lqa/${name}`,
      `remove out/lqa/.lqa-fleet/failures/${name!.replace(".lqa", ".json")}`,
    ]);
    expect(existsSync(join(victim, "photo"))).toBe(true);
  });

  it.each([
    ["another bucket", { target: "s3://other/lqa" }],
    ["a prefix that only begins alike", { target: "s3://out/lqa-2" }],
    ["the directory above", { target: "s3://out" }],
    ["a source elsewhere", { source: "s3://secret/adapters" }],
  ])("refuses a job of %s, and writes nothing there", async (_what, changes) => {
    const entry = job(changes);
    const { storage, done, failures } = await worked([entry]);
    expect(done).toMatchObject({ encoded: 1, failed: 1 });
    expect(failures).toEqual({ [entry.id]: "JOB_NOT_ALLOWED" });
    expect(storage.changes.every((change) => change.includes(" out/lqa/"))).toBe(true);
    expect(storage.results(target)).toEqual(expected);
  });

  it("takes a job below a root, and of a root with a slash", async () => {
    const roots = { sources: ["s3://elsewhere", "s3://in"], targets: ["s3://out/lqa/"] };
    expect((await worked([], roots)).done).toMatchObject({ encoded: 1, failed: 0 });
  });

  it("allows nothing by default", async () => {
    for (const roots of [
      { sources: [], targets: [target] },
      { sources: [source], targets: [] },
      { sources: ["/tmp"], targets: [target] },
    ])
      await expect(workFleet(memoryQueue(), memoryStorage(), { allow: roots })).rejects.toMatchObject({
        kind: "USAGE",
      });
  });
});

describe("records of others", () => {
  it.each([
    ["no JSON", "{"],
    ["null", "null"],
    [
      "another adapter's",
      JSON.stringify({
        state: "failed",
        name: "x",
        job: "",
        source: "",
        code: "",
        kind: "",
        message: "",
        advice: "",
      }),
    ],
    ["sizes that are no numbers", JSON.stringify({ state: "done", name: "a", outputBytes: "1" })],
  ])("are no records: %s", async (_what, text) => {
    const storage = memoryStorage();
    for (const kind of ["records", "failures"]) storage.put(target, `.lqa-fleet/${kind}/a.json`, text);
    storage.put(target, "a.lqa", "not an adapter");
    const store = await storage.open(target);
    await expect(readCatalogue(store).next()).rejects.toMatchObject({ kind: "IO" });
    expect(await verifyFleet(store)).toMatchObject({ files: 1, valid: 0 });
    expect(storage.changes).toEqual([]);
  });
});

const program = findRedis();
if (program === undefined) console.log("skipped: bad entries in Redis: set LQA_REDIS to redis-server");
describe.skipIf(program === undefined)("a queue in Redis", () => {
  it("carries entries that are no JSON, and lists them as failures", { timeout: 60_000 }, async () => {
    const { Redis } = await import("ioredis");
    const redis = await startRedis(program!);
    const queue = await openQueue(redis.url);
    const storage = memoryStorage();
    storage.upload(folder, source);
    await submitFleet(queue, storage, { source, target, settings: SETTINGS });
    const good = (await queue.counts()).waiting;
    const bad = [job({ name: "b" }), job({ name: "c" }), job({ name: "d" })].map(
      ({ text }) => JSON.parse(text) as FleetJob,
    );
    await queue.add(bad);
    const client = new Redis(redis.url);
    const texts = ["{", "null", `"${"x".repeat(2 ** 20)}"`];
    for (const [i, { id }] of bad.entries()) await client.hset(`bull:lqa-fleet:${id}`, "data", texts[i]!);
    client.disconnect();
    const done = await workFleet(queue, storage, { allow, untilEmpty: true, concurrency: 1 });
    expect(done).toMatchObject({ encoded: good, failed: 3, retried: 0 });
    const failures = [];
    for await (const { id, name, failure } of queue.failures()) failures.push([id, name, failure.kind]);
    expect(failures.sort()).toEqual(bad.map(({ id }) => [id, id, "JOB_INVALID"]).sort());
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, failed: 3 });
    expect(storage.results(target)).toEqual(expected);
    expect(await queue.retry(new Set(["LQA-X024"]))).toBe(3);
    await queue.close();
  });

  it("does the job of an entry whose settings are no JSON, and lists it", { timeout: 60_000 }, async () => {
    const { Redis } = await import("ioredis");
    const redis = await startRedis(program!);
    const queue = await openQueue(redis.url);
    const storage = memoryStorage();
    storage.upload(folder, source);
    await submitFleet(queue, storage, { source, target, settings: SETTINGS });
    const bad = [job({ name: "b" }), job({ name: "c" })].map(({ text }) => JSON.parse(text) as FleetJob);
    await queue.add(bad);
    const client = new Redis(redis.url);
    const spoil = async (field: string, text: string, { id }: FleetJob): Promise<void> => {
      await client.hset(`bull:lqa-fleet:${id}`, field, text);
    };
    const waiting = await client.lrange("bull:lqa-fleet:wait", 0, -1);
    const [first, second] = waiting.filter((id) => !bad.some((one) => one.id === id));
    for (const id of [first!, second ?? first!]) await client.hset(`bull:lqa-fleet:${id}`, "opts", "{");
    await spoil("opts", "null", bad[0]!);
    await spoil("progress", "[", bad[1]!);
    const how = { allow, untilEmpty: true, concurrency: 1, leaseSeconds: 1 };
    const done = await workFleet(queue, storage, how);
    expect(done.encoded).toBe(waiting.length - bad.length);
    expect(storage.results(target)).toEqual(expected);
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, failed: bad.length });
    for (const one of bad) await spoil("opts", "}", one);
    const failures = [];
    for await (const { id } of queue.failures()) failures.push(id);
    expect(failures.sort()).toEqual(bad.map(({ id }) => id).sort());
    client.disconnect();
    await queue.close();
  });

  it("makes a job that ends its workers a failure, in its target as well", { timeout: 120_000 }, async () => {
    const redis = await startRedis(program!);
    const queue = await openQueue(redis.url);
    const storage = memoryStorage();
    storage.upload(folder, source);
    await submitFleet(queue, storage, { source, target, settings: SETTINGS });
    const script = `
      import { openQueue } from ${JSON.stringify(new URL("../../dist/fleet/index.js", import.meta.url).href)};
      const queue = await openQueue(process.argv[1]);
      await queue.work(() => process.kill(process.pid, "SIGKILL"), { concurrency: 1, leaseSeconds: 1 });`;
    // It may be given back three times.
    for (let i = 0; i < 4; i++) {
      const words = ["--input-type=module", "-e", script, redis.url];
      expect(spawnSync(process.execPath, words, { timeout: 30_000 }).signal).toBe("SIGKILL");
    }
    const options = { allow, untilEmpty: true, concurrency: 1, leaseSeconds: 1 };
    expect(await workFleet(queue, storage, options)).toMatchObject({ encoded: 0, failed: 1 });
    const failures = [];
    for await (const { failure } of queue.failures()) failures.push(failure.kind);
    expect(failures).toEqual(["WORKER_LOST"]);
    expect(storage.changes.at(-1)).toMatch(/^put out\/lqa\/\.lqa-fleet\/failures\//);
    expect(await queue.retry()).toBe(1);
    expect(await workFleet(queue, storage, options)).toMatchObject({ encoded: 1, failed: 0 });
    expect(storage.results(target)).toEqual(expected);
    await queue.close();
  });
});
