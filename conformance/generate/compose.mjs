// A readable description of an adapter → the model that file.mjs writes: random but seeded numbers, shared records in
// the order of their first use (spec clause 6.3), payloads; and what a reader has to report about it.
import { bitsOfF32, f32OfBits, hex, random, seedOf, sha256, text, u16, u32, zeros } from "./bytes.mjs";
import {
  addWords,
  affine,
  ELEMENTS,
  factorOf,
  factorWords,
  mixtureOf,
  payloadOf,
  sign,
  WIDTHS,
  wordHashes,
} from "./codecs.mjs";
import { drawsOf } from "./draws.mjs";
import { tensorLength } from "./file.mjs";
import { shortFrames } from "./frames.mjs";

export const ROLES = { linear: 0, embedding: 1, conv1d: 2, conv2d: 3, conv3d: 4 };
const RULES = { none: 0, "alpha/r": 1, "alpha/sqrt(r)": 2, explicit: 3 };
export const TENSOR_ROLES = {
  replace: 0,
  bias: 1,
  "lora-bias": 2,
  magnitude: 3,
  "token-rows": 4,
  "token-indices": 5,
  carried: 6,
};
const float = (value) => f32OfBits(bitsOfF32(value));

/** LoRAQuant's two bands. */
export const twoBands = (high = 1, low = 1) => [
  { components: high, b: affine(2), a: affine(2) },
  { components: low, b: sign(), a: sign() },
];
export const band = (b, a = b, components = 1) => ({ components, b, a });

/**
 * A module. `numbers(expert, band, factor)` may replace its numbers (see factorOf); `stored` are other bytes to store.
 */
export function module(over = {}) {
  const m = {
    name: "q",
    role: "linear",
    out: 3,
    in: 5,
    kernel: [],
    baseLayout: Number(over.role === "embedding"),
    experts: 1,
    rule: "alpha/r",
    bands: [band(affine(2))],
    numbers: () => ({}),
    ...over,
  };
  const rank = m.bands.reduce((sum, { components }) => sum + components, 0);
  const alpha = over.alpha ?? (m.rule === "alpha/r" || m.rule === "alpha/sqrt(r)" ? 2 * rank : 0);
  const quotient = {
    none: 1,
    "alpha/r": alpha / rank,
    "alpha/sqrt(r)": alpha / Math.sqrt(rank),
    explicit: 0.3,
  };
  return { ...m, rank, alpha: float(alpha), multiplier: float(over.multiplier ?? quotient[m.rule]) };
}

/** A plain tensor; `data` is filled with harmless numbers. */
export function tensor(over = {}) {
  const t = { name: "t", role: "replace", element: "F32", shape: [3, 2], axis: 0, compression: 0, ...over };
  const element = typeof t.element === "number" ? t.element : ELEMENTS[t.element];
  const role = typeof t.role === "number" ? t.role : TENSOR_ROLES[t.role];
  const length = over.data?.length ?? tensorLength(t.shape, element);
  const width = WIDTHS[element] || 1;
  const fill = (_, i) =>
    element === ELEMENTS.Bool ? i & 1 : (i + 1) % width === 0 ? 0x3c + (i % 3) : (37 * i + 11) & 0x7f;
  return { ...t, element, role, payload: over.data ?? Uint8Array.from({ length }, fill) };
}

/** A section; `data` are bytes, flags 2 is safe to copy. */
export const section = (tag, data, over = {}) => ({ tag, payload: data, flags: 2, compression: 0, ...over });

/** The chunk of a tensor or section as stored: frames without any entropy coding, if it is compressed and nothing is given. */
const stored = (item) =>
  item.stored ??
  (item.compression === 0
    ? undefined
    : shortFrames(item.payload, item.compression === 2 ? WIDTHS[item.element] : 1));

/** Numbers each distinct record by its first use. */
function shared() {
  const keys = new Map();
  const records = [];
  const number = (record) => {
    const key = JSON.stringify(record);
    if (!keys.has(key)) keys.set(key, records.push(record) - 1);
    return keys.get(key);
  };
  return { records, number };
}

/**
 * The model of { alignment, modules, tensors, sections }; names are in order already. `parent` is a model and its file, and the
 * modules with a `parentModule` are its children.
 */
