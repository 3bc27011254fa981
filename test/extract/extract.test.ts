import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import {
  type ByteSource,
  inputLength,
  isLqaError,
  type LoraModule,
  type LqaError,
  memorySource,
  open,
} from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { type ExtractOptions, extractAdapter, type ShardedModel } from "../../src/models/index.ts";
import {
  addLowRank,
  baseModel,
  changed,
  fileOf,
  LAYERS,
  noise,
  shardsOf,
  type TestModel,
  tensor,
} from "../helpers/models.ts";

const source = (model: TestModel): ByteSource => memorySource(fileOf(model));

function sharded(model: TestModel, count: number): ShardedModel & { files: Map<string, ByteSource> } {
  const { files, index } = shardsOf(model, count);
  return { files: new Map([...files].map(([name, bytes]) => [name, memorySource(bytes)])), index };
}

/** ΔW as the base stores it, row-major. */
function product({ out, rank, b, a, baseLayout, ...shape }: LoraModule): Float64Array {
  const width = inputLength(shape);
  const delta = new Float64Array(out * width);
  for (let i = 0; i < out; i++) {
    for (let j = 0; j < width; j++) {
      const at = baseLayout === "out-in" ? i * width + j : j * out + i;
      for (let c = 0; c < rank; c++) delta[at]! += b[i * rank + c]! * a[c * width + j]!;
    }
  }
  return delta;
}

function relativeError(actual: Float64Array, expected: Float64Array): number {
  let error = 0;
  let energy = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i]! - expected[i]!) ** 2;
    energy += expected[i]! ** 2;
  }
  return error / energy;
}

/** The base with a change of rank 3 in every layer that can have one. */
function fineTuned(base = baseModel()): { tuned: TestModel; deltas: Map<string, Float64Array> } {
  const tuned = new Map(base);
  return { tuned, deltas: new Map(LAYERS.map((layer, i) => [layer, addLowRank(tuned, layer, 3, 50 + i)])) };
}

async function failure(
  base: ByteSource | ShardedModel | TestModel,
  tuned: ByteSource | ShardedModel | TestModel,
  options: ExtractOptions = {},
): Promise<LqaError> {
  const of = (model: ByteSource | ShardedModel | TestModel) => (model instanceof Map ? source(model) : model);
  try {
    await extractAdapter(of(base), of(tuned), options);
  } catch (error) {
    if (isLqaError(error)) return error;
    throw error;
  }
  throw new Error("nothing failed");
}

