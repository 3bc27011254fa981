// Hostile files, each made to cost a reader more than it cost its author, and what the program spends on them: peak memory
// of the process, CPU time, exit code, first error. The files are in list.mjs. Run after `npm run build`:
//
//   node fuzz/attacks/run.mjs [--write] [--only TEXT] [--counts FILE]
//
// --write writes docs/attacks.md; --only runs those whose group and name hold the text, and --write keeps the rows of the others. Needs 1.1 GB of memory or disk for a
// moment: large files are made one after the other, sparse where they are zeros. Exit code 1 if one ends otherwise than list.mjs
// says, takes more CPU time than it says, or more memory than is promised.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ATTACKS, small } from "./list.mjs";
import { page } from "./page.mjs";

const { values: options } = parseArgs({
  options: { write: { type: "boolean" }, only: { type: "string" }, counts: { type: "string" } },
});
const root = join(import.meta.dirname, "../..");
const MIB = 2 ** 20;
// Holes are free in memory: on a disk the system fills a GiB of its cache with zeros, which takes seconds.
const inMemory = existsSync("/dev/shm") && statfsSync("/dev/shm");
const roomy = inMemory && inMemory.bavail * inMemory.bsize > 4096 * MIB;
const folder = mkdtempSync(join(roomy ? "/dev/shm" : tmpdir(), "lqa-attacks-"));
/** What a process may take above that for a small file, and above the index, in MiB; an attack may say otherwise. */
const MOST = 64;
/** Most CPU seconds for a byte of a file, and for each file of up to 100 KB: what clause 14 of the specification promises. */
const PROMISE = { validate: 10e-6, decode: 20e-6 };
const LEAST_BYTES = 100e3;
/**
 * Machines may be half as fast as the promise asks; and slower, by as much as `pace` takes longer at that moment than the least that it
 * took on the machine of docs/attacks.md.
 */
const SLOWER = 2;
const PACE = 0.45;

/** CPU seconds of this machine, now, for 2^28 multiplications. */
function pace() {
  const [x, y] = [7, 5].map((period) => Float64Array.from({ length: 8192 }, (_, i) => i % period));
  const begin = process.cpuUsage();
  let sum = 0;
  for (let round = 0; round < 32768; round++) for (let i = 0; i < 8192; i++) sum += x[i] * y[i];
  const { user } = process.cpuUsage(begin);
  return sum > 0 ? user / 1e6 : Number.NaN;
}
/** Below this the page does not say what of it is the index. */
const FREE = 16 * MIB;

/** Runs the program in a folder. Its memory and time come back on a stream of their own. */
function measure(words, cwd) {
  const child = spawnSync(
    process.execPath,
    [
      "--import",
      join(import.meta.dirname, "report-usage.mjs"),
      join(root, "dist/cli/main.js"),
      ...words,
      "--json",
    ],
    { cwd, stdio: ["ignore", "pipe", "pipe", "pipe"], maxBuffer: 256 * MIB },
  );
  const usage = child.output[3].toString();
  if (usage === "")
    throw new Error(`lqa ${words.join(" ")}: the process ended with ${child.signal ?? child.status}`);
  const { files, error } = JSON.parse(child.stdout.toString());
  const first = error ?? files?.[0].findings?.[0];
  return { code: child.status, first: first?.kind ?? "valid", ...JSON.parse(usage) };
}

/** Bytes of the files in a folder; links and pipes have none. */
function sizeOf(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

function verdictOf({ code, first, mib, seconds, words }, { actual, memory, index, size, ...took }) {
  if (actual.code !== code || actual.first !== first) return `FAILED (expected ${code} ${first})`;
  if (memory - index > (mib ?? MOST) * MIB) return "MEMORY";
  const promised = (PROMISE[words[0]] ?? Number.POSITIVE_INFINITY) * Math.max(size, LEAST_BYTES);
  const allowed = Math.min(seconds, SLOWER * promised);
  return took.seconds <= allowed || took.seconds <= allowed * (pace() / PACE) ? "ok" : "TIME";
}

const results = [];
/** Lines of attacks that ended otherwise. */
const failed = [];
try {
  writeFileSync(join(folder, "a.lqa"), small);
  // What a look at a small file takes is Node, and the part of the program that the command loads.
  const quiet = {
    validate: ["validate", "a.lqa"],
    decode: ["decode", "a.lqa", "-o", "out"],
  };
  const idle = {};
  const idleOf = (command) => {
    const words = quiet[command] ?? quiet.validate;
    idle[words[0]] ??= measure(words, folder);
    return idle[words[0]];
  };
  // Level structure reads the index and nothing else: what that takes is the index.
  // It matters to the page, and to an attack that takes more than it may without it.
  const indexOf = (place, memory, most) =>
    memory > (options.write ? FREE : most) && existsSync(join(place, "a.lqa"))
      ? Math.max(0, measure([...quiet.validate, "--level", "structure"], place).rss - idleOf("validate").rss)
      : 0;
  const place = join(folder, "attack");
  const remove = (path) => rmSync(path, { recursive: true, force: true });
  let made;
  let size;
  for (const attack of ATTACKS) {
    const { group, name, words, files, mib = MOST } = attack;
    if (options.only !== undefined && !`${group}: ${name}`.includes(options.only)) continue;
    // What is made in no time is made for each, which may change it.
    if (!attack.big || files !== made) {
      remove(place);
      mkdirSync(place);
      await attack.make(place);
      made = files;
      size = sizeOf(place);
    }
    const before = idleOf(words[0]);
    // Memory and time are those of the most modest of three runs: a machine with other work adds to both. What the program
    // says must be right at the first run.
    let result;
    let verdict;
    for (let run = 0; run < 3 && (run === 0 || verdict === "TIME" || verdict === "MEMORY"); run++) {
      for (const output of ["out", "out.lqa", "out.html"]) remove(join(place, output));
      const { rss, cpu, ...actual } = measure(words, place);
      const memory = Math.max(0, rss - before.rss);
      result = { ...attack, size, index: indexOf(place, memory, mib * MIB), memory, actual };
      result.seconds = Math.max(0, cpu - before.cpu);
      verdict = verdictOf(attack, result);
    }
    results.push(result);
    const line = `${verdict}  ${words.join(" ")}: ${name}: ${size} bytes, ${(result.memory / MIB).toFixed(0)} MiB (index ${(result.index / MIB).toFixed(0)}), ${result.seconds.toFixed(2)} s, code ${result.actual.code} ${result.actual.first}`;
    console.log(line);
    if (verdict !== "ok") failed.push(line);
  }
  if (options.write) {
    const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`;
    const path = join(root, "docs/attacks.md");
    const before = readFileSync(path, "utf8");
    const all = ATTACKS.map(
      (one) => results.find(({ words, make }) => make === one.make && words === one.words) ?? one,
    );
    writeFileSync(path, page(all, { small: small.length, idle: idleOf("validate"), machine, before }));
  }
} finally {
  rmSync(folder, { recursive: true });
}
if (failed.length > 0) console.log(`\nThese ended otherwise:\n${failed.join("\n")}`);
console.log(`${results.length} attacks, ${failed.length} with another outcome than expected`);
if (options.counts)
  writeFileSync(
    options.counts,
    JSON.stringify({ passed: results.length - failed.length, failed: failed.length }),
  );
process.exit(failed.length > 0 ? 1 : 0);
