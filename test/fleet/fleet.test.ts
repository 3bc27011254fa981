/** What a fleet does with jobs, good and bad, over storage and a queue in memory; and what its commands refuse. */

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { describe, expect, it } from "vitest";
import {
  drawFleetReport,
  type FleetSettings,
  readCatalogue,
  submitFleet,
  summing,
  verifyFleet,
  workFleet,
  writeCatalogue,
} from "../../src/fleet/index.ts";
import { serveWorkerMetrics } from "../../src/fleet/metrics.ts";
import { encodeFile } from "../../src/node/index.ts";
import { memoryStore } from "../../src/serve/index.ts";
import { createAdapterServer } from "../../src/server/server.ts";
import { lqa } from "../helpers/cli.ts";
import { encodedAlone, SETTINGS, writeAdapters, writePoison } from "../helpers/many.ts";
import { memoryQueue, memoryStorage } from "../helpers/memory-fleet.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const base = temporaryDirectory();
const folder = join(base, "in");
const names = writeAdapters(folder, 24);
const expected = await encodedAlone(folder, join(base, "alone"));
const [source, target] = ["s3://in/adapters", "s3://out/lqa"];

/** A fleet of its own over the adapters of a directory. */
function fleet(from = folder) {
  const [storage, queue] = [memoryStorage(), memoryQueue()];
  storage.upload(from, source);
  const allow = { sources: [source], targets: [target] };
  return {
    storage,
    queue,
    submit: (settings: FleetSettings = SETTINGS) => submitFleet(queue, storage, { source, target, settings }),
    work: () => workFleet(queue, storage, { allow, untilEmpty: true, concurrency: 1 }),
    results: () => storage.results(target),
    failures: async () => {
      const all = [];
      for await (const { name, failure } of queue.failures()) all.push([name, failure.code]);
      return all.sort();
    },
    async summary() {
      const sum = summing();
      for await (const record of readCatalogue(await storage.open(target))) sum.add(record);
      return sum.end();
    },
  };
}

describe("a fleet", () => {
  const one = fleet();

  it("gives the bytes of a single process", async () => {
    expect(await one.submit()).toMatchObject({ found: 24, queued: 24, kept: 0, refused: 0 });
    expect(await one.work()).toMatchObject({ encoded: 24, kept: 0, failed: 0 });
    expect(one.results()).toEqual(expected);
    expect([...one.results().keys()]).toEqual(names.map((name) => `${name}.lqa`));
  });

  it("does nothing again, by content and options", async () => {
    expect(await one.submit()).toMatchObject({ found: 24, queued: 0, kept: 24 });
    // Other options are other work; what is there is not replaced unasked.
    expect(await one.submit({ quality: "low" })).toMatchObject({ queued: 24, kept: 0 });
    expect(await one.work()).toMatchObject({ encoded: 0, failed: 24 });
    expect(one.results()).toEqual(expected);
    expect((await one.failures()).map(([, code]) => code)).toEqual(Array(24).fill("LQA-X002"));
  });

  it("is verified, file by file, against its records, which changes nothing", async () => {
    const store = await one.storage.open(target);
    const before = [...one.storage.changes];
    expect(await verifyFleet(store)).toMatchObject({ files: 24, valid: 24, missing: 0, findings: [] });
    const copy = memoryStorage();
    for (const [key, object] of one.storage.objects) copy.objects.set(key, object);
    const [gone, changed, flipped, foreign] = names;
    copy.objects.delete(`out/lqa/${gone}.lqa`);
    copy.put(target, `${changed}.lqa`, expected.get(`${names[10]}.lqa`)!);
    const bytes = Buffer.from(expected.get(`${flipped}.lqa`)!);
    bytes[bytes.length >> 1]! ^= 1;
    copy.put(target, `${flipped}.lqa`, bytes);
    copy.objects.delete(`out/lqa/.lqa-fleet/records/${foreign}.json`);
    const { findings, ...counts } = await verifyFleet(await copy.open(target));
    expect(counts).toMatchObject({ files: 23, valid: 21, unrecorded: 1, missing: 1 });
    expect(findings.map(({ key, failure }) => [key, failure.kind]).sort()).toEqual(
      [
        [`${gone}.lqa`, "NOT_FOUND"],
        [`${changed}.lqa`, "REMOTE_CHANGED"],
        [`${flipped}.lqa`, "CHUNK_CRC"],
      ].sort(),
    );
    // The beginnings of files do not show a flipped bit in the middle.
    const quick = await verifyFleet(await copy.open(target), { level: "structure" });
    expect(quick).toMatchObject({ files: 23, missing: 1 });
    expect([...copy.changes, ...one.storage.changes]).toEqual(before);
  });

  it("has a catalogue as lines, as Parquet and as a page", async () => {
    const store = await one.storage.open(target);
    const before = [...one.storage.changes];
    const [jsonl, parquet] = ["c.jsonl", "c.parquet"].map((name) => join(base, name)) as [string, string];
    await writeCatalogue(jsonl, "jsonl", readCatalogue(store));
    await writeCatalogue(parquet, "parquet", readCatalogue(store));
    const rows = readFileSync(jsonl, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.map(({ name, state }) => [name, state])).toEqual([
      ...names.map((name) => [name, "done"]),
      ...names.map((name) => [name, "failed"]),
    ]);
    for (const row of rows.slice(0, 24))
      expect(row.outputBytes).toBe(expected.get(`${row.name}.lqa`)!.length);
    const file = await readFile(parquet);
    const columns = await parquetReadObjects({
      file: file.buffer.slice(file.byteOffset, file.byteOffset + file.length),
    });
    const plain = columns.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          typeof value === "bigint" ? Number(value) : (value ?? null),
        ]),
      ),
    );
    expect(plain).toEqual(rows);
    const page = drawFleetReport(await one.summary(), "out");
    expect(page).toContain("24 adapters encoded.");
    expect(page).toContain("LQA-X002");
    expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
    await expect(writeCatalogue(jsonl, "jsonl", readCatalogue(store))).rejects.toMatchObject({
      kind: "OUTPUT_EXISTS",
    });
    expect(one.storage.changes).toEqual(before);
  });
});

