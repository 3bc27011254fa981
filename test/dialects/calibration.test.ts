/** Importance files: moments of every format reach the right module, and what does not fit is refused by name. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readCalibration } from "../../src/adapters/index.ts";
import { isLqaError, type ModuleShape } from "../../src/core/index.ts";
import { dat, f32Bytes, gguf, imatrix } from "../helpers/gguf.ts";
import { fromFloat32, type SafeTensor, writeSafetensors } from "../helpers/safetensors.ts";
import { bytesOf, zeros } from "./build.ts";

function shape(name: string, inputs: number, more: Partial<ModuleShape> = {}): ModuleShape {
  return {
    name,
    role: "linear",
    out: 3,
    in: inputs,
    kernel: [],
    experts: 1,
    rank: 2,
    baseLayout: "out-in",
    multiplier: 1,
    alpha: 0,
    rule: "explicit",
    ...more,
  };
}

const f32 = (shape: readonly number[], values: readonly number[]): SafeTensor => ({
  element: "F32",
  shape,
  data: f32Bytes(values),
});
const file = (tensors: Readonly<Record<string, SafeTensor>>): Uint8Array =>
  writeSafetensors(new Map(Object.entries(tensors)));

function fault(bytes: Uint8Array, modules: readonly ModuleShape[]): string {
  try {
    readCalibration(bytes, modules);
  } catch (error) {
    if (isLqaError(error)) return error.message;
    throw error;
  }
  return "read";
}

/** Moments by module, as plain arrays. */
function read(bytes: Uint8Array, modules: readonly ModuleShape[]): Record<string, number[]> {
  const { moments } = readCalibration(bytes, modules);
  return Object.fromEntries([...moments].map(([name, values]) => [name, [...values]]));
}

const q = shape("model.layers.0.self_attn.q_proj", 2);
const v = shape("model.layers.0.self_attn.v_proj", 2);

