// The vectors of spec/example.md: small inputs followed step by step. The codes, planes, names and frames are those of real files that
// the library wrote and opened again; spec/example.mjs puts the text into the page, test/vectors.test.ts checks it.

import { concat } from "../dist/common/bytes.js";
import { rotateIntegers, rotateWeights, scaleOfRotated } from "../dist/core/codecs/rotation.js";
import { trellisSteps, trellisTable } from "../dist/core/codecs/trellis.js";
import { readIndex } from "../dist/core/container/index-read.js";
import { planeExtents } from "../dist/core/container/layout.js";
import { open } from "../dist/core/index.js";
import { createWriter } from "../dist/core/write/write.js";
import { encodeTrellis } from "../dist/encode/quantize/viterbi/viterbi.js";
import { bf16ToNumber, numberToBf16, numberToF16 } from "../dist/floats.js";

const ZERO = { codec: "zero" };
const NO_BYTES = new Uint8Array(0);
const NO_PLANES = { scales: NO_BYTES, zeroPoints: NO_BYTES, codes: NO_BYTES };
const words = (...values) => new Uint8Array(Uint16Array.from(values).buffer);
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");
const block = (lines) => `\`\`\`\n${lines.join("\n")}\n\`\`\``;
const table = (head, rows) =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
/** Numbers in rows of `wide`, each row with the number of its first. */
const grid = (values, wide) =>
  Array.from({ length: Math.ceil(values.length / wide) }, (_, row) => {
    const own = Array.from(values.slice(row * wide, (row + 1) * wide), (x) => String(x).padStart(6));
    return `${String(row * wide).padStart(4)} ${own.join("")}`;
  });

async function fileOf(modules, tensors = []) {
  const shape = { role: "linear", kernel: [], experts: 1, baseLayout: "out-in" };
  const input = { multiplier: 1, alpha: 0, rule: "none", rank: 1, ...shape };
  const writer = await createWriter({ tensors: tensors.map((t) => ({ axis: 0, ...t })), sections: [] });
  const bytes = concat([...writer.prepare(modules.map((m) => ({ ...input, ...m }))).pieces()]);
  const file = await open(bytes);
  await file.verify();
  return { bytes, file };
}

/** A module `q` whose A′ is one vector of these weights, coded by the encoder, and whose B′ is zero. */
async function trellisFile(weights, number, rotation, scale) {
  const own = rotation === "none" ? weights : rotateWeights(weights);
  const codes = encodeTrellis(
    own.map((x) => x / scale),
    trellisTable(number),
  ).bits;
  const stored = numberToBf16(rotation === "none" ? scale : scaleOfRotated(scale));
  const a = { codec: "trellis", table: number, group: 0, scale: "bf16", rotation };
  const planes = { scales: words(stored), zeroPoints: NO_BYTES, codes };
  const { bytes, file } = await fileOf([
    {
      name: "q",
      out: 1,
      in: weights.length,
      bands: [{ components: 1, b: ZERO, a }],
      planes: [[{ b: NO_PLANES, a: planes }]],
    },
  ]);
  const at = (plane) => {
    const { offset, length } = [...planeExtents(file.modules[0], file.modules[0].bands)].find(
      (e) => e.plane === plane,
    );
    return bytes.subarray(
      file.modules[0].chunk.offset + offset,
      file.modules[0].chunk.offset + offset + length,
    );
  };
  return {
    codes: at("codes"),
    scale: at("scales"),
    decoded: (await file.decode("q", { layout: "component" })).a.data,
  };
}

/** Each step of a bit string: its bits, the window, the table's integers. */
function stepsOf(codes, number, length) {
  const { stepBits, weightsPerStep, entries } = trellisTable(number);
  const bit = (i) => (codes[i >> 3] >> (i & 7)) & 1;
  let window = 0;
  return Array.from({ length: trellisSteps(trellisTable(number), length) }, (_, j) => {
    const bits = Array.from({ length: stepBits }, (_, i) => bit(j * stepBits + i));
    const value = bits.reduce((sum, b, i) => sum + (b << i), 0);
    const before = window;
    window = (window >> stepBits) + (value << (8 - stepBits));
    const integers = [...entries.subarray(window * weightsPerStep, (window + 1) * weightsPerStep)];
    return { j, bits, value, before, window, integers };
  });
}