describe("bad files", () => {
  it("are failures with their codes, and block nobody", async () => {
    const bad = join(base, "bad");
    for (const name of ["good", "twin", "cut"])
      cpSync(join(folder, names[0]!), join(bad, name), { recursive: true });
    const weights = join(bad, "cut", "adapter_model.safetensors");
    writePoison(weights, readFileSync(weights, "latin1").slice(0, 200));
    mkdirSync(join(bad, "flat"));
    writePoison(join(bad, "flat", "poison.safetensors"));
    mkdirSync(join(bad, "large"));
    writePoison(join(bad, "large", "x.safetensors"));
    writeFileSync(join(bad, "large", "adapter_config.json"), " ".repeat(5 * 2 ** 20));
    mkdirSync(join(bad, ".hidden"));
    writePoison(join(bad, ".hidden", "x.safetensors"));
    const one = fleet(bad);
    expect(await one.submit()).toMatchObject({ found: 5, queued: 5 });
    expect(await one.work()).toMatchObject({ encoded: 2, failed: 3 });
    expect(await one.failures()).toEqual([
      ["cut", "LQA-T003"],
      ["flat/poison", "LQA-U008"],
      ["large", "LQA-L003"],
    ]);
    expect((await one.summary()).duplicates.map(({ names: same }) => same)).toEqual([["good", "twin"]]);
    // Repaired, it is other work than before: submitted again, it is done, and its failure is gone from the catalogue.
    one.storage.upload(join(folder, names[0]!), `${source}/cut`);
    await one.submit();
    await one.work();
    expect(one.results().has("cut.lqa")).toBe(true);
    expect(await one.summary()).toMatchObject({ results: 3, failures: 2 });
  });

  it("that changed since they were submitted are not encoded as something else", async () => {
    const moving = join(base, "moving");
    cpSync(join(folder, names[1]!), join(moving, "one"), { recursive: true });
    const one = fleet(moving);
    await one.submit();
    one.storage.upload(join(folder, names[2]!), `${source}/one`);
    expect(await one.work()).toMatchObject({ encoded: 0, failed: 1 });
    expect(one.results().size).toBe(0);
    await one.submit();
    expect(await one.work()).toMatchObject({ encoded: 1, failed: 0 });
    expect(one.results().get("one.lqa")).toEqual(expected.get(`${names[2]}.lqa`));
  });

  it("of others at a result's place are not replaced, unless requested", async () => {
    const one = fleet();
    one.storage.put(target, `${names[0]}.lqa`, "something");
    await one.submit();
    expect(await one.work()).toMatchObject({ encoded: 23, failed: 1 });
    expect(one.results().get(`${names[0]}.lqa`)!.toString()).toBe("something");
    await one.submit({ ...SETTINGS, force: true });
    expect(await one.work()).toMatchObject({ encoded: 24, failed: 0 });
    expect(one.results()).toEqual(expected);
  });
});

