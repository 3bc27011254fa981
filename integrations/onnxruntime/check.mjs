/**
 * An .lqa file in onnxruntime-node and onnxruntime-web: what the graph computes with the factors as inputs is what it computes
 * with the merged weights, and with the factors of `lqa decode --to onnx`.
 *
 *   node check.mjs [folder with node_modules of the two packages]
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { readAdapter, writeAdapter } from "../../dist/adapters/index.js";
import { open } from "../../dist/core/index.js";
import { encodeAdapter } from "../../dist/encode/index.js";
import { loraFeeds, noFeeds } from "./feeds.mjs";
import { loraModel } from "./model.mjs";

const require = createRequire(join(process.argv[2] ?? fileURLToPath(new URL(".", import.meta.url)), "x.js"));
let state = 12345;
const noise = (count) =>
  Float32Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return state / 2 ** 30 - 1;
  });
const layers = [
  ["model.layers.0.q_proj", 24, 16],
  ["model.layers.0.o_proj", 16, 20],
].map(([name, inputs, out]) => ({ name, in: inputs, out, weight: noise(inputs * out) }));
const modules = layers.map(({ name, in: inputs, out }, i) => {
  const rank = [4, 3][i];
  const shape = {
    name,
    role: "linear",
    out,
    in: inputs,
    kernel: [],
    experts: 1,
    rank,
    baseLayout: "out-in",
  };
  const scale = { multiplier: Math.fround(1.7), alpha: 0, rule: "explicit" };
  return { ...shape, ...scale, b: noise(out * rank), a: noise(rank * inputs) };
});
const { bytes } = await encodeAdapter(
  { modules, tensors: [], origin: undefined, meta: {} },
  { profile: "rtn", codeBits: 4 },
);
const x = noise(5 * 24);

const failures = [];
const check = (what, difference, bound) => {
  console.log(`${what}: largest difference ${difference.toExponential(2)}`);
  if (!(difference <= bound)) failures.push(what);
};
const apart = (one, other) => one.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i])), 0);

const turn = (values, rows, columns) =>
  values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]);

/** The layers with W + multiplier · B · A. */
async function merged() {
  const file = await open(bytes);
  const changed = layers.map(async (layer) => {
    const { multiplier, a, b } = await file.decode(layer.name);
    const [rank] = a.shape;
    const weight = layer.weight.map((value, at) => {
      const [i, o] = [Math.floor(at / layer.out), at % layer.out];
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += b.data[o * rank + r] * a.data[r * layer.in + i];
      return value + multiplier * sum;
    });
    return { ...layer, weight };
  });
  return await Promise.all(changed);
}

const model = loraModel(layers);
const mergedModel = loraModel(await merged());
const adapter = writeAdapter(await (await open(bytes)).adapter(), { factors: "F32", to: "onnx" });
for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
  let path;
  try {
    path = require.resolve(name);
  } catch {
    console.log(`skipped: ${name} is not installed`);
    continue;
  }
  const ort = (await import(pathToFileURL(path).href)).default;
  if (name.endsWith("web")) ort.env.wasm.numThreads = 1;
  const input = { x: new ort.Tensor("float32", x, [5, 24]) };
  const run = async (graph, feeds) => {
    const session = await ort.InferenceSession.create(graph);
    const results = await session.run({ ...input, ...feeds });
    return results[`${layers.at(-1).name}.out`].data;
  };
  const base = await run(model, noFeeds(layers, ort.Tensor));
  const adapted = await run(model, await loraFeeds(await open(bytes), ort.Tensor));
  const reference = await run(mergedModel, noFeeds(layers, ort.Tensor));
  check(`${name}, factors as inputs and merged weights`, apart(adapted, reference), 1e-3);
  if (apart(adapted, base) < 1) failures.push(`${name}: the adapter changes nothing`);
  const feeds = {};
  for (const { name, in: inputs, out, rank, b, a } of readAdapter(adapter).modules) {
    // The same factors as they stand in the .onnx_adapter file: A (in, rank), B (rank, out) with the multiplier.
    feeds[`${name}.lora_A.weight`] = new ort.Tensor("float32", turn(a, rank, inputs), [inputs, rank]);
    feeds[`${name}.lora_B.weight`] = new ort.Tensor("float32", turn(b, out, rank), [rank, out]);
  }
  check(`${name}, .lqa and .onnx_adapter`, apart(adapted, await run(model, feeds)), 0);
}

// Python's ONNX Runtime loads adapter files itself: LoraAdapter and RunOptions.add_active_adapter.
const python = process.env.LQA_PYTHON;
if (python === undefined) console.log("skipped: ONNX Runtime's own loader (LQA_PYTHON has onnxruntime)");
else {
  const folder = mkdtempSync(join(tmpdir(), "lqa-onnx-"));
  try {
    writeFileSync(join(folder, "model.onnx"), loraModel(layers, { defaults: true }));
    writeFileSync(join(folder, "merged.onnx"), loraModel(await merged(), { defaults: true }));
    for (const [name, contents] of adapter) writeFileSync(join(folder, name), contents);
    writeFileSync(join(folder, "x.bin"), new Uint8Array(x.buffer));
    const script = fileURLToPath(new URL("load_adapter.py", import.meta.url));
    console.log(execFileSync(python, [script, folder, [...adapter.keys()][0]], { encoding: "utf8" }).trim());
  } catch (error) {
    failures.push(`ONNX Runtime's own loader: ${error.stderr ?? error}`);
  }
  rmSync(folder, { recursive: true });
}
console.log(failures.length === 0 ? "passed" : `FAILED: ${failures.join("; ")}`);
process.exit(failures.length === 0 ? 0 : 1);
