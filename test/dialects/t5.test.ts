/** ComfyUI's T5-XXL: the second text encoder of Flux, the third of Stable Diffusion 3, and of neither without their keys. */

import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { type SafeTensor, writeSafetensors } from "../helpers/safetensors.ts";
import { floats } from "./build.ts";

const T5 = "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q";

function fileOf(...layers: string[]): Map<string, Uint8Array> {
  const tensors = layers.flatMap((layer, i): [string, SafeTensor][] => [
    [`${layer}.lora_down.weight`, floats([2, 6], i)],
    [`${layer}.lora_up.weight`, floats([4, 2], i + 9)],
  ]);
  return new Map([["lora.safetensors", writeSafetensors(new Map(tensors))]]);
}

describe("T5-XXL in a file of ComfyUI", () => {
  it.each([
    ["Flux", "diffusion_model.double_blocks.0.img_attn.qkv", "text_encoder_2"],
    ["Stable Diffusion 3", "diffusion_model.joint_blocks.0.x_block.attn.qkv", "text_encoder_3"],
    [
      "Stable Diffusion 3, text encoders alone",
      "text_encoders.clip_g.transformer.text_model.encoder.layers.0.mlp.fc1",
      "text_encoder_3",
    ],
  ])("%s", (_model, other, component) => {
    const files = fileOf(T5, other);
    const adapter = readAdapter(files);
    expect(adapter.modules.map(({ name }) => name)).toContain(
      `${component}.encoder.block.0.layer.0.SelfAttention.q`,
    );
    expect([...writeAdapter(adapter, { factors: "source" })]).toEqual([...files]);
  });

  it("is refused where nothing says which of them it is", () => {
    expect(() =>
      readAdapter(fileOf(T5, "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1")),
    ).toThrow(/SOURCE_UNKNOWN_TENSOR.*t5xxl/);
  });
});
