/** Flux to kohya: the layers of the authors' code that sd-scripts writes, which test/interop loads in diffusers. */
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import {
  readSafetensors,
  type SafeTensor,
  toFloat32,
  writeSafetensors,
} from "../../src/adapters/safetensors.ts";
import { floats } from "./build.ts";

type Layer = readonly [path: string, rank: number, out: number, width: number];

/** Layers of a transformer in diffusers, written as a kohya file: its tensors, and the notes. */
function kohyaOf(layers: readonly Layer[], more: [string, SafeTensor][] = []) {
  const tensors = layers.flatMap(([path, rank, out, width], i): [string, SafeTensor][] => [
    [`transformer.${path}.lora_A.weight`, floats([rank, width], 2 * i + 1)],
    [`transformer.${path}.lora_B.weight`, floats([out, rank], 2 * i + 2)],
  ]);
  const notes: string[] = [];
  const adapter = readAdapter(
    new Map([["lora.safetensors", writeSafetensors(new Map([...tensors, ...more]))]]),
  );
  const onNote = (note: string): void => void notes.push(note);
  const [file] = writeAdapter(adapter, { factors: "source", to: "kohya", onNote }).values();
  const written = readSafetensors(file!).tensors;
  const of = (key: string) => toFloat32(written.get(key)!);
  const given = (at: number) => {
    const [, rank, out, width] = layers[at]!;
    return {
      a: toFloat32(floats([rank, width], 2 * at + 1)),
      b: toFloat32(floats([out, rank], 2 * at + 2)),
    };
  };
  return {
    keys: [...written.keys()].sort(),
    shape: (key: string) => written.get(key)!.shape,
    of,
    given,
    notes,
  };
}

const W = 3072;
const modules = (keys: readonly string[]): string[] => [...new Set(keys.map((key) => key.split(".")[0]!))];

describe("Flux to kohya", () => {
  it("puts queries, keys and values into one pair of factors, and zeros where a layer is not adapted", () => {
    const { keys, shape, of, given, notes } = kohyaOf([
      ["transformer_blocks.3.attn.to_q", 2, W, W],
      ["transformer_blocks.3.attn.to_v", 3, W, W],
    ]);
    const name = "lora_unet_double_blocks_3_img_attn_qkv";
    expect(keys).toEqual([`${name}.alpha`, `${name}.lora_down.weight`, `${name}.lora_up.weight`]);
    expect(shape(`${name}.lora_down.weight`)).toEqual([9, W]);
    expect(shape(`${name}.lora_up.weight`)).toEqual([3 * W, 9]);
    expect(notes).toEqual([]);
    expect(of(`${name}.alpha`)).toEqual(Float32Array.of(9));
    const [q, v] = [given(0), given(1)];
    const expectedA = new Float32Array(9 * W);
    expectedA.set(q.a);
    expectedA.set(v.a, 6 * W);
    const expectedB = new Float32Array(3 * W * 9);
    for (let row = 0; row < W; row++) {
      expectedB.set(q.b.subarray(2 * row, 2 * row + 2), 9 * row);
      expectedB.set(v.b.subarray(3 * row, 3 * row + 3), 9 * (2 * W + row) + 6);
    }
    expect(Buffer.from(of(`${name}.lora_down.weight`).buffer).equals(Buffer.from(expectedA.buffer))).toBe(
      true,
    );
    expect(Buffer.from(of(`${name}.lora_up.weight`).buffer).equals(Buffer.from(expectedB.buffer))).toBe(true);
  });

  it("adds the MLP of a single block, and has each other layer alone", () => {
    const { keys, shape, of, given } = kohyaOf([
      ["single_transformer_blocks.37.attn.to_k", 2, W, W],
      ["single_transformer_blocks.37.proj_mlp", 2, 4 * W, W],
      ["single_transformer_blocks.37.proj_out", 2, W, 5 * W],
      ["transformer_blocks.0.ff_context.net.0.proj", 2, 4 * W, W],
      ["norm_out.linear", 2, 2 * W, W],
      ["time_text_embed.guidance_embedder.linear_2", 2, W, W],
    ]);
    expect(modules(keys)).toEqual([
      "lora_unet_double_blocks_0_txt_mlp_0",
      "lora_unet_final_layer_adaLN_modulation_1",
      "lora_unet_guidance_in_out_layer",
      "lora_unet_single_blocks_37_linear1",
      "lora_unet_single_blocks_37_linear2",
    ]);
    expect(shape("lora_unet_single_blocks_37_linear1.lora_up.weight")).toEqual([7 * W, 8]);
    // The authors have shift before scale.
    const swapped = of("lora_unet_final_layer_adaLN_modulation_1.lora_up.weight");
    const { b } = given(4);
    expect([swapped[0], swapped[2 * W]]).toEqual([b[2 * W], b[0]]);
    expect(of("lora_unet_single_blocks_37_linear2.lora_up.weight")).toEqual(given(2).b);
  });

  it.each([
    ["HunyuanVideo's last block", ["transformer_blocks.19.attn.to_q", 2, W, W]],
    ["Stable Diffusion 3", ["transformer_blocks.0.attn.to_q", 2, 1536, 1536]],
    ["Qwen-Image", ["transformer_blocks.0.img_mlp.net.2", 2, W, 4 * W]],
  ] as [string, Layer][])("leaves %s as it is, and says which program reads it", (_, layer) => {
    const { keys, notes } = kohyaOf([["transformer_blocks.1.attn.to_k", 2, layer[2], layer[2]], layer]);
    expect(modules(keys)).toContain(`lora_transformer_${layer[0].replaceAll(".", "_")}`);
    expect(notes.join()).toContain("diffusers does not read them");
  });

  it("leaves DoRA as it is", () => {
    const path = "transformer.transformer_blocks.0.attn.to_q";
    const { keys } = kohyaOf(
      [["transformer_blocks.0.attn.to_q", 2, W, W]],
      [[`${path}.lora_magnitude_vector`, floats([W], 9)]],
    );
    expect(keys).toContain("lora_transformer_transformer_blocks_0_attn_to_q.dora_scale");
  });
});
