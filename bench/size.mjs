// What the parts of the library that read files weigh in a browser: minified by esbuild, compressed by gzip -9, without
// what is loaded only for files that have compressed chunks: zstd-codec, what starts it, and the checks on frames.
//
//   npm run build && node bench/size.mjs
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../", import.meta.url));
/** Loaded by `import()` (src/core/read/file.ts, src/core/container/zstd.ts): a bundler that splits makes files of their own of them. */
const external = ["zstd-codec", "*/inflate.js", "*/portable-zstd.js"];
/** Of `open` also what servers, streams, pinning, verification and sections need. */
const LATER = ["*/http.js", "*/meta.js", "*/pieces.js", "*/pin.js", "*/whole.js"];
const gzipped = (text) => gzipSync(text, { level: 9 }).length;
/** Groups of modules that import no others of the library; what is left is the code of the library itself. */
const GROUPS = [
  ["SIMD kernel of decoding", /codecs\/kernels\//],
  ["trellis tables", /trellis-tables/],
  ["error texts", /error-catalogue/],
  ["@msgpack/msgpack", /@msgpack/],
  ["@noble/hashes", /@noble/],
  ["fflate", /fflate/],
  ["flatbuffers", /node_modules\/flatbuffers/],
];

async function bundle(contents, options = {}) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    external,
    write: false,
    metafile: true,
    logLevel: "error",
    ...options,
  });
  const { outputs } = metafile;
  return {
    code: outputFiles[0].text,
    inputs: Object.keys(Object.values(outputs)[0].inputs),
    outputs,
    outputFiles,
  };
}

/** Gzipped bytes of the files that a bundle split by esbuild loads before it runs. */
async function loadedFirst(entry) {
  const { outputs, outputFiles } = await bundle(entry, {
    external: ["zstd-codec"],
    splitting: true,
    outdir: "bundle",
  });
  const loaded = Object.keys(outputs).filter((path) => outputs[path].entryPoint === "<stdin>");
  for (const path of loaded)
    for (const one of outputs[path].imports)
      if (one.kind === "import-statement" && !loaded.includes(one.path)) loaded.push(one.path);
  return outputFiles
    .filter(({ path }) => loaded.some((one) => path.endsWith(one)))
    .reduce((sum, { text }) => sum + gzipped(text), 0);
}

for (const name of ["open", "decodeStream", "validate"]) {
  const { code, inputs } = await bundle(`export { ${name} } from "./dist/core/index.js";`, {
    external: name === "open" ? [...external, ...LATER] : external,
  });
  console.log(
    `${name}: ${code.length} bytes, ${gzipped(code)} gzipped, ${brotliCompressSync(code).length} by brotli`,
  );
  if (name !== "open") continue;
  const entry = `export { ${name} } from "./dist/core/index.js";`;
  const whole = await bundle(entry, { external: ["zstd-codec"] });
  console.log(`  all in one file            ${String(gzipped(whole.code)).padStart(7)} gzipped`);
  console.log(`  split, loaded first        ${String(await loadedFirst(entry)).padStart(7)} gzipped`);
  let rest = gzipped(code);
  for (const [group, pattern] of GROUPS) {
    const own = inputs.filter((path) => pattern.test(path));
    if (own.length === 0) continue;
    // What a group adds: the bundle against one in which its modules are empty of all but names.
    const without = await bundle(entry, {
      logLevel: "silent",
      external: [...external, ...LATER],
      plugins: [
        {
          name: "without",
          setup({ onLoad }) {
            onLoad({ filter: /\.m?js$/ }, async ({ path }) => {
              if (!own.some((one) => path.endsWith(one))) return undefined;
              const { exports } = await namesOf(path);
              return {
                contents: exports
                  .map((one) => (one === "default" ? "export default 0" : `export const ${one} = globalThis`))
                  .join(";"),
              };
            });
          },
        },
      ],
    });
    const added = gzipped(code) - gzipped(without.code);
    rest -= added;
    console.log(`  ${group.padEnd(26)}${String(added).padStart(7)} gzipped`);
  }
  console.log(`  ${"the library itself".padEnd(26)}${String(rest).padStart(7)} gzipped`);
}

/** What a module exports. */
async function namesOf(path) {
  const { metafile } = await build({
    entryPoints: [path],
    bundle: true,
    format: "esm",
    external: ["*"],
    write: false,
    metafile: true,
    platform: "browser",
    logLevel: "silent",
  });
  return { exports: Object.values(metafile.outputs)[0].exports };
}
