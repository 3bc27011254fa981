/**
 * The runner of conformance/ against readers that misbehave: whatever a reader does, the runner ends, says what happened,
 * and tells a refusal from a crash and from a timeout.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { temporaryDirectory } from "../helpers/temporary.ts";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const run = here("../../conformance/run");
const fake = here("fake-reader.mjs");
const root = temporaryDirectory();
const suite = join(root, "suite");

const error = { code: "LQA-M001", name: "BAD_MAGIC", class: "M" };
const about = {
  file: "x/file.lqa",
  bytes: 3,
  sha256: "",
  clauses: ["5.1"],
  obligation: "must",
  features: [],
};
const refused = { valid: false, exit: 1, error };
const cases = ["early/1", "early/2", "late/3", "late/4"].map((id) => ({
  ...about,
  id,
  level: "canonical",
  shallower: "BAD_MAGIC",
  expected: refused,
}));

beforeAll(() => {
  mkdirSync(join(suite, "x"), { recursive: true });
  writeFileSync(join(suite, "x/file.lqa"), "bad");
  write({ cases });
});

function write(more: object): void {
  const errors = [
    { name: "BAD_MAGIC", code: "LQA-M001", exit: 1 },
    { name: "MAGIC_TEXT_DAMAGE", code: "LQA-M002", exit: 1 },
  ];
  writeFileSync(join(suite, "manifest.json"), JSON.stringify({ errors, mutations: [], ...more }));
}

interface Report {
  readers: { count: Record<string, number>; results: { id: string; status: string; detail?: string }[] }[];
}

/** A program to its end, whatever that is. */
async function ended(args: string[], env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"], timeout: 60000 });
  let stdout = "";
  child.stdout.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr.resume();
  const status = await new Promise((resolve) => child.on("close", resolve));
  return { status, stdout };
}

let reports = 0;

/**
 * Who hangs from the first case on (protocol A) is waited for only so long. Who is to answer before it hangs (protocol B) gets
 * more and more time, until the machine is not too busy for its answers.
 */
const PATIENCE = ["1.5", "6", "24"] as const;
const patience = (status: string): string[] => (status === "timeout" ? ["--timeout", PATIENCE[0]] : []);

/** One reader through the little suite. */
async function test(how: string, protocol: "a" | "b", ...options: string[]) {
  const report = join(root, `report-${reports++}`);
  const lines = protocol === "b" ? ["--lines"] : [];
  const { status, stdout } = await ended([
    ...[run, "--suite", suite, "--timeout", "20", "--json", `${report}.json`, "--html", `${report}.html`],
    ...[...options, `--${protocol}`, process.execPath, fake, how, ...lines],
  ]);
  const { readers } = JSON.parse(readFileSync(`${report}.json`, "utf8")) as Report;
  expect(readFileSync(`${report}.html`, "utf8")).toContain("<table>");
  const { results, count } = readers[0]!;
  return { code: status, out: stdout, results, count };
}

/** As `test` by protocol B, of a reader that answers the first case and hangs at the second. */
async function testHanging(how: string) {
  for (const [i, seconds] of PATIENCE.entries()) {
    const tested = await test(how, "b", "--timeout", seconds, "--filter", "early");
    const late = tested.results[0]!.status === "timeout";
    if (!late || i === PATIENCE.length - 1) return { ...tested, milliseconds: 1000 * Number(seconds) };
  }
  throw new Error("not reached");
}

