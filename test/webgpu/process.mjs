// The checks in Node or Deno; check.mjs starts this, and receives each check.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

const { root, folder, addon, ...task } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(import.meta.url);
// What zstd-codec expects where it finds itself in Node, and a bundle of ES modules has not.
Object.assign(globalThis, { require, __dirname: folder });
let gpu;
if (globalThis.Deno === undefined) {
  const { create, globals } = require(addon);
  Object.assign(globalThis, globals);
  gpu = create([]);
} else gpu = navigator.gpu;
await import(pathToFileURL(join(folder, "checks.mjs")).href);
const text = await globalThis.runChecks({
  ...task,
  gpu,
  read: (path) => readFileSync(task.adapters.includes(path) ? join(folder, path) : join(root, path)),
  report: (name, reason) => process.send([name, reason ?? null]),
});
const runtime =
  globalThis.Deno === undefined ? `Node ${process.versions.node}` : `Deno ${globalThis.Deno.version.deno}`;
// The last message: without it the checks have not come to their end.
process.send([`${runtime}, ${text}`], () => process.exit(0));
