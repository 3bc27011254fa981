/**
 * bench/decode.mjs on several runtimes, the peers of bench/peers.py on the same weights, bench/stream.mjs, and the figures of
 * bench/decoding.md from all three.
 *
 *     npm run bench:decoding [-- --write]             everything, fetched first: see conformance/runtimes.mjs
 *     node bench/decode-runtimes.mjs [--write] [--json FILE] [--runtime PATH]... [--chromium PATH] [--python PATH [--ggml PATH]]
 *
 * Everything is this Node, Node 22 and 24, Bun, Deno and Chromium from the npm registry; Python packages in a virtual
 * environment (Python 3.11 or later) and llama.cpp's own dequantizers from a package of node-llama-cpp, both kept in
 * ~/.cache/lqa-bench. A runtime is a `node`, `bun` or `deno`. Chromium runs without a window, the bench bundled in an isolated
 * page, whose clock is exact. For Python see bench/peers.py. Without options: this Node alone. Build first.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, homedir, loadavg, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPage } from "../conformance/adapters/browser.mjs";
import { install } from "../conformance/runtimes.mjs";
import { writeSafetensors } from "../dist/adapters/safetensors.js";
import { open } from "../dist/core/index.js";
import { MIXES, PLACES } from "./decode.mjs";
import { sevenB } from "./seven-b.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const args = process.argv.slice(2);
const all = (name) => args.flatMap((arg, i) => (arg === name ? [args[i + 1]] : []));
const scratch = mkdtempSync(join(tmpdir(), "lqa-bench-"));

/** llama.cpp, built. */
const LLAMA = "@node-llama-cpp/linux-x64@3.22.1";
if (args.includes("--all")) args.push(...(await fetchAll()));

const results = [];
for (const path of all("--runtime").length > 0 ? all("--runtime") : [process.execPath]) {
  const script = join(root, "bench/decode.mjs");
  const command = basename(path).startsWith("deno") ? ["run", "-A", script] : [script];
  results.push(JSON.parse(run(path, [...command, "--json"])));
  console.error(`${results.at(-1).runtime}: done`);
}
for (const path of all("--chromium")) {
  results.push(await inChromium(path));
  console.error(`${results.at(-1).runtime}: done`);
}
const [python] = all("--python");
const peers = python === undefined ? undefined : await runPeers(python);
const stream = JSON.parse(run(process.execPath, [join(root, "bench/stream.mjs"), "--json"]));
rmSync(scratch, { recursive: true });
const load = loadavg();
for (const path of all("--json")) writeFileSync(path, JSON.stringify({ results, peers, stream, load }));
const text = report();
if (args.includes("--write")) {
  const path = join(root, "bench/decoding.md");
  const [before] = readFileSync(path, "utf8").split("<!-- generated -->");
  writeFileSync(path, `${before}<!-- generated -->\n${text}`);
} else console.log(text);

/** Options that name every runtime and peer, once they are there. */
async function fetchAll() {
  const options = ["--runtime", process.execPath];
  for (const name of ["node22", "node24", "bun", "deno"]) options.push("--runtime", await install(name));
  options.push("--chromium", await install("chromium"));
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "lqa-bench");
  const python = join(cache, "python/bin/python");
  if (!existsSync(python)) run("python3", ["-m", "venv", join(cache, "python")]);
  const pinned = readFileSync(join(root, "test/interop/requirements.txt"), "utf8").split("\n");
  const needed = pinned.filter((line) => /^(gguf|numpy|safetensors)==/.test(line));
  run(python, ["-m", "pip", "install", "--quiet", ...needed]);
  run("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", cache, LLAMA]);
  const ggml = "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so";
  return [...options, "--python", python, "--ggml", join(cache, ggml)];
}

function run(path, parameters) {
  const { status, stdout, stderr } = spawnSync(path, parameters, {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    cwd: root,
  });
  if (status !== 0) throw new Error(`${path} ${parameters.join(" ")}: status ${status}\n${stderr}`);
  return stdout;
}

/** The bench in a page. */
async function inChromium(executable) {
  const { page, close } = await openPage(new URL("page.mjs", import.meta.url), { executable });
  try {
    if (!(await page.evaluate(() => globalThis.crossOriginIsolated)))
      throw new Error("the page is not isolated, so its clock is not exact");
    return await page.evaluate(() => globalThis.measure());
  } finally {
    await close();
  }
}

/** Decoded factors of the adapter `rd` in F16, for other programs. */
async function writeWeights(path) {
  const file = await open(await sevenB(MIXES.rd));
  const tensors = new Map();
  for await (const { name, b, a } of file.decodeAll({ type: "f16" })) {
    const data = (x) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
    const prefix = `base_model.model.${name}.lora_`;
    tensors.set(`${prefix}A.weight`, { element: "F16", shape: a.shape, data: data(a.data) });
    tensors.set(`${prefix}B.weight`, { element: "F16", shape: b.shape, data: data(b.data) });
  }
  writeFileSync(path, writeSafetensors(tensors));
}

