// Makes spec/example.lqa and its byte-by-byte description, and the worked vectors: spec/example.md
// (vectors.mjs). Run after `npm run build`. `--check` fails when one of them is not current.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { concat } from "../dist/common/bytes.js";
import { SCHEMA } from "../dist/core/container/generated/schema.js";
import { readIndex } from "../dist/core/container/index-read.js";
import { planeExtents } from "../dist/core/container/layout.js";
import { encodeMeta } from "../dist/core/container/meta-write.js";
import { open } from "../dist/core/index.js";
import { createWriter } from "../dist/core/write/write.js";
import { vectors } from "./vectors.mjs";

const check = process.argv.includes("--check");
const bytesOf = (...values) => Uint8Array.from(values);
const f32 = (...values) => new Uint8Array(new Float32Array(values).buffer);

const scale = { group: 16, scale: "f16" };
const affine = { codec: "affine", bits: 2, ...scale };
const sign = { codec: "sign", ...scale };
const none = new Uint8Array(0);
const input = {
  modules: [
    {
      name: "q",
      role: "linear",
      out: 3,
      in: 5,
      kernel: [],
      experts: 1,
      rank: 2,
      baseLayout: "out-in",
      multiplier: 2,
      alpha: 4,
      rule: "alpha/r",
      bands: [
        { components: 1, b: affine, a: affine },
        { components: 1, b: sign, a: sign },
      ],
      planes: [
        [
          // scale 0.5, zero point 1, codes 3 0 1 → weights 1 −0.5 0; scale 0.25, zero point 2, codes 3 2 1 0 2
          {
            b: { scales: bytesOf(0x00, 0x38), zeroPoints: bytesOf(0b01), codes: bytesOf(0b01_00_11) },
            a: {
              scales: bytesOf(0x00, 0x34),
              zeroPoints: bytesOf(0b10),
              codes: bytesOf(0b00_01_10_11, 0b10),
            },
          },
          // scale 0.125, signs + − +; scale 0.0625, signs − − + + −
          {
            b: { scales: bytesOf(0x00, 0x30), zeroPoints: none, codes: bytesOf(0b010) },
            a: { scales: bytesOf(0x00, 0x2c), zeroPoints: none, codes: bytesOf(0b10011) },
          },
        ],
      ],
    },
  ],
  tensors: [{ name: "q.bias", role: "bias", element: "F32", shape: [3], axis: 0, data: f32(1, 0, -1) }],
  sections: [
    {
      type: "META",
      critical: false,
      safeToCopy: true,
      compress: false,
      data: encodeMeta({ base_model: "tiny" }, "META"),
    },
  ],
};
const bytes = concat([...(await createWriter(input)).prepare(input.modules).pieces()]);
const file = await open(bytes);
const ids = await file.verify();

const lines = [];
let at = 0;
/** Describes the next `length` bytes; long runs are shortened. */
function describe(length, text) {
  const hex = Array.from(bytes.subarray(at, at + length), (b) => b.toString(16).padStart(2, "0"));
  const shown = hex.length > 12 ? [...hex.slice(0, 8), "…", ...hex.slice(-2)] : hex;
  lines.push(`${String(at).padStart(5)}  ${shown.join(" ").padEnd(37)} ${text}`);
  at += length;
}
const heading = (text) => lines.push("", text);
const padTo = (position) => {
  if (position > at) describe(position - at, "padding");
};

heading("PROLOGUE");
for (const [length, text] of [
  [8, "magic"],
  [2, "major version 1"],
  [2, "minor version 0"],
  [4, "required features: REPLACEMENT (there is a bias)"],
  [4, "read-only-compatible features"],
  [4, "compatible features"],
  [8, `file length ${bytes.length}`],
  [4, `index length ${file.prologue.indexLength}`],
  [4, "1 module"],
  [4, "1 plain tensor"],
  [4, "1 section"],
  [1, `chunk alignment 2^${Math.log2(file.prologue.alignment)}`],
  [7, "zero"],
  [4, "CRC-32 of the index"],
  [4, "CRC-32 of bytes 0 to 59"],
])
  describe(length, text);

