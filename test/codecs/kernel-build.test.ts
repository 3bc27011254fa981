import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SOURCE_HASH, WASM_BASE64 } from "../../src/codecs/kernels/viterbi.wasm.ts";

const folder = new URL("../../src/codecs/kernels/", import.meta.url);

describe("the embedded kernel", () => {
  it("was built from the source beside it, and building it again gives the same bytes", async () => {
    const source = readFileSync(new URL("viterbi.as", folder));
    expect(createHash("sha256").update(source).digest("hex")).toBe(SOURCE_HASH);
    const { build } = await import(new URL("build.mjs", folder).href);
    expect(await build()).toBe(readFileSync(new URL("viterbi.wasm.ts", folder), "utf8"));
  });

  it("needs nothing from outside and has no relaxed SIMD", async () => {
    const module = new WebAssembly.Module(Buffer.from(WASM_BASE64, "base64"));
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    expect(WebAssembly.Module.exports(module).map((e) => e.name)).toEqual(["forward", "memory"]);
  });
});
