/** What a base model says about its heads: config.json and the metadata of GGUF files. */

import { describe, expect, it } from "vitest";
import { baseFromConfig, baseFromGguf } from "../../src/adapters/index.ts";
import { gguf } from "../helpers/gguf.ts";
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
  /** A file without tensors. */
  const file = (pairs: Record<string, string | number | number[]>): Uint8Array =>
    gguf({
      metadata: Object.entries(pairs).map(([key, value]) => [
        key,
        Array.isArray(value) ? [9, [4, value]] : [typeof value === "string" ? 8 : 4, value],
      ]),
    });
  const llama = { "general.architecture": "llama", "llama.attention.head_count": 4 };

  it("one number of heads, or two", () => {
    expect(baseFromGguf(file(llama))).toEqual({ architecture: "llama", heads: 4, keyHeads: 4 });
    const both = { ...llama, "llama.attention.head_count_kv": 2 };
    expect(baseFromGguf(file(both))).toMatchObject({ heads: 4, keyHeads: 2 });
  });

  it("a number for each layer is refused, not taken for that of the queries", () => {
    expect(() => baseFromGguf(file({ ...llama, "llama.attention.head_count_kv": [2, 1] }))).toThrow(
      /UNSUPPORTED_DIALECT.*head_count_kv.*found a list/,
    );
  });
});
