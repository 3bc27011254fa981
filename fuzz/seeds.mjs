// Writes fuzz/corpus/: for each target small inputs that are sound, or sound up to one place. Run after a change of the
// format or of a target: node fuzz/seeds.mjs
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readAdapter } from "../dist/adapters/index.js";
import { writeSafetensors } from "../dist/adapters/safetensors.js";
import { encodeMeta } from "../dist/core/container/meta-write.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { dialectSeeds, framed } from "./dialect-seeds.mjs";
import { zstd } from "./file.mjs";

const root = join(import.meta.dirname, "corpus");
rmSync(root, { recursive: true, force: true });

/** An input, with the byte that chooses the variant. */
function seed(targets, name, bytes, variant = 0) {
  for (const target of targets) {
    mkdirSync(join(root, target), { recursive: true });
    writeFileSync(join(root, target, name), Buffer.concat([bytes, Buffer.of(variant)]));
  }
}

function indexOf(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(32, true);
  return bytes.subarray(64, 64 + length);
}

let state = 1;
const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5) * 0.2;

function f32(shape) {
  // Coarse, so that a larger tensor is worth compressing.
  const values = Float32Array.from(
    { length: shape.reduce((x, y) => x * y, 1) },
    () => Math.round(random() * 4096) / 4096,
  );
  return { element: "F32", shape, data: new Uint8Array(values.buffer) };
}

const config = (over = {}) =>
  Buffer.from(
    JSON.stringify({
      peft_type: "LORA",
      r: 2,
      lora_alpha: 4,
      target_modules: ["q_proj"],
      base_model_name_or_path: "x/y",
      ...over,
    }),
  );

function tensors(extra = {}) {
  const q = "base_model.model.model.layers.0.self_attn.q_proj";
  return new Map(
    Object.entries({
      [`${q}.lora_A.weight`]: f32([2, 8]),
      [`${q}.lora_B.weight`]: f32([4, 2]),
      ...Object.fromEntries(Object.entries(extra).map(([name, shape]) => [name.replace("Q", q), f32(shape)])),
    }),
  );
}

const ADAPTERS = {
  plain: [config(), tensors()],
  dora: [config({ use_dora: true }), tensors({ "Q.lora_magnitude_vector": [4] })],
  bias: [config({ bias: "all" }), tensors({ "base_model.model.model.layers.0.self_attn.q_proj.bias": [4] })],
  saved: [
    config({ modules_to_save: ["head"], use_rslora: true }),
    tensors({ "base_model.model.head.weight": [16, 8] }),
  ],
  conv: [
    config({ target_modules: ["conv"] }),
    new Map([
      ["base_model.model.conv.lora_A.weight", f32([2, 3, 2, 2])],
      ["base_model.model.conv.lora_B.weight", f32([4, 2, 1, 1])],
    ]),
  ],
  embedding: [
    config({ target_modules: ["emb"] }),
    new Map([
      ["base_model.model.emb.lora_embedding_A", f32([2, 5])],
      ["base_model.model.emb.lora_embedding_B", f32([4, 2])],
    ]),
  ],
  patterns: [config({ rank_pattern: { "0.self_attn.q_proj": 2 }, alpha_pattern: { q_proj: 3 } }), tensors()],
};
const ENCODINGS = {
  rd: { profile: "rd" },
  rtn: { profile: "rtn", codeBits: 3, group: 16 },
  sign: { profile: "sign", group: 0 },
  raw: { profile: "raw" },
};