async function names() {
  const module = (name) => ({
    name,
    out: 1,
    in: 1,
    bands: [{ components: 1, b: ZERO, a: ZERO }],
    planes: [[{ b: NO_PLANES, a: NO_PLANES }]],
  });
  const tensor = (name) => ({ name, role: "replace", element: "U8", shape: [0], data: NO_BYTES });
  const { bytes, file } = await fileOf(
    ["layers.2.q", "layers.2.k", "layers.10.q", "layers.é"].map(module),
    ["layers.2.norm", "layers.2.norms"].map(tensor),
  );
  const { vectors } = readIndex(bytes.subarray(64, 64 + file.prologue.indexLength), 64);
  let at = 0;
  const rows = ["modules", "tensors"].flatMap((kind) =>
    vectors[kind].map(({ nameShared, nameSuffix }, i) => {
      const suffix = vectors.names.subarray(at, at + nameSuffix);
      at += nameSuffix;
      const name = file[kind][i].name;
      return [`${kind}[${i}]`, nameShared, nameSuffix, `\`${hex(suffix)}\``, `\`${name}\``];
    }),
  );
  return `### L.1 Front-coded names (6.10, 3.3)

The vector \`names\`, ${vectors.names.length} bytes:

${block(grid8(vectors.names))}

Each record takes its first bytes from the name before it, and the next bytes of \`names\`. The first tensor shares nothing with the last module. 2 precedes 10, since runs of digits compare as numbers; é is C3 A9, which is above all ASCII characters.

${table(["record", "`name_shared`", "`name_suffix`", "its bytes of `names`", "name"], rows)}`;
}

const grid8 = (bytes) =>
  Array.from({ length: Math.ceil(bytes.length / 16) }, (_, i) => hex(bytes.subarray(16 * i, 16 * i + 16)));

async function trellis() {
  const number = 3;
  const { stepBits, weightsPerStep } = trellisTable(number);
  const weights = Float32Array.of(0.75, -0.5, 0.25, 1, -1.25, 0, 0.5);
  const { codes, scale, decoded } = await trellisFile(weights, number, "none", 2 ** -6);
  const s = bf16ToNumber(scale[0] + 256 * scale[1]);
  const steps = stepsOf(codes, number, weights.length);
  const rows = steps.map(({ j, bits, value, before, window, integers }) => [
    j,
    bits.join(" "),
    value,
    `⌊${before} / 8⌋ + 32 · ${value} = ${window}`,
    ...integers,
    [...decoded.slice(2 * j, 2 * j + 2)].join(", "),
  ]);
  return `### L.2 Trellis, two weights and 3 bits a step (8.6)

Table ${number} (k = ${stepBits}, V = ${weightsPerStep}), one vector of n = ${weights.length} weights: ⌈${weights.length} / 2⌉ = ${steps.length} steps, ${steps.length * stepBits} bits, ${codes.length} bytes; the last integer is not used.

${block([`codes ${hex(codes)}`, `scale ${hex(scale)}`])}

The scale is the bf16 number s = ${s}. The bits of the string from the lowest of the first byte on: ${steps.map(({ bits }) => bits.join("")).join(" ")}, then ${8 * codes.length - steps.length * stepBits} unused bits, which are zero. w(−1) = 0.

${table(["j", "bits", "number", "w(j)", "T[w][0]", "T[w][1]", "weights"], rows)}`;
}

