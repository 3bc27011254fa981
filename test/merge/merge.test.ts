/** Merged models: every weight against a plain computation, bytes of everything else untouched, memory of one tensor. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { readAdapter } from "../../src/adapters/index.ts";
import type { Adapter } from "../../src/core/index.ts";
import { mergeFile } from "../../src/node/index.ts";
import { directory, floats } from "../dialects/build.ts";
import { deltaOf } from "../dialects/delta.ts";
import { baseModel, fileOf, type TestModel, tensor, writeModel } from "../helpers/models.ts";
import { readSafetensors, type SafeTensor, toFloat32, writeSafetensors } from "../helpers/parts.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
let count = 0;
const place = (): string => join(folder, `m${count++}`);
const P = "base_model.model.";
const ab = (name: string, out: number, inputs: number, seed = 1): [string, SafeTensor][] => [
  [`${P}${name}.lora_A.weight`, floats([2, inputs], seed)],
  [`${P}${name}.lora_B.weight`, floats([out, 2], seed + 100)],
];
const Q = "model.layers.0.self_attn.q_proj";

/** All tensors of a directory of a model. */
function tensorsOf(path: string): Map<string, SafeTensor> {
  const files = readdirSync(path).filter((name) => name.endsWith(".safetensors"));
  return new Map(files.flatMap((name) => [...readSafetensors(readFileSync(join(path, name))).tensors]));
}

async function merged(adapter: Adapter, model: TestModel, shards = 1): Promise<Map<string, SafeTensor>> {
  const output = place();
  await mergeFile(adapter, writeModel(place(), model, shards), output);
  return tensorsOf(output);
}

const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");
/** `before` rounded once after `add` was added to it, in the element type of the base. */
function rounded(before: SafeTensor, add: ArrayLike<number>): SafeTensor {
  const values = toFloat32(before).map((value, i) => value + add[i]!);
  return { ...before, data: floatsOf(values, before.element) };
}
function floatsOf(values: Float32Array, element: string): Uint8Array {
  if (element === "F32") return new Uint8Array(values.buffer);
  const bytes = new Uint8Array(2 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries())
    view.setUint16(2 * i, element === "BF16" ? toBf16(value) : toF16(value), true);
  return bytes;
}
/** Nearest, ties to even, by trying all neighbours. */
function toBf16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
function toF16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const x = Math.abs(value);
  const exponent = Math.max(-14, Math.floor(Math.log2(x || 2 ** -30)));
  const unit = 2 ** (exponent - 10);
  const quotient = x / unit;
  let steps = Math.round(quotient);
  if (Math.abs(quotient - Math.floor(quotient) - 0.5) === 0 && steps % 2 === 1) steps--;
  return sign | (exponent === -14 && steps < 1024 ? steps : ((exponent + 14) << 10) + steps);
}

