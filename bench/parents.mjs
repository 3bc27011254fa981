// What a parent saves over checkpoints of one training run (docs/parents.md): bytes at equal error with and without, decoding time,
// and memory and time in a pool. Run after `npm run build`:
//   node bench/parents.mjs [--json] [--write] [--run DIR]     --write puts table and picture into docs/
// DIR holds an adapter for each checkpoint, in folders step-100 and so on; default ../shared/adapters-2/mlx-gemma-2b-r8-run.
// Times are CPU times: of decoding a whole file into memory that is reused, and of applying all modules to one row, packed.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readAdapter } from "../dist/adapters/index.js";
import { DecodeMemory, open } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { inputLength } from "../dist/model/adapter.js";
import { readSourceFiles } from "../dist/node/index.js";
import { AdapterPool } from "../dist/serve/index.js";

const { values } = parseArgs({
  options: { json: { type: "boolean" }, write: { type: "boolean" }, run: { type: "string" } },
});
const run = values.run ?? new URL("../../shared/adapters-2/mlx-gemma-2b-r8-run", import.meta.url).pathname;
/** Errors of the parents, and of the children. */
const PARENT_ERROR = 0.01;
const ERRORS = [0.05, 0.02, 0.01];
/** The error that is drawn, and that times and memory are of. */
const SHOWN = 0.01;

/** CPU time of each of some things, relative to the first: medians of runs that take turns, after some that are not counted. */
async function ratios(...things) {
  const times = things.map(() => []);
  for (let i = 0; i < 150; i++)
    for (const [k, thing] of things.entries()) {
      const before = process.cpuUsage();
      await thing();
      const { user, system } = process.cpuUsage(before);
      if (i >= 50) times[k].push(user + system);
    }
  const medians = times.map((own) => own.sort((x, y) => x - y)[own.length >> 1]);
  return medians.map((median) => median / medians[0]);
}

async function decoding(type, bytes, parents) {
  const file = await open(bytes, { parents });
  const packed = [];
  for await (const { record, factors, decode } of file.packedAll()) packed.push({ record, factors, decode });
  const memory = new DecodeMemory();
  return () => {
    for (let i = 0; i < 20; i++) for (const { decode } of packed) decode({ memory, type });
  };
}

/** Bytes in a pool, and what applies all modules to one row. */
async function serving(bytes, parent) {
  const pool = new AdapterPool({ budgetBytes: 2 ** 32 });
  if (parent !== undefined) await pool.add("parent", parent);
  const before = pool.statistics.packedBytes;
  await pool.add("adapter", bytes);
  const lease = await pool.acquire("adapter");
  const rows = lease.modules.map((name) => {
    const shape = lease.shape(name);
    return { name, x: new Float32Array(inputLength(shape)).fill(1), y: new Float32Array(shape.out) };
  });
  const apply = () => {
    for (let i = 0; i < 20; i++) for (const { name, x, y } of rows) lease.apply(name, x, y);
  };
  return { bytes: pool.statistics.packedBytes - before, parent: before, apply };
}

const steps = readdirSync(run)
  .map((name) => Number(/^step-(\d+)$/.exec(name)?.[1]))
  .filter((step) => step > 0)
  .sort((x, y) => x - y);
const adapters = new Map();
for (const step of steps)
  adapters.set(step, readAdapter(await readSourceFiles(join(run, `step-${step}`)), { lazy: false }));
const last = steps.at(-1);
const child = adapters.get(last);
const whole = new Map();
for (const maxError of ERRORS) whole.set(maxError, await encodeAdapter(child, { maxError }));
const rows = [];
for (const step of steps.slice(0, -1)) {
  const parent = (await encodeAdapter(adapters.get(step), { maxError: PARENT_ERROR })).bytes;
  const sizes = [];
  let times = {};
  for (const maxError of ERRORS) {
    const { bytes } = await encodeAdapter(child, { maxError, parent: await open(parent) });
    const without = whole.get(maxError);
    sizes.push({ maxError, bytes: bytes.length, whole: without.bytes.length });
    if (maxError !== SHOWN) continue;
    const decode = {};
    for (const type of ["f32", "f16"])
      [, decode[type]] = await ratios(
        await decoding(type, without.bytes),
        await decoding(type, bytes, [parent]),
      );
    const [one, own] = [await serving(without.bytes), await serving(bytes, parent)];
    const [, apply] = await ratios(one.apply, own.apply);
    times = { decode, apply, poolWhole: one.bytes, poolChild: own.bytes, poolParent: own.parent };
  }
  rows.push({ step, parentBytes: parent.length, sizes, ...times });
  console.error(JSON.stringify(rows.at(-1)));
}

