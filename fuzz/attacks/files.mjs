// How hostile files are made: sound ones by the library's own writer, with one thing changed and the checksums right again.
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { compose, tensor } from "../../conformance/generate/compose.mjs";
import { writeFile } from "../../conformance/generate/file.mjs";
import { frame, rawBlock, rleBlock } from "../../conformance/generate/frames.mjs";
import { crc32 } from "../../dist/common/bytes.js";
import { encodeMeta } from "../../dist/core/container/meta-write.js";
import { PROLOGUE_BYTES } from "../../dist/core/container/prologue.js";
import { createWriter } from "../../dist/core/write/write.js";

export const MIB = 2 ** 20;
export const F32 = { codec: "raw", element: "f32" };
export const F16 = { codec: "raw", element: "f16" };
export const WIDE = { codec: "affine", bits: 8, group: 0, scale: "f16" };
const ZERO = { codec: "zero" };
const NONE = new Uint8Array(0);
const NO_PLANES = { scales: NONE, zeroPoints: NONE, codes: NONE };

/** A linear module of planes: [expert][band]. */
function moduleOf(name, over, bands, planes) {
  const rank = bands.reduce((sum, { components }) => sum + components, 0);
  return {
    name,
    role: "linear",
    out: 1,
    in: 1,
    kernel: [],
    experts: 1,
    rank,
    baseLayout: "out-in",
    multiplier: 1,
    alpha: rank,
    rule: "alpha/r",
    bands,
    planes,
    ...over,
  };
}

/** A module of codec zero: no bytes in the file, whatever its sizes. */
export const empty = (name, over = {}, components = 1) =>
  moduleOf(
    name,
    over,
    [{ components, b: ZERO, a: ZERO }],
    Array(over.experts ?? 1).fill([{ b: NO_PLANES, a: NO_PLANES }]),
  );

/** A module of zeros on a start: a mixture of all draws for each of its components, and no other byte, whatever its length. */
export function started(name, start, position, over = {}, rank = 1) {
  const mix = {
    codes: new Uint8Array(rank * rank).fill(255),
    zeroPoints: new Uint8Array(rank),
    scales: Uint8Array.from({ length: 2 * rank }, (_, i) => [0x80, 0x3f][i % 2]),
  };
  const bands = [{ components: rank, b: ZERO, a: { ...ZERO, mix: 8 } }];
  const planes = [[{ b: NO_PLANES, a: NO_PLANES, mix }]];
  return moduleOf(name, { start: { start, position }, ...over }, bands, planes);
}

/** The pieces of a sound file. */
export async function piecesOf({ modules = [], tensors = [], sections = [], ...how }) {
  const writer = await createWriter({ tensors, sections, compressTensors: false, ...how });
  return writer.prepare(modules).pieces();
}

export const bytesOf = async (input) => Buffer.concat([...(await piecesOf(input))]);

export const section = (type, data) => ({ type, critical: false, safeToCopy: true, data, compress: false });
export const meta = (map) => section("META", encodeMeta(map, "META"));

/** Blocks that become holes: small enough for most of a file whose zeros have a few bytes between them. */
const HOLE = Buffer.alloc(16384);

/** Writes pieces to a file, blocks of zeros as holes. */
export function sparse(path, pieces) {
  const file = openSync(path, "w");
  let at = 0;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; from += HOLE.length) {
      const part = piece.subarray(from, from + HOLE.length);
      if (HOLE.compare(part, 0, part.length, 0, part.length) !== 0)
        writeSync(file, part, 0, part.length, at + from);
    }
    at += piece.length;
  }
  ftruncateSync(file, at);
  closeSync(file);
}

/** The file that `change` makes of a small one, the CRC-32 of prologue and index right again. */
export function resealed(small, change) {
  const bytes = Buffer.from(small);
  change(bytes);
  const end = PROLOGUE_BYTES + bytes.readUInt32LE(32);
  if (end <= bytes.length) bytes.writeUInt32LE(crc32(bytes.subarray(PROLOGUE_BYTES, end)), 56);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60);
  return bytes;
}

/** Modules of one large plane each, all the same memory: zeros take none before they are read. */
export function large(count, encoding, side, rank, fill = [0]) {
  const scaled = "scale" in encoding;
  const each = scaled ? Math.ceil((side * encoding.bits) / 8) : side * (encoding.element === "f32" ? 4 : 2);
  const codes = new Uint8Array(rank * each);
  if (fill.length > 1) for (let i = 0; i < codes.length; i++) codes[i] = fill[i % fill.length];
  const b = {
    scales: new Uint8Array(scaled ? 2 * rank : 0),
    zeroPoints: new Uint8Array(scaled ? rank : 0),
    codes,
  };
  const bands = [{ components: rank, b: encoding, a: ZERO }];
  const modules = Array.from({ length: count }, (_, i) =>
    moduleOf(`m${i}`, { out: side }, bands, [[{ b, a: NO_PLANES }]]),
  );
  return piecesOf({ modules });
}