async function rotation() {
  const number = 1;
  const length = 130;
  const weights = Float32Array.from({ length }, (_, i) => ((i * 37) % 64) - 31.5);
  const { codes, scale, decoded } = await trellisFile(weights, number, "hadamard64", 0.25);
  const steps = stepsOf(codes, number, length);
  const t = Int16Array.from(steps.flatMap(({ integers }) => integers).slice(0, length));
  const mixed = t.slice();
  rotateIntegers(mixed);
  const s = bf16ToNumber(scale[0] + 256 * scale[1]);
  const [row, column] = [3, 1];
  const at = 2 * row + column;
  const terms = Array.from({ length: 64 }, (_, q) => {
    const odd = [...(q & row).toString(2)].filter((digit) => digit === "1").length % 2 === 1;
    return (odd ? -1 : 1) * t[2 * q + column];
  });
  const sum = terms.reduce((a, b) => a + b);
  return `### L.3 Rotation with a tail (8.6.1)

Table ${number} (k = 1, V = 2), one rotated vector of n = ${length} weights: ${steps.length} steps of 1 bit, ${codes.length} bytes; c = ⌊${length} / 64⌋ = 2 columns, and a tail of ${length % 64} weights.

${block([`codes ${hex(codes)}`, `scale ${hex(scale)}`])}

The integers t(i) = T[w(⌊i / 2⌋)][i mod 2], sixteen in a line after the number of the first:

${block(grid(t, 16))}

Weight ${at} is in row r = ⌊${at} / 2⌋ = ${row} and column k = ${at} mod 2 = ${column}. r₀ = r₁ = 1 and the other bits are 0, so the sign is (−1)^1. The sum over q of (−1)^ones(q AND ${row}) · t(2 q + ${column}) takes t(1), t(3), t(5), … t(127) with the signs + − − +, again and again:

> ${terms
    .slice(0, 8)
    .map((x, i) => (i === 0 ? String(x) : x < 0 ? `− ${-x}` : `+ ${x}`))
    .join(" ")} … ${terms.at(-1) < 0 ? `− ${-terms.at(-1)}` : `+ ${terms.at(-1)}`} = ${sum}

so that its integer is ${mixed[at]}. Weight 128 is of the tail: 8 · ${t[128]} = ${mixed[128]}. All integers:

${block(grid(mixed, 16))}

The scale is s = ${s}: weight 0 is ${decoded[0]}, weight ${at} is ${decoded[at]}, weight ${length - 1} is ${decoded[length - 1]}.`;
}

async function experts() {
  const affine = { codec: "affine", bits: 2, group: 0, scale: "f16" };
  const raw = { codec: "raw", element: "f16" };
  const sign = { codec: "sign", group: 0, scale: "f16" };
  const f16 = (...values) => words(...values.map(numberToF16));
  const bytes = (...values) => Uint8Array.from(values);
  const planes = (x) => [
    {
      b: { codes: bytes(0b01_00_11), zeroPoints: bytes(1), scales: f16(x) },
      a: { codes: bytes(0b00_01_10_11, 0b10), zeroPoints: bytes(2), scales: f16(2 * x) },
    },
    {
      b: { codes: f16(x, -x, 4 * x), zeroPoints: NO_BYTES, scales: NO_BYTES },
      a: { codes: bytes(0b10011), zeroPoints: NO_BYTES, scales: f16(x / 2) },
    },
  ];
  const bands = [
    { components: 1, b: affine, a: affine },
    { components: 1, b: raw, a: sign },
  ];
  const module = { name: "q", out: 3, in: 5, experts: 2, rank: 2, bands, planes: [planes(0.5), planes(3)] };
  const { bytes: all, file } = await fileOf([module]);
  const [{ chunk, payload, bands: own }] = file.modules;
  const stored = all.subarray(chunk.offset, chunk.offset + payload);
  const rows = [];
  let end = 0;
  for (const { expert, band, factor, plane, offset, length } of planeExtents(file.modules[0], own)) {
    if (offset > end) rows.push([end, `\`${hex(stored.subarray(end, offset))}\``, "padding"]);
    end = offset + length;
    const kind = { scales: "scale", zeroPoints: "zero point", codes: "codes" }[plane];
    const what = `expert ${expert}, band ${band}, ${factor === "b" ? "B′" : "A′"}: ${kind}`;
    rows.push([offset, `\`${hex(stored.subarray(offset, end))}\``, what]);
  }
  const { b, a } = await file.decode("q", { layout: "component" });
  const vectors = [];
  for (const expert of [0, 1])
    for (const component of [0, 1])
      for (const [name, data, n] of [
        ["B′", b.data, 3],
        ["A′", a.data, 5],
      ]) {
        const from = (2 * expert + component) * n;
        const values = Array.from(data.slice(from, from + n), (x) => (Object.is(x, -0) ? "-0" : x));
        vectors.push([expert, component, name, values.join(", ")]);
      }
  return `### L.4 Experts with padding (7.2, 7.3)

A linear module of out 3, in 5 and rank 2 with E = 2 experts. Band 0 is one component of 2-bit \`affine\` in both factors; band 1 is one component of \`raw\` F16 in B′ and \`sign\` in A′; all groups are whole vectors. The payload of ${stored.length} bytes, counted from its start:

${table(["at", "bytes", "what"], rows)}

The raw plane starts at a multiple of 2, the first plane of scales at a multiple of 2, expert 1 at a multiple of 16; there is no padding behind the last plane. The weights:

${table(["expert", "component", "factor", "weights"], vectors)}`;
}