describe("importance from safetensors", () => {
  it("takes moments under the names that hooks, states and PEFT give a module", () => {
    const names = [
      q.name,
      `${q.name}.weight`,
      `base_model.model.${q.name}`,
      `base_model.model.${q.name}.weight`,
      `base_model.model.${q.name}.base_layer.weight`,
      `base_model.model.${q.name}.base_layer`,
      `base_model.model.${q.name}.lora_A.default`,
    ];
    for (const name of names)
      expect(read(file({ [name]: f32([2], [1, 0.5]) }), [q])).toEqual({ [q.name]: [1, 0.5] });
  });

  it("says what had no place and who had no moments", () => {
    const bytes = file({ [q.name]: f32([2], [0, 3]), other: zeros([3], "I64", 8) });
    const importance = readCalibration(bytes, [q, v]);
    expect(importance.unmatchedTensors).toEqual(["other"]);
    expect(importance.missingModules).toEqual([v.name]);
    expect(importance.source).toBe(bytes);
  });

  it("reads F16, BF16 and F64", () => {
    const half = Float32Array.of(0.25, 3);
    for (const element of ["F16", "BF16"] as const)
      expect(
        read(file({ [q.name]: { element, shape: [2], data: fromFloat32(half, element) } }), [q]),
      ).toEqual({
        [q.name]: [0.25, 3],
      });
    const data = new Uint8Array(Float64Array.of(0.1, 1e-300).buffer);
    expect(read(file({ [q.name]: { element: "F64", shape: [2], data } }), [q])).toEqual({
      [q.name]: [0.1, 1e-300],
    });
  });

  it("takes the mean squares of activations", () => {
    const activations = f32([3, 2], [1, -2, 3, 0, -5, 4]);
    expect(read(file({ [q.name]: activations }), [q])).toEqual({ [q.name]: [35 / 3, 20 / 3] });
  });

  it("repeats the moments of channels over a kernel, and of one expert over all", () => {
    const conv = shape("conv", 2, { role: "conv2d", kernel: [1, 3] });
    expect(read(file({ conv: f32([2], [1, 2]) }), [conv])).toEqual({ conv: [1, 1, 1, 2, 2, 2] });
    expect(read(file({ conv: f32([6], [1, 2, 3, 4, 5, 6]) }), [conv])).toEqual({ conv: [1, 2, 3, 4, 5, 6] });
    const many = shape("many", 2, { experts: 2 });
    expect(read(file({ many: f32([2], [1, 2]) }), [many])).toEqual({ many: [1, 2, 1, 2] });
    expect(read(file({ many: f32([4], [1, 2, 3, 4]) }), [many])).toEqual({ many: [1, 2, 3, 4] });
    const both = shape("both", 1, { role: "conv1d", kernel: [2], experts: 3 });
    expect(read(file({ both: f32([3], [1, 2, 3]) }), [both])).toEqual({ both: [1, 1, 2, 2, 3, 3] });
  });

  it("refuses impossible values with tensor and index", () => {
    for (const [value, text] of [
      [-1, "-1 at index 1"],
      [Number.NaN, "NaN at index 1"],
      [Number.POSITIVE_INFINITY, "Infinity at index 1"],
    ] as const)
      expect(fault(file({ [q.name]: f32([2], [1, value]) }), [q])).toMatch(
        new RegExp(`SOURCE_IMPORTANCE.*In tensor "${q.name}".*found ${text}`),
      );
    expect(fault(file({ [q.name]: f32([2, 2], [1, 2, 3, Number.NaN]) }), [q])).toMatch(
      /found NaN at index 3/,
    );
    const large = {
      element: "F64",
      shape: [2],
      data: new Uint8Array(Float64Array.of(0, 1e200).buffer),
    } as const;
    expect(fault(file({ [q.name]: large }), [q])).toMatch(/found 1e\+200 at index 1/);
    const huge = { ...large, shape: [1, 2] };
    expect(fault(file({ [q.name]: huge }), [q])).toMatch(/found 1e\+200 at index 1/);
  });

  it("refuses what does not fit the module", () => {
    expect(fault(file({ [q.name]: f32([3], [1, 2, 3]) }), [q])).toMatch(
      `expected 2 moments for module "${q.name}", found 3`,
    );
    const conv = shape("conv", 2, { role: "conv2d", kernel: [1, 3] });
    expect(fault(file({ conv: f32([3], [1, 2, 3]) }), [conv])).toMatch('2 (or 6) moments for module "conv"');
    expect(fault(file({ [q.name]: f32([0, 2], []) }), [q])).toMatch(/at least one sample/);
    expect(fault(file({ [q.name]: f32([1, 1, 2], [1, 2]) }), [q])).toMatch(/found \[1,1,2\]/);
    expect(fault(file({ one: f32([], [1]) }), [shape("one", 1)])).toMatch(/found \[\]/);
    expect(fault(file({ [q.name]: zeros([2], "I64", 8) }), [q])).toMatch(/SOURCE_ELEMENT_TYPE.*q_proj/);
    expect(fault(file({ [q.name]: f32([2], [1, 2]), [`${q.name}.weight`]: f32([2], [1, 2]) }), [q])).toMatch(
      /one tensor for module .*q_proj", found .*q_proj" and .*q_proj.weight"/,
    );
  });

  it("says both sides if nothing matches", () => {
    const weights = file({ [`base_model.model.${q.name}.lora_A.weight`]: f32([1, 2], [1, 2]) });
    expect(fault(weights, [q])).toMatch(/found "base_model.*lora_A.weight"/);
    expect(fault(file({ x: f32([2], [1, 2]) }), [q, v])).toMatch(
      /SOURCE_IMPORTANCE.*such as .*q_proj", ".*v_proj", found "x"/,
    );
    expect(fault(file({}), [q])).toMatch(/found nothing/);
    expect(readCalibration(file({}), []).moments.size).toBe(0);
  });
});

