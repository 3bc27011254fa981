/**
 * Every dialect in its variants: detected alone, read to the ΔW that its tensors say, and written as it was. What no dialect reads is
 * refused under its own name.
 */

import { describe, expect, it } from "vitest";
import { largestRank } from "../../src/adapters/bake.ts";
import { isGguf, readGguf } from "../../src/adapters/gguf/read.ts";
import { DIALECTS, readAdapter, type SourceFiles, writeAdapter } from "../../src/adapters/index.ts";
import { isOnnxAdapter, readOnnxAdapter } from "../../src/adapters/onnx/file.ts";
import { openSource } from "../../src/adapters/source.ts";
import { type Adapter, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { readTensorFile } from "../helpers/parts.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { bytesOf, directory, floats, pair } from "./build.ts";
import { deltaOf, difference } from "./delta.ts";
import { SMALL_ADAPTERS, type SmallAdapter } from "./small.ts";

const rawly = async (adapter: Adapter): Promise<Adapter> => {
  const { bytes } = await encodeAdapter(adapter, { profile: "raw", tensors: "keep" });
  return await (await open(bytes)).adapter();
};

/** Everything a file of tensors says but padding: metadata, then keys in their order, types, shapes, bytes. */
function contents(name: string, bytes: Uint8Array): unknown {
  if (name.endsWith(".json")) return Buffer.from(bytes).toString("utf8");
  if (isGguf(bytes)) {
    const { metadata, tensors } = readGguf(bytes);
    return {
      metadata: [...metadata],
      tensors: [...tensors].map(([key, { type, dims, data }]) => [key, type, dims, hex(data)]),
    };
  }
  const file = isOnnxAdapter(bytes)
    ? { metadata: undefined, ...readOnnxAdapter(bytes) }
    : readTensorFile(bytes, name);
  const tensors = [...file.tensors].map(([key, { element, shape, data }]) => [
    key,
    element,
    [...shape],
    hex(data),
  ]);
  return { ...file, metadata: file.metadata && [...file.metadata], tensors };
}
const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");
/** Tensors whatever container they are in. */
const tensorsOf = (files: SmallAdapter["files"]): unknown[] =>
  [...files].flatMap(([name, bytes]) => {
    if (name.endsWith(".json")) return [];
    const { tensors } = contents(name, bytes.subarray(0, bytes.length)) as { tensors: unknown[] };
    return tensors;
  });

describe.each(SMALL_ADAPTERS.map((each) => [each.dialect, each.variant, each] as const))(
  "%s: %s",
  (_d, _v, small) => {
    const { dialect, files, read, modules, roles, same } = small;

    it("is recognised as that and nothing else", () => {
      const source = openSource(files);
      expect(DIALECTS.filter((each) => each.detect(source)).map(({ name }) => name)).toEqual([dialect]);
    });

    it("means what its tensors say", () => {
      const notes: string[] = [];
      const adapter = readAdapter(files, { ...read, onNote: (note) => void notes.push(note) });
      expect(adapter.origin?.dialect).toBe(dialect);
      expect(adapter.modules.map(({ name }) => name).sort()).toEqual([...modules.keys()].sort());
      for (const module of adapter.modules) {
        const { multiplier, rule, delta } = modules.get(module.name)!;
        expect([module.name, module.multiplier, module.rule]).toEqual([module.name, multiplier, rule]);
        expect(difference(delta, deltaOf(module)), module.name).toBe(0);
      }
      const counts: Record<string, number> = {};
      for (const { role } of adapter.tensors) counts[role] = (counts[role] ?? 0) + 1;
      expect(counts).toEqual(roles);
      if (small.note === undefined) expect(notes).toEqual([]);
      else expect(notes.join("\n")).toMatch(small.note);
    });

    it("comes back through an .lqa file of the profile raw", async () => {
      const adapter = await rawly(readAdapter(files, read));
      const written = writeAdapter(adapter, { factors: "source" });
      if (same) {
        expect([...written.keys()].sort()).toEqual([...files.keys()].sort());
        for (const [name, bytes] of written) {
          const original = files.get(name)!;
          expect(contents(name, bytes), name).toEqual(contents(name, original.subarray(0, original.length)));
        }
      } else if (small.note === undefined) {
        expect(tensorsOf(written)).toEqual(expect.arrayContaining(tensorsOf(files)));
        expect(tensorsOf(written)).toHaveLength(tensorsOf(files).length);
      }
      const settings =
        dialect === "loralib" || !written.has("adapter_config.json")
          ? read
          : { ...read, multiplier: undefined };
      const again = readAdapter(written, settings);
      for (const module of again.modules) {
        expect(difference(modules.get(module.name)!.delta, deltaOf(module)), module.name).toBe(0);
      }
      expect(again.modules).toHaveLength(modules.size);
    });

    it("is the same read lazily", () => {
      const [eager, lazy] = [readAdapter(files, read), readAdapter(files, { ...read, lazy: true })];
      // A copy has all properties.
      expect(lazy.modules.map((module) => ({ ...module }))).toEqual(
        eager.modules.map(({ b, a, ...shape }) => ({ ...shape, b, a })),
      );
    });
  },
);

const keys = (...names: string[]): Uint8Array =>
  writeSafetensors(new Map(names.map((name) => [name, floats([2, 2])])));
const one = (file: string, bytes: Uint8Array): SourceFiles => new Map([[file, bytes]]);

const peft = DIALECTS.find(({ name }) => name === "peft")!;

describe("what is no dialect of this version", () => {
  it.each<[string, SourceFiles, RegExp]>([
    [
      "a configuration alone",
      one("adapter_config.json", bytesOf('{"peft_type":"LORA"}')),
      /There are no weights here/,
    ],
    [
      "an unknown convention",
      one("a.safetensors", keys("weight")),
      /UNSUPPORTED_DIALECT.*unknown to this version/,
    ],
    ["a broken safetensors file", one("a.safetensors", new Uint8Array(4)), /TRUNCATED_SOURCE/],
    ["nothing", new Map(), /UNSUPPORTED_DIALECT: There are no weights/],
  ])("%s", (_name, files, message) => {
    expect(peft.detect(openSource(files))).toBe(false);
    expect(() => readAdapter(files)).toThrow(message);
  });

  it("PEFT is recognised even when it is broken, and under another file name", () => {
    const files = directory(pair("q"), '{"peft_type":');
    expect(peft.detect(openSource(files))).toBe(true);
    expect(() => readAdapter(files)).toThrow(/SOURCE_CONFIG/);
    const renamed = directory(pair("q"));
    renamed.set("lora.safetensors", renamed.get("adapter_model.safetensors")!);
    renamed.delete("adapter_model.safetensors");
    expect(readAdapter(renamed).modules).toHaveLength(1);
  });
});

it("an adapter may have more modules than a call has arguments", () => {
  expect(largestRank(Array.from({ length: 150_000 }, (_, i) => ({ rank: i % 7 })))).toBe(6);
});
