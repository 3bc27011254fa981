/** Every byte of a file has a region, and every byte of the annotated example a field with a clause that exists. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { ByteField } from "../../site/inspector/src/bytes/field.ts";
import { type FieldContext, fieldsIn } from "../../site/inspector/src/bytes/fields.ts";
import { mapIndex } from "../../site/inspector/src/bytes/index-fields.ts";
import { type Region, regionsOf } from "../../site/inspector/src/bytes/regions.ts";
import { type Adapter, isLqaError, memorySource, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { normal } from "../helpers/random.ts";

const read = (name: string): Buffer => readFileSync(new URL(`../../${name}`, import.meta.url));
const specification = read("spec/lqa-v1.md").toString();
const clauses = new Set([...specification.matchAll(/^#{2,4} ([\d.]+) /gm)].map(([, number]) => number));

interface Opened {
  readonly bytes: Uint8Array;
  readonly regions: readonly Region[];
  readonly context: FieldContext;
}

async function opened(bytes: Uint8Array): Promise<Opened> {
  const file = await open(memorySource(bytes));
  const index = mapIndex(bytes.subarray(64, 64 + file.prologue.indexLength), file.prologue);
  return { bytes, regions: regionsOf(file, bytes.length), context: { opened: file, index } };
}

/** All fields, window by window, each once. */
function fieldsOf({ bytes, regions, context }: Opened, window = 1024): ByteField[] {
  const found = new Map<number, ByteField>();
  for (const region of regions)
    for (let at = region.offset; at < region.offset + region.length; at += window) {
      const end = Math.min(at + window, region.offset + region.length);
      for (const field of fieldsIn(region, { offset: at, bytes: bytes.subarray(at, end) }, context))
        if (found.get(field.offset)?.value === undefined) found.set(field.offset, field);
    }
  return [...found.values()].sort((x, y) => x.offset - y.offset);
}

function expectWhole(fields: readonly ByteField[], length: number): void {
  let at = 0;
  for (const field of fields) {
    if (field.offset !== at) expect.fail(`${field.name} begins at ${field.offset}, not at ${at}`);
    if (!clauses.has(field.clause)) expect.fail(`${field.name} names clause ${field.clause}`);
    at += field.length;
  }
  expect(at).toBe(length);
}

const next = normal(11);
const weights = (length: number): Float32Array => Float32Array.from({ length }, () => next());
const adapter: Adapter = {
  modules: [1, 3].map((experts) => ({
    ...{ name: `layers.${experts}.q`, role: "linear", kernel: [], groups: 1, baseLayout: "out-in" },
    ...{ out: 33, in: 70, rank: 5, experts, multiplier: 1, alpha: 0, rule: "none" },
    b: weights(experts * 33 * 5),
    a: weights(experts * 70 * 5),
  })),
  tensors: [
    { name: "layers.1.bias", role: "bias", element: "F32", shape: [9], axis: 0, data: new Uint8Array(36) },
  ],
  origin: { dialect: "peft" },
  meta: { base_model: "tiny" },
};

describe("the bytes of the annotated example", async () => {
  const example = await opened(new Uint8Array(read("spec/example.lqa")));
  const fields = fieldsOf(example);

  it("all have a field", () => {
    expectWhole(fields, example.bytes.length);
    expect(fields.filter(({ value }) => value === undefined)).toEqual([]);
  });

  it("are where spec/example.md says, which lists them by offset", () => {
    const [listing] = read("spec/example.md").toString().split("\n## Vectors");
    const offsets = [...listing!.matchAll(/^ +(\d+) {2}[0-9a-f]{2} /gm)].map(([, offset]) => Number(offset));
    expect(offsets.length).toBeGreaterThan(50);
    const begins = new Set(fields.map(({ offset }) => offset));
    expect(offsets.filter((offset) => !begins.has(offset))).toEqual([]);
  });

  it("say what is in them", () => {
    const value = (name: string): string | undefined => fields.find((field) => field.name === name)?.value;
    expect(value("magic")).toBe("89 4c 51 41 0d 0a 1a 0a");
    expect(value("file length")).toBe(String(example.bytes.length));
    expect(value("file identifier")).toBe('"LQI1"');
    expect(value("sections[0].tag")).toBe('"META"');
  });
});

