// Compiles viterbi.as (AssemblyScript, in a file name of its own so that no TypeScript tool takes it for TypeScript)
// to viterbi.wasm.ts: the module in base64 with the hash of its source. `--check` fails when that file is not current.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";

const source = readFileSync(new URL("viterbi.as", import.meta.url), "utf8");
const output = new URL("viterbi.wasm.ts", import.meta.url);

/** The text of viterbi.wasm.ts. */
export async function build() {
  const files = new Map([["viterbi.ts", source]]);
  let wasm;
  const options = ["--outFile", "viterbi.wasm", "-O3", "--runtime", "stub", "--noAssert", "--enable", "simd"];
  const { error, stderr } = await asc.main(["viterbi.ts", ...options], {
    readFile: (name) => files.get(name.replace(/^\.\//, "")) ?? null,
    writeFile: (_, contents) => {
      wasm = contents;
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  const base64 = Buffer.from(wasm).toString("base64");
  return `// Generated from viterbi.as by build.mjs. Do not edit.

/** SHA-256 of viterbi.as. */
export const SOURCE_HASH = "${createHash("sha256").update(source).digest("hex")}";

/** The WebAssembly module, ${wasm.length} bytes, in base64. */
export const WASM_BASE64: string =
  "${base64}";
`;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const text = await build();
  if (!process.argv.includes("--check")) writeFileSync(output, text);
  else if (readFileSync(output, "utf8") !== text) {
    console.error("viterbi.wasm.ts is not current; run: node src/codecs/kernels/build.mjs");
    process.exit(1);
  }
}
