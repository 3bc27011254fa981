// Compiles the kernels: each `src/FOLDER/kernels/NAME.as` (AssemblyScript, in a file name of its own so that no TypeScript
// tool takes it for TypeScript) to `NAME.wasm.ts` beside it: the module in base64 with the hash of its source.
// `--check` fails where that file is not current.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";

const sources = new URL("../", import.meta.url);

/** The kernels, as paths below src/ without an extension. */
export const KERNELS = readdirSync(sources)
  .map((folder) => `${folder}/kernels`)
  .filter((folder) => existsSync(new URL(folder, sources)))
  .flatMap((folder) =>
    readdirSync(new URL(folder, sources))
      .filter((name) => name.endsWith(".as"))
      .map((name) => `${folder}/${name.slice(0, -".as".length)}`),
  )
  .sort();

/** The text of `KERNEL.wasm.ts`. */
export async function build(kernel) {
  const name = kernel.slice(kernel.lastIndexOf("/") + 1);
  const source = readFileSync(new URL(`${kernel}.as`, sources), "utf8");
  const files = new Map([[`${name}.ts`, source]]);
  let wasm;
  const options = ["--outFile", `${name}.wasm`, "-O3", "--runtime", "stub", "--noAssert", "--enable", "simd"];
  const { error, stderr } = await asc.main([`${name}.ts`, ...options], {
    readFile: (file) => files.get(file.replace(/^\.\//, "")) ?? null,
    writeFile: (_, contents) => {
      wasm = contents;
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  const base64 = Buffer.from(wasm).toString("base64");
  return `// Generated from ${name}.as by src/wasm/build.mjs. Do not edit.

/** SHA-256 of ${name}.as. */
export const SOURCE_HASH = "${createHash("sha256").update(source).digest("hex")}";

/** The WebAssembly module, ${wasm.length} bytes, in base64. */
export const WASM_BASE64: string =
  "${base64}";
`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const kernel of KERNELS) {
    const text = await build(kernel);
    const output = new URL(`${kernel}.wasm.ts`, sources);
    if (!process.argv.includes("--check")) writeFileSync(output, text);
    else if (!existsSync(output) || readFileSync(output, "utf8") !== text) {
      console.error(`${kernel}.wasm.ts is not current; run: npm run kernels`);
      process.exitCode = 1;
    }
  }
}
