/**
 * bench/decode.mjs on several runtimes, and the tables of bench/decoding.md from them.
 *
 *     npm run bench:decoding [-- --write]             everything, fetched first: see conformance/runtimes.mjs
 *     node bench/decode-runtimes.mjs [--write] [--json FILE] [--runtime PATH]... [--chromium PATH]
 *
 * Everything is this Node, Node 22 and 24, Bun, Deno and Chromium from the npm registry. A runtime is a `node`, `bun` or `deno`.
 * Chromium runs without a window, the bench bundled in an isolated page, whose clock is exact. Without options: this Node alone.
 * Build first.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPage } from "../conformance/adapters/browser.mjs";
import { install } from "../conformance/runtimes.mjs";
import { PLACES } from "./decode.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const args = process.argv.slice(2);
const all = (name) => args.flatMap((arg, i) => (arg === name ? [args[i + 1]] : []));
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
const load = loadavg();
for (const path of all("--json")) writeFileSync(path, JSON.stringify({ results, load }));
const text = report();
if (args.includes("--write")) {
  const path = join(root, "bench/decoding.md");
  const [before] = readFileSync(path, "utf8").split("<!-- generated -->");
  writeFileSync(path, `${before}<!-- generated -->\n${text}`);
} else console.log(text);

/** Options that name every runtime, once they are there. */
async function fetchAll() {
  const options = ["--runtime", process.execPath];
  for (const name of ["node22", "node24", "bun", "deno"]) options.push("--runtime", await install(name));
  return [...options, "--chromium", await install("chromium")];
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
  return `${parts.join("\n\n")}\n`;
}
