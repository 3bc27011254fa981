// Encodings, planes and what they decode to: spec clauses 6.4, 7.2, 7.3 and 8, in the plainest way.
import { readFileSync } from "node:fs";
import { bitsOfF32, concat, f32OfBits, narrow, sha256, u16, u32, widen, zeros } from "./bytes.mjs";

const tables = JSON.parse(readFileSync(new URL("../../spec/trellis-tables.json", import.meta.url), "utf8"));
export const TABLES = new Map(tables.tables.map((table) => [table.number, table]));

export const [ZERO, RAW, AFFINE, SIGN, TRELLIS] = [0, 1, 2, 3, 4];
export const ELEMENTS = {
  F32: 1,
  F16: 2,
  BF16: 3,
  F64: 4,
  I8: 5,
  I16: 6,
  I32: 7,
  I64: 8,
  U8: 9,
  U16: 10,
  U32: 11,
  U64: 12,
  Bool: 13,
};
export const WIDTHS = [0, 4, 2, 2, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1];
export const { F32, F16, BF16 } = ELEMENTS;

const encoding = (over) => ({
  codec: 0,
  element: 0,
  scale: 0,
  bits: 0,
  mixture: 0,
  group_exponent: 0,
  table: 0,
  rotation: 0,
  ...over,
});
const groupExponent = (group) => (group === 0 ? 0 : Math.log2(group));
export const zero = () => encoding({});
export const raw = (element = F32) => encoding({ codec: RAW, element });
export const affine = (bits = 2, { group = 16, scale = F16 } = {}) =>
  encoding({ codec: AFFINE, bits, group_exponent: groupExponent(group), scale });
export const sign = ({ group = 16, scale = F16 } = {}) =>
  encoding({ codec: SIGN, group_exponent: groupExponent(group), scale });
export const trellis = (table = 4, { rotation = 0 } = {}) =>
  encoding({ codec: TRELLIS, table, scale: BF16, rotation });

/** How the mixture of vectors of A′ with this encoding is stored (8.8.2). */
export const mixtureOf = ({ mixture }) =>
  mixture === 0 ? zero() : affine(mixture, { group: 0, scale: BF16 });

/** Bits of a code, or of a step. */
const codeBits = (e) =>
  e.codec === AFFINE ? e.bits : e.codec === TRELLIS ? TABLES.get(e.table).stepBits : 1;
/** Codes (or steps) of a vector of n weights. */
const fields = (e, n) => (e.codec === TRELLIS ? Math.ceil(n / TABLES.get(e.table).weightsPerStep) : n);
const groupSize = (e, n) => (e.group_exponent === 0 ? n : 2 ** e.group_exponent);
const groups = (e, n) => Math.ceil(n / groupSize(e, n));
const quantized = (e) => e.codec >= AFFINE;

/** Scales that are neither small nor large, as bits. */
const anyScale = {
  2: (r) => 0x2400 + r.bits(11),
  3: (r) => 0x3b00 + r.bits(8),
};
const anyWeight = {
  1: (r) => (r.bits(1) * 2 ** 31 + 0x3c000000 + r.bits(24)) >>> 0,
  2: (r) => r.bits(1) * 0x8000 + 0x2000 + r.bits(12),
  3: (r) => r.bits(1) * 0x8000 + 0x3c00 + r.bits(8),
};

/**
 * The numbers of one factor of one band: for each component its scales and raw weights (as bits), zero points, codes.
 * `over` replaces numbers: a function of (component, position) each.
 */
export function factorOf(e, components, n, r, over = {}) {
  const column = (count, make) =>
    Array.from({ length: components }, (_, c) => Array.from({ length: count }, (_, i) => make(c, i)));
  if (e.codec === ZERO) return { scales: [], zeros: [], codes: [], raw: [] };
  if (e.codec === RAW)
    return { scales: [], zeros: [], codes: [], raw: column(n, over.raw ?? (() => anyWeight[e.element](r))) };
  const bits = codeBits(e);
  const points = over.zeros ?? (() => r.bits(bits));
  return {
    scales: column(groups(e, n), over.scales ?? (() => anyScale[e.scale](r))),
    zeros: e.codec === AFFINE ? column(groups(e, n), points) : [],
    codes: column(fields(e, n), over.codes ?? (() => r.bits(bits))),
    raw: [],
  };
}

/** 7.2: fields from the lowest bit on; each list ends on a byte. */
function packBits(values, bits) {
  const bytes = zeros(Math.ceil((values.length * bits) / 8));
  values.forEach((value, i) => {
    for (let b = 0; b < bits; b++) {
      const at = i * bits + b;
      bytes[at >> 3] |= ((value >> b) & 1) << (at & 7);
    }
  });
  return bytes;
}

const floats = (lists, element) =>
  concat(...lists.map((list) => (WIDTHS[element] === 4 ? u32(...list) : u16(...list))));

/**
 * 7.2, 7.3: the payload of a module, and where its planes lie: [{ expert, band, factor, plane, at, length, gap }], `gap`
 * being the number of padding bytes before the plane. Of each expert codes, zero points, scales; B' before A' before mixtures
 * (8.8.2); band by band.
 */
