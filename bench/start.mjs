// How long the program takes to start, and `import "lqa"`: whole processes, from spawn to exit, compared with Node itself;
// and the CPU time of each, which says more on a machine that is busy.
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
  ["import lqa", ["-e", `import(${JSON.stringify(new URL("../dist/core/index.js", import.meta.url).href)})`]],
  ["lqa --version", [MAIN, "--version"]],
  ["lqa encode --help", [MAIN, "encode", "--help"]],
  ["lqa completion bash", [MAIN, "completion", "bash"]],
  ["lqa inspect", [MAIN, "inspect", EXAMPLE]],
  ["lqa validate", [MAIN, "validate", EXAMPLE]],
];

/** In the process that is measured, on its way out: what it used, on the file descriptor 3. */
const TELL = `data:text/javascript,${encodeURIComponent(
  `import { writeSync } from "node:fs";
   process.on("exit", () => { const { user, system } = process.cpuUsage(); writeSync(3, String(user + system)); });`,
)}`;

/** Milliseconds of one run: [as time passes, of CPU]. */
function once(words) {
  const started = performance.now();
  const { status, output } = spawnSync(process.execPath, ["--import", TELL, ...words], {
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  const wall = performance.now() - started;
  if (status !== 0) throw new Error(`${words.join(" ")} exits with ${status}`);
  return [wall, Number(output[3]) / 1000];
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
  const shown = [0, 1].flatMap((kind) => {
    const sorted = times[i].map((time) => time[kind]).sort((x, y) => x - y);
    return [sorted[0], sorted[runs >> 1]].map((value) => `${value.toFixed(0)} ms`.padStart(8));
  });
  console.log(
    `${name.padEnd(22)} least ${shown[0]}  median ${shown[1]}   CPU: least ${shown[2]}  median ${shown[3]}`,
  );
});
