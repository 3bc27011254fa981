// Hostile files, each made to cost a reader more than it cost its author, and what the program spends on them: peak memory
// of the process, CPU time, exit code, first error. The files are in list.mjs. Run after `npm run build`:
//
//   node fuzz/attacks/run.mjs [--write] [--only TEXT]
//
// --write writes docs/attacks.md. Needs 1.1 GB of disk for a moment: large files are made one after the other, sparse where
// they are zeros. Exit code 1 if one ends otherwise than list.mjs says, or in more memory than is promised.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ATTACKS, small } from "./list.mjs";
import { page } from "./page.mjs";

const { values: options } = parseArgs({ options: { write: { type: "boolean" }, only: { type: "string" } } });
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "lqa-attacks-"));
const MIB = 2 ** 20;
/** What a process may take above that for a small file, and above the index. */
const MOST = 64 * MIB;
/** Below this nobody asks what of it is the index. */
const FREE = 16 * MIB;

/** Runs the program on a file. Its memory and time come back on a stream of their own. */
function measure(attack, path) {
  const out = join(folder, "out");
  rmSync(out, { recursive: true, force: true });
  const words = {
    validate: [],
    decode: ["-o", out],
    encode: ["-o", `${out}.lqa`, "--force"],
    repair: ["-o", `${out}.lqa`, "--force"],
  };
  const child = spawnSync(
    process.execPath,
    [
      "--import",
      join(import.meta.dirname, "report-usage.mjs"),
      join(root, "dist/cli/main.js"),
      attack.command,
      path,
      "--json",
      ...words[attack.command],
      ...(attack.words ?? []),
    ],
    { stdio: ["ignore", "pipe", "pipe", "pipe"], maxBuffer: 256 * MIB },
  );
  const usage = child.output[3].toString();
  if (usage === "") throw new Error(`${attack.name}: the process ended with ${child.signal ?? child.status}`);
  const { files, error } = JSON.parse(child.stdout.toString());
  const first = error ?? files?.[0].findings?.[0];
  return { code: child.status, first: first?.kind ?? "valid", ...JSON.parse(usage) };
}

const results = [];
let failed = 0;
try {
  const smallFile = join(folder, "small.lqa");
  writeFileSync(smallFile, small);
  const idle = {};
  for (const attack of ATTACKS) {
    if (options.only !== undefined && !`${attack.group}: ${attack.name}`.includes(options.only)) continue;
    idle[attack.command] ??= measure(
      { command: attack.command === "encode" ? "validate" : attack.command },
      smallFile,
    );
    const path = join(folder, attack.file ?? "attack.lqa");
    const bytes = await attack.make(path);
    if (bytes !== undefined) writeFileSync(path, bytes);
    const { size } = statSync(path);
    const { code, first, rss, cpu } = measure(attack, path);
    const memory = Math.max(0, rss - idle[attack.command].rss);
    // Level structure reads the index and nothing else: what that takes is the index.
    const level = memory > FREE && attack.command === "validate" && ["--level", "structure"];
    const index = level ? Math.max(0, measure({ ...attack, words: level }, path).rss - idle.validate.rss) : 0;
    const result = {
      ...attack,
      size,
      index,
      memory,
      seconds: Math.max(0, cpu - idle[attack.command].cpu),
      actual: { code, first },
    };
    results.push(result);
    rmSync(path);
    const good = code === attack.code && first === attack.first;
    const modest = memory - index <= MOST || attack.above !== undefined;
    if (!good || !modest) failed++;
    console.log(
      `${good ? (modest ? "ok" : "MEMORY") : `FAILED (expected ${attack.code} ${attack.first})`}  ${attack.name}: ${size} bytes, ${(memory / MIB).toFixed(0)} MiB (index ${(index / MIB).toFixed(0)}), ${result.seconds.toFixed(2)} s, code ${code} ${first}`,
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
process.exit(failed > 0 ? 1 : 0);
