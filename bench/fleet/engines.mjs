// The trial of shares on an existing engine: generated adapters on a Ray cluster of this machine (examples/ray/encode.py). On the
// way one of the engine's workers is killed. Then every file must be there once, and equal, byte for byte, to that of one process.
//
// npm run build && node bench/fleet/engines.mjs --python PYTHON [--adapters 200] [--shards 16]
// PYTHON: an interpreter that has pip install ray==2.60.0
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { encodeMany } from "../../dist/node/index.js";
import { writeAdapter } from "./generate.mjs";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../examples/ray/encode.py", import.meta.url));
const { values } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    adapters: { type: "string", default: "200" },
    shards: { type: "string", default: "16" },
  },
});
const adapters = Number(values.adapters);
const base = mkdtempSync(join(tmpdir(), "lqa-engines-"));
const [input, out] = [join(base, "in"), join(base, "out")];
for (let i = 0; i < adapters; i++)
  writeAdapter(join(input, `group-${i % 10}`, `adapter-${i}`), i, { rank: 8, width: 256 });

const started = performance.now();
await encodeMany([input], join(base, "alone"), { quality: "high", workers: 1 });
const alone = (performance.now() - started) / 1000;

const first = await onRay(true);
const second = await onRay(false);
const [expected, found] = [digests(join(base, "alone")), digests(out)];
const equal = [...expected].filter(([name, digest]) => found.get(name) === digest).length;
const whole = [...found.keys()].filter((name) => !name.endsWith(".tmp")).length;
const report = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus()[0].model.trim()}, ${cpus().length} virtual cores`,
  node: process.version,
  load: loadavg().map((value) => value.toFixed(1)),
  adapters,
  shards: Number(values.shards),
  aloneSeconds: Number(alone.toFixed(1)),
  first,
  second,
  files: whole,
  equal,
};
console.log(JSON.stringify(report, null, 2));
rmSync(base, { recursive: true, force: true });
const good = equal === adapters && whole === adapters && first.killed && second.kept === adapters;
process.exitCode = good ? 0 : 1;

/** Runs the program; with `kill` it loses one of its workers once a tenth of the files is there. */
async function onRay(kill) {
  const began = performance.now();
  const words = [PROGRAM, input, out, "--shards", values.shards, "--lqa", process.execPath, MAIN];
  const child = spawn(values.python, [...words, "--", "--quality", "high"], {
    stdio: ["ignore", "pipe", "inherit"],
    // Ray keeps a token in the home directory.
    env: { ...process.env, HOME: base, RAY_USAGE_STATS_ENABLED: "0" },
  });
  const end = once(child, "exit");
  const printed = child.stdout.toArray();
  let killed = false;
  while (kill && !killed && child.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (digests(out).size < adapters / 10) continue;
    const worker = descendants(child.pid).find(({ command }) => command.startsWith("ray::encode"));
    if (worker === undefined) continue;
    process.kill(worker.pid, "SIGKILL");
    killed = true;
  }
  const [code] = await end;
  // Ray reports the lost worker on stdout as well.
  const lines = Buffer.concat(await printed)
    .toString()
    .split("\n");
  const counts = JSON.parse(lines.findLast((line) => line.startsWith("{")) ?? "{}");
  return { code, killed, seconds: Number(((performance.now() - began) / 1000).toFixed(1)), ...counts };
}

/** Processes that a process started, and those that they started. */
function descendants(root) {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const status = readFileSync(`/proc/${name}/status`, "utf8");
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8");
        return [{ pid: Number(name), parent: Number(/^PPid:\s+(\d+)/m.exec(status)[1]), command }];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
  const below = new Set([root]);
  for (let size = 0; size < below.size; ) {
    size = below.size;
    for (const { pid, parent } of all) if (below.has(parent)) below.add(pid);
  }
  return all.filter(({ pid }) => pid !== root && below.has(pid));
}

/** SHA-256 by path below a directory. */
function digests(folder) {
  try {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    return new Map(
      files.map((entry) => {
        const path = join(entry.parentPath ?? entry.path, entry.name);
        return [path.slice(folder.length + 1), createHash("sha256").update(readFileSync(path)).digest("hex")];
      }),
    );
  } catch {
    // Not there yet, or a temporary file that has its name by now.
    return new Map();
  }
}