describe("extraction of a merged adapter", () => {
  it("gives the adapter back", async () => {
    const { tuned, deltas } = fineTuned();
    const { adapter, report } = await extractAdapter(source(baseModel()), source(tuned), { rank: 8 });
    expect(adapter.modules.map(({ name }) => name)).toEqual(LAYERS);
    for (const module of adapter.modules) {
      expect(module).toMatchObject({
        role: "linear",
        multiplier: 1,
        alpha: module.rank,
        baseLayout: "out-in",
      });
      // Rank 3 and the rounding of a float32 merge.
      expect(relativeError(product(module), deltas.get(module.name)!)).toBeLessThan(1e-11);
    }
    expect(report.share).toBeGreaterThan(1 - 1e-11);
    expect(report).toMatchObject({ unchanged: 7, filtered: 0, rest: [], onlyInBase: [], fanInFanOut: false });
    for (const { norm, relativeNorm, largest, shape, rank } of report.modules) {
      // No more than there is above the rounding of float32.
      expect(rank).toBe(3);
      expect(shape).toHaveLength(2);
      expect(largest).toBeLessThanOrEqual(norm);
      expect(relativeNorm).toBeGreaterThan(0.1);
    }
  });

  it.each(["BF16", "F16", "F64"] as const)(
    "allows %s, and different types on the two sides",
    async (element) => {
      const { tuned } = fineTuned(baseModel(element));
      const { tuned: other, deltas } = fineTuned();
      const same = await extractAdapter(source(baseModel(element)), source(tuned), { rank: 3 });
      const mixed = await extractAdapter(source(baseModel()), source(other), { rank: 3 });
      const rounding = { BF16: 2e-3, F16: 1e-5, F64: 1e-11 }[element];
      for (const { modules } of [same.adapter, mixed.adapter]) {
        for (const module of modules) {
          expect(relativeError(product(module), deltas.get(module.name)!)).toBeLessThan(rounding);
        }
      }
      const across = await extractAdapter(source(baseModel(element)), source(other), { rank: 3 });
      expect(across.report.share).toBeGreaterThan(1 - 4 * rounding);
    },
  );

  it("is an adapter that PEFT directories and .lqa files hold", async () => {
    const { tuned, deltas } = fineTuned();
    const options = { rank: 3, baseModel: "org/base" };
    const { adapter } = await extractAdapter(source(baseModel()), source(tuned), options);
    const files = writeAdapter(adapter, { factors: "F32" });
    const config = JSON.parse(new TextDecoder().decode(files.get("adapter_config.json")));
    expect(config).toMatchObject({
      r: 3,
      lora_alpha: 3,
      base_model_name_or_path: "org/base",
      target_modules: [...LAYERS].sort(),
      rank_pattern: {},
      fan_in_fan_out: false,
    });
    const back = readAdapter(files);
    for (const module of back.modules) {
      expect(relativeError(product(module), deltas.get(module.name)!)).toBeLessThan(1e-11);
    }
    const { bytes } = await encodeAdapter(adapter, { profile: "raw" });
    expect((await open(bytes)).modules.map(({ name }) => name)).toEqual(LAYERS);
  });

  it("chooses ranks by energy, each with its own alpha", async () => {
    const base = baseModel();
    const tuned = new Map(base);
    LAYERS.forEach((layer, i) => {
      addLowRank(tuned, layer, i + 1, 80 + i);
    });
    const { adapter, report } = await extractAdapter(source(base), source(tuned), { energy: 1 - 1e-9 });
    expect(report.modules.map(({ rank }) => rank)).toEqual([1, 2, 3, 4]);
    const files = writeAdapter(adapter, { factors: "F32" });
    const config = JSON.parse(new TextDecoder().decode(files.get("adapter_config.json")));
    expect(config.rank_pattern).toEqual(config.alpha_pattern);
    expect(readAdapter(files).modules.map(({ multiplier }) => multiplier)).toEqual([1, 1, 1, 1]);
    const half = await extractAdapter(source(base), source(tuned), { energy: 0.5 });
    for (const module of half.report.modules) expect(module.share).toBeGreaterThanOrEqual(0.5);
    expect(half.report.parameters).toBeLessThan(report.parameters);
  });
});

describe("the result does not depend", () => {
  const bytesOf = async (
    base: ByteSource | ShardedModel,
    tuned: ByteSource | ShardedModel,
  ): Promise<string> => {
    const { adapter, report } = await extractAdapter(base, tuned, { rank: 5, keepRest: true });
    const hash = createHash("sha256").update(JSON.stringify(report));
    for (const [name, bytes] of writeAdapter(adapter, { factors: "F32" })) hash.update(name).update(bytes);
    return hash.digest("hex");
  };

  it("on shards, their number, the order of tensors, or the run", async () => {
    const { tuned } = fineTuned();
    tuned.set("model.norm.weight", tensor([24], noise(24, 9)));
    const expected = await bytesOf(source(baseModel()), source(tuned));
    expect(await bytesOf(source(baseModel()), source(tuned))).toBe(expected);
    expect(await bytesOf(sharded(baseModel(), 3), sharded(tuned, 2))).toBe(expected);
    expect(await bytesOf({ files: sharded(baseModel(), 4).files }, source(tuned))).toBe(expected);
    const reversed = new Map([...tuned].reverse());
    expect(await bytesOf(source(baseModel()), sharded(reversed, 2))).toBe(expected);
  });
});

