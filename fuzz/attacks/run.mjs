// Hostile files, each made to cost a reader more than it cost its author, and what the program spends on them: peak memory
// of the process, CPU time, exit code, first error. The files are in list.mjs. Run after `npm run build`:
//
//   node fuzz/attacks/run.mjs [--write] [--only TEXT] [--counts FILE]
//
// --write writes docs/attacks.md; --only runs those whose group and name hold the text. Needs 1.1 GB of disk for a moment: large files are made one after the other, sparse where
// they are zeros. Exit code 1 if one ends otherwise than list.mjs says, takes more CPU time than it says, or more memory than is promised.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ATTACKS, small } from "./list.mjs";
import { page } from "./page.mjs";

const { values: options } = parseArgs({
  options: { write: { type: "boolean" }, only: { type: "string" }, counts: { type: "string" } },
});
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "lqa-attacks-"));
const MIB = 2 ** 20;
/** What a process may take above that for a small file, and above the index, in MiB; an attack may say otherwise. */
const MOST = 64;
/** Below this nobody asks what of it is the index. */
const FREE = 16 * MIB;

/** Runs the program on a file. Its memory and time come back on a stream of their own. */
function measure(attack, path) {
  const out = join(folder, "out");
  rmSync(out, { recursive: true, force: true });
  const words = {
    validate: [path],
    inspect: [path],
    decode: [path, "-o", out],
    diff: [path, path],
    encode: [path, "-o", `${out}.lqa`, "--force"],
    repair: [path, "-o", `${out}.lqa`, "--force"],
    convert: [path, out],
    compare: [path],
    extract: ["--base", path, "--tuned", path, "-o", out],
  };
  const child = spawnSync(
    process.execPath,
    [
      "--import",
      join(import.meta.dirname, "report-usage.mjs"),
      join(root, "dist/cli/main.js"),
      attack.command,
      ...words[attack.command],
      "--json",
      ...(attack.words ?? []).map((word) => word.replace("OUT", out)),
    ],
    { stdio: ["ignore", "pipe", "pipe", "pipe"], maxBuffer: 256 * MIB },
  );
  const usage = child.output[3].toString();
  if (usage === "") throw new Error(`${attack.name}: the process ended with ${child.signal ?? child.status}`);
  const { files, error } = JSON.parse(child.stdout.toString());
  const first = error ?? files?.[0].findings?.[0];
  return { code: child.status, first: first?.kind ?? "valid", ...JSON.parse(usage) };
}

/** Bytes of a file, or of the files in a directory. */
function sizeOf(path) {
  if (!statSync(path).isDirectory()) return statSync(path).size;
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

const results = [];
let failed = 0;
try {
  const smallFile = join(folder, "small.lqa");
  writeFileSync(smallFile, small);
  const idle = {};
  for (const attack of ATTACKS) {
    if (options.only !== undefined && !`${attack.group}: ${attack.name}`.includes(options.only)) continue;
    // The commands for adapters have no use for the small file: a look at it takes as much of Node.
    const quiet = ["validate", "decode", "repair"].includes(attack.command) ? attack.command : "validate";
    idle[quiet] ??= measure({ command: quiet }, smallFile);
    const path = join(folder, attack.file ?? "attack.lqa");
    const bytes = await attack.make(path);
    if (bytes !== undefined) writeFileSync(path, bytes);
    const size = sizeOf(path);
    const { code, first, rss, cpu } = measure(attack, path);
    const memory = Math.max(0, rss - idle[quiet].rss);
    // Level structure reads the index and nothing else: what that takes is the index.
    const structure = { command: "validate", words: ["--level", "structure"] };
    if (memory > FREE && attack.file === undefined)
      idle.validate ??= measure({ command: "validate" }, smallFile);
    const index =
      memory > FREE && attack.file === undefined
        ? Math.max(0, measure(structure, path).rss - idle.validate.rss)
        : 0;
    const result = {
      ...attack,
      size,
      index,
      memory,
      most: attack.seconds,
      seconds: Math.max(0, cpu - idle[quiet].cpu),
      actual: { code, first },
    };
    results.push(result);
    rmSync(path, { recursive: true });
    const good = code === attack.code && first === attack.first;
    const modest = memory - index <= (attack.mib ?? MOST) * MIB;
    const quick = result.seconds <= attack.seconds;
    if (!good || !modest || !quick) failed++;
    const verdict = good ? (modest ? (quick ? "ok" : "TIME") : "MEMORY") : undefined;
    console.log(
      `${verdict ?? `FAILED (expected ${attack.code} ${attack.first})`}  ${attack.command} ${attack.name}: ${size} bytes, ${(memory / MIB).toFixed(0)} MiB (index ${(index / MIB).toFixed(0)}), ${result.seconds.toFixed(2)} s, code ${code} ${first}`,
    );
  }
  if (options.write) {
    const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, ${process.platform} ${process.arch}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`;
    writeFileSync(
      join(root, "docs/attacks.md"),
      page(results, { small: small.length, idle: idle.validate, machine }),
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(`${results.length} attacks, ${failed} with another outcome than expected`);
if (options.counts)
  writeFileSync(options.counts, JSON.stringify({ passed: results.length - failed, failed }));
process.exit(failed > 0 ? 1 : 0);
