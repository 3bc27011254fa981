// What known starts save on real adapters (docs/known-starts.md): for each adapter whether the start of A was recovered and how,
// and the bytes at equal error with and without. The adapters are those of real-adapters.mjs. Run after `npm run build`:
//   node bench/starts.mjs [--json] [--write] [--error 0.05]      --write puts the table into docs/known-starts.md
// CPU seconds are those of the recovery alone, on one thread; decoding is of the whole file, applying of all modules to one row,
// packed. Memory is that of a pool: of the adapter, and of the draws that all adapters of its start have in common.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { open } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { spacingsOf } from "../dist/encode/start/orders.js";
import { recoverStart } from "../dist/encode/start/recover.js";
import { inputLength } from "../dist/model/adapter.js";
import { AdapterPool } from "../dist/serve/index.js";
import { adapterFolders, readRealAdapter } from "./real-adapters.mjs";

const { values } = parseArgs({
  options: { json: { type: "boolean" }, write: { type: "boolean" }, error: { type: "string" } },
});
const maxError = Number(values.error ?? 0.05);

const cpuSeconds = (since) => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};

/**
 * CPU time of the second of two things, relative to the first: the least of runs that take turns, after some that are not counted.
 * Other work and the collector, which runs after any of them, only add.
 */
async function ratio(...things) {
  const least = [Infinity, Infinity];
  for (let i = 0; i < 200; i++)
    for (const [k, thing] of things.entries()) {
      const before = process.cpuUsage();
      await thing();
      if (i >= 30) least[k] = Math.min(least[k], cpuSeconds(before));
    }
  return least[1] / least[0];
}

const decoding = (bytes) => async () => {
  for await (const _ of (await open(bytes)).decodeAll());
};

/** What two files cost in a pool, and how long applying them takes. */
async function serving(...files) {
  const pools = [];
  for (const bytes of files) {
    const pool = new AdapterPool({ budgetBytes: 2 ** 32 });
    await pool.add("adapter", bytes);
    const lease = await pool.acquire("adapter");
    const { packedBytes, startBytes } = pool.statistics;
    const applying = () => {
      for (const name of lease.modules) {
        const shape = lease.shape(name);
        lease.apply(name, new Float32Array(inputLength(shape)).fill(1), new Float32Array(shape.out));
      }
    };
    pools.push({ packedBytes, startBytes, applying });
  }
  const [none, auto] = pools;
  return {
    resident: [none.packedBytes, auto.packedBytes],
    draws: auto.startBytes,
    apply: await ratio(none.applying, auto.applying),
  };
}

const rows = [];
for (const [name, path] of adapterFolders()) {
  const whole = await readRealAdapter(path).catch((error) =>
    console.error(`skipped: ${name}: ${error.message}`),
  );
  if (whole === undefined) continue;
  const adapter = { ...whole, tensors: [] };
  const before = process.cpuUsage();
  const found = recoverStart(
    adapter.modules.map((m) => ({
      name: m.name,
      a: m.experts === 1 ? m.a : new Float32Array(0),
      inputs: inputLength(m),
      sizeB: m.out * m.rank,
    })),
    spacingsOf(adapter.origin?.dialect),
  );
  const seconds = cpuSeconds(before);
  const none = await encodeAdapter(adapter, { maxError, start: "none" });
  const auto = await encodeAdapter(adapter, { maxError, start: "auto" });
  const used = auto.report.start !== undefined;
  const row = {
    name,
    modules: adapter.modules.length,
    found: found?.positions.size ?? 0,
    by: found?.by,
    seed: typeof found?.state === "number" ? found.state : undefined,
    seconds,
    none: none.bytes.length,
    auto: auto.bytes.length,
    ratio: auto.bytes.length / none.bytes.length,
    decode: used ? await ratio(decoding(none.bytes), decoding(auto.bytes)) : undefined,
    ...(used ? await serving(none.bytes, auto.bytes) : {}),
  };
  rows.push(row);
  console.error(JSON.stringify(row));
}

const recovered = rows.filter(({ found }) => found > 0);
const mean = Math.exp(recovered.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / recovered.length);
const number = (x) => x.toLocaleString("en-US");
const table = [
  "| adapter | modules with a start | seed | CPU seconds | bytes without | bytes with | ratio | decode time |",
  "|---|---|---|---|---|---|---|---|",
  ...rows.map(
    ({ name, modules, found, seed, seconds, none, auto, ratio, decode }) =>
      `| ${[name, found === 0 ? "none" : `${found} of ${modules}`, seed ?? "", seconds.toFixed(1), number(none), number(auto), ratio.toFixed(2), decode === undefined ? "" : `× ${decode.toFixed(2)}`].join(" | ")} |`,
  ),
  "",
  "In a pool:",
  "",
  "| adapter | KB without | KB with | KB of the start, once | time to apply to one row |",
  "|---|---|---|---|---|",
  ...rows
    .filter(({ apply }) => apply !== undefined)
    .map(
      ({ name, resident, draws, apply }) =>
        `| ${[name, ...[...resident, draws].map((bytes) => number(Math.round(bytes / 1000))), `× ${apply.toFixed(2)}`].join(" | ")} |`,
    ),
  "",
  `Error at most ${maxError}; no plain tensors. ${recovered.length} of ${rows.length} recovered; geometric mean of their ratios ${mean.toFixed(2)}, largest ratio of all ${Math.max(...rows.map(({ ratio }) => ratio)).toFixed(2)}.`,
  "",
  `Measured ${new Date().toISOString().slice(0, 10)}, ${cpus()[0].model}, one core, Node ${process.versions.node}: \`node bench/starts.mjs --write\`.`,
].join("\n");
console.log(values.json ? JSON.stringify(rows, null, 1) : table);
if (values.write) {
  const page = new URL("../docs/known-starts.md", import.meta.url);
  const text = readFileSync(page, "utf8");
  writeFileSync(
    page,
    text.replace(
      /(<!-- generated:starts -->\n)[\s\S]*?(\n<!-- \/generated:starts -->)/,
      (_, a, b) => `${a}${table}${b}`,
    ),
  );
}
