/** Flux to kohya and back: the layers of the authors' code that sd-scripts writes, which test/interop loads in diffusers. */

import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { readSafetensors, type SafeTensor, toFloat32, writeSafetensors } from "../helpers/safetensors.ts";
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
    file: file!,
    keys: [...written.keys()].sort(),
    shape: (key: string) => written.get(key)!.shape,
    of,
    given,
    notes,
  };
}

const W = 3072;
const modules = (keys: readonly string[]): string[] => [...new Set(keys.map((key) => key.split(".")[0]!))];
/** The modules of diffusers' keys, sorted. */
const layersOf = (tensors: ReadonlyMap<string, SafeTensor>): string[] =>
  [...new Set([...tensors.keys()].map((key) => key.replace(/\.lora_[AB]\.weight$/, "")))].sort();

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

/** A kohya file's layers under the authors' names as diffusers' file: its tensors by layer, and the notes. */
function diffusersOf(tensors: ReadonlyMap<string, SafeTensor>) {
  const notes: string[] = [];
  const adapter = readAdapter(new Map([["flux.safetensors", writeSafetensors(tensors)]]));
  const onNote = (note: string): void => void notes.push(note);
  const [file] = writeAdapter(adapter, { factors: "source", to: "diffusers", onNote }).values();
  return { written: readSafetensors(file!).tensors, notes };
}

type Fused = readonly [name: string, rank: number, out: number, width: number, alpha?: number];

/** Factors of layers of the authors' code, with alphas. */
function kohyaFile(layers: readonly Fused[]) {
  return new Map(
    layers.flatMap(([name, rank, out, width, alpha = rank], i): [string, SafeTensor][] => [
      [`${name}.lora_down.weight`, floats([rank, width], 2 * i + 1, "BF16")],
      [`${name}.lora_up.weight`, floats([out, rank], 2 * i + 2, "BF16")],
      [`${name}.alpha`, { element: "F32", shape: [], data: new Uint8Array(Float32Array.of(alpha).buffer) }],
    ]),
  );
}

