/**
 * The C library and the WebAssembly kernels, in one run: GB/s of what they write, by processor time.
 *
 *     npm run build && node bench/c.mjs [--rounds 20] [--write] [FILE.lqa ...]      --write: into bench/decoding.md
 *
 * Factors are 16 vectors of 4096 weights of arbitrary codes, as in decode.mjs, in PEFT's layout and in one place that is used
 * again; the adapters have 40 million weights. Both programs decode a file several times, in turn, and the least processor
 * time of a round counts: on a busy machine everything else is noise. Files named on the command line are measured in their place.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { concat } from "../dist/common/bytes.js";
import { encodingLabel } from "../dist/core/codecs/registry.js";
import { DecodeMemory, open } from "../dist/core/index.js";
import { createWriter } from "../dist/core/write/write.js";
import { MIXES } from "./decode.mjs";
import { linear, sevenB } from "./seven-b.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "20" }, write: { type: "boolean" } },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "lqa-bench-"));
const library = join(root, "integrations/c");
execFileSync("make", ["-s", "-C", library, `OUT=${folder}`, `${folder}/bench`]);

const scale = "f16";
const trellis = (table, rotation) => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation });
const ENCODINGS = [
  { codec: "raw", element: "f16" },
  { codec: "sign", group: 128, scale },
  ...[2, 4, 8].map((bits) => ({ codec: "affine", bits, group: 128, scale })),
  ...[1, 2, 3, 4, 5, 6].map((table) => trellis(table, "none")),
  ...[1, 4, 6].map((table) => trellis(table, "hadamard64")),
];

async function* files() {
  for (const path of positionals)
    yield [basename(path), new Uint8Array(readFileSync(path)), Number(values.rounds)];
  if (positionals.length > 0) return;
  for (const encoding of ENCODINGS) {
    const bands = [{ components: 16, b: encoding, a: encoding }];
    const modules = Array.from({ length: 8 }, (_, i) => linear(`layers.${i}`, 4096, 4096, bands));
    const bytes = concat([...(await createWriter({ tensors: [], sections: [] })).prepare(modules).pieces()]);
    yield [encodingLabel(encoding), bytes, Number(values.rounds)];
  }
  for (const [name, mix] of Object.entries(MIXES))
    yield [`40 million weights, ${name}`, await sevenB(mix), Math.ceil(Number(values.rounds) / 4)];
}

/** GB/s by row of bench.c. */
function ofC(path, rounds) {
  const rows = execFileSync(join(folder, "bench"), [path, `${rounds}`], { encoding: "utf8" });
  return Object.fromEntries(
    rows
      .trim()
      .split("\n")
      .map((row) => row.split("\t"))
      .map(([name, bytes, seconds]) => [name, bytes / seconds / 1e9]),
  );
}

async function ofWasm(bytes, rounds) {
  const file = await open(bytes);
  const weights = file.modules.reduce((sum, m) => sum + m.experts * m.rank * (m.out + m.in), 0);
  const memory = new DecodeMemory();
  const rates = {};
  for (const type of ["f32", "f16"]) {
    let least = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round++) {
      const start = process.cpuUsage();
      for await (const _module of file.decodeAll({ type, layout: "peft", memory }));
      const { user, system } = process.cpuUsage(start);
      least = Math.min(least, user + system);
    }
    rates[type] = (weights * (type === "f32" ? 4 : 2)) / least / 1e3;
  }
  return rates;
}

const rows = [];
for await (const [name, bytes, rounds] of files()) {
  const path = join(folder, "adapter.lqa");
  writeFileSync(path, bytes);
  const c = {};
  const wasm = {};
  for (let turn = 0; turn < 2; turn++) {
    for (const [row, rate] of Object.entries(ofC(path, rounds))) c[row] = Math.max(c[row] ?? 0, rate);
    for (const [row, rate] of Object.entries(await ofWasm(bytes, rounds)))
      wasm[row] = Math.max(wasm[row] ?? 0, rate);
  }
  const row = [name];
  for (const type of ["f16", "f32"]) {
    const best = c[`${type} peft held`];
    const others = [c[`${type} peft held avx2`], c[`${type} peft held plain`], wasm[type]];
    row.push(...[best, ...others].map((rate) => rate.toFixed(1)), (best / wasm[type]).toFixed(2));
  }
  rows.push(row);
  console.error(row.join("  "));
}
rmSync(folder, { recursive: true });

const line = (cells) => `| ${cells.join(" | ")} |`;
const table = [
  `Measured ${new Date().toISOString().slice(0, 10)}, ${cpus()[0].model}, one core, Node ${process.versions.node}: \`node bench/c.mjs --write\`.`,
  "",
  line([
    "GB/s, PEFT layout",
    "f16",
    "AVX2",
    "plain",
    "wasm",
    "ratio",
    "f32",
    "AVX2",
    "plain",
    "wasm",
    "ratio",
  ]),
  line(["---", ...Array(10).fill("--:")]),
  ...rows.map(line),
].join("\n");
console.log(table);
if (values.write) {
  const page = join(root, "bench/decoding.md");
  const [head, rest] = readFileSync(page, "utf8").split("<!-- generated: node bench/c.mjs -->\n");
  const after = rest.slice(rest.indexOf("<!-- /generated -->"));
  writeFileSync(page, `${head}<!-- generated: node bench/c.mjs -->\n${table}\n${after}`);
}