export function compose(
  { alignment = 4, modules = [], tensors = [], sections = [], start, parent },
  seed = 1,
) {
  const [encodings, plans, types] = [shared(), shared(), shared()];
  const records = modules.map((m, i) => {
    const plan = plans.number(
      m.bands.map(({ components, b, a }) => {
        const numbers = [encodings.number(b), encodings.number(a)];
        return { components, b: numbers[0], a: numbers[1] };
      }),
    );
    const type = types.number({
      out: m.out,
      inp: m.in,
      multiplier: m.multiplier,
      alpha: m.alpha,
      kernel0: m.kernel[0] ?? 0,
      kernel1: m.kernel[1] ?? 0,
      kernel2: m.kernel[2] ?? 0,
      experts: m.experts,
      role: ROLES[m.role] ?? m.role,
      base_layout: m.baseLayout,
      rule: RULES[m.rule] ?? m.rule,
      reserved: 0,
    });
    if (m.payload !== undefined) return { ...m, type, plan };
    const n = m.kernel.reduce((product, size) => product * size, m.in);
    const factors = Array.from({ length: m.experts }, (_, x) =>
      m.bands.map(({ components, b, a }, k) => {
        const r = (which) => random(seed + 7919 * i + 101 * x + 2 * k + which);
        return {
          b: factorOf(b, components, m.out, r(0), m.numbers(x, k, "b")),
          a: factorOf(a, components, n, r(1), m.numbers(x, k, "a")),
          // 8.8.2
          ...(start && {
            mix: factorOf(mixtureOf(a), components, m.rank, r(5000), m.numbers(x, k, "mix")),
          }),
        };
      }),
    );
    const { payload, planes } = payloadOf(m.bands, factors);
    return { ...m, type, plan, n, factors, payload, planes };
  });
  return {
    start,
    parent,
    alignment,
    encodings: encodings.records,
    plans: plans.records,
    types: types.records,
    modules: records,
    tensors: tensors.map((t) => ({ ...t, stored: stored(t) })),
    sections: sections.map((s) => ({ ...s, stored: stored(s) })),
  };
}

/** 9.5 */
function fingerprint(model) {
  const parts = model.modules.map((m) => {
    const name = text(m.name);
    const t = model.types[m.type];
    return [u16(name.length), name, u32(t.out, t.inp, t.kernel0, t.kernel1, t.kernel2, t.experts)];
  });
  return hex(sha256(text("LQA shapes 1\n"), ...parts.flat()));
}

/** 8.9.3: a factor of each expert of a module, with what its parents add. */
function wordsOf(model, m, factor) {
  const size = m.rank * m.n;
  const draws = (expert) => drawsOf(model.start, m.position, expert * size, size);
  const rest = factorWords(m.bands, m.factors, factor, factor === "b" ? m.out : m.n, draws);
  if (m.parentModule === undefined) return rest;
  const { model: parent } = model.parent;
  const other = wordsOf(parent, parent.modules[m.parentModule], factor);
  return rest.map((words, x) => addWords(words, other[x]));
}

/** What a reader reports about a valid file from level `values` on (conformance/PROTOCOL.md). `hashes` false: too large; `alone`: its parent is not given. */
export function twinOf(model, written, documents = {}, hashes = true, alone = false) {
  const factors = (m) => {
    const child = m.parentModule !== undefined;
    const b = wordHashes(wordsOf(model, m, "b"), child);
    const a = wordHashes(wordsOf(model, m, "a"), child || m.position !== undefined);
    return { f32: { b: b.f32, a: a.f32 }, f16: { b: b.f16, a: a.f16 } };
  };
  const without = ({ suffix: _, ...record }) => record;
  return {
    fileId: hex(written.fileId),
    contentId: hex(written.contentId),
    fileLength: written.bytes.length,
    alignment: model.alignment,
    shapeFingerprint: fingerprint(model),
    ...(model.parent && { parent: hex(model.parent.written.contentId) }),
    encodings: model.encodings,
    modules: model.modules.map((m) => ({
      name: m.name,
      ...model.types[m.type],
      rank: m.rank,
      bands: model.plans[m.plan],
      ...(model.parent && { parent_module: m.parentModule === undefined ? 0 : m.parentModule + 1 }),
      ...(hashes && { sha256: alone && m.parentModule !== undefined ? null : factors(m) }),
    })),
    tensors: model.tensors.map((t, i) => ({
      name: t.name,
      ...without(written.vectors.tensors[i]),
      shape: t.shape,
      sha256: hex(sha256(t.payload)),
    })),
    sections: written.vectors.sections,
    meta: documents.META ?? null,
    origin: documents.ORIG ?? null,
  };
}

export const seed = seedOf;
export const nothing = zeros(0);
