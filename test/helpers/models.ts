/**
 * Small base models and fine-tunings of them, for the tests of extraction.
 *
 * @module
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { normal } from "./random.ts";
import { fromFloat32, type SafeTensor, toFloat32, writeSafetensors } from "./safetensors.ts";

/** A whole model: name to tensor. */
export type TestModel = Map<string, SafeTensor>;

/** A float tensor. */
export function tensor(
  shape: readonly number[],
  values: ArrayLike<number>,
  element: "F32" | "F16" | "BF16" | "F64" = "F32",
): SafeTensor {
  if (element === "F64") {
    const data = new Uint8Array(8 * values.length);
    const view = new DataView(data.buffer);
    for (let i = 0; i < values.length; i++) view.setFloat64(8 * i, values[i]!, true);
    return { element, shape, data };
  }
  return { element, shape, data: fromFloat32(Float32Array.from(values), element) };
}

/** Seeded normal values. */
export function noise(count: number, seed: number, scale = 1): Float32Array {
  const next = normal(seed);
  return Float32Array.from({ length: count }, () => scale * next());
}

/** A base model of two small transformer layers with embedding, norms and head. Seeded. */
export function baseModel(element: "F32" | "F16" | "BF16" | "F64" = "F32"): TestModel {
  const shapes: [string, number[]][] = [["model.embed_tokens.weight", [40, 24]]];
  for (const layer of [0, 1]) {
    shapes.push(
      [`model.layers.${layer}.self_attn.q_proj.weight`, [32, 24]],
      [`model.layers.${layer}.self_attn.q_proj.bias`, [32]],
      [`model.layers.${layer}.mlp.down_proj.weight`, [24, 64]],
      [`model.layers.${layer}.input_layernorm.weight`, [24]],
    );
  }
  shapes.push(["model.norm.weight", [24]], ["lm_head.weight", [40, 24]]);
  return new Map(
    shapes.map(([name, shape], i) => [
      name,
      tensor(
        shape,
        noise(
          shape.reduce((a, b) => a * b, 1),
          i + 1,
          0.1,
        ),
        element,
      ),
    ]),
  );
}

/** Names of the layers that {@link baseModel} has LoRA modules for. */
export const LAYERS: readonly string[] = [0, 1].flatMap((layer) => [
  `model.layers.${layer}.mlp.down_proj`,
  `model.layers.${layer}.self_attn.q_proj`,
]);

/** The weight of a layer, changed by a matrix of low rank. Returns the change, row-major. */
export function addLowRank(model: TestModel, layer: string, rank: number, seed: number): Float64Array {
  const name = `${layer}.weight`;
  const { shape, element } = model.get(name)!;
  const [rows, columns] = [shape[0]!, shape.slice(1).reduce((a, b) => a * b, 1)];
  const [b, a] = [noise(rows * rank, seed), noise(rank * columns, seed + 1, 0.02)];
  const delta = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let c = 0; c < rank; c++) {
      for (let j = 0; j < columns; j++) delta[i * columns + j]! += b[i * rank + c]! * a[c * columns + j]!;
    }
  }
  const values = valuesOf(model.get(name)!);
  model.set(
    name,
    tensor(
      shape,
      delta.map((value, i) => value + values[i]!),
      element as "F32",
    ),
  );
  return delta;
}

function valuesOf(stored: SafeTensor): ArrayLike<number> {
  if (stored.element !== "F64") return toFloat32(stored);
  const view = new DataView(stored.data.buffer, stored.data.byteOffset, stored.data.byteLength);
  return Array.from({ length: stored.data.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

/** A copy with some tensors replaced, added, or (undefined) removed. */
export function changed(model: TestModel, changes: Record<string, SafeTensor | undefined>): TestModel {
  const copy = new Map(model);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) copy.delete(name);
    else copy.set(name, value);
  }
  return copy;
}

/** The bytes of a model in one file. */
export function fileOf(model: TestModel): Uint8Array {
  return writeSafetensors(model, { metadata: new Map([["format", "pt"]]) });
}

/** A model in shards, tensor i in shard i modulo `count`, and its index. */
export function shardsOf(
  model: TestModel,
  count: number,
): { files: Map<string, Uint8Array>; index: Uint8Array } {
  const parts = Array.from({ length: count }, (): TestModel => new Map());
  const map: Record<string, string> = {};
  const file = (i: number): string => `model-0000${i + 1}-of-0000${count}.safetensors`;
  for (const [i, [name, value]] of [...model].entries()) {
    parts[i % count]!.set(name, value);
    map[name] = file(i % count);
  }
  const index = new TextEncoder().encode(JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
  return { files: new Map(parts.map((part, i) => [file(i), fileOf(part)])), index };
}

/** Writes a model as a directory in shards (or, with one, as a single file) and returns its path. */
export function writeModel(path: string, model: TestModel, shards = 1): string {
  mkdirSync(path, { recursive: true });
  if (shards === 1) writeFileSync(join(path, "model.safetensors"), fileOf(model));
  else {
    const { files, index } = shardsOf(model, shards);
    for (const [name, bytes] of files) writeFileSync(join(path, name), bytes);
    writeFileSync(join(path, "model.safetensors.index.json"), index);
  }
  return path;
}
