/**
 * A fleet on one machine, without Redis and without object storage: real processes, killed, stopped, fed with bad files.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { describe, expect, it } from "vitest";
import { createStores, openQueue, submitFleet, verifyFleet, workFleet } from "../../src/fleet.ts";
import { lqa } from "../helpers/cli.ts";
import {
  encodedAlone,
  results,
  SETTINGS,
  SETTINGS_WORDS,
  start,
  until,
  writeAdapters,
  writePoison,
} from "../helpers/fleet.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const base = temporaryDirectory();
const source = join(base, "in");
const names = writeAdapters(source, 24);
const expected = await encodedAlone(source, join(base, "alone"));

/** A new place for results. */
let places = 0;
const place = (): string => {
  const path = join(base, `out-${places++}`);
  mkdirSync(path);
  return path;
};
const submit = (target: string, ...words: string[]) =>
  lqa("fleet", "submit", source, "--to", target, ...SETTINGS_WORDS, "--json", ...words).json<
    Record<string, unknown>
  >();

describe("a fleet in directories", () => {
  const target = place();

  it("gives the bytes of a single process", () => {
    expect(submit(target)).toMatchObject({ found: 24, queued: 24, kept: 0, refused: 0 });
    const work = lqa("fleet", "work", "--queue", target, "--until-empty", "--json");
    expect(work.json()).toMatchObject({ encoded: 24, kept: 0, failed: 0 });
    expect(work.code).toBe(0);
    expect(results(target)).toEqual(expected);
    expect([...results(target).keys()]).toEqual(names.map((name) => `${name}.lqa`));
  });

  it("does nothing again, by content and options", () => {
    expect(submit(target)).toMatchObject({ found: 24, queued: 0, kept: 24 });
    // Other options are other work; what is there is not replaced unasked.
    const other = lqa("fleet", "submit", source, "--to", target, "--quality", "small", "--json");
    expect(other.json()).toMatchObject({ queued: 24, kept: 0 });
    const work = lqa("fleet", "work", "--queue", target, "--until-empty", "--json");
    expect(work).toMatchObject({ code: 1 });
    expect(work.json()).toMatchObject({ encoded: 0, failed: 24 });
    expect(results(target)).toEqual(expected);
    const status = lqa("fleet", "status", "--queue", target, "--json");
    expect(status.code).toBe(1);
    expect(status.json()).toMatchObject({
      waiting: 0,
      active: 0,
      done: 24,
      failed: 24,
      failures: [{ code: "LQA-X002", kind: "OUTPUT_EXISTS", count: 24 }],
    });
  });

  it("is verified, file by file, beside its records", async () => {
    expect(lqa("fleet", "verify", target, "--json").json()).toMatchObject({
      files: 24,
      valid: 24,
      missing: 0,
      findings: [],
    });
    const copy = place();
    cpSync(target, copy, { recursive: true });
    const [gone, changed, flipped, foreign] = names;
    rmSync(join(copy, `${gone}.lqa`));
    writeFileSync(join(copy, `${changed}.lqa`), readFileSync(join(copy, `${names[10]}.lqa`)));
    const bytes = readFileSync(join(copy, `${flipped}.lqa`));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(join(copy, `${flipped}.lqa`), bytes);
    rmSync(join(copy, ".lqa-fleet/records", `${foreign}.json`));
    const run = lqa("fleet", "verify", copy, "--json");
    expect(run.code).toBe(1);
    const { findings, ...counts } = run.json<{ findings: { key: string; failure: { kind: string } }[] }>();
    expect(counts).toMatchObject({ files: 23, valid: 21, unrecorded: 1, missing: 1 });
    expect(findings.map(({ key, failure }) => [key, failure.kind])).toEqual(
      [
        [`${changed}.lqa`, "REMOTE_CHANGED"],
        [`${flipped}.lqa`, "CHUNK_CRC"],
        [`${gone}.lqa`, "NOT_FOUND"],
      ].sort(([x], [y]) => (x === `${gone}.lqa` ? 1 : y === `${gone}.lqa` ? -1 : x! < y! ? -1 : 1)),
    );
    // The beginnings of files do not show a flipped bit in the middle.
    const quick = await verifyFleet(await createStores().open(copy), { level: "structure" });
    expect(quick).toMatchObject({ files: 23, missing: 1 });
  });

  it("has a catalogue as lines, as Parquet and as a page", async () => {
    const [html, jsonl, parquet] = ["r.html", "c.jsonl", "c.parquet"].map((name) => join(base, name));
    const run = lqa(
      "fleet",
      "report",
      target,
      "--html",
      html!,
      "--jsonl",
      jsonl!,
      "--parquet",
      parquet!,
      "--json",
    );
    expect(run.code).toBe(0);
    expect(run.json()).toMatchObject({ results: 24, failures: 24, duplicated: 0 });
    const rows = readFileSync(jsonl!, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.map(({ name, state }) => [name, state])).toEqual([
      ...names.map((name) => [name, "done"]),
      ...names.map((name) => [name, "failed"]),
    ]);
    for (const row of rows.slice(0, 24))
      expect(row.outputBytes).toBe(expected.get(`${row.name}.lqa`)!.length);
    const file = await readFile(parquet!);
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
    const page = readFileSync(html!, "utf8");
    expect(page).toContain("24 adapters encoded.");
    expect(page).toContain("LQA-X002");
    expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
    expect(lqa("fleet", "report", target, "--html", html!).code).toBe(2);
  });
});

