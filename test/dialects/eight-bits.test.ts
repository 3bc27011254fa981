/**
 * Floats of 8 bits: read as the F16 numbers that they are, written for servers that cast them back. Files of torch and safetensors are in
 * tools.test.ts.
 */
import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { isLqaError } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { toFloat32 } from "../helpers/safetensors.ts";
import { bytesOf, directory, floats, pair, rawSafetensors } from "./build.ts";
import { deltaOf } from "./delta.ts";

/** The number of each byte, by the definition of the formats (OCP 8-bit floating point specification, 1.0). */
function byDefinition(byte: number, exponentBits: number, bias: number): number {
  const fractionBits = 7 - exponentBits;
  const exponent = (byte & 0x7f) >> fractionBits;
  const fraction = (byte & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const sign = byte & 0x80 ? -1 : 1;
  if (exponentBits === 4 && (byte & 0x7f) === 0x7f) return Number.NaN;
  if (exponentBits === 5 && exponent === 31)
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

/** An adapter of one module whose A is every byte. */
function everyByte(dtype: string): Map<string, Uint8Array> {
  const key = (which: string): string => `base_model.model.q_proj.lora_${which}.weight`;
  const entry = (which: string, shape: string, from: number, to: number): string =>
    `"${key(which)}":{"dtype":"${dtype}","shape":${shape},"data_offsets":[${from},${to}]}`;
  const header = `{${entry("A", "[1,256]", 0, 256)},${entry("B", "[1,1]", 256, 257)}}`;
  const bytes = Uint8Array.from({ length: 257 }, (_, byte) => byte % 256);
  return new Map([
    ["adapter_config.json", bytesOf('{"peft_type":"LORA","r":1,"lora_alpha":1}')],
    ["adapter_model.safetensors", rawSafetensors(header.padEnd(Math.ceil(header.length / 8) * 8), bytes)],
  ]);
}

/** Two modules of different sizes of numbers and with different multipliers. */
function files(): Map<string, Uint8Array> {
  const quiet = floats([5, 2], 7);
  const tensors = [
    ...pair("model.layers.0.q_proj", { seed: 3 }),
    ...pair("model.layers.1.q_proj", { seed: 4 }),
  ];
  const small = new Map(
    tensors.map(([key, tensor]) => [key, key.includes("lora_B") ? scaled(tensor, 1e-3) : tensor]),
  );
  small.set("base_model.model.model.layers.1.q_proj.lora_B.weight", scaled(quiet, 1e-4));
  return directory(small, { target_modules: ["q_proj"], alpha_pattern: { "layers.1.q_proj": 3 } });
}

function scaled(tensor: ReturnType<typeof floats>, factor: number): ReturnType<typeof floats> {
  const values = toFloat32(tensor).map((value) => value * factor);
  return { ...tensor, data: new Uint8Array(values.buffer) };
}

describe("factors of 8 bits", () => {
  it.each([
    ["F8_E4M3", 4, 7],
    ["F8_E5M2", 5, 15],
  ] as const)("%s: every byte is read as its number", (dtype, exponentBits, bias) => {
    const adapter = readAdapter(everyByte(dtype));
    expect(adapter.origin).toMatchObject({ element: "F16" });
    const expected = Array.from({ length: 256 }, (_, byte) => byDefinition(byte, exponentBits, bias));
    expect([...adapter.modules[0]!.a]).toEqual(expected);
  });

  it("are written for servers: one rank, one alpha, ΔW as before within the rounding", () => {
    const source = readAdapter(files());
    const seen: string[] = [];
    const written = writeAdapter(source, {
      factors: "F8_E4M3",
      onRounded: (module, which, element) => void seen.push(`${module.name} ${which} ${element}`),
    });
    expect(seen.length).toBe(4);
    const header = new TextDecoder().decode(written.get("adapter_model.safetensors")!.subarray(8));
    expect(header.match(/"dtype":"F8_E4M3"/g)?.length).toBe(4);
    const config = JSON.parse(new TextDecoder().decode(written.get("adapter_config.json")));
    expect(config).toMatchObject({ r: 2, alpha_pattern: {}, rank_pattern: {}, use_rslora: false });
    expect(Number.isInteger(Math.log2(config.lora_alpha / 2))).toBe(true);
    const read = readAdapter(written);
    for (const [place, module] of source.modules.entries()) {
      const [want, have] = [deltaOf(module), deltaOf(read.modules[place]!)];
      const energy = want.reduce((sum, value) => sum + value * value, 0);
      const lost = want.reduce((sum, value, at) => sum + (value - have[at]!) ** 2, 0);
      expect(lost / energy).toBeLessThan(4e-3);
      expect(lost).toBeGreaterThan(0);
    }
  });

  it("are the numbers themselves if E4M3 holds them", () => {
    const powers = Float32Array.from({ length: 12 }, (_, at) => (at % 2 ? -1 : 1) * 2 ** -at);
    const tensor = { element: "F32", shape: [2, 6], data: new Uint8Array(powers.buffer) } as const;
    const [[a], [b]] = [pair("q_proj")[0]!, pair("q_proj")[1]!];
    const ones = new Float32Array(10).fill(1.75);
    const source = directory([
      [a, tensor],
      [b, { element: "F32", shape: [5, 2], data: new Uint8Array(ones.buffer) }],
    ]);
    const [module] = readAdapter(writeAdapter(readAdapter(source), { factors: "F8_E4M3" })).modules;
    expect([...deltaOf(module!)]).toEqual([...deltaOf(readAdapter(source).modules[0]!)]);
  });

  it("keep an adapter of zeros, and refuse other dialects and what servers drop", () => {
    const zero = directory(pair("q_proj").map(([key, tensor]) => [key, scaled(tensor, 0)]));
    const [module] = readAdapter(writeAdapter(readAdapter(zero), { factors: "F8_E4M3" })).modules;
    expect(new Set(deltaOf(module!))).toEqual(new Set([0]));
    const kind = (act: () => unknown): string | undefined => {
      try {
        act();
      } catch (error) {
        if (isLqaError(error)) return error.kind;
        throw error;
      }
      return undefined;
    };
    const source = readAdapter(files());
    expect(kind(() => writeAdapter(source, { factors: "F8_E4M3", to: "mlx" }))).toBe("USAGE");
    const dora = {
      ...source,
      tensors: [
        { name: "model.layers.0.q_proj", role: "magnitude", axis: 0, ...floats([5]) } as const,
        { name: "model.layers.1.q_proj", role: "magnitude", axis: 0, ...floats([5]) } as const,
      ],
    };
    expect(kind(() => writeAdapter(dora, { factors: "F8_E4M3" }))).toBe("UNSUPPORTED_DIALECT");
  });

  it("are refused with NaN, and with scales, which no program is known to read", async () => {
    const [[a, tensor], b] = pair("q_proj") as [[string, ReturnType<typeof floats>], [string, never]];
    const header = `{"${a}":{"dtype":"F8_E4M3","shape":[2,6],"data_offsets":[0,12]},"${b[0]}":{"dtype":"F8_E4M3","shape":[5,2],"data_offsets":[12,22]}}`;
    const weights = new Uint8Array(22).fill(0x38);
    const adapter = (): ReturnType<typeof readAdapter> =>
      readAdapter(
        new Map([
          ["adapter_config.json", bytesOf('{"peft_type":"LORA","r":2,"lora_alpha":2}')],
          [
            "adapter_model.safetensors",
            rawSafetensors(header.padEnd(Math.ceil(header.length / 8) * 8), weights),
          ],
        ]),
      );
    expect(new Set(adapter().modules[0]!.a)).toEqual(new Set([1]));
    weights[3] = 0x7f;
    await expect(encodeAdapter(adapter())).rejects.toMatchObject({ kind: "SOURCE_NONFINITE" });
    const withScale = directory([[a, tensor], b, [`${a}_scale`, floats([1])]]);
    expect(() => readAdapter(withScale)).toThrow(
      expect.objectContaining({ advice: expect.stringContaining("scale of a quantized factor") }),
    );
  });
});
