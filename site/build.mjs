// Builds the documentation into `site/dist/`: a folder that any file server can serve.
//
//   npm run site [-- --base /path/ --no-api --no-pages]
//
// --base is the path that the site is served at, by default /. The generator is a package of its own (site/generator/) so
// that the library installs without it, and no other package finds its version of Vite; it is installed once, from the lock
// file.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { stage } from "./stage.mjs";

const { values } = parseArgs({
  options: {
    base: { type: "string", default: "/" },
    api: { type: "boolean", default: true },
    pages: { type: "boolean", default: true },
  },
  allowNegative: true,
});
if (!/^\/([\w.-]+\/)*$/.test(values.base))
  throw new Error(`--base ${values.base}: expected a path that begins and ends with a slash, such as /lqa/`);

const here = fileURLToPath(new URL("./", import.meta.url));
const root = join(here, "..");
const generator = join(here, "generator");
const npm = (words, folder) => execFileSync("npm", words, { cwd: folder, stdio: "inherit" });

if (!upToDate()) npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], generator);
process.env.LQA_SITE_BASE = values.base;
process.env.LQA_SITE_PAGES = values.pages ? "1" : "0";
// Endings of files that are not pages, which the generator would take for pages.
process.env.VITE_EXTRA_EXTENSIONS = (await stage(join(generator, ".pages"))).join(",");

// Where the package is, of which only its folder knows.
const { build } = await import(
  pathToFileURL(join(generator, "node_modules/vitepress/dist/node/index.js")).href
);
await build(generator);
if (values.api)
  execFileSync(
    process.execPath,
    [join(root, "node_modules/typedoc/bin/typedoc"), "--out", join(here, "dist/api"), "--logLevel", "Warn"],
    { cwd: root, stdio: "inherit" },
  );
if (values.pages) for (const page of ["inspector", "chat"]) npm(["run", "--silent", `site:${page}`], root);
console.log(`site/dist is for ${values.base}`);

/** Whether what is installed is what the lock file asks for. */
function upToDate() {
  const installed = join(generator, "node_modules/.package-lock.json");
  if (!existsSync(installed)) return false;
  const packages = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
  const [wanted, there] = [packages(join(generator, "package-lock.json")), packages(installed)];
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === "" || optional === true || there[path]?.version === version,
  );
}