describe("a merged weight is W + ΔW, rounded once", () => {
  it.each(["F32", "F16", "BF16"] as const)(
    "%s, also of the layers an adapter does not have",
    async (element) => {
      const model = baseModel(element);
      const adapter = readAdapter(directory(ab(Q, 32, 24), { r: 2, lora_alpha: 8 }));
      const result = await merged(adapter, model);
      expect([...result.keys()].sort()).toEqual([...model.keys()].sort());
      for (const [name, before] of model) {
        const expected = name === `${Q}.weight` ? rounded(before, deltaOf(adapter.modules[0]!)) : before;
        const { element, shape, data } = result.get(name)!;
        expect([name, element, shape, hex(data)]).toEqual([
          name,
          before.element,
          before.shape,
          hex(expected.data),
        ]);
      }
      expect(hex(result.get(`${Q}.weight`)!.data)).not.toBe(hex(model.get(`${Q}.weight`)!.data));
    },
  );

  it("in shards, with the index and every header as they were", async () => {
    const model = baseModel();
    const adapter = readAdapter(directory([...ab(Q, 32, 24), ...ab("lm_head", 40, 24, 5)]));
    const [base, output] = [writeModel(place(), model, 3), place()];
    const seen: string[] = [];
    const report = await mergeFile(adapter, base, output, {
      onProgress: (_done, _total, name) => void seen.push(name),
    });
    expect(report).toMatchObject({ changed: 2, tensors: model.size });
    expect(seen.sort()).toEqual([...model.keys()].sort());
    expect(listing(output)).toEqual(listing(base));
    for (const name of listing(base)) {
      const [before, after] = [base, output].map((path) => readFileSync(join(path, name))) as [
        Buffer,
        Buffer,
      ];
      expect(report.written.get(name)).toBe(after.length);
      if (name.endsWith(".json")) expect(after).toEqual(before);
      else {
        const head = 8 + Number(before.readBigUInt64LE(0));
        expect(after.subarray(0, head)).toEqual(before.subarray(0, head));
        expect(after.length).toBe(before.length);
      }
    }
    const whole = await merged(adapter, model);
    const parts = tensorsOf(output);
    for (const [name, tensor] of whole) expect(hex(parts.get(name)!.data), name).toBe(hex(tensor.data));
  });

  describe("components of diffusion pipelines", () => {
    const unet: TestModel = new Map([
      ["mid_block.attentions.0.proj_in.weight", floats([6, 6, 1, 1], 1)],
      ["conv_in.weight", floats([6, 4, 3, 3], 2)],
    ]);
    const text: TestModel = new Map([
      ["text_model.encoder.layers.0.mlp.fc1.weight", floats([8, 6], 3)],
      ["text_model.encoder.layers.0.mlp.fc2.weight", floats([6, 8], 4)],
    ]);
    const factors = (name: string, a: number[], b: number[]): [string, SafeTensor][] => [
      [`${name}.lora_A.weight`, floats(a, 5)],
      [`${name}.lora_B.weight`, floats(b, 6)],
    ];
    const ofUnet = factors("unet.mid_block.attentions.0.proj_in", [2, 6, 1, 1], [6, 2, 1, 1]);
    const ofText = factors("text_encoder.text_model.encoder.layers.0.mlp.fc1", [2, 6], [8, 2]);
    const adapterOf = (...tensors: [string, SafeTensor][]): Adapter =>
      readAdapter(new Map([["x.safetensors", writeSafetensors(new Map(tensors))]]));
    /** A pipeline's folder, with the names diffusers and transformers give to weights. */
    function pipeline(): string {
      const path = place();
      for (const [name, file, model] of [
        ["unet", "diffusion_pytorch_model", unet],
        ["text_encoder", "model", text],
        ["vae", "diffusion_pytorch_model", unet],
      ] as const) {
        mkdirSync(join(path, name), { recursive: true });
        writeFileSync(join(path, name, `${file}.safetensors`), writeSafetensors(model));
      }
      writeFileSync(join(path, "model_index.json"), "{}");
      return path;
    }
    const changed = (path: string, before: TestModel): string[] =>
      [...tensorsOf(path)]
        .filter(([name, { data }]) => hex(data) !== hex(before.get(name)!.data))
        .map(([name]) => name);

    it("a pipeline: those that change, in folders of their names", async () => {
      const [base, output] = [pipeline(), place()];
      const adapter = adapterOf(...ofUnet, ...ofText);
      const report = await mergeFile(adapter, base, output);
      expect(report).toMatchObject({ changed: 2, tensors: 4 });
      expect([...report.written.keys()].sort()).toEqual([
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
      ]);
      expect(listing(output)).toEqual(["text_encoder", "unet"]);
      for (const [name, model, tensor] of [
        ["unet", unet, "mid_block.attentions.0.proj_in.weight"],
        ["text_encoder", text, "text_model.encoder.layers.0.mlp.fc1.weight"],
      ] as const) {
        expect(changed(join(output, name), model)).toEqual([tensor]);
        const module = adapter.modules.find((each) => each.name === `${name}.${tensor.slice(0, -7)}`)!;
        const expected = rounded(model.get(tensor)!, deltaOf(module));
        expect(hex(tensorsOf(join(output, name)).get(tensor)!.data)).toBe(hex(expected.data));
      }
    });

    it("one component alone, which does not say its name", async () => {
      const output = place();
      await mergeFile(adapterOf(...ofUnet), join(pipeline(), "unet"), output);
      expect(changed(output, unet)).toEqual(["mid_block.attentions.0.proj_in.weight"]);
    });

    it("a text encoder as transformers 5 saves it, without text_model", async () => {
      const base = pipeline();
      const named = new Map([...text].map(([name, tensor]) => [name.replace("text_model.", ""), tensor]));
      writeFileSync(join(base, "text_encoder", "model.safetensors"), writeSafetensors(named));
      const [whole, alone] = [place(), place()];
      await mergeFile(adapterOf(...ofUnet, ...ofText), base, whole);
      expect(changed(join(whole, "text_encoder"), named)).toEqual(["encoder.layers.0.mlp.fc1.weight"]);
      await mergeFile(adapterOf(...ofText), join(base, "text_encoder"), alone);
      expect(changed(alone, named)).toEqual(["encoder.layers.0.mlp.fc1.weight"]);
    });

    it("is refused where a component, or its name, is missing", async () => {
      const output = place();
      const both = adapterOf(...ofUnet, ...ofText);
      await expect(mergeFile(both, join(pipeline(), "unet"), output)).rejects.toMatchObject({
        kind: "BASE_MODULE_MISSING",
        advice: expect.stringContaining("model_index.json"),
      });
      const elsewhere = adapterOf(...ofUnet, ...factors("text_encoder_2.text_projection", [2, 6], [6, 2]));
      await expect(mergeFile(elsewhere, pipeline(), output)).rejects.toMatchObject({ kind: "NOT_FOUND" });
      const bare = readAdapter(directory(ab("mid_block.attentions.0.proj_in", 6, 6)));
      await expect(mergeFile(bare, pipeline(), output)).rejects.toMatchObject({
        kind: "BASE_MODULE_MISSING",
      });
      expect(existsSync(output)).toBe(false);
    });
  });

  it("shards whose index has a name of its own, into a link to an empty directory", async () => {
    const [base, empty, link] = [writeModel(place(), baseModel(), 2), place(), place()];
    const index = join(base, "model.safetensors.index.json");
    renameSync(index, join(base, "mine.safetensors.index.json"));
    mkdirSync(empty);
    symlinkSync(empty, link);
    await mergeFile(readAdapter(directory(ab(Q, 32, 24))), base, link);
    expect(listing(empty)).toEqual(listing(base));
    expect(listing(empty)).toContain("mine.safetensors.index.json");
  });

  it("one file, under its own name", async () => {
    const path = place();
    mkdirSync(path);
    writeFileSync(join(path, "mine.safetensors"), fileOf(baseModel()));
    const output = place();
    await mergeFile(readAdapter(directory(ab(Q, 32, 24))), join(path, "mine.safetensors"), output);
    expect(listing(output)).toEqual(["mine.safetensors"]);
  });

  it("stored as (in, out), embeddings, convolutions", async () => {
    const model: TestModel = new Map([
      ["h.0.attn.c_attn.weight", floats([5, 9], 1)],
      ["wte.weight", floats([7, 4], 2)],
      ["conv.weight", floats([6, 5, 3, 3], 3)],
    ]);
    const turned = readAdapter(directory(ab("h.0.attn.c_attn", 9, 5), { fan_in_fan_out: true }));
    const delta = deltaOf(turned.modules[0]!);
    const across = Array.from({ length: 45 }, (_, i) => delta[(i % 9) * 5 + Math.floor(i / 9)]!);
    const one = await merged(turned, model);
    expect(hex(one.get("h.0.attn.c_attn.weight")!.data)).toBe(
      hex(rounded(model.get("h.0.attn.c_attn.weight")!, across).data),
    );

    const embedding = readAdapter(
      directory([
        [`${P}wte.lora_embedding_A`, floats([2, 7])],
        [`${P}wte.lora_embedding_B`, floats([4, 2], 8)],
        [`${P}conv.lora_A.weight`, floats([2, 5, 3, 3], 9)],
        [`${P}conv.lora_B.weight`, floats([6, 2, 1, 1], 10)],
      ]),
    );
    const two = await merged(embedding, model);
    const table = deltaOf(embedding.modules.find(({ name }) => name === "wte")!);
    const byToken = Array.from({ length: 28 }, (_, i) => table[(i % 4) * 7 + Math.floor(i / 4)]!);
    expect(hex(two.get("wte.weight")!.data)).toBe(hex(rounded(model.get("wte.weight")!, byToken).data));
    const kernel = deltaOf(embedding.modules.find(({ name }) => name === "conv")!);
    expect(hex(two.get("conv.weight")!.data)).toBe(hex(rounded(model.get("conv.weight")!, kernel).data));
  });

  it("experts, each with its own factors, in either layout", async () => {
    for (const [expertLayout, shape] of [
      ["out-in", [3, 6, 5]],
      ["in-out", [3, 5, 6]],
    ] as const) {
      const model: TestModel = new Map([["mlp.experts.down_proj", floats(shape, 4)]]);
      const adapter = readAdapter(
        directory(
          [
            [`${P}mlp.experts.lora_A.weight`, floats([6, 5], 1)],
            [`${P}mlp.experts.lora_B.weight`, floats([6, 6], 2)],
          ],
          { target_parameters: ["mlp.experts.down_proj"], peft_version: "0.21.0" },
        ),
        { expertLayout },
      );
      const delta = deltaOf(adapter.modules[0]!);
      const order =
        expertLayout === "out-in"
          ? delta
          : Float64Array.from(delta, (_, i) => {
              const [e, at] = [Math.floor(i / 30), i % 30];
              return delta[e * 30 + (at % 6) * 5 + Math.floor(at / 6)]!;
            });
      const result = await merged(adapter, model);
      expect(hex(result.get("mlp.experts.down_proj")!.data)).toBe(
        hex(rounded(model.get("mlp.experts.down_proj")!, order).data),
      );
    }
  });
});

