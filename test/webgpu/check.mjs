// The entry `lqa/webgpu` on a device in software: decoding has to be exact, applying within its bound, errors typed.
//
//   node test/webgpu/check.mjs node|chromium [--counts FILE] [--only suite,modules,…]
//
// Node uses the npm package webgpu, Chromium its own; both draw on SwiftShader, which comes with Chromium and is a processor
// that plays a graphics card. conformance/runtimes.mjs installs them. LQA_GPU=system asks the system's driver instead (Node).
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { bundle, findBrowser, openPage, WEBGPU } from "../../conformance/adapters/browser.mjs";
import { installed, softwareVulkan } from "../../conformance/runtimes.mjs";
import { encodeAdapters } from "./adapters.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { counts: { type: "string" }, only: { type: "string" } },
});
const where = positionals[0];
if (where !== "node" && where !== "chromium") {
  console.error("expected node or chromium, e.g. node test/webgpu/check.mjs node");
  process.exit(2);
}
if (where === "node" && process.env.LQA_GPU !== "system" && process.env.VK_ICD_FILENAMES === undefined) {
  // The loader of libraries reads its environment once, at the start of a process.
  const driver = softwareVulkan();
  if (driver === undefined) throw new Error("no SwiftShader: node conformance/runtimes.mjs chromium");
  const env = { ...process.env, ...driver };
  const { status } = spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit", env });
  process.exit(status ?? 1);
}
const entry = new URL("page.ts", import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "lqa-webgpu-"));
let passed = 0;
let failed = 0;
function report(name, reason) {
  if (reason === undefined) passed++;
  else failed++;
  if (reason !== undefined) console.log(`FAILED: ${name}: ${reason}`);
}
const only = values.only?.split(",");
const encoded = only === undefined || only.includes("adapters") ? await encodeAdapters(folder) : [];
const read = (path) => readFileSync(encoded.includes(path) ? join(folder, path) : join(root, path));
const task = { adapters: encoded, only };
try {
  if (where === "node") await inNode();
  else await inChromium();
} catch (error) {
  report(`checks in ${where}`, error.stack);
} finally {
  rmSync(folder, { recursive: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
console.log(`WebGPU in ${where}: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function inNode() {
  const addon = process.env.LQA_DAWN || installed("webgpu");
  if (addon === undefined) throw new Error("no webgpu: node conformance/runtimes.mjs webgpu chromium");
  const { create, globals } = createRequire(import.meta.url)(addon);
  // What zstd-codec expects where it finds itself in Node, and a bundle of ES modules has not.
  Object.assign(globalThis, globals, { require: createRequire(import.meta.url), __dirname: folder });
  const file = join(folder, "checks.mjs");
  writeFileSync(file, await bundle(entry));
  await import(pathToFileURL(file).href);
  console.log(await globalThis.runChecks({ ...task, gpu: create([]), read, report }));
}

async function inChromium() {
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
