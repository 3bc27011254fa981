/**
 * Reads what make_gguf.py wrote, and compares the tables of this project with those of the gguf package.
 *
 *   node test/interop/check_gguf.mjs DIRECTORY
 *
 * Needs the built package. Fails with the first difference.
 */
import { deepStrictEqual as equal, ok } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OUTPUT_PATHS } from "../../dist/adapters/gguf/names.js";
import { readGguf } from "../../dist/adapters/gguf/read.js";
import { GGUF_TYPES } from "../../dist/adapters/gguf/types.js";
import { readCalibration } from "../../dist/adapters/index.js";
import { BLOCK_PATHS } from "../../dist/model/layer-names.js";

const directory = process.argv[2];
const bytesOf = (name) => new Uint8Array(readFileSync(join(directory, name)));
const { moments, types, layers, output } = JSON.parse(readFileSync(join(directory, "facts.json"), "utf8"));

const shape = (name, inputs) => ({ name, in: inputs, kernel: [], experts: 1 });
const modules = [
  shape("model.layers.0.self_attn.q_proj", 48),
  shape("model.layers.11.mlp.down_proj", 7),
  ...[0, 1, 2, 3].map((expert) => shape(`model.layers.3.mlp.experts.${expert}.up_proj`, 16)),
];
const read = readCalibration(bytesOf("imatrix.gguf"), modules);
equal(
  [...read.moments.values()].map((values) => [...values]),
  Object.values(moments).flat(),
);
equal([read.unmatchedTensors, read.missingModules], [[], []]);

const { metadata, tensors } = readGguf(bytesOf("types.gguf"));
equal(metadata.get("general.alignment"), 64);
equal(
  ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool"].map((key) =>
    metadata.get(key),
  ),
  [200, -100, 60000, -30000, 4e9, -2e9, 2n ** 64n - 1n, -(2n ** 63n), 0.5, 0.1, true],
);
equal([metadata.get("floats"), metadata.get("bools")], [Float32Array.of(0.25, 0.5), Uint8Array.of(1, 0)]);
equal(
  [...GGUF_TYPES].map(([number, { name, weights, bytes }]) => [String(number), name, weights, bytes]).sort(),
  Object.entries(types)
    .map(([number, { name, weights, bytes }]) => [number, name, weights, bytes])
    .sort(),
);
for (const [number, { name, data }] of Object.entries(types)) {
  const tensor = tensors.get(`t${number}`);
  equal([tensor.type, Buffer.from(tensor.data).toString("hex")], [name, data]);
}

for (const [layer, paths] of Object.entries(BLOCK_PATHS))
  for (const path of paths) ok(layers[layer]?.includes(path), `${layer} is not ${path}`);
for (const path of OUTPUT_PATHS) ok(output.includes(path), `output is not ${path}`);
const paths = Object.values(BLOCK_PATHS).flat().length;
console.log(`${Object.keys(types).length} element types, ${paths} layer names, ${read.moments.size} modules`);