async function runPeers(python) {
  const weights = join(scratch, "weights.safetensors");
  await writeWeights(weights);
  const ggml = all("--ggml").flatMap((path) => ["--ggml", path]);
  return JSON.parse(run(python, [join(root, "bench/peers.py"), weights, ...ggml]));
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "--:"))), ...rows.map(line)].join("\n");
}

function report() {
  const ratio = (row, place) => row?.[place]?.ratio.toFixed(2) ?? "–";
  const find = (result, encoding, type, layout = "component") =>
    result.rows.find((r) => r.encoding === encoding && r.type === type && r.layout === layout);
  const [first] = results;
  const encodings = [...new Set(first.rows.map(({ encoding }) => encoding))];
  const full = (type) =>
    table(
      [`${type} out`, ...PLACES, ...PLACES.map((place) => `PEFT ${place}`)],
      encodings.map((encoding) => [
        encoding,
        ...["component", "peft"].flatMap((layout) =>
          PLACES.map((place) => ratio(find(first, encoding, type, layout), place)),
        ),
      ]),
    );
  const across = (type) =>
    table(
      [`${type} out: copied, held`, ...results.map(({ runtime }) => runtime)],
      encodings.map((encoding) => [
        encoding,
        ...results.map((result) => {
          const row = find(result, encoding, type);
          return `${ratio(row, "copied")}, ${ratio(row, "held")}`;
        }),
      ]),
    );
  const adapters = first.adapters.map(({ name, bytes, milliseconds }, i) => {
    const head = `${name}, ${(bytes / 1e6).toFixed(1)} MB`;
    const rows = Object.keys(milliseconds).map((what) => [
      what,
      ...results.map((result) => result.adapters[i].milliseconds[what].toFixed(1)),
    ]);
    return table([head, ...results.map(({ runtime }) => `${runtime}, ms`)], rows);
  });
  const parts = [
    `Measured ${first.date}, ${cpus()[0].model}, ${availableParallelism()} virtual cores (load ${load.map((x) => x.toFixed(1)).join(", ")} at the end); \`npm run bench:decoding\`. memcpy and, in brackets, writing alone (\`fill\`), GB/s: ${results.map(({ runtime, memcpy, write }) => `${runtime} ${memcpy.gbPerSecond.toFixed(1)} (${write.gbPerSecond.toFixed(1)})`).join(", ")}; memcpy in the second cache (256 KiB) ${first.memcpyHot.gbPerSecond.toFixed(0)}.`,
    `## ${first.runtime}, ratio to memcpy\n\n${full("f32")}\n\n${full("f16")}`,
  ];
  if (results.length > 1)
    parts.push(
      `## Runtimes, ratio to memcpy of each, component-major\n\n${across("f32")}\n\n${across("f16")}`,
    );
  parts.push(`## 7B-shaped adapters, 224 modules, 40.0 M weights\n\n${adapters.join("\n\n")}`);
  if (peers !== undefined) {
    const versions = Object.entries(peers.versions).map(([name, version]) => `${name} ${version}`);
    const rows = peers.rows.map(({ name, output, note, gbPerSecond, ratio }) => [
      name,
      `${output}, ${note}`,
      gbPerSecond.toFixed(2),
      ratio.toFixed(2),
    ]);
    parts.push(
      `## Peers on the same weights\n\nmemcpy ${peers.memcpy.toFixed(1)} GB/s; ${versions.join(", ")}; \`bench/peers.py\`.\n\n${table(["what", "output", "GB/s", "ratio to memcpy"], rows)}`,
    );
  }
  const { memory, network, workers } = stream;
  const ms = (time) => time.toFixed(0);
  const rows = [
    ["in memory: open, verify, decode to f16", ms(memory.oneShot)],
    [`the same, pushed in pieces of 64 KiB (${memory.ratio.toFixed(2)} times that)`, ms(memory.pushed)],
    ["100 Mbit/s, first byte to first module: `.lqa` stream", ms(network.lqa.first)],
    ["first byte to last module: `.lqa` stream", ms(network.lqa.last)],
    ["first byte to last module: f16 safetensors", ms(network.safetensors.last)],
    ...Object.entries(workers).map(([count, time]) => [
      `in memory to f16 in shared memory, used before: ${count} running worker${count === "1" ? "" : "s"}`,
      ms(time),
    ]),
  ];
  parts.push(
    `## Streams and threads\n\nAn adapter of ${(stream.weights / 1e6).toFixed(1)} M weights: \`.lqa\` ${(stream.lqaBytes / 1e6).toFixed(1)} MB, f16 safetensors ${(stream.safetensorsBytes / 1e6).toFixed(1)} MB; Node ${stream.node.slice(1)}, \`npm run bench:stream\`.\n\n${table(["what", "ms"], rows)}`,
  );
  return `${parts.join("\n\n")}\n`;
}
