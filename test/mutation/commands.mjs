// Shows that the tests of the command line test what is in src/: puts a `throw` first into the `run` of each command, in a copy of the
// tree, and runs this command's own test file there, alone and without a build before it. Fails if a test stays green, or hangs.
//
//   node test/mutation/commands.mjs [--trust] [COMMAND...]   all by default; 10 seconds for each on a free machine
//
// Runs the test files without a change first, because what is red then proves nothing; --trust leaves that out.
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The test file of each command whose test is not test/cli/NAME.test.ts. */
const TESTS = {
  completion: "test/cli/shell.test.ts",
  convert: "test/cli/dialects.test.ts",
  decode: "test/cli/round-trip.test.ts",
  encode: "test/cli/round-trip.test.ts",
  inspect: "test/cli/layout.test.ts",
  man: "test/cli/shell.test.ts",
  push: "test/hub/push.test.ts",
  rebase: "test/parent/cli.test.ts",
};
/** A command that holds its test up for longer hangs. */
const LIMIT_MS = 10 * 60 * 1000;
const RUN = /^export async function run\([^{]*\{\n/m;

const root = fileURLToPath(new URL("../..", import.meta.url));
const commands = readdirSync(join(root, "src/cli/commands")).map((name) => basename(name, ".ts"));
const trust = process.argv.includes("--trust");
const named = process.argv.slice(2).filter((word) => word !== "--trust");
const unknown = [...named, ...Object.keys(TESTS)].filter((name) => !commands.includes(name));
if (unknown.length > 0) {
  console.error(`no commands: ${unknown.join(", ")}; commands: ${commands.join(", ")}`);
  process.exit(2);
}
const wanted = named.length > 0 ? named : commands;
const testOf = (command) => TESTS[command] ?? `test/cli/${command}.test.ts`;

const copy = mkdtempSync(join(tmpdir(), "lqa-commands-"));
try {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  for (const name of listed.split("\0"))
    if (name !== "" && existsSync(join(root, name))) cpSync(join(root, name), join(copy, name));
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));

  // Whatever is red below is red because of the `throw`.
  for (const file of trust ? [] : new Set(wanted.map(testOf))) {
    const first = tested(file);
    if (first !== "green") throw new Error(`without a change, ${file} is ${first}`);
  }
  let missed = 0;
  for (const command of wanted) {
    const path = join(copy, "src/cli/commands", `${command}.ts`);
    const text = readFileSync(path, "utf8");
    if (!RUN.test(text)) throw new Error(`${command}.ts has no run`);
    writeFileSync(
      path,
      text.replace(RUN, (line) => `${line}  if (Date.now() > 0) throw new Error("changed");\n`),
    );
    const result = tested(testOf(command));
    writeFileSync(path, text);
    if (result !== "red") missed++;
    console.log(
      `${result === "red" ? "red, as it must be" : result.toUpperCase()}: ${command}, ${testOf(command)}`,
    );
  }
  console.log(`${wanted.length - missed} of ${wanted.length} commands are tested`);
  process.exitCode = missed > 0 ? 1 : 0;
} finally {
  rmSync(copy, { recursive: true, force: true });
}

/** Runs a test file in the copy, as a person would. */
function tested(file) {
  const { status, error, stdout, stderr } = spawnSync("npx", ["vitest", "run", "--bail", "1", file], {
    cwd: copy,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    encoding: "utf8",
    timeout: LIMIT_MS,
    maxBuffer: 1 << 28,
  });
  if (error !== undefined) return error.code === "ETIMEDOUT" ? "hung" : `not run: ${error.message}`;
  const failed = /^\s*Tests\s.*\bfailed\b/m.test(stdout) || /^\s*Test Files\s.*\bfailed\b/m.test(stdout);
  if (status === 0) return "green";
  return failed ? "red" : `not run:\n${stdout}${stderr}`;
}
