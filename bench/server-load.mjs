// `lqa serve` under load by autocannon, in a process of its own: what it can do, and what becomes of twice that. Bounded
// memory, and an answer to every request, are what it is to show.
//
//   npm run build && node bench/server-load.mjs [--seconds N]
//
// Two processes share the cores: the rates are those of server and client together.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import autocannon from "autocannon";
import { encodeAdapter } from "../dist/encode/index.js";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "8" } } });
const SECONDS = Number(values.seconds);
const WIDTH = 576;
const RANK = 8;
const ADAPTERS = 1000;
/** Different contents; names of one content share memory. */
const CONTENTS = 100;
/** An adapter has 60 modules, as the all-linear ones of small models. */
const MODULES = 60;
const MIB = 2 ** 20;

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "lqa-load-"));

/** Numbers that are the same in every run. */
function floats(seed, count) {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

async function adapter(seed) {
  const modules = Array.from({ length: MODULES }, (_, i) => ({
    name: `model.layers.${i}.q_proj`,
    role: "linear",
    out: WIDTH,
    in: WIDTH,
    kernel: [],
    rank: RANK,
    experts: 1,
    multiplier: 2,
    alpha: 16,
    rule: "alpha/r",
    baseLayout: "out-in",
    b: floats(2 * i + seed, WIDTH * RANK),
    a: floats(2 * i + 1 + seed, WIDTH * RANK),
  }));
  return (await encodeAdapter({ modules, tensors: [], meta: {} }, { profile: "rtn", codeBits: 2 })).bytes;
}

/** Peak of the resident memory of a process, in MiB. */
function peakMib(pid) {
  const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(kib) / 1024;
}

async function start(...options) {
  const child = spawn(
    process.execPath,
    [join(root, "dist/cli/main.js"), "serve", folder, "--port", "0", "--quiet", "--log", "json", ...options],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const address = await new Promise((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (piece) => {
      text += piece;
      const line = text.split("\n").find((one) => one.includes('"listening"'));
      if (line !== undefined) resolve(JSON.parse(line).address);
    });
    child.once("exit", () => reject(new Error(text)));
  });
  return { child, address };
}

/** Requests in closed loops: each connection sends the next one when the answer is there. */
function load(address, { connections, cold = false }) {
  const body = Buffer.from(floats(7, WIDTH).buffer);
  let next = 0;
  return autocannon({
    url: address,
    connections,
    duration: SECONDS,
    timeout: 30,
    requests: [
      {
        method: "POST",
        setupRequest(request) {
          next++;
          const name = cold ? (next * 7919) % ADAPTERS : next % 10;
          const layer = next % MODULES;
          return { ...request, path: `/apply?module=model.layers.${layer}.q_proj&adapters=a${name}`, body };
        },
      },
    ],
  });
}

const rows = [];
async function measure(title, options, ...serverOptions) {
  const { child, address } = await start(...serverOptions);
  const result = await load(address, options);
  const peak = peakMib(child.pid);
  const counts = Object.fromEntries(
    Object.entries(result.statusCodeStats ?? {}).map(([status, { count }]) => [status, count]),
  );
  child.kill("SIGTERM");
  const code = await new Promise((resolve) => child.once("exit", resolve));
  const ok = counts[200] ?? 0;
  rows.push([
    title,
    options.connections,
    Math.round(ok / result.duration),
    result.latency.p50,
    result.latency.p99,
    ok,
    counts[429] ?? 0,
    counts[503] ?? 0,
    // No answer at all, or one of another status.
    result.errors + result.timeouts + result.requests.total - ok - (counts[429] ?? 0) - (counts[503] ?? 0),
    peak.toFixed(0),
    code,
  ]);
  return ok / result.duration;
}

try {
  let bytes = 0;
  for (let content = 0; content < CONTENTS; content++) {
    const file = await adapter(1000 * content);
    bytes = file.length;
    for (let i = content; i < ADAPTERS; i += CONTENTS) writeFileSync(join(folder, `a${i}.lqa`), file);
  }
  const tenth = String(Math.ceil(CONTENTS * bytes * 0.1));
  await measure("ten adapters in memory", { connections: 8 });
  await measure(
    "the same, 64 clients on 16 + 16 places",
    { connections: 64 },
    "--concurrency",
    "16",
    "--waiting",
    "16",
  );
  await measure("one client, 4 requests allowed", { connections: 8 }, "--per-client", "4");
  await measure(
    "1,000 cold adapters, a tenth of their contents fits",
    { connections: 8, cold: true },
    "--budget",
    tenth,
  );
  await measure("1,000 clients, 1,000 cold adapters", { connections: 1000, cold: true }, "--budget", tenth);
  console.log(
    `${cpus()[0].model.trim()}, ${cpus().length} cores, Node ${process.versions.node}, autocannon, ${new Date().toISOString().slice(0, 10)}; ${ADAPTERS} adapters of ${MODULES} modules ${WIDTH} × ${WIDTH}, rank ${RANK}, ${(bytes / MIB).toFixed(2)} MiB; ${SECONDS} s each\n`,
  );
  console.log(
    "| | connections | answers/s | p50, ms | p99, ms | 200 | 429 | 503 | lost | peak, MiB | exit code |",
  );
  console.log("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
} finally {
  rmSync(folder, { recursive: true });
}
