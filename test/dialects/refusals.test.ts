/** What no dialect may guess, what is no LoRA, and files that were damaged: a reason each time, never a wrong ΔW. */

import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { isLqaError } from "../../src/core/index.ts";
import { normal } from "../helpers/random.ts";
import { readSafetensors, type SafeTensor, toFloat32, writeSafetensors } from "../helpers/safetensors.ts";
import { bytesOf, floats, zeros } from "./build.ts";
import { deltaOf } from "./delta.ts";
import { SMALL_ADAPTERS } from "./small.ts";

type Rows = readonly (readonly [string, SafeTensor])[];
const file = (tensors: Rows, name = "x.safetensors"): Map<string, Uint8Array> =>
  new Map([[name, writeSafetensors(new Map(tensors))]]);
const kohya = (name = "lora_unet_conv_in"): Rows => [
  [`${name}.lora_down.weight`, floats([2, 5])],
  [`${name}.lora_up.weight`, floats([6, 2])],
];
const diffusers: Rows = [
  ["unet.conv_in.lora_A.weight", floats([2, 5])],
  ["unet.conv_in.lora_B.weight", floats([6, 2])],
];
const loralib: Rows = [
  ["q.lora_A", floats([2, 5])],
  ["q.lora_B", floats([6, 2])],
];
const mlx = (a = [5, 2], b = [2, 6]): Rows => [
  ["q.lora_a", floats(a)],
  ["q.lora_b", floats(b)],
];

describe("files that may be several dialects", () => {
  it.each<[string, Map<string, Uint8Array>, string]>([
    ["kohya and diffusers", file([...kohya(), ...diffusers]), "kohya or --from diffusers"],
    ["loralib and MLX", file([...loralib, ...mlx()]), "loralib or --from mlx"],
    ["kohya and loralib", file([...kohya(), ...loralib]), "kohya or --from loralib"],
    [
      "a PEFT configuration beside MLX keys",
      file(mlx()).set("adapter_config.json", bytesOf('{"peft_type":"LORA"}')),
      "peft or --from mlx",
    ],
  ])("%s: names the candidates, and advises --from", (_name, files, advice) => {
    try {
      readAdapter(files);
      expect.fail("read");
    } catch (error) {
      expect(isLqaError(error, "UNSUPPORTED_DIALECT") && error.advice).toBe(
        `Say which it is: --from ${advice}.`,
      );
    }
  });

  it("--from decides, and says what does not belong there", () => {
    const files = file([...kohya(), ...diffusers]);
    expect(() => readAdapter(files, { from: "kohya" })).toThrow(
      /SOURCE_UNKNOWN_TENSOR.*unet\.conv_in.*a key of kohya/,
    );
    expect(() => readAdapter(files, { from: "diffusers" })).toThrow(/SOURCE_UNKNOWN_TENSOR.*lora_unet/);
    expect(readAdapter(files, { from: "kohya", keepUnsupported: true }).modules).toHaveLength(1);
    expect(() => readAdapter(files, { from: "safetensors" as never })).toThrow(/USAGE.*peft, kohya/);
    expect(() => readAdapter(file(kohya()), { from: "gguf" })).toThrow(/SOURCE_HEADER/);
    expect(() => readAdapter(file(kohya()), { from: "onnx" })).toThrow(/SOURCE_HEADER.*TORT/);
  });
});

it("components of diffusion pipelines keep their names from kohya to diffusers and back", () => {
  const source = readAdapter(file(kohya("lora_prior_te_text_model_encoder_layers_0_self_attn_q_proj")));
  const names = ["prior_text_encoder.text_model.encoder.layers.0.self_attn.q_proj"];
  const there = writeAdapter(source, { factors: "source", to: "diffusers" });
  const read = readAdapter(there, { from: "diffusers" });
  expect([source, read].map(({ modules }) => modules.map(({ name }) => name))).toEqual([names, names]);
  expect(readAdapter(writeAdapter(read, { factors: "source", to: "kohya" })).modules[0]!.name).toBe(names[0]);
});