async function frame() {
  const data = words(...Array.from({ length: 160 }, (_, i) => 0x3c00 + 16 * (i % 8)));
  const { bytes, file } = await fileOf(
    [],
    [{ name: "t", role: "carried", element: "F16", shape: [160], data }],
  );
  const [tensor] = file.tensors;
  const stored = bytes.subarray(tensor.chunk.offset, tensor.chunk.offset + tensor.chunk.length - 4);
  const descriptor = stored[4];
  const sizeBytes = 1 << (descriptor >> 6);
  if (tensor.compression !== "shuffled-zstd" || descriptor !== 0x60 || sizeBytes !== 2)
    throw new Error(`another frame than the text describes: ${tensor.compression} ${descriptor}`);
  const size = stored[5] + 256 * stored[6] + 256;
  const header = stored[7] + 256 * stored[8] + 65536 * stored[9];
  const length = header >> 3;
  if (stored.length !== 10 + length || ((header >> 1) & 3) !== 2) throw new Error("another block");
  const literals = stored[10] >> 3;
  if ((stored[10] & 7) !== 0) throw new Error("other literals");
  const rows = [
    ["0", hex(stored.subarray(0, 4)), "magic number of a zstd frame"],
    [
      "4",
      hex(stored.subarray(4, 5)),
      `descriptor ${descriptor.toString(2).padStart(8, "0")}: bits 7 and 6 are 01, so the content size has 2 bytes; bit 5 is 1: single segment; all others are zero`,
    ],
    ["5", hex(stored.subarray(5, 7)), `content size: ${size - 256} + 256 = ${size}, as 7.5 demands`],
    [
      "7",
      hex(stored.subarray(7, 10)),
      `block header ${header}: bit 0 is ${header & 1}, the last block; bits 1 and 2 are 2, compressed; size ${header} / 8 = ${length}, rounded down`,
    ],
    [
      "10",
      hex(stored.subarray(10, 11)),
      `literals of the block (RFC 8878, 3.1.1.3): stored as they are, ${literals} bytes`,
    ],
    ["11", hex(stored.subarray(11, 11 + literals)), "the literals"],
    [
      String(11 + literals),
      hex(stored.subarray(11 + literals)),
      `${stored[11 + literals]} sequences: how literals are followed by repetitions`,
    ],
  ];
  return `### L.5 A zstd frame of shuffled elements (7.5, 7.6)

A tensor \`t\` of 160 elements F16, 20 times these eight: \`${hex(data.subarray(0, 16))}\`. Its payload has ${data.length} bytes, not above 2^20, so that it is one frame. Shuffled, they are 20 times \`00 10 20 30 40 50 60 70\`, then 160 times \`3c\`. Compression 2 (\`shuffled-zstd\`), stored payload ${stored.length} bytes, \`chunk_length\` ${tensor.chunk.length}:

${table(
  ["at", "bytes", "what"],
  rows.map(([at, own, what]) => [at, `\`${own}\``, what]),
)}

10 + ${length} = ${stored.length}: the frame ends with the stored payload. The block expands to the ${size} shuffled bytes; byte b of element i is byte 160 b + i of them.`;
}

export async function vectors() {
  const parts = [names, trellis, rotation, experts, frame];
  const text = [];
  for (const part of parts) text.push(await part());
  return text.join("\n\n");
}
