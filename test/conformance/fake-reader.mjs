// A reader that misbehaves in the way its first argument says; protocol B with --lines, else protocol A. In protocol B it
// answers the first two cases as it should, and misbehaves at the third. With FAKE_READER_LOG it notes each of its starts there.
import { spawn } from "node:child_process";
import { appendFileSync, closeSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const how = process.argv[2];
const log = process.env.FAKE_READER_LOG;
const good = { valid: false, error: { code: "LQA-M001", name: "BAD_MAGIC", class: "M" } };
const flood = () => {
  const block = "x".repeat(2 ** 20);
  const more = () => {
    while (process.stdout.write(block));
    process.stdout.once("drain", more);
  };
  more();
};
const print = (value) =>
  process.stdout.write(typeof value === "string" ? value : `${JSON.stringify(value)}\n`);
/** Forever; the log grows as long as it lives. */
const hang = () => setInterval(() => log && appendFileSync(log, "alive\n"), 50);
/** Something in a group of its own that keeps standard output open, longer than any test waits. */
const leaveBehind = () =>
  spawn(process.execPath, ["-e", "setTimeout(() => {}, 40000)"], {
    detached: true,
    stdio: "inherit",
  }).unref();
const deep = `${"[".repeat(200000)}${"]".repeat(200000)}`;

if (process.argv.includes("--lines")) {
  if (log) appendFileSync(log, "started\n");
  let seen = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    const { cmd, seq } = JSON.parse(line);
    if (cmd === "stop") {
      if (how !== "does-not-stop") break;
      hang();
    } else if (cmd === "start") {
      if (how === "dies-at-start") process.exit(9);
      if (how === "silent-at-start") hang();
      else print({ protocol: how === "other-protocol" ? 7 : 1, name: "fake", unknown: { member: 1 } });
    } else if (cmd === "caps") {
      const without =
        how === "without-a-reason" ? { zstd: "" } : how === "without-zstd" ? { zstd: "never had it" } : {};
      print(
        how === "no-caps"
          ? { no: "levels" }
          : {
              levels: how === "shallow" ? ["structure"] : ["structure", "integrity", "values", "canonical"],
              operations: ["read"],
              without,
            },
      );
      if (how === "ends-after-caps") process.exit(0);
    } else if (++seen < 3) print({ seq, exit: 1, document: good });
    else misbehave(seq);
  }
  if (how !== "does-not-stop") process.exit(0);
} else {
  if (how !== "does-not-read") readFileSync(0);
  misbehave(0);
}

function misbehave(seq) {
  const lines = process.argv.includes("--lines");
  const document = (value, exit = 1) => {
    if (lines) print({ seq, exit, document: value });
    else {
      print(value);
      process.exitCode = exit;
    }
  };
  const acts = {
    hangs: hang,
    floods: flood,
    "floods-a-line": flood,
    dies: () => process.exit(7),
    "is-killed": () => process.kill(process.pid, "SIGKILL"),
    "aborts-with-words": () => {
      process.stderr.write("assertion failed: everything\n", () => process.kill(process.pid, "SIGABRT"));
    },
    "prints-no-json": () => print("Segmentation fault\n"),
    "prints-half-of-it": () => print('{"seq": \n'),
    "stops-within-a-line": () => {
      process.stdout.write(`{"seq":${seq},"exit":1,`);
      hang();
    },
    "dies-within-a-line": () => process.stdout.write(`{"seq":${seq},"exit":1,`, () => process.exit(0)),
    "prints-no-utf-8": () =>
      process.stdout.write(
        Buffer.from(`{"seq":${seq},"exit":1,"document":{"valid":false,"x":"\xff"}}\n`, "latin1"),
      ),
    drips: () => setInterval(() => process.stdout.write(" "), 50),
    "closes-its-output": () => {
      closeSync(1);
      hang();
    },
    "leaves-something-behind": () => {
      leaveBehind();
      process.exit(0);
    },
    "prints-an-abyss": () => print(lines ? `{"seq":${seq},"exit":1,"document":${deep}}\n` : `${deep}\n`),
    "errs-in-an-abyss": () =>
      print(`{"seq":${seq},"exit":1,"document":{"valid":false,"error":{"name":${deep},"where":${deep}}}}\n`),
    "has-a-name-for-a-trap": () => document({ valid: false, error: { name: { toString: 1 }, where: [1] } }),
    "answers-a-text": () => print({ seq: String(seq), exit: 1, document: good }),
    "answers-nobody": () => print({ exit: 1, document: good }),
    "answers-and-ends": () => {
      print({ seq, exit: 1, document: good });
      process.exit(0);
    },
    "skips-with-lines": () => print({ seq, skipped: "no\n9 passed, 0 failed\u001b[2J" }),
    "ends-after-caps": () => {},
    "prints-a-number": () => print("12\n"),
    "prints-null": () => print("null\n"),
    "prints-nothing": () => (lines ? print("\n") : undefined),
    // In one write, so that both are there at once.
    "answers-twice": () => {
      const line = `${JSON.stringify({ seq, exit: 1, document: good })}\n`;
      process.stdout.write(line + line);
    },
    "answers-another": () => print({ seq: seq + 1, exit: 1, document: good }),
    "has-no-document": () => print({ seq, exit: 1 }),
    "has-an-array": () => print({ seq, exit: 1, document: [] }),
    "skips-without-reason": () => print({ seq, skipped: " " }),
    skips: () => print({ seq, skipped: "not today" }),
    errs: () => print({ seq, errored: "out of cheese" }),
    "wrong-exit": () => document(good, 0),
    "wrong-error": () =>
      document({ valid: false, error: { code: "LQA-M002", name: "MAGIC_TEXT_DAMAGE", class: "M" } }),
    "wrong-code": () =>
      document({ valid: false, error: { code: "LQA-M999", name: "BAD_MAGIC", class: "M" } }),
    "unknown-error": () =>
      document({ valid: false, error: { code: "LQA-M001", name: "constructor", class: "M" } }),
    accepts: () => document({ valid: true }, 0),
    "answers-well": () => document(good),
    "does-not-stop": () => document(good),
    "does-not-read": () => document(good),
    "without-zstd": () => document(good),
    shallow: () => document(good),
  };
  acts[how]();
}
