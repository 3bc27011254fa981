// The entry `lqa/webgpu` on a device in software: decoding has to be exact, applying within its bound, errors typed.
//
//   node test/webgpu/check.mjs node|deno|chromium [--counts FILE] [--only suite,modules,…] [--driver swiftshader|llvmpipe|system]
//
// Three implementations of WebGPU: the npm package webgpu (Dawn) in Node, Deno's (wgpu), and Chromium's (Dawn). Two drivers,
// both processors that play a graphics card: SwiftShader, which comes with Chromium, and llvmpipe, from Debian's package of
// Mesa. Chromium has only the former. conformance/runtimes.mjs installs all of them; the system's driver takes a card.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bundle, findBrowser, openPage, WEBGPU } from "../../conformance/adapters/browser.mjs";
import { installed, softwareVulkan } from "../../conformance/runtimes.mjs";
import { encodeAdapters } from "./adapters.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const entry = new URL("page.ts", import.meta.url);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    counts: { type: "string" },
    only: { type: "string" },
    driver: { type: "string", default: "swiftshader" },
  },
});
const runtimes = { node: inProcess, deno: inProcess, chromium: inChromium };
const [runtime] = positionals;
if (runtimes[runtime] === undefined) {
  console.error("expected node, deno or chromium, e.g. node test/webgpu/check.mjs node");
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "lqa-webgpu-"));
const only = values.only?.split(",");
let passed = 0;
let failed = 0;
function report(name, reason) {
  if (reason === undefined) passed++;
  else failed++;
  if (reason !== undefined) console.log(`FAILED: ${name}: ${reason}`);
}
try {
  const adapters = only === undefined || only.includes("adapters") ? await encodeAdapters(folder) : [];
  await runtimes[runtime]({ adapters, only });
} catch (error) {
  report(`checks in ${runtime}`, error.stack);
} finally {
  rmSync(folder, { recursive: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
console.log(`WebGPU in ${runtime}: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** In a process of its own: the loader of libraries reads its environment once, when a process starts. */
async function inProcess(task) {
  const driver = values.driver === "system" ? {} : softwareVulkan(values.driver);
  if (driver === undefined)
    throw new Error(`no ${values.driver}: node conformance/runtimes.mjs chromium mesa`);
  const program = runtime === "node" ? process.execPath : installed("deno");
  const addon = installed("webgpu");
  if (program === undefined) throw new Error("no Deno: node conformance/runtimes.mjs deno");
  if (runtime === "node" && addon === undefined)
    throw new Error("no webgpu: node conformance/runtimes.mjs webgpu");
  writeFileSync(join(folder, "checks.mjs"), await bundle(entry));
  const given = join(folder, "task.json");
  writeFileSync(given, JSON.stringify({ ...task, root, folder, addon }));
  const script = fileURLToPath(new URL("process.mjs", import.meta.url));
  const words = runtime === "node" ? [script, given] : ["run", "-A", "--unstable-webgpu", script, given];
  const child = spawn(program, words, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "json",
    env: { ...process.env, ...driver },
  });
  let end;
  child.on("message", (message) => {
    if (message.length === 1) [end] = message;
    else report(message[0], message[1] ?? undefined);
  });
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve(status ?? signal));
  });
  if (end === undefined || code !== 0) report(`${runtime} ended with ${code}`, "it has not come to its end");
  console.log(end);
}

async function inChromium(task) {
  const read = (path) => readFileSync(task.adapters.includes(path) ? join(folder, path) : join(root, path));
  const { page, version, close } = await openPage(entry, {
    executable: findBrowser(),
    graphics: WEBGPU,
    files: (path) => (path.startsWith("/file/") ? read(decodeURIComponent(path.slice(6))) : undefined),
    onEnd(what) {
      console.error(what);
      process.exit(1);
    },
  });
  await page.exposeFunction("report", report);
  page.on("console", (message) => console.log(message.text()));
  console.log(`Chromium ${version}, ${await page.evaluate((given) => globalThis.runChecks(given), task)}`);
  await close();
}
