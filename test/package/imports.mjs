// The built package as applications have it: by its name in Node, Bun and Deno, bundled by Vite and by esbuild, and as it is in a
// plain <script type="module"> with an import map. Each reads the annotated example, bundles in Chromium and in Node, and must
// decode the same weights. Runtimes that conformance/runtimes.mjs has not installed are skipped by name.
//
//   node test/package/imports.mjs [--counts FILE]
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { findBrowser, launch } from "../../conformance/adapters/browser.mjs";
import { installed } from "../../conformance/runtimes.mjs";
import { open } from "../../dist/core/index.js";

const { values } = parseArgs({ options: { counts: { type: "string" } } });
const root = fileURLToPath(new URL("../../", import.meta.url));
const example = readFileSync(join(root, "spec/example.lqa"));
const ORIGIN = "https://lqa.invalid";
/** Fetched in a page, decoded here: what the application does with the package. */
const APPLICATION = `import { open, LqaError, validate } from "lqa";
export async function read(bytes) {
  const file = await open(bytes);
  const { b, a } = await file.decode(file.modules[0]);
  const { valid } = await validate(bytes);
  return JSON.stringify({ name: file.modules[0].name, b: [...b.data], a: [...a.data], valid, error: typeof LqaError });
}
globalThis.read = read;
`;
/** Modules that the package imports, where ES modules of them are. */
const IMPORTS = {
  lqa: "/dist/core/index.js",
  "@msgpack/msgpack": "/node_modules/@msgpack/msgpack/dist.esm/index.mjs",
  "@noble/hashes/sha2.js": "/node_modules/@noble/hashes/sha2.js",
  fflate: "/node_modules/fflate/esm/browser.js",
  flatbuffers: "/node_modules/flatbuffers/mjs/flatbuffers.js",
};
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html" };

const file = await open(example);
const { b, a } = await file.decode(file.modules[0]);
const expected = JSON.stringify({
  name: file.modules[0].name,
  b: [...b.data],
  a: [...a.data],
  valid: true,
  error: "function",
});

const folder = mkdtempSync(join(tmpdir(), "lqa-imports-"));
let passed = 0;
let failed = 0;
async function check(name, read) {
  let found;
  try {
    found = await read();
  } catch (error) {
    found = error.stack ?? error.message;
  }
  if (found === expected) passed++;
  else failed++;
  console.log(
    found === expected ? `ok: ${name}` : `FAILED: ${name}\n  expected ${expected}\n  found ${found}`,
  );
}

try {
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/lqa"));
  const entry = join(folder, "app.js");
  writeFileSync(entry, APPLICATION);
  await vite({
    root: folder,
    logLevel: "error",
    build: {
      outDir: join(folder, "vite"),
      lib: { entry, formats: ["es"], fileName: () => "app.js" },
      rollupOptions: { external: ["fs", "path", "crypto"] },
    },
  });
  await esbuild({
    entryPoints: [entry],
    outdir: join(folder, "esbuild"),
    bundle: true,
    format: "esm",
    platform: "browser",
    splitting: true,
    // zstd-codec asks for them where it finds itself in Node.
    external: ["fs", "path", "crypto"],
    logLevel: "error",
  });
  for (const bundler of ["vite", "esbuild"]) {
    const code = `const { read } = await import(${JSON.stringify(pathToFileURL(join(folder, bundler, "app.js")).href)});
      const { readFileSync } = await import("node:fs");
      console.log(await read(new Uint8Array(readFileSync("spec/example.lqa"))));`;
    await check(`${bundler}, Node ${process.versions.node}`, () =>
      execFileSync(process.execPath, ["--input-type=module", "-e", code], {
        cwd: root,
        encoding: "utf8",
      }).trim(),
    );
  }
  await byName();
  const browser = await launch(findBrowser());
  for (const [name, source] of [
    ["vite", { base: join(folder, "vite"), script: "/app.js" }],
    ["esbuild", { base: join(folder, "esbuild"), script: "/app.js" }],
    ['plain <script type="module">', { base: root, map: IMPORTS }],
  ])
    await check(`${name}, Chromium ${browser.version()}`, () => inBrowser(browser, source));
  await browser.close();
} finally {
  rmSync(folder, { recursive: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Imports by name, as a program has them that lies beside node_modules. */
async function byName() {
  const program = `${APPLICATION}
import { readWholeFile } from "lqa/node";
const bytes = await readWholeFile(${JSON.stringify(join(root, "spec/example.lqa"))});
console.log(await read(bytes));
`;
  writeFileSync(join(folder, "named.mjs"), program);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", dependencies: { lqa: "*" } }));
  for (const [name, command, words] of [
    [`Node ${process.versions.node}`, process.execPath, ["named.mjs"]],
    ["Bun", installed("bun"), ["run", "named.mjs"]],
    [
      "Deno",
      installed("deno"),
      ["run", "--node-modules-dir=manual", "--no-remote", "--allow-read", "--allow-env", "named.mjs"],
    ],
  ]) {
    if (command === undefined) console.log(`skipped: by name, ${name}: not installed`);
    else
      await check(`by name, ${name}`, () =>
        execFileSync(command, words, {
          cwd: folder,
          encoding: "utf8",
          stdio: ["ignore", "pipe", "pipe"],
        }).trim(),
      );
  }
}

/** What a page reads whose script is the bundle, or the package itself by an import map. */
async function inBrowser(browser, { base, script, map }) {
  const page = await browser.newPage();
  const body =
    map === undefined
      ? `<!doctype html><script type="module" src="${script}"></script>`
      : `<!doctype html><script type="importmap">${JSON.stringify({ imports: map })}</script><script type="module">${APPLICATION.replace("export ", "")}</script>`;
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.route("**", (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/") return route.fulfill({ contentType: "text/html", body });
    if (pathname === "/example.lqa")
      return route.fulfill({ contentType: "application/octet-stream", body: example });
    try {
      return route.fulfill({
        contentType: TYPES[extname(pathname)],
        body: readFileSync(join(base, pathname)),
      });
    } catch {
      errors.push(`asks for ${pathname}`);
      return route.fulfill({ status: 404 });
    }
  });
  await page.goto(`${ORIGIN}/`, { waitUntil: "networkidle" });
  if (errors.length > 0) throw new Error(errors.join("; "));
  const found = await page.evaluate(async () =>
    globalThis.read(new Uint8Array(await (await fetch("/example.lqa")).arrayBuffer())),
  );
  await page.close();
  return found;
}
