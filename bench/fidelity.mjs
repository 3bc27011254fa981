// Fidelity at equal bits: profile `rd` against LoRAQuant, over the real adapters in $LQA_ADAPTERS (default
// ../shared/adapters) and the project's own example. For each published variant the bits that the paper counts (codes,
// scales, zero points; no container) are the goal of an `rd` file, index and metadata included. Plain tensors, which
// both would keep as they are, are left out. Both sides have the least squared error of the weights as their aim
// (`--fit least-squares`); what the default, `unbiased`, costs in weight error and saves in divergence: docs/fidelity.md.
// `bound` is the Gaussian rate-distortion bound at those bits. Run after `npm run build`:
//   node bench/fidelity.mjs [--json] [--floor 0|0.5|1] [--write]      --write puts the table into docs/fidelity.md
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { isLqaError, parameterCount } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { boundComponents, relativeBound } from "../dist/encode/quantize/bound.js";
import { reparameterize } from "../dist/encode/quantize/reparameterize.js";
import { encodeLoraQuant } from "./loraquant/encode.mjs";
import { adapterFolders, readRealAdapter, VARIANTS } from "./real-adapters.mjs";

const floorAt = process.argv.indexOf("--floor");
const floor = floorAt < 0 ? 0 : Number(process.argv[floorAt + 1]);
const db = (ratio) => 10 * Math.log10(ratio);
const results = [];
for (const [name, path] of adapterFolders()) {
  const whole = await readRealAdapter(path);
  if (whole === undefined) continue;
  const adapter = { ...whole, tensors: [] };
  const parameters = adapter.modules.reduce((sum, m) => sum + parameterCount(m), 0);
  const spectrum = spectrumOf(adapter.modules);
  const bound = relativeBound(adapter.modules.flatMap(boundComponents));
  for (const variant of VARIANTS) {
    const refined = (await encodeLoraQuant(adapter, { variant })).report;
    const plain = (await encodeLoraQuant(adapter, { variant, refine: "none" })).report;
    const counted = refined.averageBits * parameters;
    const start = performance.now();
    const row = {
      name,
      spectrum,
      variant,
      bits: refined.averageBits,
      plain: plain.relativeError,
      refined: refined.relativeError,
      bound: bound(counted),
    };
    try {
      const { report } = await encodeAdapter(adapter, {
        maxBytes: Math.floor(counted / 8),
        floor,
        fit: "least-squares",
      });
      results.push({
        ...row,
        rdBits: report.bitsPerParameter,
        rd: report.relativeError,
        ratio: report.relativeError / refined.relativeError,
        boundDb: db(report.relativeError / row.bound),
        seconds: (performance.now() - start) / 1000,
      });
    } catch (error) {
      if (!isLqaError(error)) throw error;
      results.push({ ...row, rd: undefined, reason: error.message });
    }
  }
  const target = results.findLast((r) => r.name === name).refined;
  const matching = (await encodeAdapter(adapter, { maxError: target, floor: 0, fit: "least-squares" }))
    .report;
  results.findLast((r) => r.name === name).bitsToMatch = matching.bitsPerParameter;
}
/** As the adapters' own README has it: the median share of the energy in the stronger half of the components. */
function spectrumOf(modules) {
  const shares = modules
    .map((module) => [...reparameterize(module, 0).singularValues].map((s) => s * s))
    .filter(([first]) => first > 0)
    .map((squares) => {
      const sum = (list) => list.reduce((total, s) => total + s, 0);
      return sum(squares.slice(0, Math.ceil(squares.length / 2))) / sum(squares);
    })
    .sort((x, y) => x - y);
  const median = shares[shares.length >> 1];
  if (modules.every(({ rank }) => rank === 1)) return "rank 1";
  return median >= 0.95 ? "steep" : median < 0.8 ? "flat" : "moderate";
}

const reached = results.filter((r) => r.rd !== undefined);
const mean = (variant) => {
  const rows = reached.filter((r) => variant === undefined || r.variant === variant);
  return Math.exp(rows.reduce((sum, r) => sum + Math.log(r.ratio), 0) / rows.length);
};
const about = {
  cpu: cpus()[0].model.trim(),
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
  floor,
};
const number = (x, digits = 4) => (x === undefined ? "–" : x.toFixed(digits));
const table = [
  "| adapter | spectrum | variant | bits counted | plain | refined | rd, same bits on disk | rd / refined | bound | rd above bound | s |",
  "|---|---|---|---|---|---|---|---|---|---|---|",
  ...results.map(
    (r) =>
      `| ${r.name} | ${r.spectrum} | ${r.variant} | ${number(r.bits, 3)} | ${number(r.plain)} | ${number(r.refined)} | ${number(r.rd)} | ${number(r.ratio, 3)} | ${number(r.bound)} | ${r.rd === undefined ? "below the floor" : `${number(r.boundDb, 2)} dB`} | ${number(r.seconds, 1)} |`,
  ),
  "",
  `Geometric mean of rd / refined: ${VARIANTS.map((v) => `${v} ${mean(v).toFixed(3)}`).join(", ")}, all ${mean().toFixed(3)}. Bits on disk that rd needs for the error of refined 3@0.9: ${results
    .filter((r) => r.bitsToMatch !== undefined)
    .map((r) => `${r.name} ${r.bitsToMatch.toFixed(3)} instead of ${r.bits.toFixed(3)}`)
    .join(", ")}.`,
].join("\n");
if (process.argv.includes("--json")) console.log(JSON.stringify({ ...about, results }, null, 2));
else console.log(table);
if (process.argv.includes("--write")) {
  const doc = new URL("../docs/fidelity.md", import.meta.url);
  const text = readFileSync(doc, "utf8");
  const stamp = `Measured ${about.date}, ${about.cpu}, Node ${about.node}, floor ${floor}: \`npm run bench:fidelity\`.`;
  writeFileSync(
    doc,
    text.replace(
      /(<!-- generated -->\n)[\s\S]*?(<!-- \/generated -->)/,
      (_, open, close) => `${open}${stamp}\n\n${table}\n${close}`,
    ),
  );
}