const number = (x) => x.toLocaleString("en-US");
const percent = (error) => `${100 * error} %`;
const cell = (bytes) => `${number(bytes)} (${((8 * bytes) / whole.get(SHOWN).report.parameters).toFixed(3)})`;
const table = [
  `| parent | ${ERRORS.map((error) => `bytes (bits per weight) at error ${percent(error)}`).join(" | ")} | decode time f32, f16 | time to apply to one row |`,
  "|---|---|---|---|---|---|",
  `| none | ${ERRORS.map((error) => cell(whole.get(error).bytes.length)).join(" | ")} | × 1, × 1 | × 1 |`,
  ...rows.map(
    ({ step, sizes, decode, apply }) =>
      `| step ${step} | ${sizes.map(({ bytes }) => cell(bytes)).join(" | ")} | × ${decode.f32.toFixed(2)}, × ${decode.f16.toFixed(2)} | × ${apply.toFixed(2)} |`,
  ),
  "",
  `Times are of files with an error of ${percent(SHOWN)}, as is this memory of a pool:`,
  "",
  "| parent | KB of the adapter whole | KB of the child | KB of the parent, once |",
  "|---|---|---|---|",
  ...rows.map(
    ({ step, poolWhole, poolChild, poolParent }) =>
      `| step ${step} | ${[poolWhole, poolChild, poolParent].map((bytes) => (bytes / 1000).toFixed(1)).join(" | ")} |`,
  ),
  "",
  `The child is step ${last} of a run of MLX (Gemma 2B, rank 8, ${number(whole.get(SHOWN).report.parameters)} weights). Parents have an error of at most ${percent(PARENT_ERROR)}.`,
  "",
  `Measured ${new Date().toISOString().slice(0, 10)}, ${cpus()[0].model}, one core, Node ${process.versions.node}: \`node bench/parents.mjs --write\`.`,
].join("\n");
console.log(values.json ? JSON.stringify(rows, null, 1) : table);

/** Bars: the child without a parent, and with each. */
function picture() {
  const bars = [
    ["none", whole.get(SHOWN).bytes.length],
    ...rows.map(({ step, sizes }) => [
      `step ${step}`,
      sizes.find(({ maxError }) => maxError === SHOWN).bytes,
    ]),
  ];
  const most = bars[0][1];
  const height = 70 + 36 * bars.length;
  const lines = bars.map(([name, bytes], i) => {
    const [y, width] = [58 + 36 * i, Math.max(2, Math.round((440 * bytes) / most))];
    const label = `${(bytes / 1000).toFixed(1)} KB`;
    return `  <text x="130" y="${y + 17}" text-anchor="end">${name}</text>
  <rect x="142" y="${y}" width="${width}" height="24" rx="3" fill="${i === 0 ? "#94a3b8" : "#2563eb"}"/>
  <text x="${150 + width}" y="${y + 17}">${label}</text>`;
  });
  const title = `Bytes of step ${last}, at an error of ${percent(SHOWN)}, by its parent`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 ${height}" font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="${title}: ${bars.map(([name, bytes]) => `${name} ${number(bytes)}`).join(", ")}.">
  <style>@media(prefers-color-scheme:dark){[fill="#ffffff"]{fill:#1b1b1f}[fill="#1f2937"]{fill:#c4cbd4}[fill="#2563eb"]{fill:#5b8def}}</style>
  <rect width="720" height="${height}" fill="#ffffff"/>
  <g fill="#1f2937">
  <text x="20" y="30" font-weight="600">${title}</text>
${lines.join("\n")}
  </g>
</svg>
`;
}

if (values.write) {
  const page = new URL("../docs/parents.md", import.meta.url);
  const text = readFileSync(page, "utf8");
  writeFileSync(
    page,
    text.replace(
      /(<!-- generated:parents -->\n)[\s\S]*?(\n<!-- \/generated:parents -->)/,
      (_, a, b) => `${a}${table}${b}`,
    ),
  );
  writeFileSync(new URL("../docs/images/parents.svg", import.meta.url), picture());
}
