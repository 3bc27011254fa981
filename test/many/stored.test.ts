/**
 * Many adapters in object storage, on a real S3 server: encoded in shares by processes that are killed and started twice, kept where
 * they are whole, validated, catalogued, and what is wrong with the place said as such.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parquetReadObjects } from "hyparquet";
import { describe, expect, it } from "vitest";
import { openAdapters } from "../../src/node/index.ts";
import { lqa, lqaIn } from "../helpers/cli.ts";
import {
  encodedAlone,
  results,
  SETTINGS_WORDS,
  start,
  until,
  writeAdapters,
  writePoison,
} from "../helpers/many.ts";
import { findS3, startS3 } from "../helpers/servers.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const program = findS3();
if (program === undefined)
  console.log("skipped: object storage: there is no versitygw; set LQA_S3 to its path");

const base = temporaryDirectory();
const folder = join(base, "in");
const names = writeAdapters(folder, 12);
const expected = await encodedAlone(folder, join(base, "alone"));

describe.skipIf(program === undefined)("adapters in object storage", { timeout: 120_000 }, async () => {
  if (program === undefined) return;
  const s3 = await startS3(program);
  cpSync(folder, join(s3.folder("source"), "adapters"), { recursive: true });
  const target = (name: string) => join(s3.folder("target"), name);
  const run = (...words: string[]) => lqaIn({ env: s3.env }, ...words);
  const encode = (name: string, ...words: string[]) =>
    run("encode", "s3://source/adapters", "--out-dir", `s3://target/${name}`, ...SETTINGS_WORDS, ...words);

  it("are encoded to the bytes of a directory, with a line for each, totals and metrics; again, all are kept", () => {
    const metrics = join(base, "lqa.prom");
    const first = encode("all", "--log", "json", "--metrics", metrics, "--shard", "0/1");
    expect(first.code, first.err).toBe(0);
    expect(results(target("all"))).toEqual(expected);
    const lines = first.err.trim().split("\n");
    const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(logged.map(({ input }) => input).sort()).toEqual(
      names.map((name) => `s3://source/adapters/${name}`),
    );
    const one = logged.find(({ input }) => input === `s3://source/adapters/${names[0]}`);
    expect(one).toMatchObject({
      state: "encoded",
      output: `s3://target/all/${names[0]}.lqa`,
      outputBytes: expected.get(`${names[0]}.lqa`)!.length,
      error: null,
    });
    expect(first.out).toMatch(/12 adapters encoded \([\d.]+ KB → [\d.]+ KB\), 0 kept, 0 failed/);
    const bytes = [...expected.values()].reduce((sum, file) => sum + file.length, 0);
    const text = readFileSync(metrics, "utf8");
    expect(text).toContain('lqa_encode_adapters{shard="0/1",state="encoded"} 12\n');
    expect(text).toContain(`lqa_encode_output_bytes{shard="0/1"} ${bytes}\n`);
    for (const line of text.trimEnd().split("\n"))
      expect(line).toMatch(
        /^(# (HELP|TYPE) lqa_encode_\w+ .+|lqa_encode_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+-]+)$/,
      );
    const again = encode("all", "--json").json<{ state: string }[]>();
    expect(again.map(({ state }) => state)).toEqual(Array.from({ length: 12 }, () => "kept"));
    // Into a directory, and from one.
    expect(
      run("encode", "s3://source/adapters", "--out-dir", join(base, "down"), ...SETTINGS_WORDS).code,
    ).toBe(0);
    expect(results(join(base, "down"))).toEqual(expected);
    expect(run("encode", folder, "--out-dir", "s3://target/up", ...SETTINGS_WORDS).code).toBe(0);
    expect(results(target("up"))).toEqual(expected);
  });

  it("are encoded again where the file is damaged; what is not an .lqa file is not replaced", () => {
    encode("some");
    const [first, second, third] = names.map((name) => `${name}.lqa`);
    const damaged = Buffer.from(expected.get(first!)!);
    damaged[damaged.length - 100]! ^= 1;
    writeFileSync(join(target("some"), first!), damaged);
    writeFileSync(join(target("some"), second!), expected.get(second!)!.subarray(0, 20));
    writeFileSync(
      join(target("some"), third!),
      "a letter that somebody put here, and nothing that begins as an .lqa file",
    );
    const again = encode("some", "--json");
    expect(again.code).toBe(2);
    const states = again
      .json<{ state: string; error?: { kind: string } }[]>()
      .map(({ state, error }) => error?.kind ?? state);
    expect(states).toEqual([
      "encoded",
      "encoded",
      "OUTPUT_EXISTS",
      ...Array.from({ length: 9 }, () => "kept"),
    ]);
    expect(readFileSync(join(target("some"), first!))).toEqual(expected.get(first!));
    expect(readFileSync(join(target("some"), third!), "utf8")).toMatch(/^a letter/);
    expect(encode("some", "--force").code).toBe(0);
    expect(results(target("some"))).toEqual(expected);
  });

  it("an array job with a process killed in the middle, and one index twice at the same time: nothing is lost", async () => {
    const words = ["encode", "s3://source/adapters", "--out-dir", "s3://target/array", ...SETTINGS_WORDS];
    const task = (index: number) => start([...words, "--shard", `${index}/2`], s3.env);
    mkdirSync(target("array"));
    const made = () => results(target("array"));
    const first = task(0);
    await until(() => made().size > 0 || first.child.exitCode !== null);
    first.child.kill("SIGKILL");
    await first.ended;
    for (const [name, bytes] of made()) expect(bytes, name).toEqual(expected.get(name));
    const tasks = [task(0), task(1), task(0)];
    for (const { ended, err } of tasks) expect((await ended).code, err()).toBe(0);
    expect(made()).toEqual(expected);
  });

  it("say what could not be encoded, and do the rest", () => {
    const bad = join(s3.folder("source"), "bad");
    cpSync(folder, bad, { recursive: true });
    writePoison(join(bad, "poison.safetensors"));
    const ended = run(
      "encode",
      "s3://source/bad",
      "--out-dir",
      "s3://target/bad",
      ...SETTINGS_WORDS,
      "--json",
    );
    expect(ended.code).toBe(3);
    expect(
      ended.json<{ input: string; error?: { kind: string } }[]>().filter(({ error }) => error),
    ).toMatchObject([{ input: "s3://source/bad/poison", error: { kind: "UNSUPPORTED_DIALECT" } }]);
    expect(results(target("bad"))).toEqual(expected);
  });

  it("are validated and catalogued, and again from a directory", async () => {
    encode("listed");
    const [first] = names.map((name) => `${name}.lqa`);
    const damaged = Buffer.from(expected.get(first!)!);
    damaged[damaged.length - 100]! ^= 1;
    writeFileSync(join(target("listed"), first!), damaged);
    const table = join(base, "catalogue.parquet");
    const checked = run("validate", "s3://target/listed", "--catalogue", table);
    expect(checked.code).toBe(1);
    const lines = checked.out.trim().split("\n");
    expect([lines.length, lines.at(-1)]).toEqual([
      13,
      expect.stringMatching(/^total: 12 files \(.*\), 11 valid, 1 invalid$/),
    ]);
    const buffer = readFileSync(table);
    const rows = await parquetReadObjects({
      file: buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.length),
    });
    expect(rows.map(({ file }) => file)).toEqual(names.map((name) => `s3://target/listed/${name}.lqa`));
    expect(rows.map(({ state }) => state)).toEqual(["invalid", ...Array.from({ length: 11 }, () => "valid")]);
    expect(rows[0]).toMatchObject({ code: expect.stringMatching(/^LQA-/), contentId: null });
    const inspected = lqa("inspect", join(base, "alone", `${names[1]}.lqa`), "--json").json<{
      contentId: string;
    }>();
    expect(rows[1]).toMatchObject({
      contentId: inspected.contentId,
      bytes: BigInt(expected.get(`${names[1]}.lqa`)!.length),
      relativeError: expect.any(Number),
      bitsPerParameter: expect.any(Number),
      code: null,
    });
    expect(run("validate", "s3://target/listed", "--catalogue", table).err).toMatch(/OUTPUT_EXISTS/);
    const local = lqa("validate", join(base, "alone"), "--catalogue", table, "--force", "--json");
    expect(local.code, local.err).toBe(0);
    expect(local.json<{ files: object[] }>().files).toHaveLength(12);
    expect(run("validate", `s3://target/listed/${names[1]}.lqa`).code).toBe(0);
    expect(run("validate", `s3://target/listed/none.lqa`)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/NOT_FOUND/),
    });
  });

  it("say what is wrong with the place", () => {
    const nothing = {
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
      HOME: base,
    };
    const words = ["encode", "s3://source/adapters", "--out-dir", join(base, "nowhere")];
    const none = { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "", AWS_REGION: "" };
    expect(lqaIn({ env: { ...nothing, ...none } }, ...words)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/AWS_REGION/),
    });
    const out = ["encode", folder, "--out-dir", "s3://target/nowhere"];
    const once = lqaIn(
      { env: { ...nothing, ...none, AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" } },
      ...out,
    );
    expect([once.code, `${once.out}${once.err}`.match(/AWS_REGION/g)]).toEqual([2, ["AWS_REGION"]]);
    expect(
      lqaIn(
        { env: { ...nothing, ...none, AWS_REGION: "us-east-1", AWS_ENDPOINT_URL: s3.endpoint } },
        ...words,
      ),
    ).toMatchObject({
      code: 2,
      err: expect.stringMatching(/ACCESS_DENIED[\s\S]*AWS_ACCESS_KEY_ID/),
    });
    expect(lqaIn({ env: { ...s3.env, AWS_SECRET_ACCESS_KEY: "wrong" } }, ...words).err).toMatch(
      /ACCESS_DENIED/,
    );
    expect(run("encode", "s3://source/none", "--out-dir", join(base, "nowhere"))).toMatchObject({
      code: 2,
      err: expect.stringMatching(/NOT_FOUND/),
    });
    expect(run("encode", "s3://nothing/adapters", "--out-dir", join(base, "nowhere")).err).toMatch(
      /no such bucket/,
    );
  });

  it("are read by a pool", async () => {
    encode("pool");
    Object.assign(process.env, s3.env);
    const opened = await (await openAdapters("s3://target/pool/group-0")).open("adapter-0000");
    expect(opened.source.size).toBe(statSync(join(base, "alone/group-0/adapter-0000.lqa")).size);
    rmSync(target("pool"), { recursive: true });
  });
});

it("an address that a command does not read is no misspelt path", () => {
  for (const words of [
    ["encode", "s3://bucket/adapter", "-o", join(base, "x.lqa")],
    ["inspect", "s3://bucket/x.lqa"],
    ["decode", "s3://bucket/x.lqa", join(base, "x")],
    ["encode", "gs://bucket/adapter", "--out-dir", join(base, "x")],
  ]) {
    const { code, err, out } = lqa(...words);
    expect(code, words.join(" ")).toBe(2);
    expect(err + out).toMatch(/USAGE|another kind of address/);
    expect(err + out).not.toMatch(/spelling/);
  }
});