describe("the conformance runner, whatever a reader does", { concurrent: true, timeout: 120_000 }, () => {
  it.each(["a", "b"] as const)("passes a reader that answers well, by protocol %s", async (protocol) => {
    const { code, count } = await test("answers-well", protocol);
    expect(count).toEqual({ passed: 4, failed: 0, crash: 0, timeout: 0, skipped: 0 });
    expect(code).toBe(0);
  });

  it("does not mind a reader that never reads its input, or does not stop when told", async () => {
    expect((await test("does-not-read", "a")).count.passed).toBe(4);
    expect((await test("does-not-stop", "b")).count.passed).toBe(4);
  });

  it.each([
    ["hangs", "timeout", /no end after 1500 ms/],
    ["floods", "crash", /printed more than \d+ bytes/],
    ["dies", "crash", /ended with code 7/],
    ["is-killed", "crash", /ended by SIGKILL/],
    ["aborts-with-words", "crash", /SIGABRT.*assertion failed/],
    ["prints-no-json", "crash", /printed no JSON/],
    ["prints-nothing", "crash", /printed no JSON/],
    ["stops-within-a-line", "timeout", /no end after 1500 ms/],
    ["dies-within-a-line", "crash", /printed no JSON/],
    ["prints-no-utf-8", "crash", /printed no UTF-8/],
    ["drips", "timeout", /no end after 1500 ms/],
    ["closes-its-output", "timeout", /no end after 1500 ms/],
    ["leaves-something-behind", "timeout", /no end after 1500 ms/],
    ["prints-an-abyss", "failed", /exit 0 does not fit/],
    ["has-a-name-for-a-trap", "failed", /does not fit/],
    ["prints-null", "failed", /no document/],
    ["prints-a-number", "failed", /no document/],
    ["wrong-exit", "failed", /exit 0 does not fit/],
    ["wrong-error", "failed", /expected BAD_MAGIC, found MAGIC_TEXT_DAMAGE/],
    ["wrong-code", "failed", /error.code: expected "LQA-M001"/],
    ["unknown-error", "failed", /does not fit/],
    ["accepts", "failed", /expected BAD_MAGIC, found valid/],
  ] as const)("protocol A: a reader that %s is %s", async (how, status, detail) => {
    const { code, results } = await test(how, "a", "--give-up", "2", ...patience(status));
    expect(results[0]).toMatchObject({ status, detail: expect.stringMatching(detail) });
    expect(code).toBe(1);
  });

  it.each(["hangs", "stops-within-a-line", "drips", "closes-its-output", "leaves-something-behind"])(
    "protocol B: a reader that %s at the third line is waited for only so long",
    async (how) => {
      const { code, results, milliseconds } = await testHanging(how);
      // Two runs a case: the third line belongs to the second case.
      expect(results).toMatchObject([
        { status: "passed" },
        { status: "timeout", detail: expect.stringMatching(`no answer after ${milliseconds} ms`) },
      ]);
      expect(code).toBe(1);
    },
  );

  it.each([
    ["floods", "crash", /printed more than \d+ bytes/],
    ["dies", "crash", /ended with code 7/],
    ["is-killed", "crash", /ended by SIGKILL/],
    ["aborts-with-words", "crash", /SIGABRT.*assertion failed/],
    ["prints-no-json", "crash", /printed no JSON object/],
    ["prints-half-of-it", "crash", /printed no JSON object/],
    ["dies-within-a-line", "crash", /ended with code 0/],
    ["prints-no-utf-8", "crash", /printed no UTF-8/],
    ["prints-an-abyss", "failed", /does not fit/],
    ["errs-in-an-abyss", "failed", /./],
    ["has-a-name-for-a-trap", "failed", /does not fit/],
    ["answers-a-text", "crash", /answered to "3", not to 3/],
    ["answers-nobody", "crash", /answered to nothing, not to 3/],
    ["prints-a-number", "crash", /printed no JSON object/],
    ["prints-null", "crash", /printed no JSON object/],
    ["prints-nothing", "crash", /printed no JSON object/],
    ["answers-another", "crash", /answered to 4, not to 3/],
    ["has-no-document", "failed", /no document/],
    ["has-an-array", "failed", /does not fit/],
    ["skips-without-reason", "crash", /without a reason/],
    ["errs", "crash", /out of cheese/],
    ["wrong-exit", "failed", /exit 0 does not fit/],
    ["wrong-error", "failed", /found MAGIC_TEXT_DAMAGE/],
    ["accepts", "failed", /found valid/],
  ] as const)("protocol B: a reader that %s at the third line is %s there", async (how, status, detail) => {
    const { code, results } = await test(how, "b");
    // Two runs a case: the third line belongs to the second case.
    expect(results.map((result) => result.status)).toContain("passed");
    expect(results[1]).toMatchObject({ status, detail: expect.stringMatching(detail) });
    expect(code).toBe(1);
  });

  it("protocol B: a line too many is found, and the reader started again", async () => {
    const { results } = await test("answers-twice", "b");
    expect(results.filter(({ status }) => status === "crash").length).toBeGreaterThan(0);
    expect(results.find(({ status }) => status === "crash")?.detail).toMatch(/more than one line/);
  });

  it("protocol B: goes on after a crash with a new process", async () => {
    const log = join(root, "log");
    writeFileSync(log, "");
    await ended([run, "--suite", suite, "--b", process.execPath, fake, "dies", "--lines"], {
      ...process.env,
      FAKE_READER_LOG: log,
    });
    expect(readFileSync(log, "utf8").split("\n").length - 1).toBeGreaterThan(1);
  });

  it("protocol B: a reader that ends between two cases crashed, and nobody waits for it", async () => {
    for (const how of ["answers-and-ends", "ends-after-caps"]) {
      const { results } = await test(how, "b");
      expect(results.map(({ status }) => status)).not.toContain("timeout");
      expect(results.find(({ status }) => status === "crash")?.detail).toMatch(/ended with code 0/);
    }
  });

  it("a reader's words stay on their line", async () => {
    const { out } = await test("skips-with-lines", "b");
    expect(out).toMatch(/^skipped: .*: no 9 passed, 0 failed \[2J$/m);
    expect(out.match(/^\d+ passed/gm)).toHaveLength(1);
  });

  it("takes its readers along when it is interrupted", async ({ expect }) => {
    const log = join(root, "heartbeat");
    writeFileSync(log, "");
    const runner = spawn(
      process.execPath,
      [run, "--suite", suite, "--timeout", "60", "--b", process.execPath, fake, "hangs", "--lines"],
      { env: { ...process.env, FAKE_READER_LOG: log }, stdio: "ignore" },
    );
    const ended = new Promise((resolve) => runner.on("close", resolve));
    await expect.poll(() => readFileSync(log, "utf8"), { timeout: 20000 }).toMatch(/alive/);
    runner.kill("SIGINT");
    expect(await ended).toBe(130);
    const grown = async () => {
      const before = readFileSync(log, "utf8").length;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return readFileSync(log, "utf8").length - before;
    };
    // One look takes half a second: by default poll has time for one only.
    await expect.poll(grown, { timeout: 10000 }).toBe(0);
  });

  it.each(["dies-at-start", "other-protocol", "no-caps", "without-a-reason"])(
    "protocol B: says why a reader that %s does not start",
    async (how) => {
      const { code, results } = await test(how, "b");
      expect(results[0]).toMatchObject({ status: "crash", detail: expect.stringMatching(/does not start/) });
      expect(code).toBe(1);
    },
  );

  it("says that a command does not exist", () => {
    for (const protocol of ["--a", "--b"]) {
      const { status, stdout } = spawnSync(
        process.execPath,
        [run, "--suite", suite, protocol, join(root, "absent")],
        { encoding: "utf8" },
      );
      expect(stdout).toMatch(/could not be started/);
      expect(status).toBe(1);
    }
  });

  it("gives up a reader that always hangs, and says so", async () => {
    const { results, count } = await test("hangs", "a", "--give-up", "1", ...patience("timeout"));
    expect(count).toMatchObject({ timeout: 1, crash: 3 });
    expect(results.at(-1)?.detail).toMatch(/not run: the reader crashed or hung 1 times/);
  });
});

describe("the conformance runner", () => {
  it("shows every reason for which something is skipped, and counts it apart", async () => {
    const skips = await test("skips", "b");
    expect(skips.out).toMatch(/skipped: .*: not today/);
    expect(skips.count.skipped).toBeGreaterThan(0);
    expect((await test("shallow", "b")).out).toMatch(/no level canonical/);
    write({ cases: cases.map((c) => ({ ...c, features: ["zstd"] })) });
    const without = await test("without-zstd", "b");
    write({ cases });
    expect(without).toMatchObject({ code: 2, count: { skipped: 4 } });
    expect(without.out).toMatch(/4 cases: never had it/);
    // A reader that cannot decode is no decoder, however many cases it skips.
    const reader = await test("answers-well", "b", "--decoder");
    expect(reader).toMatchObject({ code: 2, count: { passed: 0, skipped: 4 } });
  });

  it("fails a case whose fault is found too early", async () => {
    write({ cases: cases.map(({ shallower: _, ...c }) => c) });
    const { results } = await test("answers-well", "b");
    write({ cases });
    expect(results[0]).toMatchObject({
      status: "failed",
      detail: expect.stringMatching(/expected valid, found BAD_MAGIC/),
    });
  });

  it("explains itself, and refuses what it does not understand", () => {
    expect(execFileSync(process.execPath, [run, "--help"], { encoding: "utf8" })).toMatch(/^Usage/);
    for (const bad of [
      [],
      ["--a"],
      ["--nonsense"],
      ["--all", "--a", "x"],
      ["--timeout", "soon", "--a", "x"],
      ["--timeout", "9999999", "--a", "x"],
      ["--jobs", "0.5", "--a", "x"],
      ["--give-up", "0", "--a", "x"],
      ["--mutations", "few", "--a", "x"],
      ["--filter", "no such case", "--a", "x"],
    ])
      expect(spawnSync(process.execPath, [run, "--suite", suite, ...bad]).status, bad.join(" ")).toBe(2);
  });
});