describe("what else an adapter brings", () => {
  it("DoRA: rows of W + ΔW get the lengths of the magnitude", async () => {
    const model = baseModel();
    const magnitude = floats([32], 7);
    const adapter = readAdapter(
      directory([...ab(Q, 32, 24), [`${P}${Q}.lora_magnitude_vector`, magnitude]], { use_dora: true }),
    );
    const result = toFloat32((await merged(adapter, model)).get(`${Q}.weight`)!);
    const delta = deltaOf(adapter.modules[0]!);
    const sum = Float64Array.from(toFloat32(model.get(`${Q}.weight`)!), (w, i) => w + delta[i]!);
    for (let row = 0; row < 32; row++) {
      const values = sum.subarray(24 * row, 24 * row + 24);
      const norm = Math.sqrt(values.reduce((s, x) => s + x * x, 0));
      const m = toFloat32(magnitude)[row]!;
      for (let i = 0; i < 24; i++) expect(result[24 * row + i]).toBe(Math.fround((m / norm) * values[i]!));
    }
  });

  it("biases, replaced tensors, token rows", async () => {
    const model = baseModel("BF16");
    const bias = floats([32], 5);
    const loraBias = floats([32], 6);
    const rows = floats([2, 24], 8);
    const head = floats([40, 24], 9);
    const adapter = readAdapter(
      directory(
        [
          ...ab(Q, 32, 24),
          [`${P}${Q}.base_layer.bias`, bias],
          [`${P}${Q}.lora_B.bias`, loraBias],
          [`${P}lm_head.weight`, head],
          [`${P}model.embed_tokens.token_adapter.trainable_tokens_delta`, rows],
        ],
        {
          bias: "all",
          lora_bias: true,
          modules_to_save: ["lm_head"],
          trainable_token_indices: { embed_tokens: [3, 39] },
        },
      ),
    );
    const result = await merged(adapter, model);
    expect(hex(result.get("lm_head.weight")!.data)).toBe(hex(floatsOf(toFloat32(head), "BF16")));
    // The replaced bias first (rounded), then the LoRA bias times 4.
    const replaced: SafeTensor = { element: "BF16", shape: [32], data: floatsOf(toFloat32(bias), "BF16") };
    expect(hex(result.get(`${Q}.bias`)!.data)).toBe(
      hex(
        rounded(
          replaced,
          toFloat32(loraBias).map((x) => 4 * x),
        ).data,
      ),
    );
    const [before, after] = [
      model.get("model.embed_tokens.weight")!,
      result.get("model.embed_tokens.weight")!,
    ];
    for (let row = 0; row < 40; row++) {
      const at = [3, 39].indexOf(row);
      const expected =
        at < 0
          ? before.data.subarray(48 * row, 48 * row + 48)
          : floatsOf(toFloat32(rows).slice(24 * at, 24 * at + 24), "BF16");
      expect([row, hex(after.data.subarray(48 * row, 48 * row + 48))]).toEqual([row, hex(expected)]);
    }
  });
});

