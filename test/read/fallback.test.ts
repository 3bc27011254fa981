/**
 * Without WebAssembly, without SIMD, on a big-endian machine or without memory for a kernel, the plain decoder gives the
 * same bits: one hash of all codecs, types, layouts, multipliers and ΔW.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import * as library from "../../src/core/index.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { everyEncodingFile, hashOf } from "./every-encoding.ts";

let bytes: Uint8Array;
let expected: string;
beforeAll(async () => {
  bytes = await everyEncodingFile();
  expected = await hashOf(library, bytes);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.resetModules();
});

const refusing = (...names: ("Module" | "Instance")[]): object => {
  const own = { ...Object.fromEntries(names.map((name) => [name, refuse])) };
  return Object.assign(Object.create(WebAssembly), own);
};
function refuse(): never {
  throw new WebAssembly.CompileError("no");
}

describe("the decoder", () => {
  it("has a kernel here", async () => {
    vi.resetModules();
    const made = vi.spyOn(WebAssembly, "Instance");
    expect(await hashOf(await import("../../src/core/index.ts"), bytes)).toBe(expected);
    expect(made).toHaveBeenCalled();
  });

  it.each<[string, () => void]>([
    ["WebAssembly", () => vi.stubGlobal("WebAssembly", undefined)],
    ["SIMD, so that the kernel does not compile", () => vi.stubGlobal("WebAssembly", refusing("Module"))],
    ["memory for an instance", () => vi.stubGlobal("WebAssembly", refusing("Instance"))],
    [
      "little-endian arrays",
      () => {
        const two = Uint16Array.of(0x0100);
        vi.spyOn(Uint16Array, "of").mockReturnValue(two);
      },
    ],
  ])("gives the same bits without %s", async (_, hide) => {
    vi.resetModules();
    const made = vi.spyOn(WebAssembly, "Instance");
    hide();
    const without = await import("../../src/core/index.ts");
    expect(without.open).not.toBe(library.open);
    expect(await hashOf(without, bytes)).toBe(expected);
    // What refuses stands before it.
    expect(made).not.toHaveBeenCalled();
  });

  it("gives the same bits in an engine that was started without WebAssembly", () => {
    const path = join(temporaryDirectory(), "every.lqa");
    writeFileSync(path, bytes);
    // A process of its own runs the built package, and cannot import the helper: this is the loop of hashOf.
    const script = `
      import { createHash } from "node:crypto";
      import { readFileSync } from "node:fs";
      import { DecodeMemory, decodeDelta, open } from ${JSON.stringify(new URL("../../dist/core/index.js", import.meta.url).href)};
      if (typeof WebAssembly !== "undefined") throw new Error("there is WebAssembly");
      const file = await open(new Uint8Array(readFileSync(${JSON.stringify(path)})));
      const memory = new DecodeMemory();
      const hash = createHash("sha256");
      const add = (x) => hash.update(new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
      for (const module of file.modules) {
        for (const type of ["f32", "f16"]) for (const layout of ["peft", "component"]) for (const multiplier of [false, true])
          for (const more of [{}, { memory }]) {
            const { b: { data: b }, a: { data: a } } = await file.decode(module, { type, layout, multiplier, ...more });
            add(b);
            add(a);
          }
        add(decodeDelta(module, (await file.packed(module))));
      }
      console.log(hash.digest("hex"));`;
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ["--no-expose-wasm", "--input-type=module", "-e", script],
      { encoding: "utf8" },
    );
    expect(stdout.trim(), stderr).toBe(expected);
  });
});
