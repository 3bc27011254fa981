// How long the program takes to start: whole processes, from spawn to exit, beside Node itself.
//
//   npm run build && node bench/start.mjs [RUNS]
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const EXAMPLE = fileURLToPath(new URL("../spec/example.lqa", import.meta.url));
const runs = Number(process.argv[2] ?? 21);
const LINES = [
  ["node -e 0", ["-e", "0"]],
  ["lqa --version", [MAIN, "--version"]],
  ["lqa encode --help", [MAIN, "encode", "--help"]],
  ["lqa completion bash", [MAIN, "completion", "bash"]],
  ["lqa inspect", [MAIN, "inspect", EXAMPLE]],
  ["lqa validate", [MAIN, "validate", EXAMPLE]],
];

function once(words) {
  const started = performance.now();
  const { status } = spawnSync(process.execPath, words, { stdio: "ignore" });
  if (status !== 0) throw new Error(`${words.join(" ")} exits with ${status}`);
  return performance.now() - started;
}

// In turns, so that what else the machine does meets all alike.
const times = LINES.map(() => []);
for (let run = 0; run <= runs; run++)
  LINES.forEach(([, words], i) => {
    const time = once(words);
    if (run > 0) times[i].push(time);
  });
console.log(
  `${cpus().length} × ${cpus()[0].model}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}, ${runs} runs`,
);
LINES.forEach(([name], i) => {
  const sorted = times[i].toSorted((x, y) => x - y);
  const ms = (value) => `${value.toFixed(0)} ms`.padStart(8);
  console.log(`${name.padEnd(22)} least ${ms(sorted[0])}  median ${ms(sorted[runs >> 1])}`);
});