describe("what is no weight of a linear layer", () => {
  const withRest = (): TestModel => {
    const { tuned } = fineTuned();
    for (const [name, size] of [
      ["model.embed_tokens.weight", 960],
      ["model.layers.0.self_attn.q_proj.bias", 32],
      ["model.layers.1.input_layernorm.weight", 24],
      ["lm_head.weight", 960],
    ] as const) {
      const { shape } = tuned.get(name)!;
      tuned.set(name, tensor(shape, noise(size, size)));
    }
    return tuned;
  };

  it("is reported, with its reason and its change", async () => {
    const { adapter, report } = await extractAdapter(source(baseModel()), source(withRest()));
    expect(adapter.tensors).toEqual([]);
    expect(report.rest.map(({ name, reason, kept }) => [name, reason, kept])).toEqual([
      ["lm_head.weight", "output head", false],
      ["model.embed_tokens.weight", "embedding", false],
      ["model.layers.0.self_attn.q_proj.bias", "not a layer's weight", false],
      ["model.layers.1.input_layernorm.weight", "not a matrix", false],
    ]);
    for (const { norm } of report.rest) expect(norm).toBeGreaterThan(1);
    expect(report.shareOfAll).toBeLessThan(0.1);
    expect(report.share).toBeGreaterThan(0.999);
  });

  it("is kept whole if asked for, where PEFT finds it", async () => {
    const { adapter, report } = await extractAdapter(source(baseModel()), source(withRest()), {
      keepRest: true,
    });
    expect(adapter.tensors.map(({ name, role }) => [name, role])).toEqual([
      ["lm_head.weight", "replace"],
      ["model.embed_tokens.weight", "replace"],
      ["model.layers.0.self_attn.q_proj.bias", "bias"],
      ["model.layers.1.input_layernorm.weight", "replace"],
    ]);
    expect(report.shareOfAll).toBeGreaterThan(0.999);
    const files = writeAdapter(adapter, { factors: "F32" });
    const config = JSON.parse(new TextDecoder().decode(files.get("adapter_config.json")));
    expect(config).toMatchObject({ bias: "all", modules_to_save: ["model.layers.1.input_layernorm"] });
    const back = readAdapter(files);
    const byName = (x: { name: string }, y: { name: string }): number => (x.name < y.name ? -1 : 1);
    expect([...back.tensors].sort(byName)).toEqual([...adapter.tensors].sort(byName));
  });

  it("becomes a module if embeddings are requested", async () => {
    const base = baseModel();
    const tuned = new Map(base);
    const embedding = addLowRank(tuned, "model.embed_tokens", 2, 1);
    const head = addLowRank(tuned, "lm_head", 2, 3);
    const { adapter } = await extractAdapter(source(base), source(tuned), { embeddings: true, rank: 2 });
    expect(adapter.modules).toMatchObject([
      { name: "lm_head", role: "linear", out: 40, in: 24, baseLayout: "out-in" },
      { name: "model.embed_tokens", role: "embedding", out: 24, in: 40, baseLayout: "in-out" },
    ]);
    expect(relativeError(product(adapter.modules[0]!), head)).toBeLessThan(1e-10);
    expect(relativeError(product(adapter.modules[1]!), embedding)).toBeLessThan(1e-10);
    expect(readAdapter(writeAdapter(adapter, { factors: "F32" })).modules).toHaveLength(2);
  });

  it("is left alone where it is a parameter beside layers, a new tensor, or no float", async () => {
    const { tuned } = fineTuned();
    const more = {
      "model.scale": tensor([4], [1, 2, 3, 4]),
      "model.layers.0.self_attn.position_ids": {
        element: "I64" as const,
        shape: [1],
        data: new Uint8Array(8),
      },
    };
    const base = changed(baseModel(), more);
    tuned.set("model.scale", tensor([4], [1, 2, 3, 5]));
    tuned.set("model.layers.0.self_attn.position_ids", {
      ...more["model.layers.0.self_attn.position_ids"],
      data: new Uint8Array(8).fill(1),
    });
    tuned.set("model.extra.bias", tensor([2], [1, 1]));
    const { report, adapter } = await extractAdapter(source(base), source(tuned), { keepRest: true });
    expect(report.rest).toMatchObject([
      { name: "model.extra.bias", reason: "not in the base", norm: null, kept: true },
      {
        name: "model.layers.0.self_attn.position_ids",
        reason: "not floating point",
        norm: null,
        kept: false,
      },
      { name: "model.scale", reason: "not a layer's weight", norm: 1, kept: false },
    ]);
    expect(adapter.tensors).toHaveLength(1);
  });

  it("may hold NaN and infinities that did not change", async () => {
    const { tuned } = fineTuned();
    const mask = tensor([2, 2], [0, Number.NEGATIVE_INFINITY, Number.NaN, 0]);
    tuned.set("model.mask", mask);
    const { report } = await extractAdapter(
      source(changed(baseModel(), { "model.mask": mask })),
      source(tuned),
    );
    expect(report.rest).toEqual([]);
  });
});

