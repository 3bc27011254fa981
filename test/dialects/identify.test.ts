/** What no dialect reads is refused under its own name. */
import { describe, expect, it } from "vitest";
import { readAdapter, type SourceFiles } from "../../src/adapters/index.ts";
import { peft } from "../../src/adapters/peft/index.ts";
import { writeSafetensors } from "../../src/adapters/safetensors.ts";
import { openSource } from "../../src/adapters/source.ts";
import { bytesOf, directory, floats, pair } from "./build.ts";

const keys = (...names: string[]): Uint8Array =>
  writeSafetensors(new Map(names.map((name) => [name, floats([2, 2])])));
const one = (file: string, bytes: Uint8Array): SourceFiles => new Map([[file, bytes]]);

describe("what is no dialect of this version", () => {
  it.each<[string, SourceFiles, RegExp]>([
    ["LoHa", one("a.safetensors", keys("x.hada_w1_a")), /LoHa .*no LoRA/],
    ["LoKr", one("a.safetensors", keys("x.lokr_w1")), /LoKr/],
    ["OFT", one("a.safetensors", keys("x.oft_blocks")), /OFT/],
    ["IA³", one("a.safetensors", keys("base_model.model.x.ia3_l")), /IA³/],
    ["LoRA-ViT", one("a.safetensors", keys("w_a_000", "w_b_000")), /LoRA-ViT/],
    ["a configuration alone", one("adapter_config.json", bytesOf('{"peft_type":"LORA"}')), /no weights/],
    ["LQA", one("a.lqa", Uint8Array.of(0x89, 0x4c, 0x51, 0x41)), /an LQA file/],
    [
      "a Git LFS pointer",
      one("a.safetensors", bytesOf("version https://git-lfs.github.com/spec/v1\n")),
      /Git LFS/,
    ],
    ["an unknown convention", one("a.safetensors", keys("weight")), /unknown to this version/],
    ["a broken safetensors file", one("a.safetensors", new Uint8Array(4)), /no file of tensors: LQA-T003/],
    ["an empty file", one("a.safetensors", new Uint8Array()), /no file of tensors/],
    ["nothing", new Map(), /no weights/],
  ])("%s", (_name, files, message) => {
    expect(peft.detect(openSource(files))).toBe(false);
    expect(() => readAdapter(files)).toThrow(/UNSUPPORTED_DIALECT/);
    expect(() => readAdapter(files)).toThrow(message);
  });

  it("PEFT is recognised even when it is broken, and under another file name", () => {
    const files = directory(pair("q"), '{"peft_type":');
    expect(peft.detect(openSource(files))).toBe(true);
    expect(() => readAdapter(files)).toThrow(/SOURCE_CONFIG/);
    const renamed = directory(pair("q"));
    renamed.set("lora.safetensors", renamed.get("adapter_model.safetensors")!);
    renamed.delete("adapter_model.safetensors");
    expect(readAdapter(renamed).modules).toHaveLength(1);
  });
});