describe("the bytes of the conformance suite", () => {
  const suite = fileURLToPath(new URL("../../conformance/suite/", import.meta.url));
  const names = readdirSync(suite, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".lqa") && statSync(join(suite, name)).size <= 2 ** 14);

  it("all have a field where the file is valid", async () => {
    const valid = names.filter((name) => name.startsWith("valid"));
    expect(valid.length).toBeGreaterThan(300);
    const named = new Set<string>();
    for (const name of valid) {
      const file = await opened(new Uint8Array(readFileSync(join(suite, name))));
      const fields = fieldsOf(file);
      expectWhole(fields, file.bytes.length);
      for (const { name } of fields) named.add(name);
    }
    // Vectors that only some features bring.
    for (const name of ["start[0]", "positions[0]", "parent[7]", "parentModules[0]"])
      expect(named).toContain(name);
  });

  it("are reported without an error for any fault of the file", async () => {
    const others = names.filter((name) => !name.startsWith("valid"));
    expect(others.length).toBeGreaterThan(800);
    for (const name of others) {
      const bytes = new Uint8Array(readFileSync(join(suite, name)));
      const file = await opened(bytes).catch(
        (error): Opened => ({
          bytes,
          regions: isLqaError(error) ? regionsOf(undefined, bytes.length) : [],
          context: { opened: undefined, index: undefined },
        }),
      );
      expect(file.regions.reduce((sum, { length }) => sum + length, 0)).toBe(bytes.length);
      for (const { offset, length, clause } of fieldsOf(file))
        if (offset < 0 || length <= 0 || !clauses.has(clause))
          expect.fail(`${name}: ${offset}, ${length}, ${clause}`);
    }
  });
});

describe("the bytes of a file", () => {
  it.each([
    { bits: 3 },
    { profile: "rtn", codeBits: 4 },
    { profile: "rtn", codeBits: 3, alignment: 64 },
    { profile: "sign" },
    { profile: "raw", element: "f32" },
    { tensors: "keep", maxError: 0.01 },
  ] as const)("have fields without gaps: %o", async (options) => {
    const { bytes } = await encodeAdapter(adapter, options);
    const file = await opened(bytes);
    const fields = fieldsOf(file);
    expectWhole(fields, bytes.length);
    // In windows of an odd size fields begin before they are looked at, and values may be cut.
    const odd = fieldsOf(file, 37);
    expect(odd.map(({ offset, length, name }) => [offset, length, name])).toEqual(
      fields.map(({ offset, length, name }) => [offset, length, name]),
    );
  });

  it("show the numbers that decoding gives", async () => {
    const { bytes } = await encodeAdapter(adapter, { profile: "raw", element: "f32" });
    const { regions, context } = await opened(bytes);
    const region = regions.find(({ kind }) => kind === "module")!;
    const stretch = { offset: region.offset, bytes: bytes.subarray(region.offset, region.offset + 64) };
    const [first] = fieldsIn(region, stretch, context);
    const expected = [0, 1, 2, 3, 4, 5].map((i) => Number(adapter.modules[0]!.b[i * 5]!.toPrecision(4)));
    expect(first).toMatchObject({ name: "weights of B′, component 0 (raw f32)", clause: "8.3" });
    expect(first!.value).toBe(`${expected.join(", ")}, …`);
  });

  it("are called zeros where there are zeros, and only there", async () => {
    const { bytes } = await encodeAdapter(adapter, { alignment: 64 });
    const padding = (fields: readonly ByteField[]): (string | undefined)[] =>
      fields.filter(({ name }) => name.startsWith("padding to")).map(({ value }) => value);
    const file = await opened(bytes);
    const fields = fieldsOf(file);
    const values = padding(fields);
    expect(new Set(values)).toEqual(new Set(["zeros"]));
    const first = fields.find(({ name }) => name.startsWith("padding to"))!;
    bytes[first.offset + first.length - 1] = 1;
    expect(padding(fieldsOf(file))).toEqual(["not all zeros", ...values.slice(1)]);
  });

  it("have the prologue and nothing else where the index cannot be read", () => {
    const bytes = new Uint8Array(200).fill(1);
    const regions = regionsOf(undefined, bytes.length);
    expect(regions.map(({ kind, length }) => [kind, length])).toEqual([
      ["prologue", 64],
      ["unknown", 136],
    ]);
    const context = { opened: undefined, index: undefined };
    expect(fieldsIn(regions[0]!, { offset: 0, bytes: bytes.subarray(0, 64) }, context)).toHaveLength(15);
    expect(fieldsIn(regions[1]!, { offset: 64, bytes: bytes.subarray(64) }, context)).toEqual([]);
    expect(regionsOf(undefined, 10).map(({ length }) => length)).toEqual([10]);
  });
});