describe("layers", () => {
  it("are chosen by patterns", async () => {
    const { tuned } = fineTuned();
    const names = async (options: ExtractOptions): Promise<string[]> =>
      (await extractAdapter(source(baseModel()), source(tuned), options)).adapter.modules.map(
        ({ name }) => name,
      );
    expect(await names({ include: ["q_proj"] })).toEqual(LAYERS.filter((name) => name.endsWith("q_proj")));
    expect(await names({ exclude: ["layers.0.*"] })).toEqual(
      LAYERS.filter((name) => name.includes("layers.1")),
    );
    expect(
      await names({ include: ["*_proj"], exclude: ["*.mlp.*", "model.layers.?.self_attn.k*"] }),
    ).toHaveLength(2);
    expect((await failure(baseModel(), tuned, { include: ["proj"] })).kind).toBe("NOTHING_TO_EXTRACT");
  });

  it("of convolutions keep their kernels", async () => {
    const base: TestModel = new Map([
      ["down.conv.weight", tensor([12, 5, 3, 3], noise(540, 1))],
      ["audio.weight", tensor([12, 5, 7], noise(420, 2))],
      ["depthwise.weight", tensor([12, 1, 3, 3], noise(108, 3))],
      ["experts.weight", tensor([2, 5, 100], noise(1000, 4))],
    ]);
    const tuned = changed(base, {
      "depthwise.weight": tensor([12, 1, 3, 3], noise(108, 4)),
      "experts.weight": tensor([2, 5, 100], noise(1000, 5)),
    });
    const conv = addLowRank(tuned, "down.conv", 2, 5);
    addLowRank(tuned, "audio", 2, 6);
    const { adapter, report } = await extractAdapter(source(base), source(tuned), { rank: 2 });
    expect(adapter.modules).toMatchObject([
      { name: "audio", role: "conv1d", out: 12, in: 5, kernel: [7] },
      { name: "down.conv", role: "conv2d", out: 12, in: 5, kernel: [3, 3] },
    ]);
    expect(relativeError(product(adapter.modules[1]!), conv)).toBeLessThan(1e-11);
    expect(report.rest.map(({ name, reason }) => [name, reason])).toEqual([
      ["depthwise.weight", "one input channel"],
      ["experts.weight", "not a matrix"],
    ]);
    expect(readAdapter(writeAdapter(adapter, { factors: "F32" })).modules).toHaveLength(2);
  });

  it("of GPT-2 are seen to be stored (in, out), and match across saved heads", async () => {
    const body: TestModel = new Map([
      ["wte.weight", tensor([40, 16], noise(640, 1))],
      ["h.0.attn.c_attn.weight", tensor([16, 48], noise(768, 2))],
      ["h.0.attn.c_proj.weight", tensor([16, 16], noise(256, 3))],
    ]);
    const tuned: TestModel = new Map([...body].map(([name, value]) => [`transformer.${name}`, value]));
    const delta = addLowRank(tuned, "transformer.h.0.attn.c_attn", 2, 5);
    const both = [
      await extractAdapter(source(body), source(tuned), { rank: 2 }),
      await extractAdapter(
        source(body),
        source(new Map([...tuned].map(([name, value]) => [name.replace("transformer.", ""), value]))),
        { rank: 2, prefix: "transformer." },
      ),
    ];
    for (const { adapter, report } of both) {
      expect(report).toMatchObject({ fanInFanOut: true, unchanged: 2 });
      expect(adapter.modules).toMatchObject([
        { name: "transformer.h.0.attn.c_attn", out: 48, in: 16, baseLayout: "in-out" },
      ]);
      expect(relativeError(product(adapter.modules[0]!), delta)).toBeLessThan(1e-11);
      const config = writeAdapter(adapter, { factors: "F32" }).get("adapter_config.json");
      expect(JSON.parse(new TextDecoder().decode(config)).fan_in_fan_out).toBe(true);
    }
    const back = await extractAdapter(source(tuned), source(body), { rank: 2 });
    expect(back.adapter.modules[0]!.name).toBe("transformer.h.0.attn.c_attn");
    const forced = await extractAdapter(source(body), source(tuned), { rank: 2, fanInFanOut: false });
    expect(forced.adapter.modules).toMatchObject([{ out: 16, in: 48, baseLayout: "out-in" }]);
  });
});

