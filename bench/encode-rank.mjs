/**
 * What encoding costs per weight, by rank and by the width of the layers: square layers of seeded normal weights, component k
 * of A scaled by 1 / (k + 1), at 1.5 bits per weight, on one thread; CPU time of the process, so that other programs hardly matter,
 * the smallest of three runs.
 *
 * Build first (`npm run build`), then `node bench/encode-rank.mjs [--dist OTHER/dist] [--directions 32]`. `--dist` measures another
 * build. With `--directions` each layer has a calibration with so many random directions of each factor. The last column is the
 * SHA-256 of the file, for a comparison of builds.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

const own = new URL("../dist", import.meta.url).pathname;
const { values } = parseArgs({
  options: { dist: { type: "string", default: own }, directions: { type: "string", default: "0" } },
});
const directions = Number(values.directions);
const { encodeAdapter } = await import(resolve(values.dist, "encode/index.js"));

let state = 1;
const uniform = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state + 0.5) / 2 ** 32;
};
const normal = () => 0.02 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());

/** About a million weights, at least one layer. */
function adapterOf(rank, width) {
  const count = Math.max(1, Math.round(2 ** 20 / (2 * width * rank)));
  const modules = Array.from({ length: count }, (_, i) => ({
    ...{
      name: `model.layers.${i}.self_attn.q_proj`,
      role: "linear",
      kernel: [],
      experts: 1,
      baseLayout: "out-in",
    },
    ...{ multiplier: 2, alpha: 2 * rank, rule: "alpha/r", out: width, in: width, rank },
    b: Float32Array.from({ length: width * rank }, normal),
    a: Float32Array.from({ length: width * rank }, (_, j) => normal() / (1 + Math.floor(j / width))),
  }));
  return { modules, tensors: [], origin: undefined, meta: {} };
}

/** Random directions, with half of the energy that all together may have. */
function calibrationOf({ modules }) {
  if (directions === 0) return {};
  const random = (length) =>
    Float32Array.from({ length: directions * length }, () => (normal() / 0.02) * Math.sqrt(0.5 / directions));
  const own = modules.map(({ name, out, in: inputs }) => [name, { b: random(out), a: random(inputs) }]);
  return { calibration: { moments: new Map(), directions: new Map(own), source: new Uint8Array() } };
}

console.log(`Node ${process.version}, ${values.dist}, ${directions} directions`);
console.log("| width | rank | µs CPU per weight | of rank 16 | SHA-256 |\n|--:|--:|--:|--:|---|");
const warm = adapterOf(8, 512);
await encodeAdapter(warm, { bits: 1.5, ...calibrationOf(warm) });
for (const width of [1024, 4096]) {
  let first;
  for (const rank of [16, 64, 128, 256]) {
    const adapter = adapterOf(rank, width);
    const settings = { bits: 1.5, ...calibrationOf(adapter) };
    const weights = adapter.modules.reduce((sum, { a, b }) => sum + a.length + b.length, 0);
    let least = Number.POSITIVE_INFINITY;
    let sha256;
    for (let run = 0; run < 3; run++) {
      const before = process.cpuUsage();
      const { bytes } = await encodeAdapter(adapter, settings);
      const { user, system } = process.cpuUsage(before);
      least = Math.min(least, (user + system) / weights);
      sha256 = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    }
    first ??= least;
    console.log(`| ${width} | ${rank} | ${least.toFixed(2)} | ${(least / first).toFixed(1)} | ${sha256} |`);
  }
}