describe("a worker that is killed", () => {
  it("loses nothing and leaves nothing half done, whenever it happens", { timeout: 300_000 }, async () => {
    const target = place();
    submit(target);
    const queue = await openQueue(target);
    let kills = 0;
    for (let round = 0; round < 6; round++) {
      const workers = [0, 1].map(() => start(["fleet", "work", "--queue", target, "--concurrency", "2"]));
      // At some moment after the first job of this round is begun.
      const { done } = await queue.counts();
      await until(async () => {
        const counts = await queue.counts();
        return counts.active > 0 || counts.done > done || counts.done === 24;
      });
      await new Promise((resolve) => setTimeout(resolve, 40 * Math.random()));
      for (const { child, ended } of workers) {
        child.kill("SIGKILL");
        if ((await ended).signal === "SIGKILL") kills++;
      }
    }
    expect(kills).toBe(12);
    const last = lqa("fleet", "work", "--queue", target, "--until-empty", "--json");
    expect(last.json()).toMatchObject({ failed: 0 });
    expect(results(target)).toEqual(expected);
    expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, failed: 0 });
    expect(lqa("fleet", "verify", target, "--json").json()).toMatchObject({
      valid: 24,
      findings: [],
      unrecorded: 0,
    });
  });

  it("finishes what it has begun when it is asked to end", { timeout: 300_000 }, async () => {
    const target = place();
    submit(target);
    const queue = await openQueue(target);
    const worker = start(["fleet", "work", "--queue", target, "--concurrency", "2", "--json"]);
    await until(async () => (await queue.counts()).done > 0);
    worker.child.kill("SIGTERM");
    expect(await worker.ended).toEqual({ code: 0, signal: null });
    const { encoded, failed } = JSON.parse(worker.out());
    const { done, waiting, active } = await queue.counts();
    expect({ failed, active, done, all: done + waiting }).toEqual({
      failed: 0,
      active: 0,
      done: encoded,
      all: 24,
    });
    expect(results(target).size).toBe(encoded);
  });

  it("again and again by one job makes that a failure, and the others are done", {
    timeout: 300_000,
  }, async () => {
    const target = place();
    submit(target);
    const script = `
      import { openQueue } from ${JSON.stringify(new URL("../../dist/fleet.js", import.meta.url).href)};
      const queue = await openQueue(process.argv[1]);
      await queue.work(async ({ name }) => {
        if (name.endsWith("0007")) process.kill(process.pid, "SIGKILL");
        await new Promise(() => {});
      }, { concurrency: 24 });`;
    for (let i = 0; i < 4; i++)
      expect(spawnSync(process.execPath, ["--input-type=module", "-e", script, target]).signal).toBe(
        "SIGKILL",
      );
    const run = lqa("fleet", "work", "--queue", target, "--until-empty", "--json");
    const status = lqa("fleet", "status", "--queue", target, "--json").json<{
      failures: { code: string }[];
      failed: number;
    }>();
    // All jobs that were in work with it are suspected with it; those that were not are done.
    expect(run.json<{ failed: number }>().failed).toBe(status.failed);
    expect(status.failures.map(({ code }) => code)).toEqual(["LQA-X022"]);
    expect(lqa("fleet", "retry", "--queue", target, "--code", "LQA-X022", "--json").json()).toMatchObject({
      retried: status.failed,
    });
    lqa("fleet", "work", "--queue", target, "--until-empty");
    expect(results(target)).toEqual(expected);
  });
});