seed(["lqa"], "example", readFileSync(new URL("../spec/example.lqa", import.meta.url)), 2);
// Starts, which no adapter as small as these has.
for (const name of ["experts", "several-modules-and-bands", "state-2-of-3"]) {
  const bytes = readFileSync(new URL(`../conformance/suite/valid/start/${name}.lqa`, import.meta.url));
  seed(["lqa"], `start-${name}`, bytes, 2);
  seed(["index"], `start-${name}`, indexOf(bytes), 1);
}
// Children; what decodes them has their parents (targets/decode.mjs).
for (const name of ["modules", "start", "larger-rank"]) {
  const bytes = readFileSync(new URL(`../conformance/suite/valid/parent/${name}.lqa`, import.meta.url));
  seed(["lqa"], `parent-${name}`, bytes, 2);
  seed(["index"], `parent-${name}`, indexOf(bytes), 2);
}
for (const [name, [json, weights]] of Object.entries(ADAPTERS)) {
  const safetensors = writeSafetensors(weights, { metadata: new Map([["format", "pt"]]) });
  seed(["safetensors"], name, safetensors);
  seed(["adapter"], name, framed(json, safetensors));
  const adapter = readAdapter(
    new Map([
      ["adapter_config.json", json],
      ["adapter_model.safetensors", safetensors],
    ]),
  );
  if (name === "plain")
    for (const [dialect, input, variant] of dialectSeeds(adapter))
      seed(["dialects"], dialect, input, variant);
  for (const [profile, options] of Object.entries(ENCODINGS)) {
    if (name !== "plain" && profile !== "rd" && !(name === "conv" && profile === "rtn")) continue;
    const { bytes } = await encodeAdapter(adapter, { ...options, workers: 1 });
    seed(["lqa"], `${name}-${profile}`, bytes, 2);
    seed(["index"], `${name}-${profile}`, indexOf(bytes));
  }
}
for (const [name, value] of Object.entries({
  empty: {},
  flat: { a: 1, b: -5, c: "text", d: 0.5, e: null, f: true, g: new Uint8Array(3) },
  wide: { a: 2 ** 40, b: -(2 ** 40), c: 300, d: -300, e: 70000, f: -70000, g: "é".repeat(40) },
  deep: { a: [1, [2, [3, { b: [4, { c: {} }] }]]] },
  long: { a: Array.from({ length: 20 }, (_, i) => i), b: "x".repeat(300) },
}))
  seed(["meta"], name, encodeMeta(value, "META"));
for (const [name, raw, variant] of [
  ["one", Buffer.of(7), 1],
  ["text", Buffer.from("abc".repeat(400).slice(0, 1000)), 4],
  ["zeros", Buffer.alloc(6400), 5],
  ["frame", Buffer.alloc(2 ** 20), 6],
]) {
  seed(["zstd"], name, zstd.compress(raw), variant);
  seed(["zstd"], `${name}-dictionary`, zstd.compressText(raw), variant + 16);
}
seed(
  ["calibration"],
  "moments",
  writeSafetensors(new Map([["model.layers.0.self_attn.q_proj", f32([8])]]), {}),
);
seed(["calibration"], "gguf", gguf());
seed(["calibration"], "dat", dat());
/** Answers of servers, one a byte; see the targets. */
seed(["ranges"], "good", Buffer.alloc(16));
seed(["ranges"], "changes", Buffer.from([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]), 128);
seed(["ranges"], "expected", Buffer.from([1, 1, 1, 1]), 64);
seed(["ranges"], "faults", Buffer.from([0, 28, 0, 16, 28, 0, 24, 8, 12, 20, 36, 40]), 1);
seed(["ranges"], "events", Buffer.from([0, 0, 28, 1, 0, 1]), 2);
seed(["redirects"], "none", Buffer.of(0));
seed(["redirects"], "chain", Buffer.from([1, 9, 17, 25, 33, 0]));
seed(["redirects"], "insecure", Buffer.from([33, 41, 0]));
seed(["redirects"], "back", Buffer.from([17, 25, 0]));
seed(["redirects"], "loop", Buffer.alloc(8, 25));
seed(
  ["redirects"],
  "location",
  Buffer.concat([Buffer.of(241), Buffer.from("https://b.example/a?b#c "), Buffer.of(0)]),
);

// For the grammar of directories, choices.
for (const target of ["tree"])
  for (const length of [8, 24, 64])
    seed(
      [target],
      `choices-${length}`,
      Buffer.from(Array.from({ length }, (_, i) => (i * 37 + length) & 255)),
      3,
    );

/** An importance matrix in GGUF: sums of squares and counts of one layer. */
function gguf() {
  const text = (s) => Buffer.concat([u64(s.length), Buffer.from(s)]);
  const info = (name, dims, offset) =>
    Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(0), u64(offset)]);
  const head = Buffer.concat([
    Buffer.from("GGUF"),
    u32(3),
    u64(2),
    u64(2),
    text("general.type"),
    u32(8),
    text("imatrix"),
    text("imatrix.chunk_count"),
    u32(4),
    u32(1),
    info("blk.0.attn_q.weight.counts", [1, 1], 0),
    info("blk.0.attn_q.weight.in_sum2", [8, 1], 32),
  ]);
  const data = Buffer.alloc(64);
  data.writeFloatLE(1, 0);
  for (let i = 0; i < 8; i++) data.writeFloatLE(1 + i, 32 + 4 * i);
  return Buffer.concat([head, Buffer.alloc((32 - (head.length % 32)) % 32), data]);
}

/** The same in the older form. */
function dat() {
  const name = "blk.0.attn_q.weight";
  const values = Buffer.alloc(32);
  for (let i = 0; i < 8; i++) values.writeFloatLE(1 + i, 4 * i);
  return Buffer.concat([u32(1), u32(name.length), Buffer.from(name), u32(1), u32(8), values]);
}

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