/** Alternating bands of nothing and of three bytes: an object for every byte, if one is made for each plane. */
export function tinyPlanes(experts) {
  const sign = { codec: "sign", group: 0, scale: "f16" };
  const bands = Array.from({ length: 1024 }, (_, i) => ({
    components: 1,
    b: ZERO,
    a: i % 2 === 1 ? sign : ZERO,
  }));
  const planes = { scales: Uint8Array.of(0, 0x3c), zeroPoints: NONE, codes: Uint8Array.of(1) };
  const own = bands.map((_, i) => ({ b: NO_PLANES, a: i % 2 === 1 ? planes : NO_PLANES }));
  return bytesOf({ modules: [moduleOf("m", { experts }, bands, Array(experts).fill(own))] });
}

/** More band plans than their references reach, or the largest index: plans of `each` bands that differ in one rank. */
export function manyBands(plans, each) {
  const modules = Array.from({ length: plans }, (_, i) => {
    const bands = Array.from({ length: each }, (_, k) => ({
      components: k < 8 ? 1 + ((i >> (2 * k)) & 3) : 1,
      b: k % 2 === 0 ? ZERO : F16,
      a: k % 2 === 0 ? F16 : ZERO,
    }));
    const planes = bands.map(({ components }, k) => {
      const factor = { ...NO_PLANES, codes: new Uint8Array(2 * components) };
      return k % 2 === 0 ? { b: NO_PLANES, a: factor } : { b: factor, a: NO_PLANES };
    });
    return moduleOf(`m${i}`, {}, bands, [planes]);
  });
  return bytesOf({ modules });
}

/** Plain tensors of so many MiB of zeros, each stored as `frames`: of the conformance suite's writer, which needs no compressor. */
export function framed(mebibytes, count, frames) {
  const data = new Uint8Array(mebibytes * MIB);
  const stored = frames(mebibytes);
  const tensors = Array.from({ length: count }, (_, i) =>
    tensor({ name: `t${i}.weight`, shape: [data.length / 4], data, compression: 1, stored }),
  );
  return writeFile(compose({ tensors })).bytes;
}

const BLOCK = 2 ** 17;
const zeroBlocks = (count) => Array.from({ length: count }, () => rleBlock(0, BLOCK));

/** Each MiB as eight blocks of one repeated byte, in 41 bytes. */
export const repeated = (mebibytes) => Buffer.concat(Array(mebibytes).fill(frame(MIB, zeroBlocks(8))));

/** Each MiB as one such block and seven that are stored as they are, so that the file is nearly as large as what it holds. */
export const stored = (mebibytes) => {
  const blocks = [...zeroBlocks(1), ...Array(7).fill(rawBlock(new Uint8Array(BLOCK)))];
  return Buffer.concat(Array(mebibytes).fill(frame(MIB, blocks)));
};

/** The first MiB in a frame that begins with blocks of no bytes, three zeros each, which fill all the space there is. */
export const hollow = (mebibytes) => {
  const first = frame(MIB, zeroBlocks(8));
  const rest = repeated(mebibytes - 1);
  const room = mebibytes * MIB - first.length - rest.length - 100;
  const head = first.length - 8 * 4;
  return Buffer.concat([
    first.subarray(0, head),
    Buffer.alloc(room - (room % 3)),
    first.subarray(head),
    rest,
  ]);
};

/** A safetensors file: the declared length of the header, and the header. */
export function safetensors(length, header) {
  const bytes = Buffer.alloc(8 + header.length);
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(header, 8, "latin1");
  return bytes;
}

/** A GGUF file, field by field: numbers are u32, bigints u64, strings have their length before them. */
export function gguf(tensors, pairs, ...fields) {
  const parts = [Buffer.from("GGUF"), 3, BigInt(tensors), BigInt(pairs), ...fields].map((field) => {
    if (typeof field === "object") return field;
    if (typeof field === "string") return Buffer.concat([u64(BigInt(field.length)), Buffer.from(field)]);
    return typeof field === "bigint" ? u64(field) : u32(field);
  });
  return Buffer.concat(parts);
}

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
