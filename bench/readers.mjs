// What the readers of this repository take for one file at level `values`: processor time of a process, which a busy machine
// changes little. Needs the library built, a C compiler, cargo and python3; what is missing is left out and said so.
//
//   node bench/readers.mjs [--write]   --write: into docs/implementers.md
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeAdapter } from "../dist/encode/index.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "lqa-bench-"));
const path = join(folder, "adapter.lqa");
const ROUNDS = 3;

/** 24 modules of rank 16 on weights of 4096 × 4096, about normal. */
let state = 1;
const next = () => {
  let sum = -2;
  for (let i = 0; i < 4; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    sum += state / 2 ** 32;
  }
  return sum / 50;
};
const modules = Array.from({ length: 24 }, (_, i) => ({
  name: `layers.${i}.q_proj`,
  role: "linear",
  out: 4096,
  in: 4096,
  kernel: [],
  experts: 1,
  rank: 16,
  baseLayout: "out-in",
  multiplier: 2,
  alpha: 32,
  rule: "alpha/r",
  b: Float32Array.from({ length: 4096 * 16 }, next),
  a: Float32Array.from({ length: 4096 * 16 }, next),
}));
const { bytes, report } = await encodeAdapter(
  { modules, tensors: [], origin: undefined, meta: {} },
  { profile: "rd", bits: 2 },
);
writeFileSync(path, bytes);

const built = (language) => {
  try {
    return execFileSync(join(root, `conformance/readers/${language}/build`), { encoding: "utf8" })
      .trim()
      .split("\n")
      .at(-1);
  } catch {
    return undefined;
  }
};
const readers = [
  ["C", [built("c")]],
  ["Rust", [built("rust")]],
  [
    `JavaScript, this library, Node ${process.versions.node.split(".")[0]}`,
    [process.execPath, "conformance/adapters/lqa.mjs"],
  ],
  ["Python, no numpy", ["python3", "conformance/readers/python/lqa_reader.py"]],
];

/** Seconds of processor time of a command that reads the file, the least of some. */
function seconds(command) {
  const script = `TIMEFORMAT='%U %S'; time "$@" --level values < "$FILE" > /dev/null`;
  const times = Array.from({ length: ROUNDS }, () => {
    const { status, stderr } = spawnSync("bash", ["-c", script, "bench", ...command], {
      cwd: root,
      env: { ...process.env, FILE: path },
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    const [user, system] = stderr.trim().split("\n").at(-1).split(" ").map(Number);
    return user + system;
  });
  return Math.min(...times);
}

const rows = [];
for (const [name, command] of readers) {
  if (command[0] === undefined) console.log(`${name}: left out, it cannot be built here`);
  else rows.push([name, seconds(command)]);
}
rmSync(folder, { recursive: true });
const weights = report.parameters;
const text = [
  `${new Date().toISOString().slice(0, 10)}, ${cpus()[0].model}, one core; ${(bytes.length / 1e6).toFixed(2)} MB with ${(weights / 1e6).toFixed(1)} million weights, profile \`rd\` at 2 bits; the least of ${ROUNDS} runs, start of the process included: \`node bench/readers.mjs --write\`.`,
  "",
  "| reader | seconds | million weights a second |",
  "| --- | --- | --- |",
  ...rows.map(([name, time]) => `| ${name} | ${time.toFixed(2)} | ${(weights / 1e6 / time).toFixed(1)} |`),
].join("\n");
console.log(text);
if (process.argv.includes("--write")) {
  const page = join(root, "docs/implementers.md");
  const [head, rest] = readFileSync(page, "utf8").split("<!-- generated: node bench/readers.mjs -->\n");
  writeFileSync(
    page,
    `${head}<!-- generated: node bench/readers.mjs -->\n${text}\n${rest.slice(rest.indexOf("<!-- /generated -->"))}`,
  );
}
