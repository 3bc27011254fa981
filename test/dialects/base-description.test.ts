/** What a base model says about its heads: config.json and the metadata of GGUF files. */

import { describe, expect, it } from "vitest";
import { ggufPairs } from "../../src/adapters/gguf/write.ts";
import { baseFromConfig, baseFromGguf } from "../../src/adapters/index.ts";
import { bytesOf } from "./build.ts";

describe("config.json", () => {
  const read = (config: object) => baseFromConfig(bytesOf(JSON.stringify(config)));

  it.each([
    [{ model_type: "llama", num_attention_heads: 4, num_key_value_heads: 2 }, 4, 2],
    [{ model_type: "llama", num_attention_heads: 4, num_key_value_heads: null }, 4, 4],
    [{ model_type: "gpt2", n_head: 12 }, 12, 12],
  ])("%j", (config, heads, keyHeads) => {
    expect(read(config)).toMatchObject({ heads, keyHeads });
  });

  it.each([
    [[], /SOURCE_CONFIG.*an object/],
    [{ model_type: "llama" }, /SOURCE_CONFIG.*a number of attention heads/],
    [{ model_type: "llama", num_attention_heads: 0 }, /"num_attention_heads".*a positive integer/],
    [{ model_type: "mamba", num_attention_heads: 4 }, /UNSUPPORTED_DIALECT.*"model_type".*"mamba"/],
  ])("%j is refused", (config, message) => {
    expect(() => read(config)).toThrow(message);
  });
});

describe("GGUF", () => {
  /** A file without tensors: its header and the pairs. `list` is a raw pair more. */
  function gguf(pairs: Record<string, string | number>, list: Uint8Array = new Uint8Array()): Uint8Array {
    const { count, bytes } = ggufPairs(new Map(Object.entries(pairs)));
    const head = new DataView(new ArrayBuffer(24));
    head.setUint32(0, 0x46554747, true);
    head.setUint32(4, 3, true);
    head.setBigUint64(16, BigInt(count + (list.length > 0 ? 1 : 0)), true);
    return Buffer.concat([new Uint8Array(head.buffer), bytes, list]);
  }
  const llama = { "general.architecture": "llama", "llama.attention.head_count": 4 };

  it("one number of heads, or two", () => {
    expect(baseFromGguf(gguf(llama))).toEqual({ architecture: "llama", heads: 4, keyHeads: 4 });
    const both = { ...llama, "llama.attention.head_count_kv": 2 };
    expect(baseFromGguf(gguf(both))).toMatchObject({ heads: 4, keyHeads: 2 });
  });

  it("a number for each layer is refused, not taken for that of the queries", () => {
    const key = "llama.attention.head_count_kv";
    const list = Buffer.alloc(8 + key.length + 4 + 4 + 8 + 8);
    list.writeUInt32LE(key.length, 0);
    list.write(key, 8);
    let at = 8 + key.length;
    // An array (9) of two U32 (4).
    for (const value of [9, 4, 2, 0, 2, 1]) at = list.writeUInt32LE(value, at);
    expect(() => baseFromGguf(gguf(llama, list))).toThrow(/UNSUPPORTED_DIALECT.*head_count_kv.*found a list/);
  });
});
