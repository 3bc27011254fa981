/**
 * Reads a PEFT directory, writes it again, and lays out what the reader made of it for check_peft.py.
 *
 *     node decode.mjs ORIGINAL_DIR DECODED_DIR FACTORS_DIR [F32|F16|BF16|source] [VARIANT]
 *
 * Without a variant this is the dialect alone: every difference that check_peft.py finds is the dialect's. With one
 * (e.g. 2@0.8) the adapter goes through an .lqa file, and both results are what that file decodes to. Needs the built
 * package (`npm run build`); LQA_DIST names another build.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [original, decoded, target, elements = "source", variant] = process.argv.slice(2);
const dist = process.env.LQA_DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));
const load = (module) => import(pathToFileURL(resolve(dist, module)).href);
const { readAdapter, writeAdapter } = await load("adapters/index.js");

const names = ["adapter_config.json", "adapter_model.safetensors"];
const files = new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(original, name)))]));
let adapter = readAdapter(files);
if (variant !== undefined) {
  const { open } = await load("core/index.js");
  const { encodeAdapter } = await load("encode/index.js");
  const { bytes } = await encodeAdapter(adapter, { profile: "loraquant", variant });
  adapter = await (await open(bytes)).adapter();
}

mkdirSync(decoded, { recursive: true });
for (const [name, bytes] of writeAdapter(adapter, { factors: elements })) {
  writeFileSync(join(decoded, name), bytes);
}

mkdirSync(target, { recursive: true });
const store = (name, values) => {
  writeFileSync(join(target, name), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return name;
};
const hex = (value) => {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0).toString(16).padStart(8, "0");
};
const modules = adapter.modules.map(({ multiplier, b, a, ...shape }, index) => ({
  ...shape,
  multiplier: hex(multiplier),
  b: store(`${index}.b.f32`, b),
  a: store(`${index}.a.f32`, a),
}));
const tensors = adapter.tensors.map(({ data, ...rest }, index) => ({
  ...rest,
  data: store(`${index}.tensor`, data),
}));
writeFileSync(join(target, "factors.json"), JSON.stringify({ modules, tensors }));
