/**
 * Extraction: what is lost, how long it takes, how much memory it needs.
 *
 * Build first (`npm run build`), then `node bench/extract.mjs`; with a folder as argument the models are made there
 * (3 GB, removed at the end) instead of in the system's temporary folder.
 *
 * 1. The example adapter (rank 8, SmolLM2-135M) merged into a seeded random base of its shapes, as F32 and as BF16, and
 *    extracted again. Compared is ΔW with the adapter's own: ‖ΔW − ΔŴ‖² / ‖ΔW‖².
 * 2. Eight 4096 × 4096 tensors in four BF16 shards, changed by a matrix with singular values like i^-0.7 and noise, as
 *    full fine-tunings show: seconds, products with a vector, peak memory of the process. On a busy
 *    machine the processor time is the figure to look at.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromFloat32 } from "../dist/adapters/elements.js";
import { readAdapter } from "../dist/adapters/index.js";
import { truncatedSvd } from "../dist/encode/linalg/randomized-svd.js";

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const example = fileURLToPath(new URL("../examples/number-words/adapter", import.meta.url));
const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), "lqa-bench-"));

let state = 1;
/** Nearly normal, variance 1: the sum of four uniform numbers. */
const normal = () => {
  let sum = 0;
  for (let i = 0; i < 4; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    sum += (state >>> 0) / 2 ** 32 - 0.5;
  }
  return sum * Math.sqrt(3);
};