describe("a large adapter", () => {
  it("is fetched in pieces", { timeout: 120_000 }, async () => {
    // 40 MB.
    writePeftDirectory(join(base, "large", "large"), { layers: 1, rank: 64, width: 65536 });
    const one = fleet(join(base, "large"));
    const lengths: number[] = [];
    const stores = {
      ...one.storage,
      open: async (at: string) => {
        const store = await one.storage.open(at);
        const read: typeof store.read = (key, range) => {
          lengths.push(range.length);
          return store.read(key, range);
        };
        return { ...store, read };
      },
    };
    await one.submit({ profile: "sign" });
    const allow = { sources: [source], targets: [target] };
    expect(await workFleet(one.queue, stores, { allow, concurrency: 1, untilEmpty: true })).toMatchObject({
      encoded: 1,
    });
    expect(Math.max(...lengths)).toBeLessThanOrEqual(8 * 2 ** 20);
    expect(lengths.length).toBeGreaterThan(5);
    await encodeFile(join(base, "large", "large"), join(base, "large.lqa"), { profile: "sign", workers: 1 });
    expect(
      one
        .results()
        .get("large.lqa")!
        .equals(readFileSync(join(base, "large.lqa"))),
    ).toBe(true);
  });
});

describe("a worker", () => {
  it("ends above a limit of bytes or seconds, and leaves the rest to others", async () => {
    const one = fleet();
    await one.submit();
    const allow = { sources: [source], targets: [target] };
    const options = { allow, untilEmpty: true, concurrency: 1 };
    const size = [...expected.values()][0]!.length;
    const done = await workFleet(one.queue, one.storage, { ...options, maxBytes: 2 * size });
    expect(done.limit).toBe("maxBytes");
    expect(done.bytes).toBeGreaterThanOrEqual(2 * size);
    expect(done.encoded).toBeLessThan(6);
    const late = await workFleet(one.queue, one.storage, { ...options, maxSeconds: 0.001 });
    expect(late.limit).toBe("maxSeconds");
    expect(late.encoded + done.encoded).toBeLessThan(24);
    const rest = await workFleet(one.queue, one.storage, options);
    expect(rest).not.toHaveProperty("limit");
    expect(rest.encoded + late.encoded + done.encoded).toBe(24);
    expect(one.results()).toEqual(expected);
  });

  it("serves what it counts for Prometheus", async () => {
    const one = fleet();
    await one.submit();
    const metrics = await serveWorkerMetrics(one.queue, { host: "127.0.0.1", port: 0 });
    const text = async () => await (await fetch(`${metrics.address}/metrics`)).text();
    expect(await text()).toMatch(/^lqa_fleet_queue_jobs\{state="waiting"\} 24$/m);
    const { bytes } = await workFleet(one.queue, one.storage, {
      allow: { sources: [source], targets: [target] },
      untilEmpty: true,
      concurrency: 1,
      onAttempt: (attempt) => metrics.onAttempt(attempt),
    });
    metrics.onAttempt({
      job: { id: "x", name: "x" },
      outcome: "failed",
      seconds: 1,
      failure: { code: "LQA-X003", kind: "NOT_FOUND", message: "not there", advice: "" },
    });
    const after = await text();
    expect(after).toMatch(/^lqa_fleet_attempts_total\{outcome="encoded"\} 24$/m);
    expect(after).toMatch(/^lqa_fleet_attempt_seconds_count\{outcome="encoded"\} 24$/m);
    expect(after).toMatch(new RegExp(`^lqa_fleet_bytes_total ${bytes}$`, "m"));
    expect(after).toMatch(/^lqa_fleet_failures_total\{code="LQA-X003"\} 1$/m);
    expect(after).toMatch(/^lqa_fleet_queue_up 1$/m);
    expect((await fetch(`${metrics.address}/health`)).status).toBe(200);
    expect((await fetch(`${metrics.address}/other`)).status).toBe(404);
    const port = Number(new URL(metrics.address).port);
    await expect(serveWorkerMetrics(one.queue, { host: "127.0.0.1", port })).rejects.toMatchObject({
      kind: "IO",
    });
    // What the dashboard and the alerts of the deployment ask for is there, here or on a server.
    const server = await createAdapterServer({ store: memoryStore(new Map()) });
    const known = `${after}\n${(await server.metrics.text())!.body}`;
    for (const name of ["alerts.yaml", "dashboard.json"]) {
      const asked = readFileSync(new URL(`../../deploy/${name}`, import.meta.url), "utf8").match(
        /\blqa_\w+/g,
      )!;
      expect(asked.length).toBeGreaterThan(5);
      for (const metric of new Set(asked))
        expect(known).toContain(`# TYPE ${metric.replace(/_(bucket|count|sum)$/, "")} `);
    }
    await metrics.close();
  });
});

