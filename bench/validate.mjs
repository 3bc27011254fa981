// Speed of the validator compared with the work it cannot avoid: reading the file, and SHA-256 and CRC-32 of every byte. Each
// figure is the best of several, in GB for each second of CPU time of the whole process: what a core of one's own gives,
// however busy the machine is; all in one process, from files in the page cache. Run after `npm run build`: node
// bench/validate.mjs [--mib N] [--rounds N] [--json] [--write] --write puts the table into docs/validate.md.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { crc32 } from "../dist/core/container/bytes.js";
import { sha256 } from "../dist/core/container/sha256.js";
import { validate } from "../dist/core/index.js";
import { piecesFrom } from "../dist/core/read/pieces-from.js";
import { prepareFile } from "../dist/core/write/write.js";
import { openFileSource } from "../dist/node/files/file.js";
import { linear } from "./seven-b.mjs";

const { values: options } = parseArgs({
  options: {
    mib: { type: "string" },
    rounds: { type: "string" },
    json: { type: "boolean" },
    write: { type: "boolean" },
  },
});
const bytes = Number(options.mib ?? 1024) * 2 ** 20;
const rounds = Number(options.rounds ?? 5);

/** What a file is full of: name, encoding, side of the layers, rank. */
const KINDS = [
  ["affine 2 bits, chunks of 34 KiB", { codec: "affine", bits: 2, group: 128, scale: "f16" }, 4096, 16],
  ["affine 3 bits, chunks of 8 MiB", { codec: "affine", bits: 3, group: 128, scale: "f16" }, 40960, 256],
  [
    "trellis 2 bits, chunks of 5 MiB",
    { codec: "trellis", table: 3, rotation: "none", group: 0, scale: "bf16" },
    40960,
    256,
  ],
  ["raw f16, chunks of 16 MiB", { codec: "raw", element: "f16" }, 16384, 256],
];

/** Writes a file of modules that share their planes, so that it needs no memory. */
async function write(path, encoding, side, rank) {
  const module = linear("", side, side, [{ components: rank, b: encoding, a: encoding }]);
  const each = Object.values(module.planes[0][0].b).reduce((sum, { length }) => sum + length, 0);
  const modules = Array.from({ length: Math.max(1, Math.round(bytes / (2 * each))) }, (_, i) => ({
    ...module,
    name: `layers.${i}.q`,
  }));
  const file = openSync(path, "w");
  for (const piece of (await prepareFile({ modules, tensors: [], sections: [] })).pieces())
    for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
  closeSync(file);
  return modules.length;
}

/** GB for a second of CPU time, in the best of some runs. */
async function speed(size, run) {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < rounds; i++) {
    const begin = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(begin);
    best = Math.min(best, user + system);
  }
  return size / best / 1e3;
}

async function read(path) {
  const source = await openFileSource(path);
  for await (const _ of piecesFrom(source, 0, source.size));
  await source.close();
}

async function validated(path, level) {
  const source = await openFileSource(path);
  const { error } = await validate(source, { level });
  await source.close();
  if (error !== undefined) throw error;
}

/** SHA-256 and CRC-32 of the pieces of a file in memory that is in the cache. */
function hashed(hash) {
  const piece = new Uint8Array(2 ** 20);
  const size = 256 * piece.length;
  return speed(size, () => {
    for (let i = 0; i < 256; i++) hash(piece);
  });
}

const folder = mkdtempSync(join(tmpdir(), "lqa-bench-"));
const results = [];
try {
  const alone = { sha256: await hashed(sha256), crc32: await hashed(crc32) };
  for (const [name, encoding, side, rank] of KINDS) {
    const path = join(folder, "large.lqa");
    const modules = await write(path, encoding, side, rank);
    const { size } = statSync(path);
    const warm = openSync(path, "r");
    for (const target = Buffer.alloc(2 ** 20); readSync(warm, target) > 0; );
    closeSync(warm);
    const reading = await speed(size, () => read(path));
    const levels = {};
    for (const level of ["structure", "integrity", "values", "canonical"])
      levels[level] = await speed(size, () => validated(path, level));
    // The best case for integrity if nothing else runs: each byte read, and hashed both ways.
    const bound = 1 / (1 / reading + 1 / alone.sha256 + 1 / alone.crc32);
    results.push({ name, bytes: size, modules, reading, ...alone, bound, ...levels });
  }
} finally {
  rmSync(folder, { recursive: true });
}

const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`;
const gb = (value) => value.toFixed(2);
const table = `GB for each second of CPU time, best of ${rounds}; ${machine}:

| file | GB | read alone | SHA-256 alone | CRC-32 alone | all three | integrity | values | canonical |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
${results
  .map(
    (one) =>
      `| ${one.name} | ${gb(one.bytes / 1e9)} | ${gb(one.reading)} | ${gb(one.sha256)} | ${gb(one.crc32)} | ${gb(one.bound)} | ${gb(one.integrity)} | ${gb(one.values)} | ${gb(one.canonical)} |`,
  )
  .join("\n")}
`;
if (options.write) {
  const path = join(import.meta.dirname, "../docs/validate.md");
  const [begin, end] = ["<!-- generated:speed -->\n", "<!-- /generated -->"];
  const page = readFileSync(path, "utf8");
  const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)];
  writeFileSync(path, page.slice(0, from) + table + page.slice(to));
}
console.log(options.json ? JSON.stringify({ machine, results }, null, 2) : table);