describe("reading", () => {
  it("holds one tensor at a time, in pieces", async () => {
    const big: TestModel = new Map([
      ["a.weight", tensor([2048, 1536], noise(2048 * 1536, 1))],
      ["b.weight", tensor([64, 48], noise(64 * 48, 2))],
    ]);
    const tuned = new Map(big);
    addLowRank(tuned, "a", 1, 3);
    addLowRank(tuned, "b", 1, 4);
    const calls: { which: string; offset: number; length: number }[] = [];
    const counting = (model: TestModel, which: string): ByteSource => {
      const inner = source(model);
      return {
        size: inner.size,
        read(offset, length, signal) {
          calls.push({ which, offset, length });
          return inner.read(offset, length, signal);
        },
      };
    };
    const { report } = await extractAdapter(counting(big, "base"), counting(tuned, "tuned"), { rank: 1 });
    expect(report.modules).toHaveLength(2);
    for (const { length } of calls) expect(length).toBeLessThanOrEqual(4 * 1024 * 1024);
    // Two headers in two reads each; then each piece of one side followed by the same piece of the other.
    const pieces = calls.slice(4);
    expect(pieces).toHaveLength(2 * (3 + 1));
    for (let i = 0; i < pieces.length; i += 2) {
      expect(pieces[i]).toMatchObject({ which: "base", length: pieces[i + 1]!.length });
      expect(pieces[i + 1]!.which).toBe("tuned");
    }
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    expect(bytes).toBe(2 * 4 * (2048 * 1536 + 64 * 48));
  });

  it("stops when asked to, and tells how far it is", async () => {
    const { tuned } = fineTuned();
    const controller = new AbortController();
    const seen: string[] = [];
    const error = await failure(baseModel(), tuned, {
      signal: controller.signal,
      onProgress: (done, total, name) => {
        expect(total).toBe(11);
        seen.push(name);
        if (done === 1) controller.abort();
      },
    });
    expect(error.kind).toBe("ABORTED");
    expect(seen).toEqual(LAYERS.slice(0, 2));
  });
});

