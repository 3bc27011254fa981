// Compiles the kernels: each `src/**/kernels/NAME.as` (AssemblyScript; the ending keeps TypeScript tools away) to
// `NAME.wasm.ts` next to it, which has the module as text (`kernel.ts`) and the hash of its sources. `kernels/parts/` has the
// code that kernels share. `--check` fails if a `NAME.wasm.ts` is not current.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { sep } from "node:path";
import asc from "assemblyscript/asc";
import binaryen from "assemblyscript/binaryen";

const sources = new URL("../..", import.meta.url);

/** The kernels, as paths below src/ without an extension. */
export const KERNELS = readdirSync(sources, { recursive: true })
  .map((path) => path.split(sep).join("/"))
  .filter((path) => /\/kernels\/[^/]+\.as$/.test(path))
  .map((path) => path.slice(0, -".as".length))
  .sort();

/**
 * Kernels that readers in browsers load, which are optimized for size once more, with their functions that must not be inlined:
 * inlining this one makes widening of binary16 7 % slower; no other function matters. gzip -9 makes 4,964 bytes of the decoder
 * instead of 5,259.
 */
const SMALL = { "core/codecs/kernels/decode": ["core/codecs/kernels/parts/raw/widenHalves"] };

/** Compiles a kernel, a path below src/ without an extension. @returns the module, and its sources in order of their paths */
export async function compile(kernel, root = sources) {
  const used = new Map();
  let wasm;
  const options = ["--outFile", "out.wasm", "-O3", "--runtime", "stub", "--noAssert", "--enable", "simd"];
  const apart = root === sources ? SMALL[kernel] : undefined;
  // `shrink` needs the names of functions.
  if (apart) options.push("--debug");
  const { error, stderr } = await asc.main([`${kernel}.ts`, ...options], {
    // The compiler expects sources to end in `.ts`, and looks for many files that do not exist.
    readFile(file) {
      const url = new URL(file.replace(/\.ts$/, ".as"), root);
      if (!file.endsWith(".ts") || !existsSync(url)) return null;
      used.set(file, readFileSync(url, "utf8"));
      return used.get(file);
    },
    writeFile: (name, contents) => {
      if (name.endsWith(".wasm")) wasm = contents;
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return {
    wasm: apart ? shrink(wasm, apart) : wasm,
    sources: [...used].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, text]) => text),
  };
}

/** Optimizes for size, without inlining some functions. It sets every option, because the compiler changes global ones. */
function shrink(wasm, apart) {
  binaryen.setOptimizeLevel(2);
  binaryen.setShrinkLevel(1);
  binaryen.setAlwaysInlineMaxSize(2);
  binaryen.setFlexibleInlineMaxSize(20);
  binaryen.setOneCallerInlineMaxSize(-1);
  binaryen.setAllowInliningFunctionsWithLoops(false);
  binaryen.setFastMath(false);
  binaryen.setClosedWorld(false);
  binaryen.setLowMemoryUnused(false);
  binaryen.setGenerateStackIR(true);
  binaryen.setOptimizeStackIR(true);
  binaryen.setDebugInfo(false);
  const { SIMD128, BulkMemory, BulkMemoryOpt, SignExt, NontrappingFPToInt, MutableGlobals } =
    binaryen.Features;
  const module = binaryen.readBinary(wasm);
  module.setFeatures(SIMD128 | BulkMemory | BulkMemoryOpt | SignExt | NontrappingFPToInt | MutableGlobals);
  for (const name of apart) {
    if (!module.getFunction(name)) throw new Error(`no function ${name}`);
    binaryen.setPassArgument("no-inline", name);
    module.runPasses(["no-inline"]);
  }
  module.optimize();
  const smaller = module.emitBinary();
  module.dispose();
  return smaller;
}

/** The characters of embedded kernels, the same as in kernel.ts. */
const CHARACTERS = Array.from({ length: 127 - 40 }, (_, i) => String.fromCharCode(40 + i)).filter(
  (c) => !"<\\`".includes(c),
);
/** Number of characters that represent a frequent byte. Each of the others represents rare bytes with a second character. */
const FREQUENT = CHARACTERS.length - 3;

/** Bytes as text, which `bytesOfText` of kernel.ts reads. */
export function textOf(bytes) {
  const values = Array.from({ length: 256 }, (_, value) => ({ value, count: 0 }));
  for (const byte of bytes) values[byte].count++;
  const order = [...values].sort((x, y) => y.count - x.count || x.value - y.value);
  const frequent = new Set(order.slice(0, FREQUENT).map(({ value }) => value));
  let [first, second] = [0, 0];
  for (const one of values) {
    if (frequent.has(one.value)) one.text = CHARACTERS[first++];
    else {
      const prefix = CHARACTERS[FREQUENT + Math.floor(second / CHARACTERS.length)];
      one.text = prefix + CHARACTERS[second++ % CHARACTERS.length];
    }
  }
  const table = Array.from({ length: 64 }, (_, i) =>
    String.fromCharCode(
      [0, 1, 2, 3].reduce((sum, bit) => sum + (frequent.has(4 * i + bit) ? 1 << bit : 0), 64),
    ),
  );
  return table.join("") + Array.from(bytes, (byte) => values[byte].text).join("");
}

/** The text of `KERNEL.wasm.ts`. */
export async function build(kernel) {
  const name = kernel.slice(kernel.lastIndexOf("/") + 1);
  const { wasm, sources } = await compile(kernel);
  const source = sources.join("");
  return `// Generated from ${name}.as by src/common/wasm/build.mjs. Do not edit.

/** SHA-256 of ${name}.as${sources.length > 1 ? " and of what it imports, in order of their paths" : ""}. */
export const SOURCE_HASH = "${createHash("sha256").update(source).digest("hex")}";

/** The WebAssembly module, ${wasm.length} bytes, as text (src/common/wasm/kernel.ts). */
export const WASM_TEXT: string =
  "${textOf(wasm)}";
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