describe("Flux from kohya", () => {
  const linear1: Fused = ["lora_unet_single_blocks_37_linear1", 4, 7 * W, W, 2];

  it("gives each layer its rows of B and the whole A, in the source's element type", () => {
    const tensors = kohyaFile([linear1, ["lora_te1_text_model_encoder_layers_0_mlp_fc1", 2, 5, 4]]);
    const { written, notes } = diffusersOf(tensors);
    const block = "transformer.single_transformer_blocks.37";
    expect(layersOf(written)).toEqual([
      "text_encoder.text_model.encoder.layers.0.mlp.fc1",
      `${block}.attn.to_k`,
      `${block}.attn.to_q`,
      `${block}.attn.to_v`,
      `${block}.proj_mlp`,
    ]);
    expect(notes).toEqual(["The multiplier of 4 modules is folded into B, exactly."]);
    const b = toFloat32(tensors.get(`${linear1[0]}.lora_up.weight`)!).map((value) => value / 2);
    const a = tensors.get(`${linear1[0]}.lora_down.weight`)!;
    let row = 0;
    for (const path of ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]) {
      const found = written.get(`${block}.${path}.lora_B.weight`)!;
      const rows = path === "proj_mlp" ? 4 * W : W;
      expect([found.element, ...found.shape]).toEqual(["BF16", rows, 4]);
      expect(toFloat32(found)).toEqual(b.slice(4 * row, 4 * (row + rows)));
      expect(written.get(`${block}.${path}.lora_A.weight`)).toEqual(a);
      row += rows;
    }
  });

  it("finds the factors that were fused: what was written as kohya comes back", () => {
    const layers: Layer[] = [
      ["transformer_blocks.3.attn.to_q", 3, W, W],
      ["transformer_blocks.3.attn.to_k", 3, W, W],
      ["transformer_blocks.3.attn.to_v", 3, W, W],
      ["transformer_blocks.18.attn.to_add_out", 2, W, W],
      ["transformer_blocks.18.norm1_context.linear", 1, 6 * W, W],
      ["x_embedder", 2, W, 384],
      ["time_text_embed.text_embedder.linear_1", 2, W, 768],
      ["norm_out.linear", 2, 2 * W, W],
      ["proj_out", 2, 64, W],
    ];
    const { file, given } = kohyaOf(layers);
    const { written, notes } = diffusersOf(readSafetensors(file).tensors);
    expect(notes).toEqual([]);
    expect(layersOf(written)).toEqual(layers.map(([path]) => `transformer.${path}`).sort());
    layers.forEach(([path, rank], at) => {
      const b = written.get(`transformer.${path}.lora_B.weight`)!;
      expect(b.shape[1]).toBe(rank);
      expect(toFloat32(b)).toEqual(given(at).b);
      expect(toFloat32(written.get(`transformer.${path}.lora_A.weight`)!)).toEqual(given(at).a);
    });
  });

  it("repeats A if a single value lies outside the blocks", () => {
    const { file } = kohyaOf([["transformer_blocks.3.attn.to_q", 1, W, W]]);
    const tensors = new Map(readSafetensors(file).tensors);
    const name = "lora_unet_double_blocks_3_img_attn_qkv.lora_up.weight";
    const b = toFloat32(tensors.get(name)!);
    expect(b).toHaveLength(9 * W);
    b[9 * W - 2] = 2 ** -20;
    tensors.set(name, { element: "F32", shape: [3 * W, 3], data: new Uint8Array(b.buffer) });
    const { written } = diffusersOf(tensors);
    const path = "transformer.transformer_blocks.3.attn";
    expect(
      ["to_q", "to_k", "to_v"].map((layer) => written.get(`${path}.${layer}.lora_A.weight`)!.shape),
    ).toEqual([1, 2, 3].map(() => [3, W]));
    expect(toFloat32(written.get(`${path}.to_v.lora_B.weight`)!)).toEqual(b.slice(6 * W));
  });

  it("reads the same layers in what a file of ComfyUI becomes as kohya", () => {
    const path = "diffusion_model.double_blocks.0.txt_attn.qkv";
    const source = new Map([
      [`${path}.lora_A.weight`, floats([2, W], 1)],
      [`${path}.lora_B.weight`, floats([3 * W, 2], 2)],
    ]);
    const adapter = readAdapter(new Map([["comfy.safetensors", writeSafetensors(source)]]));
    const [file] = writeAdapter(adapter, { factors: "source", to: "kohya" }).values();
    const { written } = diffusersOf(readSafetensors(file!).tensors);
    const block = "transformer.transformer_blocks.0.attn";
    expect(layersOf(written)).toEqual(
      ["add_k_proj", "add_q_proj", "add_v_proj"].map((each) => `${block}.${each}`),
    );
    const b = toFloat32(source.get(`${path}.lora_B.weight`)!);
    expect(toFloat32(written.get(`${block}.add_k_proj.lora_B.weight`)!)).toEqual(b.slice(2 * W, 4 * W));
  });

  it("gives T5 the number that it has in Flux", () => {
    const { written } = diffusersOf(
      kohyaFile([linear1, ["lora_te3_encoder_block_0_layer_0_SelfAttention_q", 2, 5, 4]]),
    );
    expect(layersOf(written)).toContain("text_encoder_2.encoder.block.0.layer.0.SelfAttention.q");
  });

  it.each([
    ["Stable Diffusion 3", "lora_unet_joint_blocks_0_x_block_attn_qkv", 3 * 1536, 1536],
    ["a block that Flux has not", "lora_unet_double_blocks_19_img_attn_qkv", 3 * W, W],
    ["a layer that Flux has not", "lora_unet_double_blocks_0_img_attn_q", W, W],
    ["another width", "lora_unet_double_blocks_0_img_attn_qkv", 3 * 2048, 2048],
    ["other outputs", "lora_unet_double_blocks_0_txt_mlp_2", W, W],
  ])("refuses %s, even beside a layer of Flux", (_, name, out, width) => {
    expect(() => diffusersOf(kohyaFile([linear1, [name, 1, out, width]]))).toThrow(
      /UNSUPPORTED_DIALECT.*a layer that diffusers has/s,
    );
  });

  it("refuses DoRA", () => {
    const tensors = kohyaFile([linear1]).set(`${linear1[0]}.dora_scale`, floats([7 * W, 1], 5));
    expect(() => diffusersOf(tensors)).toThrow(/UNSUPPORTED_DIALECT.*a layer that diffusers has/s);
  });
});
