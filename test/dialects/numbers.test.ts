/**
 * Layers by number, as cloneofsimo's program counts them. test/interop counts them with that program; here are its two orders of
 * Stable Diffusion 1.
 */

import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { readSafetensors, type SafeTensor, toFloat32, writeSafetensors } from "../helpers/safetensors.ts";
import { floats } from "./build.ts";

type Order = "before diffusers 0.15" | "since diffusers 0.15";
const WIDTHS = [320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320, 1280];

/** Outputs and inputs of the layers of the UNet. */
function sizes(order: Order): [number, number][] {
  return WIDTHS.flatMap((width): [number, number][] => {
    const attention = (context: number): [number, number][] =>
      [width, context, context, width].map((each) => [width, each]);
    const forward: [number, number] = [8 * width, width];
    return order === "before diffusers 0.15"
      ? [...attention(width), forward, ...attention(768)]
      : [...attention(width), ...attention(768), forward];
  });
}

function written(
  layers: readonly [number, number][],
  more: [string, SafeTensor][] = [],
): ReadonlyMap<string, SafeTensor> {
  const tensors = layers.flatMap(([out, width], i): [string, SafeTensor][] => [
    [`unet:${i}:up`, floats([out, 1], 2 * i + 1)],
    [`unet:${i}:down`, floats([1, width], 2 * i + 2)],
  ]);
  const source = new Map([["lora.safetensors", writeSafetensors(new Map([...tensors, ...more]))]]);
  const [file] = writeAdapter(readAdapter(source), { factors: "source", to: "diffusers" }).values();
  return readSafetensors(file!).tensors;
}

describe("layers by number", () => {
  it.each([
    ["before diffusers 0.15", 4, 5, 139],
    ["since diffusers 0.15", 8, 4, 143],
  ] as const)("get the names that they had %s", (order, forward, query, last) => {
    const tensors = written(sizes(order));
    expect(tensors.size).toBe(2 * 144);
    const b = (path: string): Float32Array => toFloat32(tensors.get(`unet.${path}.lora_B.weight`)!);
    const made = (number: number): Float32Array => {
      const [out] = sizes(order)[number]!;
      return toFloat32(floats([out, 1], 2 * number + 1));
    };
    expect(b("down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj")).toEqual(made(forward));
    expect(b("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q")).toEqual(made(query));
    expect(b("mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj")).toEqual(made(last));
    expect(b("up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q")).toEqual(made(54));
  });

  it("are refused in a mixture of both orders, and if one is missing", () => {
    const [one, other] = [sizes("before diffusers 0.15"), sizes("since diffusers 0.15")];
    expect(() => written([...one.slice(0, 9), ...other.slice(9)])).toThrow(/layers of Stable Diffusion 1/);
    expect(() => written(other.slice(0, -1))).toThrow(/layers of Stable Diffusion 1.*144 layers/s);
  });
});