describe("what has no result is refused", () => {
  const adapter = (tensors: [string, SafeTensor][] = [], config = {}): Adapter =>
    readAdapter(directory([...ab(Q, 32, 24), ...tensors], config));

  it.each([
    ["a row of zeros that DoRA has to give a length", 0],
    ["a weight beyond what binary32 holds", 3e38],
  ])("%s", async (_name, value) => {
    const model = baseModel();
    const magnitude: [string, SafeTensor] = [`${P}${Q}.lora_magnitude_vector`, floats([32], 7)];
    const given = value === 0 ? adapter([magnitude], { use_dora: true }) : adapter();
    const { b, a, ...shape } = given.modules[0]!;
    const module = { ...shape, a: a.fill(value), b: b.fill(value) };
    if (value === 0) model.set(`${Q}.weight`, tensor([32, 24], new Float32Array(32 * 24)));
    const output = place();
    const merging = mergeFile({ ...given, modules: [module] }, writeModel(place(), model), output);
    await expect(merging).rejects.toMatchObject({
      kind: "SOURCE_NONFINITE",
      where: expect.stringContaining(`${Q}.weight`),
    });
    expect(existsSync(output)).toBe(false);
  });

  it("modules under two names of one weight", async () => {
    const one = adapter();
    const modules = [one.modules[0]!, { ...one.modules[0]!, name: `${Q}.weight` }];
    const merging = mergeFile({ ...one, modules }, writeModel(place(), baseModel()), place());
    await expect(merging).rejects.toThrow(/BASE_MODULE_MISSING.*a base weight of its own/);
  });
});

