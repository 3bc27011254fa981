/** What tables of tensors leave to their convention: axes of magnitudes, styles of keys, factors of several layers in one. */

import { describe, expect, it } from "vitest";
import { type ReadOptions, readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { type SafeTensor, writeSafetensors } from "../helpers/safetensors.ts";
import { bytesOf, floats } from "./build.ts";
import { SMALL_ADAPTERS } from "./small.ts";

const file = (tensors: Record<string, SafeTensor>): Map<string, Uint8Array> =>
  new Map([["x.safetensors", writeSafetensors(new Map(Object.entries(tensors)))]]);

describe("the axis of a magnitude", () => {
  const KOHYA = "lora_unet_mid_block_resnets_0_conv1";
  const DIFFUSERS = "unet.mid_block.resnets.0.conv1";
  const kohya = (kernel: number[], magnitude: number[]) => ({
    [`${KOHYA}.lora_down.weight`]: floats([2, 4, ...kernel]),
    [`${KOHYA}.lora_up.weight`]: floats([4, 2, ...kernel.map(() => 1)]),
    [`${KOHYA}.dora_scale`]: floats(magnitude),
  });
  const diffusers = (kernel: number[], magnitude: number[]) => ({
    [`${DIFFUSERS}.lora_A.weight`]: floats([2, 4, ...kernel]),
    [`${DIFFUSERS}.lora_B.weight`]: floats([4, 2, ...kernel.map(() => 1)]),
    [`${DIFFUSERS}.lora_magnitude_vector`]: floats(magnitude),
  });
  it.each([
    ["kohya, a square convolution by output", kohya([3, 3], [4, 1, 1, 1]), 0],
    // LyCORIS with wd_on_output=False.
    ["kohya, a square convolution by input", kohya([3, 3], [1, 4, 1, 1]), 1],
    ["kohya, a square layer by output", kohya([], [4, 1]), 0],
    ["kohya, a square layer by input", kohya([], [1, 4]), 1],
    // PEFT's shape, which is by output wherever the number of outputs stands.
    ["diffusers, a square convolution", diffusers([3, 3], [1, 4, 1, 1]), 0],
    ["diffusers, a square layer", diffusers([], [4]), 0],
  ])("%s", (_name, tensors, axis) => {
    const adapter = readAdapter(file(tensors));
    expect(adapter.tensors.map((tensor) => [tensor.role, tensor.axis])).toEqual([["magnitude", axis]]);
    const written = writeAdapter(adapter, { factors: "source" });
    expect([...written.values()]).toEqual([...file(tensors).values()]);
  });
});

describe("styles of diffusers before 0.20", () => {
  const pair = (a: string, b: string, seed: number): Record<string, SafeTensor> => ({
    [a]: floats([2, 4], seed),
    [b]: floats([4, 2], seed + 1),
  });
  const text = "text_encoder.text_model.encoder.layers.0";
  const unet = "unet.mid_block.attentions.0.transformer_blocks.0";
  it("keep the keys of layers outside the attention", () => {
    const tensors = {
      ...pair(`${text}.self_attn.to_q_lora.down.weight`, `${text}.self_attn.to_q_lora.up.weight`, 1),
      ...pair(`${text}.self_attn.to_out_lora.down.weight`, `${text}.self_attn.to_out_lora.up.weight`, 3),
      ...pair(`${text}.self_attn.to_k_lora.down.weight`, `${text}.self_attn.to_k_lora.up.weight`, 5),
      ...pair(
        `${text}.mlp.fc1.lora_linear_layer.down.weight`,
        `${text}.mlp.fc1.lora_linear_layer.up.weight`,
        7,
      ),
      ...pair(
        `${text}.mlp.fc2.lora_linear_layer.down.weight`,
        `${text}.mlp.fc2.lora_linear_layer.up.weight`,
        9,
      ),
      ...pair(
        `${unet}.attn1.processor.to_q_lora.down.weight`,
        `${unet}.attn1.processor.to_q_lora.up.weight`,
        11,
      ),
      ...pair(
        `${unet}.attn1.processor.to_out_lora.down.weight`,
        `${unet}.attn1.processor.to_out_lora.up.weight`,
        13,
      ),
      ...pair(`${unet}.ff.net.0.proj.lora.down.weight`, `${unet}.ff.net.0.proj.lora.up.weight`, 15),
    };
    const adapter = readAdapter(file(tensors));
    expect(adapter.modules.map(({ name }) => name).sort()).toEqual(
      [
        `${text}.mlp.fc1`,
        `${text}.mlp.fc2`,
        `${text}.self_attn.k_proj`,
        `${text}.self_attn.out_proj`,
        `${text}.self_attn.q_proj`,
        `${unet}.attn1.to_out.0`,
        `${unet}.attn1.to_q`,
        `${unet}.ff.net.0.proj`,
      ].sort(),
    );
    // No key is an exception that would have to be recorded.
    expect(adapter.origin).not.toHaveProperty("keys");
    const written = writeAdapter(adapter, { factors: "source" });
    expect([...written.values()]).toEqual([...file(tensors).values()]);
  });
});

describe("alpha and multiplier beside files that have their own", () => {
  const bySelf = SMALL_ADAPTERS.filter(({ dialect }) => !["loralib", "mlx"].includes(dialect));
  it.each(bySelf.map((small) => [small.dialect, small.variant, small] as const))(
    "%s: %s",
    (_d, _v, small) => {
      for (const given of [{ alpha: 3 }, { multiplier: 3 }]) {
        expect(() => readAdapter(small.files, { ...small.read, ...given })).toThrow(
          /USAGE.*follow from their files/,
        );
        const many = readAdapter(small.files, { ...small.read, ...given, scaleIfMissing: true });
        const usual = readAdapter(small.files, small.read);
        expect(many.modules.map(({ multiplier }) => multiplier)).toEqual(
          usual.modules.map(({ multiplier }) => multiplier),
        );
      }
    },
  );
  it("MLX: replaces the configuration's, but not for one of several", () => {
    const config = bytesOf(
      JSON.stringify({ fine_tune_type: "lora", lora_parameters: { scale: 10, rank: 2 } }),
    );
    const files = file({ "q.lora_a": floats([5, 2]), "q.lora_b": floats([2, 6]) });
    const multiplier = (options: ReadOptions): number | undefined =>
      readAdapter(new Map([...files, ["adapter_config.json", config]]), options).modules[0]?.multiplier;
    expect(multiplier({ alpha: 16 })).toBe(8);
    expect(multiplier({ alpha: 16, scaleIfMissing: true })).toBe(10);
    expect(readAdapter(files, { alpha: 16, scaleIfMissing: true }).modules[0]?.multiplier).toBe(8);
  });
});

it("loralib's MergedLinear is refused by name", () => {
  const files = file({ "c_attn.lora_A": floats([8, 16]), "c_attn.lora_B": floats([32, 4]) });
  expect(() => readAdapter(files, { alpha: 4 })).toThrow(/UNSUPPORTED_ADAPTER_FEATURE.*MergedLinear/);
});
