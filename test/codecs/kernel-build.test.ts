import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const sources = new URL("../../src/", import.meta.url);
const { KERNELS, build, compile } = await import(new URL("wasm/build.mjs", sources).href);
const EXPORTS: Readonly<Record<string, readonly string[]>> = {
  "codecs/kernels/decode": [
    "multiply",
    "turn",
    "decode",
    "product",
    "prepare",
    "convert",
    "rotate",
    "memory",
  ],
  "codecs/kernels/viterbi": ["forward", "memory"],
  "linalg/kernels/dense": [
    "packColumnsF32",
    "packColumnsF64",
    "packRowsF32",
    "pad",
    "factor",
    "subtract",
    "gram",
    "memory",
  ],
  "serve/kernels/apply": [
    "multiplyInnerNormal",
    "multiplyInnerFinite",
    "project",
    "multiplyOuterNormal",
    "multiplyOuterFinite",
    "expand",
    "add",
    "rotate",
    "prepare",
    "convert",
    "memory",
  ],
};

it("these are all kernels", () => expect(KERNELS).toEqual(Object.keys(EXPORTS)));

describe.each(Object.keys(EXPORTS))("the embedded kernel %s", (kernel) => {
  const embedded = new URL(`${kernel}.wasm.ts`, sources);

  it("was built from the sources beside it, and building it again gives the same bytes", {
    timeout: 300_000,
  }, async () => {
    const made = await compile(kernel);
    expect(made.sources).toContain(readFileSync(new URL(`${kernel}.as`, sources), "utf8"));
    const { SOURCE_HASH } = await import(embedded.href);
    expect(createHash("sha256").update(made.sources.join("")).digest("hex")).toBe(SOURCE_HASH);
    expect(await build(kernel)).toBe(readFileSync(embedded, "utf8"));
  });

  it("needs nothing from outside and has no relaxed SIMD", async () => {
    const { WASM_HEX } = await import(embedded.href);
    const module = new WebAssembly.Module(Buffer.from(WASM_HEX, "hex"));
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    expect(WebAssembly.Module.exports(module).map((e) => e.name)).toEqual(EXPORTS[kernel]);
  });
});
