import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytesOfText } from "../../src/common/wasm/kernel.ts";

const sources = new URL("../../src/", import.meta.url);
const { KERNELS, build, compile, textOf } = await import(new URL("common/wasm/build.mjs", sources).href);
const EXPORTS: Readonly<Record<string, readonly string[]>> = {
  "core/codecs/kernels/decode": [
    "multiply",
    "add",
    "turn",
    "decode",
    "prepare",
    "convert",
    "rotate",
    "memory",
  ],
  "core/codecs/kernels/product": ["product", "memory"],
  "core/codecs/kernels/start": ["advance", "draws", "mix", "memory"],
  "encode/linalg/kernels/dense": [
    "factor",
    "subtract",
    "gram",
    "rotateAll",
    "packColumnsF32",
    "packColumnsF64",
    "packRowsF32",
    "pad",
    "memory",
  ],
  "encode/quantize/viterbi/kernels/viterbi": ["forward", "memory"],
  "encode/start/kernels/eliminate": ["eliminate", "memory"],
  "serve/kernels/apply": [
    "project",
    "expand",
    "add",
    "addSums",
    "rotate",
    "multiplyInnerFinite",
    "multiplyInnerNormal",
    "multiplyOuterFinite",
    "multiplyOuterNormal",
    "prepare",
    "convert",
    "memory",
  ],
};

it("these are all kernels", () => expect(KERNELS).toEqual(Object.keys(EXPORTS)));

describe.each(Object.keys(EXPORTS))("the embedded kernel %s", (kernel) => {
  const embedded = new URL(`${kernel}.wasm.ts`, sources);

  it("was built from the sources next to it, and building it again gives the same bytes", {
    timeout: 300_000,
  }, async () => {
    const made = await compile(kernel);
    expect(made.sources).toContain(readFileSync(new URL(`${kernel}.as`, sources), "utf8"));
    const { SOURCE_HASH, WASM_TEXT } = await import(embedded.href);
    expect(createHash("sha256").update(made.sources.join("")).digest("hex")).toBe(SOURCE_HASH);
    expect(await build(kernel)).toBe(readFileSync(embedded, "utf8"));
    expect(bytesOfText(WASM_TEXT)).toEqual(new Uint8Array(made.wasm));
  });

  it("needs nothing from outside and has no relaxed SIMD", async () => {
    const { WASM_TEXT } = await import(embedded.href);
    const module = new WebAssembly.Module(bytesOfText(WASM_TEXT) as Uint8Array<ArrayBuffer>);
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    expect(WebAssembly.Module.exports(module).map((e) => e.name)).toEqual(EXPORTS[kernel]);
  });
});

describe("bytes as text", () => {
  const every = Uint8Array.from({ length: 256 }, (_, i) => i);
  const bytes = Uint8Array.from({ length: 4096 }, (_, i) => (i * i * 7) >> (i % 11));

  it.each([
    ["none", new Uint8Array()],
    ["one", Uint8Array.of(255)],
    ["every value", every],
    ["every value, backwards", every.toReversed()],
    ["some more often than others", bytes],
  ])("are the same again: %s", (_, some) => expect(bytesOfText(textOf(some))).toEqual(some));

  it("have one character each where they are frequent, and none that would have to be escaped", () => {
    expect(textOf(every)).toMatch(/^[@-O]{64}[(-;=-[\]-_a-~]{431}$/);
    expect(textOf(bytes.map((x) => x & 63))).toHaveLength(64 + bytes.length);
  });
});