heading("INDEX");
describe(4, "root table at index byte 32");
describe(4, "file identifier LQI1");
describe(2, "zero");
describe(4, "vtable: 22 bytes, of a table of 40 bytes");
describe(18, "where in the table each of the nine fields is: 4, 8, … 36");
describe(4, "root table: its vtable starts 22 bytes before it");
describe(36, "nine offsets to vectors, each from its own place");
const indexStart = 64;
const read = readIndex(bytes.subarray(64, 64 + file.prologue.indexLength), 64);
const plain = { u8: 1, u16: 2, u32: 4, f32: 4 };
for (const { name, element } of SCHEMA.vectors) {
  const records = read.vectors[name];
  // The example has no start.
  if (records === undefined) continue;
  describe(4, `${name}: ${records.length}`);
  if (element.struct) {
    const layout = SCHEMA.structs[element.struct];
    records.forEach((record, i) => {
      for (const field of layout.fields)
        describe(plain[field.type], `  ${name}[${i}].${field.name} = ${record[field.name]}`);
    });
  } else if (records.length > 0)
    describe(
      records.length * plain[element.scalar],
      name === "names"
        ? `  "${new TextDecoder().decode(records)}": q of the module, q.bias of the tensor`
        : `  ${[...records].join(", ")}`,
    );
  padTo(indexStart + Math.ceil((at - indexStart) / 4) * 4);
}

for (const module of file.modules) {
  padTo(module.chunk.offset);
  heading(`CHUNK of module "${module.name}"`);
  for (const extent of planeExtents(module, module.bands)) {
    if (extent.length === 0) continue;
    padTo(module.chunk.offset + extent.offset);
    const plane = { scales: "scale", zeroPoints: "zero point", codes: "codes" }[extent.plane];
    describe(extent.length, `band ${extent.band}, ${extent.factor === "b" ? "B'" : "A'"}: ${plane}`);
  }
  describe(4, "CRC-32 of the payload");
}
for (const tensor of file.tensors) {
  padTo(tensor.chunk.offset);
  heading(`CHUNK of tensor "${tensor.name}"`);
  describe(tensor.payload, "1, 0, −1 as f32");
  describe(4, "CRC-32 of the payload");
}
for (const section of file.sections) {
  padTo(section.chunk.offset);
  heading(`CHUNK of section ${section.type}`);
  describe(section.payload, `MessagePack ${JSON.stringify(await file.meta())}`);
  describe(4, "CRC-32 of the payload");
}
padTo(file.index.digests.offset);
heading("DIGESTS");
describe(32, "content id");
describe(32, "SHA-256 of the one span: all chunks with their padding");
heading("TRAILER");
for (const [length, text] of [
  [32, "root digest: SHA-256 of prologue, index and digests"],
  [8, `file length ${bytes.length}`],
  [4, "digest list: 64 bytes"],
  [4, `index length ${file.prologue.indexLength}`],
  [4, "zero"],
  [4, "CRC-32 of the 52 bytes before"],
  [8, "the magic backwards"],
])
  describe(length, text);
if (at !== bytes.length) throw new Error(`described ${at} of ${bytes.length} bytes`);

const { b, a } = await file.decode("q", { layout: "component" });
const text = `The file [\`example.lqa\`](example.lqa): ${bytes.length} bytes, one linear module \`q\` of rank 2 (out 3, in 5; a 2-bit component and a sign component), one bias, META. Made by \`node spec/example.mjs\`.

\`\`\`
${lines.join("\n").trim()}
\`\`\`

Decoded, component by component: B′ = ${[...b.data].join(", ")}; A′ = ${[...a.data].map((v) => (Object.is(v, -0) ? "-0" : v)).join(", ")}.
\`file_id\` ${ids.fileId}, \`content_id\` ${ids.contentId}.`;

const pageUrl = new URL("example.md", import.meta.url);
const fileUrl = new URL("example.lqa", import.meta.url);
const page = readFileSync(pageUrl, "utf8");
let filled = page;
for (const [name, body] of [
  ["example", text],
  ["vectors", await vectors()],
])
  filled = filled.replace(
    new RegExp(`(<!-- generated:${name} -->\\n)[\\s\\S]*?(<!-- /generated -->)`),
    (_, open, close) => `${open}${body}\n${close}`,
  );
const current = page === filled && existsSync(fileUrl) && Buffer.compare(readFileSync(fileUrl), bytes) === 0;
if (check) {
  if (!current) console.error("spec/example.md is not current; run: node spec/example.mjs");
  process.exit(current ? 0 : 1);
}
writeFileSync(pageUrl, filled);
writeFileSync(fileUrl, bytes);