describe("submitting", () => {
  it("never has more jobs in the queue than it may", { timeout: 300_000 }, async () => {
    const { storage, queue } = fleet();
    let full = 0;
    const submission = submitFleet(queue, storage, {
      source,
      target,
      settings: SETTINGS,
      maxWaiting: 4,
      onFull: () => full++,
    });
    const stop = new AbortController();
    let most = 0;
    const work = queue.work(
      async () => {
        most = Math.max(most, (await queue.counts()).waiting);
        return { kind: "done" };
      },
      { concurrency: 2, signal: stop.signal },
    );
    expect(await submission).toMatchObject({ queued: 24 });
    stop.abort();
    await work;
    expect(full).toBeGreaterThan(0);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(4);
  });

  it("resumes where it stopped", async () => {
    const { storage, queue } = fleet();
    const stop = new AbortController();
    const options = { source, target, settings: SETTINGS, maxWaiting: 4 };
    await expect(
      submitFleet(queue, storage, { ...options, signal: stop.signal, onFull: () => stop.abort() }),
    ).rejects.toMatchObject({ kind: "ABORTED" });
    expect((await queue.counts()).waiting).toBe(4);
    const rest = await submitFleet(queue, storage, { ...options, maxWaiting: 100 });
    expect(rest.resumedAfter).toBe(`${names[3]}/adapter_model.safetensors`);
    expect(rest.found).toBe(20);
    expect((await queue.counts()).waiting).toBe(24);
  });

  it("refuses adapters that no job can carry, and queues the others", async () => {
    const one = fleet();
    const bytes = readFileSync(join(folder, names[0]!, "adapter_model.safetensors"));
    for (const key of ["a//x.safetensors", "a\nb/x.safetensors", "a\\b.safetensors"])
      one.storage.put(source, key, bytes);
    one.storage.put(source, `${"x/".repeat(450)}x.safetensors`, bytes);
    expect(await one.submit()).toMatchObject({ found: 28, queued: 24, refused: 4 });
  });

  it("refuses settings that a job may not have", async () => {
    for (const settings of [{ calibration: "/etc/passwd" }, { workers: 4 }, { scratch: "/" }, { bits: "2" }])
      await expect(fleet().submit(settings as never)).rejects.toMatchObject({ kind: "USAGE" });
  });
});

describe("the commands of the fleet", () => {
  it("say what is wrong", () => {
    const nowhere = ["--queue", "redis://127.0.0.1:1"];
    expect(lqa("fleet", "submit", "s3://a/b", "--to", "s3://x/y").err).toMatch(
      /neither --queue nor \$LQA_FLEET_QUEUE/,
    );
    expect(lqa("fleet", "submit", "s3://a/b", "--to", "ftp://x/y", ...nowhere).err).toMatch(
      /s3:\/\/bucket\/prefix/,
    );
    expect(lqa("fleet", "retry", ...nowhere).err).toMatch(/--code or --all/);
    expect(lqa("fleet", "wrk").err).toMatch(/Did you mean lqa fleet work\?/);
  });
});