describe("bad input", () => {
  const { tuned } = fineTuned();
  const q = "model.layers.0.self_attn.q_proj.weight";

  it("identical models, or nothing among the chosen layers", async () => {
    expect((await failure(baseModel(), baseModel())).kind).toBe("NOTHING_TO_EXTRACT");
    const norm = changed(baseModel(), { "model.norm.weight": tensor([24], noise(24, 1)) });
    const error = await failure(baseModel(), norm, { keepRest: true });
    expect(error).toMatchObject({ kind: "NOTHING_TO_EXTRACT", class: "S" });
    expect(error.actual).toContain('"model.norm.weight" (not a matrix)');
  });

  it("weights that only one model has", async () => {
    const without = changed(
      baseModel(),
      Object.fromEntries(LAYERS.map((name) => [`${name}.weight`, undefined])),
    );
    const only = await failure(without, tuned);
    expect(only.kind).toBe("MODELS_DIFFER");
    expect(only.actual).toContain(`only in the tuned model: `);
    expect(only.actual).toContain(q);
    const lost = await failure(tuned, without);
    expect(lost.actual).toContain("only in the base model");
    const some = await failure(changed(baseModel(), { [q]: undefined }), tuned, {
      exclude: ["layers.0.self_attn.q_proj"],
    }).catch(() => undefined);
    expect(some).toBeUndefined();
    const kept = await extractAdapter(source(changed(baseModel(), { [q]: undefined })), source(tuned), {
      keepRest: true,
    });
    expect(kept.adapter.tensors).toMatchObject([{ name: q, role: "replace" }]);
    const { report } = await extractAdapter(
      source(changed(baseModel(), { "old.bias": tensor([1], [1]) })),
      source(tuned),
    );
    expect(report.onlyInBase).toEqual(["old.bias"]);
  });

  it("models that have nothing in common", async () => {
    const other: TestModel = new Map([["x.weight", tensor([2, 2], [1, 2, 3, 4])]]);
    expect((await failure(other, tuned)).kind).toBe("MODELS_DIFFER");
    expect((await failure(other, new Map())).kind).toBe("MODELS_DIFFER");
  });

  it("another shape: an error for a layer, a note for an embedding", async () => {
    const shape = await failure(baseModel(), changed(tuned, { [q]: tensor([24, 32], noise(768, 1)) }));
    expect(shape).toMatchObject({ kind: "MODELS_DIFFER", expected: "[32,24], as in the base model" });
    const resized = changed(tuned, { "model.embed_tokens.weight": tensor([42, 24], noise(1008, 1)) });
    const { report } = await extractAdapter(source(baseModel()), source(resized));
    expect(report.rest).toMatchObject([{ reason: "another shape in the base", shape: [42, 24], norm: null }]);
    expect((await failure(baseModel(), resized, { embeddings: true })).kind).toBe("MODELS_DIFFER");
  });

  it("NaN and infinities, with tensor and index", async () => {
    const values = noise(768, 1);
    values[700] = Number.NaN;
    const error = await failure(baseModel(), changed(tuned, { [q]: tensor([32, 24], values) }));
    expect(error).toMatchObject({ kind: "SOURCE_NONFINITE", actual: "NaN at element 700" });
    expect(error.where).toContain("of the tuned model");
    values[700] = Number.NEGATIVE_INFINITY;
    const base = await failure(changed(baseModel(), { [q]: tensor([32, 24], values) }), tuned);
    expect(base.where).toContain("of the base model");
    const huge = (sign: number) =>
      changed(baseModel(), { [q]: tensor([32, 24], noise(768, 1).fill(sign * 3e38)) });
    expect((await failure(huge(1), huge(-1))).kind).toBe("SOURCE_RANGE");
  });

  it("quantized weights and element types without a difference", async () => {
    const integers = { element: "U8" as const, shape: [32, 24], data: new Uint8Array(768) };
    expect((await failure(baseModel(), changed(tuned, { [q]: integers }))).kind).toBe("SOURCE_ELEMENT_TYPE");
    expect((await failure(changed(baseModel(), { [q]: integers }), tuned)).kind).toBe("SOURCE_ELEMENT_TYPE");
    const text = '{"a.weight":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]}}';
    const file = new Uint8Array(8 + text.length + 4);
    file[0] = text.length;
    file.set(new TextEncoder().encode(text), 8);
    const error = await failure(memorySource(file), tuned);
    expect(error).toMatchObject({ kind: "SOURCE_ELEMENT_TYPE", actual: '"F8_E4M3"' });
    expect(error.where).toBe('the base model, tensor "a.weight"');
    expect(error.advice).toContain("Convert the model");
  });

  it("broken files", async () => {
    const bytes = fileOf(baseModel());
    for (const cut of [0, 7, 100, bytes.length - 1]) {
      expect((await failure(memorySource(bytes.subarray(0, cut)), tuned)).kind).toBe("TRUNCATED_SOURCE");
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    expect((await failure(memorySource(longer), tuned)).kind).toBe("SOURCE_HEADER");
    // A source that shrank after its header was read.
    const shrunk: ByteSource = {
      size: bytes.length,
      read: async (offset, length) => bytes.subarray(offset, Math.min(offset + length, bytes.length - 3000)),
    };
    expect((await failure(shrunk, tuned)).kind).toBe("TRUNCATED_SOURCE");
  });

  it("an index that lies", async () => {
    const model = baseModel();
    const withIndex = (change: (map: Record<string, unknown>) => unknown): ShardedModel => {
      const { files, index } = sharded(model, 2);
      const map = JSON.parse(new TextDecoder().decode(index)).weight_map as Record<string, unknown>;
      const text = change(map) ?? { weight_map: map };
      return {
        files,
        index: new TextEncoder().encode(typeof text === "string" ? text : JSON.stringify(text)),
      };
    };
    const first = "model-00001-of-00002.safetensors";
    const second = "model-00002-of-00002.safetensors";
    const cases: [(map: Record<string, unknown>) => unknown, string, RegExp][] = [
      [() => "{", "SOURCE_SHARDS", /shard index/],
      [() => "[]", "SOURCE_SHARDS", /weight_map/],
      [() => ({ weight_map: [] }), "SOURCE_SHARDS", /weight_map/],
      [(map) => void (map[q] = "../secret.safetensors"), "SOURCE_SHARDS", /plain name/],
      [(map) => void (map[q] = 7), "SOURCE_SHARDS", /plain name/],
      [(map) => void (map[q] = "model-00009-of-00002.safetensors"), "NOT_FOUND", /00009/],
      [(map) => void (map[q] = map[q] === first ? second : first), "SOURCE_SHARDS", /q_proj/],
      [(map) => void (map.ghost = first), "SOURCE_SHARDS", /"ghost"/],
      [(map) => void delete map[q], "SOURCE_SHARDS", /q_proj/],
    ];
    for (const [change, kind, text] of cases) {
      const error = await failure(withIndex(change), tuned);
      expect(error.kind).toBe(kind);
      expect(error.message).toMatch(text);
    }
    const { files } = sharded(model, 2);
    const doubled = new Map([...files, ["again.safetensors", files.get(first)!]]);
    expect((await failure({ files: doubled }, tuned)).kind).toBe("SOURCE_SHARDS");
  });

  it("ranks and shares out of range", async () => {
    for (const options of [{ rank: 0 }, { rank: 1.5 }, { rank: 4097 }, { energy: 0 }, { energy: 1.1 }]) {
      expect((await failure(baseModel(), tuned, options)).kind).toBe("USAGE");
    }
    // Above the dimension the dimension is the rank.
    const { report } = await extractAdapter(source(baseModel()), source(tuned), { rank: 4096 });
    for (const { rank } of report.modules) expect(rank).toBeLessThanOrEqual(24);
  });
});