describe("bad files", () => {
  it("are failures with their codes, and block nobody", async () => {
    const bad = join(base, "bad");
    cpSync(join(source, names[0]!), join(bad, "good"), { recursive: true });
    cpSync(join(source, names[0]!), join(bad, "twin"), { recursive: true });
    cpSync(join(source, names[0]!), join(bad, "cut"), { recursive: true });
    const weights = join(bad, "cut", "adapter_model.safetensors");
    writePoison(weights, readFileSync(weights, "latin1").slice(0, 200));
    mkdirSync(join(bad, "flat"));
    writePoison(join(bad, "flat", "poison.safetensors"));
    mkdirSync(join(bad, ".hidden"));
    writePoison(join(bad, ".hidden", "x.safetensors"));
    const target = place();
    const stores = createStores();
    const queue = await openQueue(target);
    expect(await submitFleet(queue, stores, { source: bad, target, settings: SETTINGS })).toMatchObject({
      found: 4,
      queued: 4,
    });
    expect(await workFleet(queue, stores, { untilEmpty: true, concurrency: 1 })).toMatchObject({
      encoded: 2,
      failed: 2,
    });
    const failures = [];
    for await (const { name, failure } of queue.failures()) failures.push([name, failure.code]);
    expect(failures.sort()).toEqual([
      ["cut", "LQA-T003"],
      ["flat/poison", "LQA-U008"],
    ]);
    const report = lqa("fleet", "report", target, "--json").json<{ duplicates: { names: string[] }[] }>();
    expect(report.duplicates.map(({ names: same }) => same)).toEqual([["good", "twin"]]);
    // Mended, it is other work than before: submitted again, it is done, and its failure is gone from the catalogue.
    cpSync(join(source, names[0]!), join(bad, "cut"), { recursive: true });
    await submitFleet(queue, stores, { source: bad, target, settings: SETTINGS });
    await workFleet(queue, stores, { untilEmpty: true, concurrency: 1 });
    expect(existsSync(join(target, "cut.lqa"))).toBe(true);
    expect(lqa("fleet", "report", target, "--json").json()).toMatchObject({ results: 3, failures: 1 });
  });

  it("that changed since they were submitted are not encoded as something else", async () => {
    const moving = join(base, "moving");
    cpSync(join(source, names[1]!), join(moving, "one"), { recursive: true });
    const target = place();
    const [stores, queue] = [createStores(), await openQueue(target)];
    await submitFleet(queue, stores, { source: moving, target, settings: SETTINGS });
    cpSync(join(source, names[2]!), join(moving, "one"), { recursive: true });
    expect(await workFleet(queue, stores, { untilEmpty: true, concurrency: 1 })).toMatchObject({
      encoded: 0,
      failed: 1,
    });
    expect(results(target).size).toBe(0);
    await submitFleet(queue, stores, { source: moving, target, settings: SETTINGS });
    expect(await workFleet(queue, stores, { untilEmpty: true, concurrency: 1 })).toMatchObject({
      encoded: 1,
      failed: 0,
    });
    expect(results(target).get("one.lqa")).toEqual(expected.get(`${names[2]}.lqa`));
  });

  it("of others at a result's place are not replaced, unless that is asked for", async () => {
    const target = place();
    mkdirSync(join(target, "group-0"));
    writeFileSync(join(target, `${names[0]}.lqa`), "something");
    const [stores, queue] = [createStores(), await openQueue(target)];
    await submitFleet(queue, stores, { source, target, settings: SETTINGS });
    expect(await workFleet(queue, stores, { untilEmpty: true, concurrency: 1 })).toMatchObject({
      encoded: 23,
      failed: 1,
    });
    expect(results(target).get(`${names[0]}.lqa`)!.toString()).toBe("something");
    await submitFleet(queue, stores, { source, target, settings: { ...SETTINGS, force: true } });
    expect(await workFleet(queue, stores, { untilEmpty: true, concurrency: 1 })).toMatchObject({
      encoded: 24,
      failed: 0,
    });
    expect(results(target)).toEqual(expected);
  });
});

describe("submitting", () => {
  it("never has more jobs in the queue than it may", { timeout: 300_000 }, async () => {
    const target = place();
    const [stores, queue] = [createStores(), await openQueue(target)];
    let full = 0;
    const submission = submitFleet(queue, stores, {
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

  it("goes on where it stopped", async () => {
    const target = place();
    const [stores, queue] = [createStores(), await openQueue(target)];
    const stop = new AbortController();
    const options = { source, target, settings: SETTINGS, maxWaiting: 4 };
    await expect(
      submitFleet(queue, stores, { ...options, signal: stop.signal, onFull: () => stop.abort() }),
    ).rejects.toMatchObject({ kind: "ABORTED" });
    const before = (await queue.counts()).waiting;
    expect(before).toBe(4);
    const rest = await submitFleet(queue, stores, { ...options, maxWaiting: 100 });
    expect(rest.resumedAfter).toBe(`${names[3]}/adapter_model.safetensors`);
    expect(rest.found).toBe(20);
    expect((await queue.counts()).waiting).toBe(24);
  });

  it("says what is wrong", () => {
    expect(lqa("fleet", "submit", join(base, "absent"), "--to", place()).err).toContain("NOT_FOUND");
    expect(lqa("fleet", "submit", source, "--to", "s3://x/y").err).toMatch(
      /neither --queue nor \$LQA_FLEET_QUEUE/,
    );
    expect(
      lqa("fleet", "submit", source, "--to", place(), "--variant", "2@0.8", "--profile", "raw").code,
    ).toBe(2);
    expect(lqa("fleet", "submit", source, "--to", "ftp://x/y", "--queue", base).err).toMatch(
      /s3:\/\/bucket\/prefix or a directory/,
    );
    expect(lqa("fleet", "retry", "--queue", base).err).toMatch(/--code or --all/);
    expect(lqa("fleet", "wrk").err).toMatch(/Did you mean lqa fleet work\?/);
  });
});
