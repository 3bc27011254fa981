// What the default of `rd` does to real adapters, module by module, at the bits of three published LoRAQuant variants. The
// adapters are the folders in $LQA_ADAPTERS (default ../shared/adapters; several are separated as in PATH) and the project's example.
// LoRAQuant weakens modules, `rd` does not by default, so both are also shown with one factor for each module that brings its
// gain to 1 ("at gain 1"). A module counts as dropped from an error of 0.999 on. Run after `npm run build`:
//   node bench/corpus.mjs [--json] [--write] [--fit unbiased|least-squares]      --write puts the table into docs/fidelity.md
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parameterCount } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { encodeLoraQuant } from "./loraquant/encode.mjs";
import { adapterFolders, readRealAdapter } from "./real-adapters.mjs";

const VARIANTS = ["2@0.8", "2@0.9", "3@0.9"];
const fitAt = process.argv.indexOf("--fit");
const fit = fitAt < 0 ? "unbiased" : process.argv[fitAt + 1];
const rows = [];
for (const [name, path] of adapterFolders()) {
  const whole = await readRealAdapter(path).catch((error) =>
    console.error(`skipped: ${name}: ${error.message}`),
  );
  if (whole === undefined) continue;
  const adapter = { ...whole, tensors: [] };
  const parameters = adapter.modules.reduce((sum, m) => sum + parameterCount(m), 0);
  for (const variant of VARIANTS) {
    const other = (await encodeLoraQuant(adapter, { variant })).report;
    const maxBytes = Math.floor((other.averageBits * parameters) / 8);
    const own = (await encodeAdapter(adapter, { maxBytes, fit })).report;
    rows.push({
      name,
      variant,
      bits: other.averageBits,
      loraquant: figures(other),
      rd: figures(own),
      ratio: own.relativeError / other.relativeError,
      restoredRatio: own.restoredError / other.restoredError,
    });
  }
}

function figures({ relativeError, restoredError, gain, modules, droppedModules, weakModules }) {
  // A module of zeros has nothing to lose.
  const live = modules.filter(({ relativeError: lost, averageBits }) => lost > 0 || averageBits > 0);
  const worst = Math.max(...live.map((m) => m.relativeError));
  return { relativeError, restoredError, gain, worst, droppedModules, weakModules, modules: live.length };
}

const mean = (of) => Math.exp(rows.reduce((sum, row) => sum + Math.log(of(row)), 0) / rows.length);
const most = (of) => Math.max(...rows.map(of));
const sum = (of) => rows.reduce((total, row) => total + of(row), 0);
const four = (x) => x.toFixed(4);
const three = (x) => x.toFixed(3);
const table = [
  "| adapter | variant | bits | LoRAQuant: error | at gain 1 | gain | worst module | dropped, over 50 % | rd: error | at gain 1 | gain | worst module | dropped, over 50 % | rd / LoRAQuant | at gain 1 |",
  "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
  ...rows.map(({ name, variant, bits, loraquant, rd, ratio, restoredRatio }) => {
    const cells = (x) =>
      `${four(x.relativeError)} | ${four(x.restoredError)} | ${three(x.gain)} | ${three(x.worst)} | ${x.droppedModules}, ${x.weakModules} of ${x.modules}`;
    return `| ${name} | ${variant} | ${three(bits)} | ${cells(loraquant)} | ${cells(rd)} | ${three(ratio)} | ${three(restoredRatio)} |`;
  }),
  "",
  `Over ${rows.length} encodings: geometric mean of rd / LoRAQuant ${three(mean((r) => r.ratio))}, at gain 1 ${three(mean((r) => r.restoredRatio))}; worst ${three(most((r) => r.ratio))}, at gain 1 ${three(most((r) => r.restoredRatio))}. Modules of rd: worst error ${three(most((r) => r.rd.worst))}, dropped ${sum((r) => r.rd.droppedModules)}, over 50 % ${sum((r) => r.rd.weakModules)}, of ${sum((r) => r.rd.modules)}; of LoRAQuant: worst error ${three(most((r) => r.loraquant.worst))}, dropped ${sum((r) => r.loraquant.droppedModules)}, over 50 % ${sum((r) => r.loraquant.weakModules)}.`,
].join("\n");
const about = {
  cpu: cpus()[0].model.trim(),
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
  fit,
};
if (process.argv.includes("--json")) console.log(JSON.stringify({ ...about, rows }, null, 2));
else console.log(table);
if (process.argv.includes("--write")) {
  const doc = new URL("../docs/fidelity.md", import.meta.url);
  const stamp = `Measured ${about.date}, ${about.cpu}, Node ${about.node}, fit ${fit}: \`node bench/corpus.mjs\`.`;
  const text = readFileSync(doc, "utf8");
  const made = text.replace(
    /(<!-- generated:corpus -->\n)[\s\S]*?(<!-- \/generated:corpus -->)/,
    (_, open, close) => `${open}${stamp}\n\n${table}\n${close}`,
  );
  writeFileSync(doc, made);
}
