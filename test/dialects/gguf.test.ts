/** GGUF files: everything the format can say is read, nothing hostile gets through, and names stand for layers. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ggufKeys, moduleKey } from "../../src/adapters/gguf/names.ts";
import { readGguf } from "../../src/adapters/gguf/read.ts";
import { GGUF_TYPES } from "../../src/adapters/gguf/types.ts";
import { isLqaError } from "../../src/core/index.ts";
import { BLOCK_PATHS, queryOf } from "../../src/model/layer-names.ts";
import { f32Bytes, gguf, type TestGguf, type TypedValue } from "../helpers/gguf.ts";

const tensor = (...values: number[]) => ({ dims: [values.length], data: f32Bytes(values) });
const kindOf = (bytes: Uint8Array): string => {
  try {
    readGguf(bytes);
  } catch (error) {
    if (isLqaError(error)) return `${error.kind} ${error.actual} at ${error.offset}`;
    throw error;
  }
  return "read";
};
const fault = (file: TestGguf): string => kindOf(gguf(file));
const pair = (key: string, ...value: TypedValue): readonly [string, TypedValue] => [key, value];

describe("GGUF", () => {
  it("reads values of every type, and arrays of them", () => {
    const scalars: [TypedValue, unknown][] = [
      [[0, 200], 200],
      [[1, -3], -3],
      [[2, 60000], 60000],
      [[3, -300], -300],
      [[4, 4e9], 4e9],
      [[5, -5], -5],
      [[6, 0.5], 0.5],
      [[7, 1], true],
      [[7, 0], false],
      [[8, "naïve"], "naïve"],
      [[8, ""], ""],
      [[9, [5, [1, -2]]], Int32Array.of(1, -2)],
      [[9, [7, [1, 0]]], Uint8Array.of(1, 0)],
      [[9, [10, [1n]]], BigUint64Array.of(1n)],
      [
        [9, [8, ["a", ""]]],
        ["a", ""],
      ],
      [[9, [8, []]], []],
      [
        [
          9,
          [
            9,
            [
              [0, [1]],
              [8, ["x"]],
            ],
          ],
        ],
        [Uint8Array.of(1), ["x"]],
      ],
      [[10, 2n ** 64n - 1n], 2n ** 64n - 1n],
      [[11, -7n], -7n],
      [[12, 1e300], 1e300],
    ];
    for (const version of [2, 3]) {
      const metadata = scalars.map(([value], i) => pair(`k${i}`, ...value));
      const file = readGguf(gguf({ version, metadata }));
      expect(file.version).toBe(version);
      expect([...file.metadata.values()]).toEqual(scalars.map(([, value]) => value));
      expect(file.tensors.size).toBe(0);
    }
  });

  it("reads tensors of every type as views, at any alignment", () => {
    for (const alignment of [8, 32, 64]) {
      const tensors = [...GGUF_TYPES].map(([type, { weights, bytes }], i) => {
        const data = new Uint8Array(3 * bytes).fill(i);
        return [`t${type}`, { type, dims: [weights, 3, 1, 1], data }] as const;
      });
      const file = gguf({ alignment, metadata: [pair("general.alignment", 4, alignment)], tensors });
      const moved = new Uint8Array(file.length + 3).subarray(3);
      moved.set(file);
      const read = readGguf(moved);
      expect([...read.tensors].map(([name, { data }]) => [name, [...data]])).toEqual(
        tensors.map(([name, { data }]) => [name, [...data]]),
      );
      expect(read.tensors.get("t12")).toMatchObject({ type: "Q4_K", dims: [256, 3, 1, 1] });
      expect(read.tensors.get("t12")!.data.buffer).toBe(moved.buffer);
    }
  });

  it("reads tensors without data, single values, and a last tensor that is not padded", () => {
    const tensors = [
      ["empty", { dims: [0], data: new Uint8Array() }],
      ["one", { dims: [], data: f32Bytes([7]) }],
    ] as const;
    const file = gguf({ tensors });
    for (const bytes of [file, file.subarray(0, file.length - 28)])
      expect([...readGguf(bytes).tensors.get("one")!.data]).toEqual([...f32Bytes([7])]);
    expect(kindOf(file.subarray(0, file.length - 29))).toMatch(/^TRUNCATED_SOURCE/);
  });

  it("refuses every broken part, with its place", () => {
    const a = ["a", tensor(1, 2)] as const;
    expect(kindOf(new Uint8Array())).toBe("TRUNCATED_SOURCE 0 at 0");
    expect(kindOf(new TextEncoder().encode("GGML____"))).toBe("SOURCE_HEADER other bytes at 0");
    expect(fault({ version: 1 })).toBe("UNSUPPORTED_DIALECT version 1 at 4");
    expect(fault({ version: 0x03000000 })).toBe("UNSUPPORTED_DIALECT big-endian data at 4");
    expect(fault({ tensorCount: 2n ** 40n })).toBe("TRUNCATED_SOURCE 1099511627776 at 8");
    expect(fault({ tensorCount: 2n ** 60n })).toBe("SOURCE_HEADER 1152921504606847000 at 8");
    expect(fault({ pairCount: 1n })).toBe("TRUNCATED_SOURCE 1 at 16");
    expect(fault({ metadata: [pair("k", 0, 1), pair("k", 0, 2)] })).toMatch(
      /SOURCE_HEADER "k" a second time/,
    );
    expect(fault({ metadata: [pair("k", 13, [0, []])] })).toBe("SOURCE_HEADER 13 at 33");
    expect(fault({ metadata: [pair("k", 7, 2)] })).toBe("SOURCE_HEADER 2 at 37");
    expect(fault({ metadata: [pair("", 0, 1)] })).toMatch(/SOURCE_HEADER ""/);
    expect(fault({ metadata: [pair("a\0b", 0, 1)] })).toMatch(/SOURCE_HEADER/);
    expect(fault({ metadata: [pair("k".repeat(65536), 0, 1)] })).toBe("SOURCE_HEADER 65536 at 24");
    const deep: TypedValue = [9, [9, [[9, [[9, [[9, [[0, [1]]]]]]]]]]];
    expect(fault({ metadata: [pair("k", ...deep)] })).toMatch(/SOURCE_HEADER one more/);
    for (const alignment of [0, 24, 2 ** 31]) {
      const metadata = [pair("general.alignment", 4, alignment)];
      expect(fault({ metadata, tensors: [a] })).toBe(`SOURCE_HEADER ${alignment} at 57`);
    }
    expect(fault({ metadata: [pair("general.alignment", 8, "32")] })).toMatch(/SOURCE_HEADER 32/);
    expect(fault({ tensors: [a, a] })).toMatch(/SOURCE_HEADER "a" a second time/);
    expect(fault({ tensors: [["a", { ...tensor(1), dims: [1, 1, 1, 1, 1] }]] })).toBe(
      "SOURCE_HEADER 5 at 33",
    );
    expect(fault({ tensors: [["a", { ...tensor(1), type: 4 }]] })).toBe("SOURCE_ELEMENT_TYPE 4 at 45");
    expect(fault({ tensors: [["a", { dims: [24], type: 8, data: new Uint8Array(34) }]] })).toMatch(
      /SOURCE_HEADER tensor "a" of Q8_0 \[24\] at 24/,
    );
    expect(fault({ tensors: [["a", { dims: [2 ** 32, 2 ** 32], data: new Uint8Array() }]] })).toMatch(
      /SOURCE_HEADER tensor "a" of F32/,
    );
    expect(fault({ tensors: [["a", { dims: [2 ** 40], data: new Uint8Array() }]] })).toMatch(
      /TRUNCATED_SOURCE/,
    );
    // Overlapping, out of order, and out of the file.
    expect(fault({ tensors: [a, ["b", { ...tensor(3), offset: 0 }]] })).toMatch(/SOURCE_HEADER 0 at/);
    expect(fault({ tensors: [["c", { ...tensor(3), offset: 32 }], a] })).toMatch(/SOURCE_HEADER 32 at/);
    expect(fault({ tensors: [a, ["b", { ...tensor(3), offset: 2 ** 50 }]] })).toMatch(/SOURCE_HEADER 1125/);
    const whole = gguf({ tensors: [a] });
    const longer = new Uint8Array(whole.length + 1);
    longer.set(whole);
    expect(kindOf(longer)).toMatch(/^SOURCE_HEADER/);
    expect(kindOf(Uint8Array.from([...whole.subarray(0, 32), 0xff, ...whole.subarray(33)]))).toMatch(
      /^SOURCE_HEADER bytes that are not at 32/,
    );
    for (let length = 0; length < whole.length - 24; length++)
      expect(kindOf(whole.subarray(0, length))).toMatch(/^TRUNCATED_SOURCE/);
  });

  it("gives a file or an LqaError for any mutation", () => {
    const file = gguf({
      metadata: [
        pair("general.type", 8, "imatrix"),
        pair("list", 9, [8, ["a", "b"]]),
        pair("numbers", 9, [4, [1, 2, 3]]),
        pair("big", 10, 5n),
      ],
      tensors: [
        ["a", tensor(1, 2, 3)],
        ["b", tensor(4)],
      ],
    });
    const mutation = fc.tuple(fc.nat(file.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), fc.nat(file.length), (changes, cut) => {
        const bytes = file.slice(0, cut % 3 === 0 ? cut : file.length);
        for (const [at, value] of changes) bytes[at] = value;
        expect(kindOf(bytes)).toBeTypeOf("string");
      }),
      { numRuns: 3000 },
    );
  });
});

describe("names of GGUF files", () => {
  it("stand for one layer each", () => {
    const owners = new Map<string, string>();
    for (const [name, paths] of Object.entries(BLOCK_PATHS)) {
      for (const path of paths) {
        expect(owners.get(path), path).toBeUndefined();
        owners.set(path, name);
        expect(ggufKeys(`blk.12.${name}.weight`)).toContain(moduleKey(`model.layers.12.${path}`)!.key);
      }
    }
  });

  it("of keys have queries in the same place, in the same program's words", () => {
    const places = BLOCK_PATHS.attn_k!.map((key) => [key, queryOf(`model.layers.3.${key}`)]);
    expect(places).toEqual([
      ["self_attn.k_proj", "model.layers.3.self_attn.q_proj"],
      ["attn.k_proj", "model.layers.3.attn.q_proj"],
      ["attn.attention.k_proj", "model.layers.3.attn.attention.q_proj"],
      ["attention.wk", "model.layers.3.attention.wq"],
      ["attention.self.key", "model.layers.3.attention.self.query"],
      ["attention.k_lin", "model.layers.3.attention.q_lin"],
    ]);
    expect(queryOf("attn.k_proj")).toBe("attn.q_proj");
    for (const other of ["", "model.layers.3.self_attn.q_proj", "xattn.k_proj", "self_attn.k_proj.x"])
      expect(queryOf(other), other).toBeUndefined();
  });

  it("are compared from the block's number on", () => {
    for (const prefix of ["", "model.", "language_model.model.", "base.transformer.", "gpt_neox."])
      expect(moduleKey(`${prefix}layers.3.mlp.up_proj`)).toEqual({ key: "3.mlp.up_proj", expert: undefined });
    expect(moduleKey("h.3.mlp.c_fc")!.key).toBe("3.mlp.c_fc");
    expect(moduleKey("encoder.layer.3.attention.output.dense")!.key).toBe("3.attention.output.dense");
    expect(moduleKey("model.layers.3.mlp.experts.17.up_proj")).toEqual({
      key: "3.mlp.experts.up_proj",
      expert: 17,
    });
    for (const foreign of [
      "visual.blocks.3.attn.qkv",
      "vision_tower.vision_model.encoder.layers.3.mlp.fc1",
      "model.audio_tower.layers.3.fc1",
      "model.layers.layers.3.self_attn.o_proj",
      "vision.layers.0.blocks.3.attn.qkv",
      "classifier",
      "attention.output",
    ])
      expect(moduleKey(foreign)).toBeUndefined();
    for (const foreign of [
      "blk.0.attn_norm.weight",
      "blk.0.attn_q.bias",
      "v.blk.0.attn_q.weight",
      "blk.0.constructor.weight",
    ])
      expect(ggufKeys(foreign)).toEqual([]);
  });
});