/** Writes tensors one after another, so that the bench itself does not hold a model. */
function writeModel(path, shapes, element, valuesOf) {
  const size = element === "F32" ? 4 : 2;
  let at = 0;
  const header = {};
  for (const [name, shape] of shapes) {
    const bytes = size * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: element, shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(path, "w");
  for (const part of [length, text]) writeSync(file, part);
  for (const [name, shape] of shapes) writeSync(file, fromFloat32(valuesOf(name, shape), element, name));
  closeSync(file);
}

/** Runs the program; returns its JSON document, its peak memory and its processor time. */
function extract(base, tuned, output, ...options) {
  const words = [main, "extract", "--base", base, "--tuned", tuned, "-o", output, "--json", ...options];
  const run = spawnSync("/usr/bin/time", ["-f", "%M %U", process.execPath, ...words], { encoding: "utf8" });
  if (run.error !== undefined) {
    const plain = spawnSync(process.execPath, words, { encoding: "utf8" });
    return { ...JSON.parse(plain.stdout), peak: "unknown (no /usr/bin/time)", user: 0 };
  }
  const [kilobytes, user] = run.stderr.trim().split("\n").pop().split(" ").map(Number);
  return { ...JSON.parse(run.stdout), peak: `${Math.round(kilobytes / 1024)} MiB`, user };
}

const readDirectory = (path) =>
  readAdapter(
    new Map(
      ["adapter_config.json", "adapter_model.safetensors"].map((name) => [
        name,
        new Uint8Array(readFileSync(join(path, name))),
      ]),
    ),
  );

function relativeError(original, extracted) {
  let error = 0;
  let energy = 0;
  for (const module of original.modules) {
    const own = merged(module);
    const other = extracted.modules.find(({ name }) => name === module.name);
    const found = other === undefined ? new Float32Array(own.length) : merged(other);
    for (let i = 0; i < own.length; i++) {
      error += (own[i] - found[i]) ** 2;
      energy += own[i] ** 2;
    }
  }
  return error / energy;
}

/** ΔW of a module. */
function merged(module) {
  const { out, rank, in: n, multiplier, a, b } = module;
  const delta = new Float32Array(out * n);
  for (let i = 0; i < out; i++) {
    const row = new Float64Array(n);
    for (let c = 0; c < rank; c++) {
      const factor = multiplier * b[i * rank + c];
      for (let j = 0; j < n; j++) row[j] += factor * a[c * n + j];
    }
    delta.set(row, i * n);
  }
  return delta;
}

try {
  console.log(`Node ${process.versions.node}\n\nmerged and extracted again: number-words, rank 8`);
  const adapter = readDirectory(example);
  const shapes = adapter.modules.map(({ name, out, in: n }) => [`${name}.weight`, [out, n]]);
  const modules = new Map(adapter.modules.map((module) => [`${module.name}.weight`, module]));
  for (const element of ["F32", "BF16"]) {
    const base = join(folder, `base-${element}.safetensors`);
    const tuned = join(folder, `tuned-${element}.safetensors`);
    const weights = (seed) => {
      state = seed;
    };
    const values = (_name, shape) =>
      Float32Array.from({ length: shape[0] * shape[1] }, () => 0.02 * normal());
    weights(7);
    writeModel(base, shapes, element, values);
    weights(7);
    writeModel(tuned, shapes, element, (name, shape) => {
      // A base of BF16 is merged from its rounded weights.
      const own = values(name, shape);
      const delta = merged(modules.get(name));
      const rounded = element === "F32" ? own : roundBf16(own);
      return rounded.map((value, i) => value + delta[i]);
    });
    const output = join(folder, `adapter-${element}`);
    const report = extract(base, tuned, output, "--rank", "8");
    const error = relativeError(adapter, readDirectory(output));
    console.log(
      `${element.padEnd(5)} error ${error.toExponential(1)}, share of what changed ${(100 * report.share).toFixed(3)} %, ` +
        `${report.modules.length} modules, ${report.seconds.toFixed(1)} s (${report.user.toFixed(1)} s of a processor), peak ${report.peak}`,
    );
  }

  console.log("\neight 4096 × 4096 tensors, four BF16 shards");
  const size = 4096;
  const change = fineTuning(size);
  const paths = ["before", "after"].map((name) => join(folder, name));
  for (const [which, path] of paths.entries()) {
    mkdirSync(path);
    const map = {};
    for (let shard = 0; shard < 4; shard++) {
      const names = [0, 1].map((i) => `model.layers.${2 * shard + i}.mlp.up_proj.weight`);
      for (const name of names) map[name] = `model-${shard}.safetensors`;
      state = 100 + shard;
      writeModel(
        join(path, `model-${shard}.safetensors`),
        names.map((name) => [name, [size, size]]),
        "BF16",
        () => {
          const own = Float32Array.from({ length: size * size }, () => 0.02 * normal());
          if (which === 1) for (let i = 0; i < own.length; i++) own[i] += change[i];
          return own;
        },
      );
    }
    writeFileSync(join(path, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
  }
  for (const rank of ["16", "32", "64"]) {
    const report = extract(paths[0], paths[1], join(folder, `rank-${rank}`), "--rank", rank);
    const start = process.cpuUsage();
    const { products } = truncatedSvd(change, size, size, { rank: Number(rank) });
    const seconds = process.cpuUsage(start).user / 1e6;
    const speed = (products * 2 * size * size) / seconds / 1e9;
    console.log(
      `rank ${rank}: ${report.seconds.toFixed(1)} s (${report.user.toFixed(1)} s of a processor), peak ${report.peak}, share ${(100 * report.share).toFixed(2)} %; ` +
        `one decomposition ${seconds.toFixed(1)} s, ${products} products, ${speed.toFixed(1)} GFLOP/s`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function roundBf16(values) {
  const bytes = fromFloat32(values, "BF16", "base");
  const words = new Uint32Array(values.length).map(
    (_, i) => ((bytes[2 * i] | (bytes[2 * i + 1] << 8)) << 16) >>> 0,
  );
  return new Float32Array(words.buffer);
}

/** A change of 256 directions with singular values like i^-0.7, and a little noise; 1 % of the weights in size. */
function fineTuning(n) {
  const change = new Float32Array(n * n);
  for (let c = 0; c < 256; c++) {
    const strength = (2e-4 / 5) * (c + 1) ** -0.7;
    const row = Float64Array.from({ length: n }, normal);
    for (let i = 0; i < n; i++) {
      const factor = strength * normal();
      for (let j = 0; j < n; j++) change[i * n + j] += factor * row[j];
    }
  }
  for (let i = 0; i < change.length; i++) change[i] += 1e-5 * normal();
  return change;
}
