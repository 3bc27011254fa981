// Compiles the kernels: each `src/FOLDER/kernels/NAME.as` (AssemblyScript, in a file name of its own so that no TypeScript
// tool takes it for TypeScript) to `NAME.wasm.ts` beside it: the module in hexadecimal with the hash of its sources. What kernels
// share is in `kernels/parts/`.
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

/** Compiles a kernel, a path below src/ without an extension. @returns the module, and the sources it was made of */
export async function compile(kernel, root = sources) {
  const used = new Map();
  let wasm;
  const options = ["--outFile", "out.wasm", "-O3", "--runtime", "stub", "--noAssert", "--enable", "simd"];
  const { error, stderr } = await asc.main([`${kernel}.ts`, ...options], {
    // The compiler knows sources as `.ts`, and asks for much that is not there.
    readFile(file) {
      const url = new URL(file.replace(/\.ts$/, ".as"), root);
      if (!file.endsWith(".ts") || !existsSync(url)) return null;
      used.set(file, readFileSync(url, "utf8"));
      return used.get(file);
    },
    writeFile: (_, contents) => {
      wasm = contents;
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return { wasm, sources: [...used].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, text]) => text) };
}

/** The text of `KERNEL.wasm.ts`. */
export async function build(kernel) {
  const name = kernel.slice(kernel.lastIndexOf("/") + 1);
  const { wasm, sources } = await compile(kernel);
  const source = sources.join("");
  return `// Generated from ${name}.as by src/wasm/build.mjs. Do not edit.

/** SHA-256 of ${name}.as${sources.length > 1 ? " and of what it imports, in order of their paths" : ""}. */
export const SOURCE_HASH = "${createHash("sha256").update(source).digest("hex")}";

/** The WebAssembly module, ${wasm.length} bytes, in hexadecimal. */
export const WASM_HEX: string =
  "${Buffer.from(wasm).toString("hex")}";
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
