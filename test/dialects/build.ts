/**
 * Small PEFT adapters made in memory, for the tests of the dialects.
 *
 * @module
 */

import type { ElementType } from "../../src/core/index.ts";
import { normal } from "../helpers/random.ts";
import { fromFloat32, type SafeTensor, writeSafetensors } from "../helpers/safetensors.ts";

/** A float tensor of seeded values. */
export function floats(
  shape: readonly number[],
  seed = 1,
  element: "F32" | "F16" | "BF16" = "F32",
): SafeTensor {
  const next = normal(seed);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next);
  return { element, shape, data: fromFloat32(values, element) };
}

/** A tensor of zeros of any type. */
export function zeros(shape: readonly number[], element: ElementType, bytes: number): SafeTensor {
  return { element, shape, data: new Uint8Array(shape.reduce((a, b) => a * b, bytes)) };
}

/** Sizes of {@link pair}. */
export interface PairSizes {
  readonly out?: number;
  readonly inputs?: number;
  readonly rank?: number;
  readonly seed?: number;
}

/** The two factors of a linear layer under the keys PEFT uses. */
export function pair(name: string, sizes: PairSizes = {}): [string, SafeTensor][] {
  const { out = 5, inputs = 6, rank = 2, seed = 1 } = sizes;
  return [
    [`base_model.model.${name}.lora_A.weight`, floats([rank, inputs], seed)],
    [`base_model.model.${name}.lora_B.weight`, floats([out, rank], seed + 100)],
  ];
}

/** Text as bytes. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A PEFT directory. `config` is added to `r: 2, lora_alpha: 8`, or is the text of the file. */
export function directory(
  tensors: Iterable<readonly [string, SafeTensor]>,
  config: object | string = {},
  order?: readonly string[],
): Map<string, Uint8Array> {
  const text =
    typeof config === "string"
      ? config
      : JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 8, ...config });
  const metadata = new Map([["format", "pt"]]);
  return new Map([
    ["adapter_config.json", bytesOf(text)],
    ["adapter_model.safetensors", writeSafetensors(new Map(tensors), { metadata, order })],
  ]);
}

/** A safetensors file of a header text and data. */
export function rawSafetensors(header: string | Uint8Array, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = typeof header === "string" ? bytesOf(header) : header;
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setUint32(0, text.length, true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}