describe("importance matrices", () => {
  it("divides sums by counts and finds modules under any prefix", () => {
    const bytes = imatrix({
      "blk.0.attn_q.weight": { sums: [[8, 2]], counts: [4] },
      "blk.1.ffn_down.weight": { sums: [[9, 0, 3]], counts: [3] },
      "blk.7.attn_q.weight": { sums: [[9, 0, 3]], counts: [3] },
      "output.weight": { sums: [[1, 1]], counts: [2] },
    });
    const down = shape("language_model.model.layers.1.mlp.down_proj", 3);
    const head = shape("lm_head", 2);
    expect(read(bytes, [q, down, head])).toEqual({
      [q.name]: [2, 0.5],
      [down.name]: [3, 0, 1],
      lm_head: [0.5, 0.5],
    });
    expect(readCalibration(bytes, [q, v]).unmatchedTensors).toEqual([
      "blk.1.ffn_down.weight",
      "blk.7.attn_q.weight",
      "output.weight",
    ]);
    const gpt2 = shape("transformer.h.0.attn.c_attn", 2, { baseLayout: "in-out" });
    expect(read(imatrix({ "blk.0.attn_qkv.weight": { sums: [[2, 4]], counts: [2] } }), [gpt2])).toEqual({
      [gpt2.name]: [1, 2],
    });
  });

  it("gives each expert its own, and the mean to those no token reached", () => {
    const experts = [0, 1, 2].map((e) => shape(`model.layers.0.mlp.experts.${e}.up_proj`, 2));
    const sums = [
      [2, 4],
      [0, 0],
      [8, 8],
    ];
    const bytes = imatrix({ "blk.0.ffn_up_exps.weight": { sums, counts: [2, 0, 4] } });
    expect(Object.values(read(bytes, experts))).toEqual([
      [1, 2],
      [1.5, 2],
      [2, 2],
    ]);
    const merged = shape("model.layers.0.mlp.experts.up_proj", 2, { experts: 3 });
    expect(read(bytes, [merged])).toEqual({ [merged.name]: [1, 2, 1.5, 2, 2, 2] });
    expect(fault(bytes, [shape("model.layers.0.mlp.experts.3.up_proj", 2)])).toMatch(/more than 3 experts/);
    expect(fault(bytes, [shape("model.layers.0.mlp.experts.0.up_proj", 3)])).toMatch(/3 moments for module/);
    const one = imatrix({ "blk.0.ffn_up_exps.weight": { sums, counts: [2] } });
    expect(Object.values(read(one, experts))).toEqual([
      [1, 2],
      [0, 0],
      [4, 4],
    ]);
    const none = imatrix({
      "blk.0.ffn_up_exps.weight": { sums, counts: [0, 0, 0] },
      "blk.0.attn_q.weight": { sums: [[8, 2]], counts: [4] },
    });
    expect(readCalibration(none, [...experts, q])).toMatchObject({
      unmatchedTensors: ["blk.0.ffn_up_exps.weight"],
      missingModules: experts.map(({ name }) => name),
    });
  });

  it("leaves the towers of multimodal models alone, and refuses two candidates", () => {
    const bytes = imatrix({ "blk.0.attn_q.weight": { sums: [[8, 2]], counts: [4] } });
    const tower = shape("model.vision_tower.encoder.layers.0.self_attn.q_proj", 5);
    const text = shape("model.language_model.layers.0.self_attn.q_proj", 2);
    expect(read(bytes, [tower, text])).toEqual({ [text.name]: [2, 0.5] });
    const other = shape("decoder.layers.0.self_attn.q_proj", 2);
    expect(fault(bytes, [q, other])).toMatch(
      /In tensor "blk.0.attn_q.weight".*found "model.layers.0.*" and "decoder.layers.0/,
    );
    const twice = imatrix({
      "output.weight": { sums: [[8, 2]], counts: [4] },
      "token_embd.weight": { sums: [[8, 2]], counts: [4] },
    });
    expect(fault(twice, [shape("lm_head", 2)])).toMatch(/"output.weight" and "token_embd.weight"/);
  });

  it("refuses matrices that contradict themselves, and GGUF files of other kinds", () => {
    const name = "blk.0.attn_q.weight";
    const sums = [`${name}.in_sum2`, { dims: [2, 1], data: f32Bytes([8, 2]) }] as const;
    const counts = [`${name}.counts`, { dims: [1, 1], data: f32Bytes([4]) }] as const;
    const made = (...tensors: Parameters<typeof gguf>[0]["tensors"] & object) =>
      fault(gguf({ tensors }), [q]);
    expect(made(sums, counts)).toBe("read");
    expect(made(sums)).toMatch(/a tensor "blk.0.attn_q.weight.counts", found none/);
    expect(made(counts)).toMatch(/found nothing/);
    expect(made(sums, [counts[0], { dims: [1, 2], data: f32Bytes([4, 4]) }])).toMatch(/counts \[1,2\]/);
    expect(made([sums[0], { dims: [2, 1, 2], data: f32Bytes([8, 2, 8, 2]) }], counts)).toMatch(/\[2,1,2\]/);
    expect(made([sums[0], { dims: [0], data: new Uint8Array() }], counts)).toMatch(/SOURCE_IMPORTANCE/);
    expect(made([sums[0], { dims: [3, 1], data: f32Bytes([8, 2, 1]) }], counts)).toMatch(/found 3/);
    expect(made([sums[0], { ...sums[1], data: f32Bytes([8, -2]) }], counts)).toMatch(
      /in_sum2.*-2 at index 1/,
    );
    expect(made(sums, [counts[0], { ...counts[1], data: f32Bytes([Number.NaN]) }])).toMatch(/NaN at index 0/);
    expect(made([sums[0], { dims: [2], type: 1, data: new Uint8Array(4) }], counts)).toMatch(
      /SOURCE_ELEMENT_TYPE.*expected F32, found F16/,
    );
    const model = gguf({ metadata: [["general.type", [8, "model"]]], tensors: [sums, counts] });
    expect(fault(model, [q])).toMatch(/UNSUPPORTED_DIALECT.*found "model"/);
  });

  it("reads .dat files of all ages", () => {
    const entries = [
      { name: "blk.0.attn_q.weight", calls: 4, values: [8, 2] },
      { name: "blk.0.attn_v.weight", calls: 0, values: [8, 2] },
    ];
    for (const bytes of [dat(entries), dat(entries, "wiki.txt"), dat(entries, "")])
      expect(read(bytes, [q, v])).toEqual({ [q.name]: [2, 0.5], [v.name]: [8, 2] });
    expect(read(dat(entries, "x").subarray(0, -5), [q])).toEqual({ [q.name]: [2, 0.5] });
    const experts = [0, 1].map((e) => shape(`model.layers.0.block_sparse_moe.experts.${e}.w2`, 2));
    const moe = dat([{ name: "blk.0.ffn_down_exps.weight", calls: 2, values: [2, 4, 6, 8] }]);
    expect(Object.values(read(moe, experts))).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  it("refuses broken .dat files", () => {
    const entry = { name: "blk.0.attn_q.weight", calls: 4, values: [8, 2] };
    expect(fault(dat([entry, entry]), [q])).toMatch(/SOURCE_HEADER.*a second time/);
    expect(fault(dat([{ ...entry, calls: -1 }]), [q])).toMatch(/SOURCE_HEADER.*found -1/);
    expect(fault(dat([{ ...entry, values: [8, -2] }]), [q])).toMatch(/SOURCE_IMPORTANCE.*-2 at index 1/);
    expect(fault(dat([{ ...entry, values: [8] }]), [q])).toMatch(/SOURCE_IMPORTANCE.*found 1/);
    const whole = dat([entry], "wiki.txt");
    for (let length = 0; length < whole.length; length++) {
      // Complete without what later versions added.
      const complete = length === dat([entry]).length || length === dat([entry]).length + 4;
      expect(fault(whole.subarray(0, length), [q])).toMatch(
        complete ? /^read$/ : /TRUNCATED_SOURCE|UNSUPPORTED_DIALECT/,
      );
    }
    expect(fault(Uint8Array.from([...whole, 0]), [q])).toMatch(/SOURCE_HEADER.*found more bytes/);
    const negative = dat([entry], "");
    negative.fill(0xff, negative.length - 4);
    expect(fault(negative, [q])).toMatch(/SOURCE_HEADER.*the length of a text/);
  });
});

describe("any file", () => {
  it("may be a Node Buffer, which lies somewhere in a pool", () => {
    const matrix = imatrix({ "blk.0.attn_q.weight": { sums: [[8, 2]], counts: [4] } });
    for (const bytes of [file({ [q.name]: f32([2], [2, 0.5]) }), matrix])
      expect(read(Buffer.from(bytes), [q])).toEqual({ [q.name]: [2, 0.5] });
  });
});

describe("other files", () => {
  it("are refused for what they are", () => {
    expect(fault(bytesOf("version https://git-lfs.github.com/spec/v1\n"), [q])).toMatch(
      /UNSUPPORTED_DIALECT: This is a Git LFS pointer/,
    );
    expect(fault(bytesOf("PK\x03\x04 and so on, a whole zip file"), [q])).toMatch(
      /UNSUPPORTED_DIALECT: This is a zip archive/,
    );
    expect(fault(new Uint8Array(), [q])).toMatch(/UNSUPPORTED_DIALECT/);
    expect(fault(file({ [q.name]: f32([2], [1, 2]) }).subarray(0, -1), [q])).toMatch(/TRUNCATED_SOURCE/);
  });

  it("give moments or an LqaError for any mutation", () => {
    const files = [
      file({ [q.name]: f32([2], [1, 2]), [v.name]: f32([2, 2], [1, 2, 3, 4]) }),
      imatrix({ "blk.0.attn_q.weight": { sums: [[8, 2]], counts: [4] } }),
      dat([{ name: "blk.0.attn_q.weight", calls: 4, values: [8, 2] }], "wiki.txt"),
    ];
    const mutation = fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255));
    fc.assert(
      fc.property(fc.nat(2), fc.array(mutation, { minLength: 1, maxLength: 3 }), (which, changes) => {
        const bytes = files[which]!.slice();
        for (const [at, value] of changes) bytes[Math.floor(at * bytes.length)] = value;
        const said = fault(bytes, [q, v]);
        if (said !== "read") return;
        for (const values of Object.values(read(bytes, [q, v])))
          expect(values.every((value) => value >= 0 && Number.isFinite(value))).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
