/** What is not PEFT is refused under its own name. */
import { describe, expect, it } from "vitest";
import { peft, readAdapter, type SourceFiles } from "../../src/dialects/index.ts";
import { writeSafetensors } from "../../src/dialects/safetensors.ts";
import { bytesOf, directory, floats, pair } from "./build.ts";

const keys = (...names: string[]): Uint8Array =>
  writeSafetensors(new Map(names.map((name) => [name, floats([2, 2])])));
const one = (file: string, bytes: Uint8Array): SourceFiles => new Map([[file, bytes]]);

describe("other dialects", () => {
  it.each<[string, SourceFiles, RegExp]>([
    [
      "kohya",
      one(
        "a.safetensors",
        keys("lora_unet_x.lora_down.weight", "lora_unet_x.lora_up.weight", "lora_unet_x.alpha"),
      ),
      /kohya/,
    ],
    ["LoHa", one("a.safetensors", keys("lora_unet_x.hada_w1_a", "lora_unet_x.alpha")), /LyCORIS/],
    ["LoKr", one("a.safetensors", keys("lora_te_x.lokr_w1")), /LyCORIS/],
    ["diffusers", one("a.safetensors", keys("unet.mid.to_k.lora_A.weight")), /diffusers/],
    ["old diffusers", one("a.safetensors", keys("mid.attn1.processor.to_k_lora.down.weight")), /diffusers/],
    ["cloneofsimo", one("a.safetensors", keys("unet:0:up", "unet:0:down")), /cloneofsimo/],
    ["LoRA-ViT", one("a.safetensors", keys("w_a_000", "w_b_000")), /LoRA-ViT/],
    ["loralib", one("a.safetensors", keys("layer.0.query.lora_A", "layer.0.query.lora_B")), /loralib/],
    [
      "MLX",
      new Map([
        ["adapters.safetensors", keys("model.q.lora_a")],
        ["adapter_config.json", bytesOf('{"fine_tune_type":"lora"}')],
      ]),
      /MLX/,
    ],
    [
      "PEFT without configuration",
      one("adapter_model.safetensors", keys("base_model.model.q.lora_A.weight")),
      /without their adapter_config.json/,
    ],
    ["a configuration alone", one("adapter_config.json", bytesOf('{"peft_type":"LORA"}')), /no weights/],
    [
      "a zipped pickle",
      new Map([
        ["adapter_model.bin", bytesOf("PK\x03\x04")],
        ["adapter_config.json", bytesOf("{}")],
      ]),
      /pickle/,
    ],
    ["a bare pickle", one("adapter_model.bin", Uint8Array.of(0x80, 2, 0x8a)), /pickle/],
    ["GGUF", one("a.gguf", bytesOf("GGUF\x03")), /GGUF/],
    ["ONNX Runtime", one("a.onnx_adapter", bytesOf("\x10\0\0\0TORT")), /ONNX/],
    ["LQA", one("a.lqa", Uint8Array.of(0x89, 0x4c, 0x51, 0x41)), /an LQA file/],
    [
      "a Git LFS pointer",
      one("a.safetensors", bytesOf("version https://git-lfs.github.com/spec/v1\n")),
      /Git LFS/,
    ],
    ["an unknown convention", one("a.safetensors", keys("weight")), /unknown to this version/],
    ["a broken safetensors file", one("a.safetensors", new Uint8Array(4)), /no safetensors file: LQA-T003/],
    ["an empty file", one("a.safetensors", new Uint8Array()), /no safetensors file/],
    ["nothing", new Map(), /no weights/],
  ])("%s", (_name, files, message) => {
    expect(peft.detect(files)).toBe(false);
    expect(() => readAdapter(files)).toThrow(/UNSUPPORTED_DIALECT/);
    expect(() => readAdapter(files)).toThrow(message);
  });

  it("PEFT is recognised even when it is broken, and under another file name", () => {
    const files = directory(pair("q"), '{"peft_type":');
    expect(peft.detect(files)).toBe(true);
    expect(() => readAdapter(files)).toThrow(/SOURCE_CONFIG/);
    const renamed = directory(pair("q"));
    renamed.set("lora.safetensors", renamed.get("adapter_model.safetensors")!);
    renamed.delete("adapter_model.safetensors");
    expect(readAdapter(renamed).modules).toHaveLength(1);
  });
});
