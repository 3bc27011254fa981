/**
 * The main job, end to end, on a real adapter: encode, look at the price, validate, decode, compare.
 *
 *   npm run demo
 *
 * Uses the program `lqa` as a user would, and the library to compare. Exits with 1 if anything is not as it should be.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist", "cli", "main.js");
const adapter = join(root, "examples", "number-words", "adapter");
const RUNS = [
  ["rtn-2", "--profile", "rtn", "--code-bits", "2"],
  ["rtn-3", "--profile", "rtn", "--code-bits", "3"],
  ["rd-1.0", "--bits", "1.0"],
  ["rd-1.5", "--bits", "1.5"],
];

if (!existsSync(adapter)) {
  console.error(
    "The example adapter is not here (examples/number-words/adapter).\n" +
      "Train it with examples/number-words/reproduce.sh, or try your own: node dist/cli/main.js encode <dir> -o x.lqa",
  );
  process.exit(1);
}
const { readAdapter } = await import("../dist/adapters/index.js");
const { readSourceFiles } = await import("../dist/node/index.js");

const work = mkdtempSync(join(tmpdir(), "lqa-demo-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
const problems = [];

/** Runs `lqa`, shows the command, and returns the JSON document it printed. */
function lqa(...words) {
  const shown = words.map((word) => (word.startsWith(root) ? relative(root, word) : word));
  console.log(`\n$ lqa ${shown.join(" ").replaceAll(`${work}/`, "")}`);
  const run = spawnSync(process.execPath, [program, ...words, "--json"], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (run.status !== 0)
    throw new Error(`lqa ${words[0]} failed with code ${run.status}:\n${run.stdout}${run.stderr}`);
  return JSON.parse(run.stdout);
}

function check(fact, holds) {
  console.log(`  ${holds ? "yes" : "NO "}  ${fact}`);
  if (!holds) problems.push(fact);
}

/** Left-aligned first column, right-aligned others. */
function table(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  for (const row of rows) {
    console.log(
      `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ")}`,
    );
  }
}

/**
 * ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules, from the factors as they stand in the two directories. ΔW = m·B·A is never formed:
 * ⟨BA, B'A'⟩ is the sum over i, j of (BᵀB')ᵢⱼ (AA'ᵀ)ᵢⱼ.
 */
function relativeError(before, after) {
  let energy = 0;
  let error = 0;
  for (const x of before.modules) {
    const y = after.modules.find(({ name }) => name === x.name);
    const [xx, xy, yy] = [product(x, x), product(x, y), product(y, y)];
    energy += xx;
    error += xx - 2 * xy + yy;
  }
  return error / energy;
}

function product(x, y) {
  const [out, r, s] = [x.out, x.rank, y.rank];
  const width = x.a.length / r;
  let sum = 0;
  for (let i = 0; i < r; i++) {
    for (let j = 0; j < s; j++) {
      let bb = 0;
      for (let k = 0; k < out; k++) bb += x.b[k * r + i] * y.b[k * s + j];
      let aa = 0;
      for (let k = 0; k < width; k++) aa += x.a[i * width + k] * y.a[j * width + k];
      sum += bb * aa;
    }
  }
  return x.multiplier * y.multiplier * sum;
}

console.log(
  "A LoRA adapter of SmolLM2-135M-Instruct, trained to write numbers as words (examples/number-words).",
);
const reports = RUNS.map(([name, ...words]) => {
  const file = join(work, `${name}.lqa`);
  return { name, file, ...lqa("encode", adapter, "-o", file, ...words) };
});

console.log();
const share = (value) => `${(100 * value).toFixed(1)} %`;
table([
  ["encoding", "bytes in", "bytes out", "smaller", "bits (paper)", "bits (disk)", "error", "SNR", "time"],
  ...reports.map((r) => [
    r.name,
    r.inputBytes.toLocaleString("en-US"),
    r.outputBytes.toLocaleString("en-US"),
    `${(r.inputBytes / r.outputBytes).toFixed(1)}×`,
    r.averageBits.toFixed(3),
    r.bitsPerParameter.toFixed(3),
    share(r.relativeError),
    `${r.snrDb.toFixed(1)} dB`,
    `${r.seconds.toFixed(2)} s`,
  ]),
]);
console.log(
  "  bits: per parameter, of codes, scales and zero points, and of the whole file. error: energy of ΔW lost.",
);

const [before, ...decoded] = [adapter, ...reports.map(({ name }) => join(work, `restored-${name}`))];
const original = readAdapter(await readSourceFiles(before));
for (const [i, report] of reports.entries()) {
  const directory = decoded[i];
  const validation = lqa("validate", report.file, "--level", "canonical");
  check("valid, and in canonical form", validation.valid);
  const result = lqa("decode", report.file, "-o", directory);
  const restored = readAdapter(await readSourceFiles(directory));
  const measured = relativeError(original, restored);
  check("the decoded directory is the file that was validated", result.fileId === validation.files[0].fileId);
  const sameBytes = (name) => readFileSync(join(directory, name)).equals(readFileSync(join(adapter, name)));
  check("its configuration is the original one, byte for byte", sameBytes("adapter_config.json"));
  const shape = (m) => [m.name, m.role, m.out, m.in, m.rank, m.multiplier].join(" ");
  const shapes = ({ modules }) => modules.map(shape).sort().join("\n");
  check(
    `its ${original.modules.length} modules have the same names, shapes and multipliers`,
    shapes(original) === shapes(restored),
  );
  const agrees = Math.abs(measured - report.relativeError) <= 1e-6 * report.relativeError;
  check(`its error, measured on the directory, is the one reported: ${share(measured)}`, agrees);
}

if (problems.length > 0) {
  console.error(`\n${problems.length} of the checks failed.`);
  process.exit(1);
}
console.log(`
All as it should be. Next:
  node dist/cli/main.js encode <your PEFT directory> -o my.lqa
  node dist/cli/main.js inspect my.lqa --modules
  node dist/cli/main.js decode my.lqa -o restored      # load with peft.PeftModel.from_pretrained
  examples/number-words/README.md                      # how the adapter was trained, and what it scores after each variant`);