describe("adapters that do not fit leave nothing behind", () => {
  const cases: [string, () => Adapter, RegExp][] = [
    [
      "a layer that is not there",
      () => readAdapter(directory(ab("model.layers.9.self_attn.q_proj", 32, 24))),
      /BASE_MODULE_MISSING.*layers\.9/,
    ],
    ["another shape", () => readAdapter(directory(ab(Q, 30, 24))), /BASE_SHAPE/],
    ["a layer turned over", () => readAdapter(directory(ab(Q, 24, 32))), /BASE_SHAPE/],
    [
      "a tensor of another shape",
      () => readAdapter(directory([...ab(Q, 32, 24), [`${P}lm_head.weight`, floats([41, 24])]])),
      /BASE_SHAPE.*41/,
    ],
    [
      "a LoRA bias without a bias",
      () =>
        readAdapter(
          directory(
            [
              ...ab("model.layers.0.mlp.down_proj", 24, 64),
              [`${P}model.layers.0.mlp.down_proj.lora_B.bias`, floats([24])],
            ],
            { lora_bias: true },
          ),
        ),
      /UNSUPPORTED_ADAPTER_FEATURE.*a layer with a bias/,
    ],
    [
      "a token that is not there",
      () =>
        readAdapter(
          directory(
            [
              ...ab(Q, 32, 24),
              [`${P}model.embed_tokens.token_adapter.trainable_tokens_delta`, floats([1, 24])],
            ],
            { trainable_token_indices: { embed_tokens: [40] } },
          ),
        ),
      /BASE_SHAPE.*rows below 40/,
    ],
  ];
  it.each(cases)("%s", async (_name, adapter, message) => {
    const output = place();
    await expect(mergeFile(adapter(), writeModel(place(), baseModel()), output)).rejects.toThrow(message);
    expect(existsSync(output)).toBe(false);
    expect(listing(folder).filter((name) => !/^m\d+$/.test(name))).toEqual([]);
  });

  it("a weight beyond F16, an F64 model, an output that exists, an abort", async () => {
    const large = readAdapter(directory(ab(Q, 32, 24), { lora_alpha: 1e8 }));
    await expect(merged(large, baseModel("F16"))).rejects.toThrow(/SOURCE_RANGE/);
    const adapter = readAdapter(directory(ab(Q, 32, 24)));
    await expect(merged(adapter, baseModel("F64"))).rejects.toThrow(/SOURCE_ELEMENT_TYPE.*F32, F16 or BF16/);
    const [base, output] = [writeModel(place(), baseModel()), place()];
    mkdirSync(output);
    writeFileSync(join(output, "model.safetensors"), "mine");
    await expect(mergeFile(adapter, base, output)).rejects.toThrow(/OUTPUT_EXISTS/);
    expect(readFileSync(join(output, "model.safetensors"), "utf8")).toBe("mine");
    const stopped = AbortSignal.abort();
    const other = place();
    await expect(mergeFile(adapter, base, other, { signal: stopped })).rejects.toThrow(/ABORTED/);
    expect(existsSync(other)).toBe(false);
  });

  it("a model saved without its head has other prefixes", async () => {
    const bare: TestModel = new Map(
      [...baseModel()].flatMap(([name, tensor]) =>
        name.startsWith("model.") ? [[name.slice(6), tensor]] : [],
      ),
    );
    const adapter = readAdapter(directory(ab(Q, 32, 24)));
    const result = await merged(adapter, bare);
    const name = `${Q.slice(6)}.weight`;
    expect(hex(result.get(name)!.data)).toBe(
      hex(rounded(bare.get(name)!, deltaOf(adapter.modules[0]!)).data),
    );
  });
});

it("takes the memory of one tensor, however many there are", async () => {
  const [width, layers] = [1024, 24];
  const model: TestModel = new Map(
    Array.from({ length: layers }, (_, i) => [
      `model.layers.${i}.self_attn.q_proj.weight`,
      { element: "BF16", shape: [width, width], data: new Uint8Array(2 * width * width) },
    ]),
  );
  const base = place();
  mkdirSync(base);
  writeFileSync(join(base, "model.safetensors"), writeSafetensors(model));
  const adapter = readAdapter(
    directory([...model.keys()].flatMap((name) => ab(name.slice(0, -7), width, width))),
  );
  model.clear();
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // The model that was written is still waiting to be collected.
  await new Promise((resolve) => setTimeout(resolve, 20));
  collect();
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  await mergeFile(adapter, base, place(), {
    onProgress: () => {
      // What is used once is garbage now, and what is kept is not.
      collect();
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    },
  });
  // A tensor is 2 MiB stored and 4 MiB as F32; the model is 48 MiB.
  expect(most).toBeLessThan(16 << 20);
});