describe("layouts are not guessed", () => {
  const square = mlx([4, 4], [4, 4]);
  it("square factors of a square layer mean what the dialect says", () => {
    const [a, b] = square.map(([, tensor]) => toFloat32(tensor)) as [Float32Array, Float32Array];
    const renamed = square.map(
      ([key, tensor]) => [key.replace(/[ab]$/, (end) => end.toUpperCase()), tensor] as const,
    );
    const told = { multiplier: 1 };
    const expected = (value: (o: number, i: number, r: number) => number): number[] =>
      Array.from({ length: 16 }, (_, at) =>
        [0, 1, 2, 3].reduce((sum, r) => sum + value(at >> 2, at & 3, r), 0),
      );
    expect([...deltaOf(readAdapter(file(square), told).modules[0]!)]).toEqual(
      expected((o, i, r) => b[4 * r + o]! * a[4 * i + r]!),
    );
    expect([...deltaOf(readAdapter(file(renamed), told).modules[0]!)]).toEqual(
      expected((o, i, r) => b[4 * o + r]! * a[4 * r + i]!),
    );
  });
  it("PEFT's orientation under MLX's names is refused, not turned", () => {
    expect(() => readAdapter(file(mlx([2, 5], [6, 2])), { multiplier: 1 })).toThrow(
      /SOURCE_SHAPE.*lora_a \[in, r\]/,
    );
    try {
      readAdapter(file(mlx([2, 5], [6, 2])), { multiplier: 1 });
    } catch (error) {
      expect(isLqaError(error) && error.advice).toMatch(/look transposed, as PEFT stores them/);
    }
  });
  it("MLX's orientation under loralib's names is refused", () => {
    const turned = loralib.map(([key, { shape }]) => [key, floats([...shape].reverse())] as const);
    expect(() => readAdapter(file(turned), { alpha: 2 })).toThrow(/SOURCE_SHAPE/);
  });
});

describe("multipliers follow the dialect or must be given", () => {
  const alpha =
    (tensor: SafeTensor): (() => unknown) =>
    () =>
      readAdapter(file([...kohya(), ["lora_unet_conv_in.alpha", tensor]]));
  const f32 = (value: number, shape: number[] = []): SafeTensor => ({
    element: "F32",
    shape,
    data: new Uint8Array(Float32Array.of(value).buffer),
  });
  it.each<[string, SafeTensor, RegExp]>([
    ["two numbers", floats([2]), /SOURCE_SHAPE.*one number/],
    ["NaN", f32(Number.NaN), /SOURCE_CONFIG.*binary32/],
    ["infinity", f32(Number.POSITIVE_INFINITY), /SOURCE_CONFIG/],
    ["a bool", zeros([], "BOOL", 1), /SOURCE_ELEMENT_TYPE/],
  ])("alpha: %s", (_name, tensor, message) => {
    expect(alpha(tensor)).toThrow(message);
  });
  it("negative alphas are alphas", () => {
    expect((alpha(f32(-3))() as ReturnType<typeof readAdapter>).modules[0]!.multiplier).toBe(-1.5);
  });
  it("loralib and MLX without configuration ask", () => {
    expect(() => readAdapter(file(loralib))).toThrow(/SOURCE_CONFIG.*alpha it was trained with/);
    expect(() => readAdapter(file(mlx()))).toThrow(/SOURCE_CONFIG.*no configuration/);
    expect(() => readAdapter(file(loralib), { alpha: 1, multiplier: 1 })).toThrow(/USAGE.*one of them/);
    expect(() => readAdapter(file(loralib), { alpha: Number.NaN })).toThrow(/USAGE/);
    expect(readAdapter(file(loralib), { alpha: 0 }).modules[0]!.multiplier).toBe(0);
  });
  it.each([["full"], ["unknown"], [3]])("MLX fine_tune_type %s", (type) => {
    const config = bytesOf(JSON.stringify({ fine_tune_type: type, lora_parameters: { scale: 1 } }));
    expect(() => readAdapter(file(mlx()).set("adapter_config.json", config))).toThrow(
      /UNSUPPORTED_ADAPTER_FEATURE.*fine_tune_type/,
    );
  });
  it("an MLX scale that is no number", () => {
    const config = bytesOf('{"lora_parameters":{"scale":"20"}}');
    expect(() => readAdapter(file(mlx()).set("adapter_config.json", config))).toThrow(/SOURCE_CONFIG.*scale/);
  });
});

