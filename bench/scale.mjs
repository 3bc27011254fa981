/**
 * Time and memory of `lqa encode` over sizes: adapters shaped like LLaMA-2-7B's (rank 16, all seven linear layers) with 1 to 32
 * layers, 1.25 to 40 million parameters, one process each.
 *
 * Build first (`npm run build`), then `node bench/scale.mjs [--write]`. `--write` draws docs/encode-time.svg and puts
 * the table into docs/fidelity.md. Factors are seeded normal numbers, component k of A scaled by 0.75^k, in F32.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../dist/adapters/safetensors.js";

const RANK = 16;
const LAYERS = [1, 2, 4, 8, 16, 32];
const SHAPES = [
  ...["q", "k", "v", "o"].map((name) => [`self_attn.${name}_proj`, 4096, 4096]),
  ["mlp.gate_proj", 11008, 4096],
  ["mlp.up_proj", 11008, 4096],
  ["mlp.down_proj", 4096, 11008],
];
const OPTIONS = ["--bits", "1.5"];
const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "lqa-scale-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

let state = 1;
const uniform = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state + 0.5) / 2 ** 32;
};
// One pool of numbers, read from places of its own by every factor: drawing 40 million would take longer than encoding.
const pool = Float32Array.from(
  { length: 1 << 21 },
  () => 0.02 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
);
function factor(rows, columns, scale) {
  const at = Math.floor(uniform() * (pool.length - rows * columns));
  const values = pool.slice(at, at + rows * columns);
  for (let i = 0; i < values.length; i++) values[i] *= scale(Math.floor(i / columns));
  return { element: "F32", shape: [rows, columns], data: new Uint8Array(values.buffer) };
}

function makeAdapter(layers) {
  const tensors = new Map();
  for (let layer = 0; layer < layers; layer++)
    for (const [name, out, input] of SHAPES) {
      const key = `base_model.model.model.layers.${layer}.${name}`;
      tensors.set(
        `${key}.lora_A.weight`,
        factor(RANK, input, (row) => 0.75 ** row),
      );
      tensors.set(
        `${key}.lora_B.weight`,
        factor(out, RANK, () => 1),
      );
    }
  writeFileSync(join(work, "adapter_model.safetensors"), writeSafetensors(tensors));
  const config = {
    peft_type: "LORA",
    r: RANK,
    lora_alpha: 32,
    target_modules: SHAPES.map(([name]) => name.split(".")[1]),
  };
  writeFileSync(join(work, "adapter_config.json"), JSON.stringify(config));
  return statSync(join(work, "adapter_model.safetensors")).size;
}

/** Runs the command and reads its peak memory from the system. */
function encode(options) {
  const args = [cli, "encode", work, "-o", join(work, "x.lqa"), "--force", "--json", ...options];
  const script = `process.argv.splice(1, 1); process.on("exit", () => console.error(process.resourceUsage().maxRSS)); await import(${JSON.stringify(cli)});`;
  const file = join(work, "run.mjs");
  writeFileSync(file, script);
  const run = spawnSync(process.execPath, [file, ...args], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stderr);
  const { seconds, parameters, bitsPerParameter, relativeError } = JSON.parse(run.stdout);
  return { seconds, parameters, bitsPerParameter, relativeError, peak: Number(run.stderr.trim()) * 1024 };
}

const rows = [];
for (const layers of LAYERS) {
  const input = makeAdapter(layers);
  const row = { layers, input, ...encode(OPTIONS) };
  rows.push(row);
  console.error(`${layers} layers: ${row.seconds.toFixed(2)} s, ${(row.peak / 1e6).toFixed(0)} MB`);
}
const machine = `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores of ${cpus()[0].model.trim()}, Node ${process.version}`;
const table = [
  `Measured ${machine}: \`node bench/scale.mjs\`. Seconds and peak memory of the whole command, \`lqa encode\`.`,
  "",
  "| parameters | input | time | ns per parameter | peak memory |",
  "|---|---|---|---|---|",
  ...rows.map(
    ({ parameters, input, seconds, peak }) =>
      `| ${(parameters / 1e6).toFixed(2)} M | ${(input / 1e6).toFixed(0)} MB | ${seconds.toFixed(2)} s | ${((seconds / parameters) * 1e9).toFixed(0)} | ${(peak / 1e6).toFixed(0)} MB |`,
  ),
].join("\n");
console.log(table);

/** Both axes logarithmic: time that is linear in the parameters is a line at 45 degrees. */
function drawing() {
  const [width, height, margin] = [640, 420, 56];
  const xs = rows.map((r) => Math.log10(r.parameters));
  const ys = rows.map((r) => Math.log10(r.seconds));
  const [x0, x1] = [Math.min(...xs) - 0.1, Math.max(...xs) + 0.1];
  const [y0, y1] = [Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys))];
  const x = (v) => margin + ((v - x0) / (x1 - x0)) * (width - 2 * margin);
  const y = (v) => height - margin - ((v - y0) / (y1 - y0)) * (height - 2 * margin);
  const grid = Array.from({ length: y1 - y0 + 1 }, (_, i) => {
    const at = y(y0 + i).toFixed(1);
    return `<line x1="${margin}" x2="${width - margin}" y1="${at}" y2="${at}" class="grid"/><text x="${margin - 8}" y="${at}" text-anchor="end" dominant-baseline="middle">${10 ** (y0 + i)} s</text>`;
  });
  const marks = LAYERS.map((layers) => {
    const { parameters } = rows.find((r) => r.layers === layers);
    return `<text x="${x(Math.log10(parameters)).toFixed(1)}" y="${height - margin + 20}" text-anchor="middle">${(parameters / 1e6).toFixed(1)} M</text>`;
  });
  const points = rows.map(
    (r) => `${x(Math.log10(r.parameters)).toFixed(1)},${y(Math.log10(r.seconds)).toFixed(1)}`,
  );
  const curve = `<g class="c0"><polyline points="${points.join(" ")}"/>${points.map((p) => `<circle cx="${p.split(",")[0]}" cy="${p.split(",")[1]}" r="3.5"/>`).join("")}</g>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="t d">
<title id="t">Encoding time over adapter size</title>
<desc id="d">Seconds of lqa encode for 1.25 to 40 million parameters, both axes logarithmic; ${machine}.</desc>
<style>text{font:13px system-ui,sans-serif;fill:#333}.grid{stroke:#8884}polyline{fill:none;stroke-width:2}.c0 polyline{stroke:#0b6bcb}.c0 circle{fill:#0b6bcb}@media(prefers-color-scheme:dark){text{fill:#ccc}.c0 polyline{stroke:#6cb2f5}.c0 circle{fill:#6cb2f5}}</style>
${[...grid, ...marks, curve].join("\n")}
</svg>
`;
}

if (process.argv.includes("--write")) {
  writeFileSync(new URL("../docs/encode-time.svg", import.meta.url), drawing());
  const doc = new URL("../docs/fidelity.md", import.meta.url);
  const text = readFileSync(doc, "utf8");
  writeFileSync(
    doc,
    text.replace(
      /(<!-- generated:time -->\n)[\s\S]*?(<!-- \/generated:time -->)/,
      (_, open, close) => `${open}${table}\n${close}`,
    ),
  );
}
