// Packed modules on a WebGPU device: upload, decoding to buffers, and packed application, compared with this processor.
//
//   npm run bench:webgpu -- [--driver swiftshader|llvmpipe|system] [--json]
//
// One module of 4096 × 4096 and rank 16. Times are the least of several runs, from the submission until the queue is done, in
// ns per weight (apply: for all rows together). WebAssembly is one thread of this process. On a driver in software times say
// what the driver makes of the shaders, and nothing of a graphics card: --driver system is for those.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installed, softwareVulkan } from "../conformance/runtimes.mjs";
import { encodingLabel, planeSizes } from "../dist/core/codecs/registry.js";
import { decodeModule } from "../dist/core/read/decode.js";
import { applyPacked, residentModule } from "../dist/serve/index.js";
import { uploadModule } from "../dist/webgpu/index.js";

const { values } = parseArgs({
  options: { driver: { type: "string", default: "swiftshader" }, json: { type: "boolean" } },
});
const { driver } = values;
if (driver !== "system" && process.env.VK_ICD_FILENAMES === undefined) {
  // The loader of libraries reads its environment once, when a process starts.
  const found = softwareVulkan(driver);
  if (found === undefined) {
    console.error(`no ${driver}: node conformance/runtimes.mjs webgpu chromium mesa`);
    process.exit(2);
  }
  const { status } = spawnSync(process.execPath, process.argv.slice(1), {
    stdio: "inherit",
    env: { ...process.env, ...found },
  });
  process.exit(status ?? 1);
}
const addon = installed("webgpu");
if (addon === undefined) {
  console.error("no webgpu: node conformance/runtimes.mjs webgpu");
  process.exit(2);
}
const { create } = createRequire(fileURLToPath(import.meta.url))(addon);
// Kept: devices end with it.
const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (adapter === null) {
  console.error(`the driver ${driver} has no adapter that this implementation of WebGPU takes`);
  process.exit(2);
}
const { info } = adapter;
const device = await adapter.requestDevice();
const RUNS = 3;
const ROWS = [1, 16];
const [OUT, IN, RANK] = [4096, 4096, 16];
const WEIGHTS = RANK * (OUT + IN);
const [STORAGE, COPY_DST] = [0x80, 0x8];

const trellis = (table, rotation) => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation });
const ENCODINGS = [
  { codec: "raw", element: "f16" },
  { codec: "sign", group: 128, scale: "f16" },
  { codec: "affine", bits: 2, group: 128, scale: "f16" },
  { codec: "affine", bits: 4, group: 128, scale: "f16" },
  trellis(3, "none"),
  trellis(3, "hadamard64"),
];

/** Arbitrary codes; scales and raw weights of an ordinary size. */
function moduleOf(encoding) {
  let state = 1;
  const bytes = (length, type) => {
    const plane = Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    });
    // The high byte of every number of 16 bits.
    const high = { f16: 0x2c, bf16: 0x3d }[type];
    if (high !== undefined) for (let i = 1; i < length; i += 2) plane[i] = high;
    return plane;
  };
  const planes = (length) => {
    const sizes = planeSizes(encoding, RANK, length);
    return {
      codes: bytes(sizes.codes, encoding.element),
      scales: bytes(sizes.scales, encoding.scale),
      zeroPoints: bytes(sizes.zeroPoints),
    };
  };
  const shape = {
    ...{ name: "layer", role: "linear", out: OUT, in: IN, kernel: [], groups: 1, experts: 1, rank: RANK },
    ...{ baseLayout: "out-in", multiplier: 2, alpha: 0, rule: "explicit" },
  };
  const bands = [{ components: RANK, b: encoding, a: encoding }];
  const factors = { bands, planes: [[{ b: planes(OUT), a: planes(IN) }]] };
  return { shape, factors, resident: residentModule(shape, factors) };
}

async function least(work) {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const begin = performance.now();
    await work();
    best = Math.min(best, performance.now() - begin);
  }
  return best;
}

async function submitted(task) {
  const encoder = device.createCommandEncoder();
  task.encode(encoder);
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
}

const buffer = (bytes) => device.createBuffer({ size: bytes, usage: STORAGE | COPY_DST });
const results = [];
for (const encoding of ENCODINGS) {
  const { shape, factors, resident } = moduleOf(encoding);
  const module = await uploadModule(device, resident);
  const upload = await least(async () => (await uploadModule(device, resident)).destroy());
  const result = { encoding: encodingLabel(encoding), bytes: module.bytes, uploadMilliseconds: upload };
  const perWeight = (milliseconds) => (1e6 * milliseconds) / WEIGHTS;
  for (const type of ["f32", "f16"]) {
    const size = (type === "f32" ? 4 : 2) * RANK;
    const targets = { b: buffer(size * OUT), a: buffer(size * IN) };
    const task = await module.prepareDecode(targets, { type });
    result[`decode ${type}`] = perWeight(await least(() => submitted(task)));
    for (const own of [task, targets.b, targets.a]) own.destroy();
  }
  const { b, a } = decodeModule(shape, factors);
  const into = { b: b.data, a: a.data };
  result["decode f32, WebAssembly"] = perWeight(await least(() => decodeModule(shape, factors, { into })));
  for (const rows of ROWS) {
    const [x, y] = [buffer(4 * rows * IN), buffer(4 * rows * OUT)];
    const task = await module.prepareApply({ x, y, rows });
    result[`apply ${rows}`] = perWeight(await least(() => submitted(task)));
    for (const own of [task, x, y]) own.destroy();
    const [xs, ys] = [new Float32Array(rows * IN).fill(0.5), new Float32Array(rows * OUT)];
    result[`apply ${rows}, WebAssembly`] = perWeight(await least(() => applyPacked(resident, xs, ys)));
  }
  module.destroy();
  results.push(result);
}
device.destroy();

const about = {
  date: new Date().toISOString().slice(0, 10),
  adapter: [info.vendor, info.architecture, info.description].filter(Boolean).join(", "),
  inSoftware: driver !== "system",
  webgpu: addon.match(/webgpu@[\d.]+/)?.[0],
  machine: `${cpus()[0].model}, ${cpus().length} virtual cores`,
  node: process.versions.node,
};
if (values.json) console.log(JSON.stringify({ ...about, module: [OUT, IN, RANK], results }, null, 2));
else {
  const [first] = results;
  const columns = Object.keys(first).slice(1);
  const cell = (value, name) => (name === "bytes" ? value.toLocaleString("en") : value.toFixed(2));
  console.log(
    `Measured ${about.date}, ${about.adapter}${about.inSoftware ? " (in software)" : ""}, ${about.webgpu}, Node ${about.node}, ${about.machine}; \`npm run bench:webgpu -- --driver ${driver}\`.\n`,
  );
  console.log(`| encoding | ${columns.join(" | ")} |\n| --- |${" --: |".repeat(columns.length)}`);
  for (const result of results)
    console.log(`| ${result.encoding} | ${columns.map((name) => cell(result[name], name)).join(" | ")} |`);
}
process.exit(0);
