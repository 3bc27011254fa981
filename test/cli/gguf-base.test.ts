/** A base model in GGUF: an adapter that does not fit its layers is refused, in both directions. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { baseFromGguf, readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { lqa } from "../helpers/cli.ts";
import { gguf, type TypedValue } from "../helpers/gguf.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);

// Q is 64 to 64, V 64 to 32, in two layers.
const adapter = writePeftDirectory(path("adapter"));
const SHAPES: Readonly<Record<string, readonly number[]>> = Object.fromEntries(
  [0, 1].flatMap((layer) => [
    [`blk.${layer}.attn_q.weight`, [64, 64]],
    [`blk.${layer}.attn_v.weight`, [64, 32]],
  ]),
);

/** A base model: dimensions innermost first, as in the file. `type`: element type, 0 is F32. */
function base(
  name: string,
  shapes: Readonly<Record<string, readonly number[]>>,
  more: readonly (readonly [string, TypedValue])[] = [],
  type = 0,
): string {
  const file = path(`${name}.gguf`);
  const metadata: (readonly [string, TypedValue])[] = [
    ["general.architecture", [8, "llama"]],
    ["llama.attention.head_count", [4, 4]],
    ...more,
  ];
  const tensors = Object.entries(shapes).map(
    ([tensor, dims]) => [tensor, { dims, type, data: new Uint8Array(4 * dims[0]! * dims[1]!) }] as const,
  );
  writeFileSync(file, gguf({ metadata, tensors }));
  return file;
}

const { "blk.1.attn_v.weight": _none, ...lacking } = SHAPES;
const wrong = base("wrong", { ...SHAPES, "blk.1.attn_q.weight": [48, 64] });
expect(lqa("encode", adapter, "-o", path("a.lqa")).code).toBe(0);

describe("a base model in GGUF", () => {
  it("is the one: the adapter is written, and comes back", () => {
    const right = base("right", SHAPES);
    expect(lqa("decode", path("a.lqa"), "-o", path("right-a.gguf"), "--base", right).code).toBe(0);
    expect(lqa("convert", path("right-a.gguf"), path("back"), "--base", right).code).toBe(0);
    // Types that this version does not know are no reason to refuse a model.
    expect(lqa("convert", adapter, path("quant.gguf"), "--base", base("new", SHAPES, [], 199)).code).toBe(0);
  });

  it.each([
    ["another width", () => wrong, /BASE_SHAPE.*found 64×48 expected 64×64 where module "blk\.1\.attn_q"/],
    ["fewer layers", () => base("lacking", lacking), /BASE_MODULE_MISSING.*blk\.1\.attn_v/],
  ] as [string, () => string, RegExp][])("has %s: nothing is written", (_, file, message) => {
    const model = file();
    for (const words of [
      ["decode", path("a.lqa"), "-o", path("no.gguf"), "--to", "gguf"],
      ["convert", adapter, path("no.gguf")],
      ["convert", path("right-a.gguf"), path("no"), "--to", "peft"],
    ]) {
      const { code, err } = lqa(...words, "--base", model);
      expect(err.replace(/\s+/g, " ")).toMatch(message);
      expect(code).toBe(1);
    }
    expect(listing(place).some((name) => /^no/.test(name))).toBe(false);
  });

  it("is refused by the function that browsers use, too", () => {
    const files = new Map(readdirSync(adapter).map((name) => [name, readFileSync(join(adapter, name))]));
    const base = baseFromGguf(readFileSync(wrong));
    expect(() => writeAdapter(readAdapter(files), { to: "gguf", factors: "source", base })).toThrow(
      /BASE_SHAPE/,
    );
  });

  it("is a part of a split model: layers may be in another part", () => {
    const part = base("part", lacking, [["split.count", [2, 3]]]);
    expect(lqa("convert", adapter, path("part-a.gguf"), "--base", part).code).toBe(0);
  });
});