export function payloadOf(bands, factors) {
  const parts = [];
  const planes = [];
  let at = 0;
  const put = (bytes, alignment, where) => {
    const gap = bytes.length === 0 ? 0 : (alignment - (at % alignment)) % alignment;
    parts.push(zeros(gap), bytes);
    at += gap;
    if (where !== undefined) planes.push({ ...where, at, length: bytes.length, gap });
    at += bytes.length;
  };
  const packed = (lists, e) => concat(...lists.map((list) => packBits(list, codeBits(e))));
  const codesOf = (e, f) => (e.codec === RAW ? floats(f.raw, e.element) : packed(f.codes, e));
  factors.forEach((expert, x) => {
    if (x > 0) put(zeros((16 - (at % 16)) % 16), 1);
    for (const plane of ["codes", "zeros", "scales"])
      for (const factor of ["b", "a", "mix"])
        bands.forEach((band, b) => {
          const e = factor === "mix" ? mixtureOf(band.a) : band[factor];
          const f = expert[b][factor];
          const where = { expert: x, band: b, factor, plane };
          if (e.codec === ZERO) return;
          if (plane === "codes") put(codesOf(e, f), e.codec === RAW ? WIDTHS[e.element] : 1, where);
          else if (e.codec === RAW) return;
          else if (plane === "scales") put(floats(f.scales, e.scale), 2, where);
          else if (e.codec === AFFINE) put(packed(f.zeros, e), 1, where);
        });
  });
  return { payload: concat(...parts), planes };
}

/** 8: the f32 bits of every weight of a factor, component by component. */
export function decode(e, f, components, n) {
  const words = new Uint32Array(components * n);
  for (let c = 0; c < components; c++) {
    if (e.codec === RAW) words.set(f.raw[c].map(widen[e.element]), c * n);
    if (!quantized(e)) continue;
    const size = groupSize(e, n);
    integers(e, f, c, n).forEach((integer, i) => {
      const scale = f32OfBits(widen[e.scale](f.scales[c][Math.floor(i / size)]));
      words[c * n + i] = bitsOfF32(Math.fround(integer * scale)); // exact
    });
  }
  return words;
}

/** 8.8.4: the vectors of A′ of these rests; `draws` are [rank][n]. */
function begun(rests, { mixture }, mix, n, draws) {
  const rank = draws.length / n;
  const e = affine(mixture, { group: 0, scale: BF16 });
  return rests.map((word, at) => {
    const [c, i] = [Math.floor(at / n), at % n];
    const factors = integers(e, mix, c, rank);
    const sum = factors.reduce((total, factor, k) => total + factor * draws[k * n + i], 0);
    const scale = f32OfBits(widen[BF16](mix.scales[c][0]));
    return bitsOfF32(Math.fround(f32OfBits(word) + scale * 2 ** -15 * sum));
  });
}

/** The integers that the scales are multiplied by; never −0. */
function integers(e, f, c, n) {
  const codes = f.codes[c];
  const size = groupSize(e, n);
  if (e.codec === SIGN) return codes.map((q) => 1 - 2 * q);
  if (e.codec === AFFINE) return codes.map((q, i) => q - f.zeros[c][Math.floor(i / size)]);
  const { stepBits, weightsPerStep, entries } = TABLES.get(e.table);
  const result = [];
  let window = 0;
  for (const step of codes) {
    window = (window >> stepBits) + step * 2 ** (8 - stepBits);
    for (let v = 0; v < weightsPerStep && result.length < n; v++)
      result.push(entries[window * weightsPerStep + v]);
  }
  return e.rotation ? rotated(result) : result;
}

const ones = (x) => (x === 0 ? 0 : (x & 1) + ones(x >> 1));

/** 8.6.1, by its definition. */
function rotated(t) {
  const columns = Math.floor(t.length / 64);
  return t.map((value, i) => {
    if (i >= 64 * columns) return 8 * value;
    const row = Math.floor(i / columns);
    const k = i % columns;
    let sum = 0;
    for (let q = 0; q < 64; q++) sum += (ones(q & row) % 2 === 1 ? -1 : 1) * t[q * columns + k];
    const bit = (b) => (row >> b) & 1;
    return (bit(0) * bit(1) + bit(2) * bit(3) + bit(4) * bit(5)) % 2 === 1 ? 0 - sum : sum;
  });
}

/** A factor of each expert, as f32 bits in the order [rank][n]: an array for each band. */
export function factorWords(bands, factors, factor, n, start) {
  return factors.map((expert, x) =>
    bands.map((band, b) => {
      const rests = decode(band[factor], expert[b][factor], band.components, n);
      return factor === "a" && band.a.mixture > 0 ? begun(rests, band.a, expert[b].mix, n, start(x)) : rests;
    }),
  );
}

/** 8.9.3: the sum of a rest and the parent's factor of an expert, whose rank may be smaller. */
export function addWords(rest, parent) {
  const other = parent.flatMap((words) => [...words]);
  let at = 0;
  return rest.map((words) =>
    words.map((word) => bitsOfF32(Math.fround(f32OfBits(word) + f32OfBits(other[at++] ?? 0)))),
  );
}

/**
 * SHA-256 of the words of all experts, as f32 and as f16.
 *
 * @param summed whether they are sums with draws or a parent (8.8.4, 8.9.3): then f16 is null if it cannot hold one
 */
export function wordHashes(experts, summed) {
  const words = experts.flat();
  const halves = words.map((w) => Array.from(w, narrow));
  const infinite = summed && halves.some((w) => w.some((bits) => (bits & 0x7c00) === 0x7c00));
  return {
    f32: Buffer.from(sha256(...words.map((w) => u32(...w)))).toString("hex"),
    f16: infinite ? null : Buffer.from(sha256(...halves.map((w) => u16(...w)))).toString("hex"),
  };
}