describe("what is no LoRA is refused by name, or carried", () => {
  it.each(["LOHA", "LOKR"])("%s names the converter of PEFT", (type) => {
    const config = bytesOf(JSON.stringify({ peft_type: type, r: 2 }));
    const adapter = file(mlx()).set("adapter_config.json", config);
    const advice = { advice: expect.stringContaining("peft.save_as_lora") };
    expect(() => readAdapter(adapter)).toThrow(expect.objectContaining(advice));
  });

  const others: readonly (readonly [string, string, RegExp])[] = [
    ["lokr_w1", "lora_unet_x", /LoKr/],
    ["lokr_w2_a", "lora_unet_x", /LoKr/],
    ["hada_w1_a", "lora_unet_x", /LoHa/],
    ["lora_mid.weight", "lora_unet_x", /Tucker/],
    ["oft_blocks", "lora_unet_x", /OFT/],
    ["diff", "lora_unet_x", /whole differences/],
    ["diff_b", "lora_unet_x", /whole differences/],
    ["w_norm", "lora_unet_x", /norm/],
    ["a1.weight", "lora_unet_x", /GLoRA/],
    ["ia3_l", "base_model.model.x", /IA³/],
    ["lora_E", "base_model.model.x", /AdaLoRA/],
    ["vera_lambda_d", "base_model.model.x", /VeRA/],
    ["scalar", "lora_unet_x", /scalar/],
  ];
  it.each(others)("%s beside LoRA", (leaf, module, method) => {
    const tensors: Rows = [...kohya(), [`${module}.${leaf}`, floats([2, 2], 9)]];
    const files = file(tensors);
    expect(() => readAdapter(files, { from: "kohya" })).toThrow(/UNSUPPORTED_ADAPTER_FEATURE/);
    expect(() => readAdapter(files, { from: "kohya" })).toThrow(method);
    const notes: string[] = [];
    const kept = readAdapter(files, {
      from: "kohya",
      keepUnsupported: true,
      onNote: (note) => void notes.push(note),
    });
    expect(notes.join()).toMatch(method);
    expect(kept.tensors.map(({ role, name }) => [role, name])).toEqual([["carried", `${module}.${leaf}`]]);
    const [[, bytes]] = [...writeAdapter(kept, { factors: "source" })] as [[string, Uint8Array]];
    expect([...readSafetensors(bytes).tensors.keys()].sort()).toEqual(tensors.map(([key]) => key).sort());
    expect(Buffer.compare(bytes, files.get("x.safetensors")!)).toBe(0);
  });
  it("alone, under any name", () => {
    expect(() => readAdapter(file([["lora_unet_x.lokr_w1", floats([2, 2])]]))).toThrow(/LoKr/);
    expect(() =>
      readAdapter(
        file([
          ["lora_unet_x.lokr_w1", floats([2, 2])],
          ["lora_unet_x.alpha", floats([1])],
        ]),
      ),
    ).toThrow(/LoKr/);
  });
});

describe("factors without their partner, and two for one place", () => {
  it.each<[string, Rows]>([
    ["no B", kohya().slice(0, 1)],
    ["no A", kohya().slice(1)],
    ["an alpha alone", [...kohya(), ["lora_unet_conv_out.alpha", floats([1])]]],
  ])("%s", (_name, tensors) => {
    expect(() => readAdapter(file(tensors))).toThrow(/SOURCE_UNPAIRED_FACTOR/);
  });
  it("two keys for one factor", () => {
    expect(() =>
      readAdapter(file([...diffusers, ["unet.conv_in.lora.down.weight", floats([2, 5])]])),
    ).toThrow(/SOURCE_UNKNOWN_TENSOR.*one tensor for this place/);
  });
  it("ranks that differ, empty factors, grouped convolutions", () => {
    const pair =
      (a: number[], b: number[]): (() => unknown) =>
      () =>
        readAdapter(
          file([
            ["lora_unet_conv_in.lora_down.weight", floats(a)],
            ["lora_unet_conv_in.lora_up.weight", floats(b)],
          ]),
        );
    expect(pair([2, 5], [6, 3])).toThrow(/SOURCE_SHAPE/);
    expect(pair([0, 5], [6, 0])).toThrow(/SOURCE_SHAPE/);
    expect(pair([4, 5, 3, 3], [6, 2, 1, 1])).toThrow(/grouped convolution \(2 groups\)/);
    expect(pair([2, 5, 3, 3], [6, 2, 3, 3])).toThrow(/SOURCE_SHAPE/);
    expect(pair([2, 5, 1], [6, 2])).toThrow(/SOURCE_SHAPE/);
  });
});

describe("damaged files", () => {
  it.each(SMALL_ADAPTERS.map((each) => [each.dialect, each.variant, each] as const))(
    "%s: %s",
    (_d, _v, small) => {
      const next = normal(7);
      const integer = (below: number): number => Math.floor(Math.abs(next() * 1e6)) % below;
      for (const [name, contents] of small.files) {
        const bytes = contents.subarray(0, contents.length);
        // Most of what can go wrong stands at the beginning, or in an archive at the end.
        const places = [...Array(60).keys()].map((i) =>
          i % 3 === 0
            ? integer(bytes.length)
            : i % 3 === 1
              ? integer(Math.min(200, bytes.length))
              : bytes.length - 1 - integer(Math.min(200, bytes.length)),
        );
        const damaged = places.flatMap((at, i) => {
          const flipped = bytes.slice();
          flipped[at] = i % 2 === 0 ? flipped[at]! ^ (1 << (i % 8)) : integer(256);
          return [flipped, bytes.slice(0, at)];
        });
        for (const contents of damaged) {
          for (const from of [undefined, small.dialect]) {
            try {
              readAdapter(new Map(small.files).set(name, contents), { ...small.read, from });
            } catch (error) {
              if (!isLqaError(error)) throw error;
            }
          }
        }
      }
    },
  );
});
