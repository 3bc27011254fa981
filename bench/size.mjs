// What a browser loads of the parts of the library that read files: a program that imports one name from `lqa`, in a bundle that
// esbuild minifies and splits at `import()`. Of its files those count that are loaded before the program runs, each compressed by
// gzip -9. The other files follow with the first use of the part they belong to.
//
//   npm run build && node bench/size.mjs
//
// With --write it also writes the files that count to coverage/size/NAME/, where size-limit reads them (package.json).
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../", import.meta.url));
const written = join(root, "coverage/size");
const NAMES = ["open", "decodeStream", "validate"];
/** What `open` is made of: groups of modules, the first that fits. */
const GROUPS = [
  ["WebAssembly of decoding", /decode\.wasm/],
  ["trellis tables", /trellis-tables/],
  ["error texts", /error-catalogue/],
  ["codecs, decoding", /(core\/codecs|common\/wasm)\//],
  ["prologue, index, layout", /core\/container\//],
  ["the open file", /(core\/read|\/io)\//],
  ["errors, limits, bytes", /./],
];

/** The files of a bundle, split by esbuild, of a program that imports `name`: those loaded before it runs, and the others. */
async function bundle(name, plugins = []) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: `export { ${name} } from "./dist/core/index.js";`, resolveDir: root },
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    external: ["zstd-codec"],
    outdir: "bundle",
    write: false,
    metafile: true,
    logLevel: "error",
    absWorkingDir: root,
    plugins,
  });
  const { outputs } = metafile;
  const loaded = Object.keys(outputs).filter((path) => outputs[path].entryPoint === "<stdin>");
  for (const path of loaded)
    for (const one of outputs[path].imports)
      if (one.kind === "import-statement" && !loaded.includes(one.path)) loaded.push(one.path);
  const files = outputFiles.map(({ path, text }) => ({
    path: Object.keys(outputs).find((one) => path.endsWith(basename(one))),
    text,
  }));
  return {
    outputs,
    first: files.filter(({ path }) => loaded.includes(path)),
    later: files.filter(({ path }) => !loaded.includes(path)),
  };
}

const sum = (files, size) => files.reduce((total, { text }) => total + size(text), 0);
const gzipped = (files) => sum(files, (text) => gzipSync(text, { level: 9 }).length);
const line = (label, files) =>
  `${label.padEnd(28)}${[
    sum(files, (text) => text.length),
    gzipped(files),
    sum(files, (text) => brotliCompressSync(text).length),
  ]
    .map((bytes) => String(bytes).padStart(9))
    .join("")}`;

const open = await bundle("open");
console.log(
  `${"loaded first".padEnd(28)}${["bytes", "gzipped", "by Brotli"].map((one) => one.padStart(9)).join("")}`,
);
for (const name of NAMES) {
  const { first } = name === "open" ? open : await bundle(name);
  console.log(line(name, first));
  if (!process.argv.includes("--write")) continue;
  rmSync(join(written, name), { recursive: true, force: true });
  mkdirSync(join(written, name), { recursive: true });
  for (const { path, text } of first) writeFileSync(join(written, name, basename(path)), text);
}
if (!process.argv.includes("--write")) {
  await composition();
  await parts();
}

/** Bytes of each group in what `open` loads first; and gzipped, what the groups that import nothing add to it. */
async function composition() {
  const bytes = new Map(GROUPS.map(([group]) => [group, 0]));
  const paths = new Map(GROUPS.map(([group]) => [group, []]));
  for (const { path } of open.first)
    for (const [input, { bytesInOutput }] of Object.entries(open.outputs[path].inputs)) {
      const [group] = GROUPS.find(([, pattern]) => pattern.test(input));
      bytes.set(group, bytes.get(group) + bytesInOutput);
      paths.get(group).push(join(root, input));
    }
  console.log(`\n${"of open".padEnd(28)}    bytes  gzipped`);
  for (const [group] of GROUPS) {
    const alone = GROUPS.findIndex(([one]) => one === group) < 3 ? await adds(paths.get(group)) : "";
    console.log(`${group.padEnd(28)}${String(bytes.get(group)).padStart(9)}${String(alone).padStart(9)}`);
  }
}

/** What modules add to what `open` loads first: against a bundle in which they export the same names, without contents. */
async function adds(paths) {
  const emptied = {
    name: "emptied",
    setup({ onLoad }) {
      onLoad({ filter: /\.js$/ }, ({ path }) => {
        if (!paths.includes(path)) return undefined;
        const names = readFileSync(path, "utf8").matchAll(/^export const (\w+)/gm);
        return { contents: [...names].map(([, name]) => `export const ${name} = globalThis;`).join("\n") };
      });
    },
  };
  return gzipped(open.first) - gzipped((await bundle("open", [emptied])).first);
}

/** What the other parts of an open file load, each by itself. */
async function parts() {
  console.log("\nlater, at the first use");
  const text = new Map(open.later.map((file) => [file.path, file]));
  for (const { path } of open.later) {
    const { entryPoint } = open.outputs[path];
    if (entryPoint === undefined) continue;
    const own = [path];
    for (const one of own)
      for (const { kind, path: next } of open.outputs[one].imports)
        if (kind === "import-statement" && text.has(next) && !own.includes(next)) own.push(next);
    console.log(
      line(
        basename(entryPoint),
        own.map((one) => text.get(one)),
      ),
    );
  }
}
