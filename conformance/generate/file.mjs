// An adapter → a file, byte by byte (spec clauses 4 to 7 and 11), by a writer that can lie on request.
//
// `lies` are functions called between two steps; whatever follows (CRC-32s, digests, ids, lengths) is computed from the lie.
// So a file has one fault, and every check before and behind it passes:
//
//   stored(chunks)    stored payloads: [{ kind, raw, stored }], before their lengths go into the records
//   records(vectors)  the records of the index, as lists of objects and numbers
//   index(bytes)      the FlatBuffer, returns another one
//   chunks(chunks)    [{ stored, crc, gap }]: the bytes of a record in the file; `crc` and `gap` are bytes
//   prologue(fields)  fields of the prologue before its CRC-32
//   digests(list)     content id and span digests
//   trailer(fields)   fields of the trailer before its CRC-32
//   bytes(file, at)   the file, returns another one; nothing is repaired. `at` says where the parts are

import { concat, crc32, f32, joined, padding, sha256, text, u8, u16, u32, u64, zeros } from "./bytes.mjs";
import { WIDTHS } from "./codecs.mjs";
import { placeOf } from "./draws.mjs";

export const MAGIC = u8(0x89, 0x4c, 0x51, 0x41, 0x0d, 0x0a, 0x1a, 0x0a);
const ENCODING_FIELDS = [
  "codec",
  "element",
  "scale",
  "bits",
  "mixture",
  "group_exponent",
  "table",
  "rotation",
];
/** 6.3 and schema/lqa.fbs: vectors in slot order, how a record is written, and its size. */
export const SLOTS = [
  ["encodings", 8, (e) => u8(...ENCODING_FIELDS.map((field) => e[field]))],
  ["bands", 4, (b) => concat(u16(b.components), u8(b.b, b.a))],
  ["plans", 2, (n) => u16(n)],
  [
    "types",
    28,
    (t) =>
      concat(
        u32(t.out, t.inp),
        f32(t.multiplier, t.alpha),
        u16(t.kernel0, t.kernel1, t.kernel2, t.experts),
        u8(t.role, t.base_layout, t.rule, t.reserved),
      ),
  ],
  [
    "modules",
    12,
    (m) =>
      concat(u32(m.chunk_length), u16(m.name_suffix), u8(m.name_shared, m.reserved), u16(m.type, m.plan)),
  ],
  [
    "tensors",
    12,
    (t) =>
      concat(
        u32(t.chunk_length),
        u16(t.name_suffix),
        u8(t.name_shared, t.compression, t.element, t.role, t.axis, t.dimensions),
      ),
  ],
  ["dimensions", 4, (n) => u32(n)],
  [
    "sections",
    16,
    (s) =>
      concat(text(s.tag), u32(s.chunk_length, s.raw_length), u8(s.compression, s.flags), u16(s.reserved)),
  ],
  ["names", 1, (n) => u8(n)],
];
/** 8.8.1, 8.9.1: two more in files with starts, two others in files with a parent. */
const MORE_SLOTS = ["start", "positions", "parent", "parent_modules"].map((name) => [name, 4, (n) => u32(n)]);

/** 12.2: the canonical FlatBuffer of these vectors. */
function canonicalIndex(vectors) {
  const all = [...SLOTS, ...MORE_SLOTS];
  while (vectors[all.at(-1)[0]] === undefined) all.pop();
  const slots = all.filter(([name]) => vectors[name] !== undefined);
  const [vtable, table] = [4 + 2 * all.length, 4 + 4 * slots.length];
  const root = Math.ceil((10 + vtable) / 4) * 4;
  const head = concat(
    u32(root),
    text("LQI1"),
    zeros(root - 8 - vtable),
    u16(vtable, table, ...all.map((slot) => (slots.includes(slot) ? 4 + 4 * slots.indexOf(slot) : 0))),
    u32(vtable),
  );
  const offsets = [];
  const parts = [];
  let at = root + table;
  slots.forEach(([name, , write], slot) => {
    const body = concat(u32(vectors[name].length), joined(vectors[name].map(write)));
    offsets.push(at - (root + 4 + 4 * slot));
    parts.push(body, padding(body.length, 4));
    at += body.length + padding(body.length, 4).length;
  });
  return concat(head, u32(...offsets), ...parts);
}

/** 6.10, 12.3 */
function frontCoded(names) {
  let last = zeros(0);
  return names.map((name) => {
    let shared = 0;
    while (shared < Math.min(255, last.length, name.length) && last[shared] === name[shared]) shared++;
    last = name;
    return { name_shared: shared, name_suffix: name.length - shared, suffix: name.subarray(shared) };
  });
}

const bytesOf = (name) => (typeof name === "string" ? text(name) : name);

/** Bytes as little-endian words. */
const wordsOf = (bytes) =>
  Array.from({ length: bytes.length / 4 }, (_, i) =>
    new DataView(bytes.buffer, bytes.byteOffset).getUint32(4 * i, true),
  );

/** 11.3: the record of a module or tensor in the content id. */
function contentRecord(model, kind, item) {
  const name = bytesOf(item.name);
  const head = concat(u8(Number(kind === "tensor")), u16(name.length), name);
  if (kind === "tensor")
    return concat(head, u8(item.role, item.element, item.axis, item.shape.length), u32(...item.shape));
  const t = model.types[item.type];
  const plan = model.plans[item.plan];
  const encoding = (number) => u8(...ENCODING_FIELDS.map((field) => model.encodings[number]?.[field] ?? 0));
  return concat(
    head,
    u8(t.role, t.base_layout),
    u32(t.out, t.inp, t.experts, t.kernel0, t.kernel1, t.kernel2),
    f32(t.multiplier),
    u32(plan.length),
    ...plan.map((band) => concat(u32(band.components), encoding(band.b), encoding(band.a))),
    // 8.8.5
    ...(item.position === undefined
      ? []
      : [u32(model.start[0], ...placeOf(model.start, item.position).flat())]),
    // 8.9.4
    ...(item.parentModule === undefined ? [] : [model.parent.written.contentId, u32(item.parentModule)]),
  );
}

/** 5.3 */
function requiredBits({ encodings, types, tensors, modules }) {
  const compressed = tensors.some((item) => item.compression !== 0);
  const roles = new Set(tensors.map((t) => t.role));
  const bit = (n, condition) => (condition ? 2 ** n : 0);
  return (
    bit(0, compressed) +
    bit(
      1,
      encodings.some((e) => e.codec === 4),
    ) +
    bit(
      2,
      types.some((t) => t.experts > 1),
    ) +
    bit(3, roles.has(3)) +
    bit(
      4,
      [...roles].some((role) => role !== 3 && role !== 6),
    ) +
    bit(
      5,
      encodings.some((e) => e.mixture > 0),
    ) +
    bit(
      6,
      modules.some((m) => m.parentModule !== undefined),
    )
  );
}

/**
 * The file of a model: { alignment, encodings, plans, types, modules, tensors, sections } with the numbers of
 * the specification (compose.mjs makes one). Returns the bytes, both ids, and where the parts lie.
 */
export function writeFile(model, lies = {}) {
  const chunks = [
    ...model.modules.map((item) => ({ kind: "module", item })),
    ...model.tensors.map((item) => ({ kind: "tensor", item })),
    ...model.sections.map((item) => ({ kind: "section", item })),
  ].map(({ kind, item }) => ({ kind, item, raw: item.payload, stored: item.stored ?? item.payload }));
  lies.stored?.(chunks);

  const coded = [
    ...frontCoded(model.modules.map((m) => bytesOf(m.name))),
    ...frontCoded(model.tensors.map((t) => bytesOf(t.name))),
  ];
  const lengths = new Map(chunks.map(({ item, stored }) => [item, stored.length + 4]));
  const lengthOf = (item) => lengths.get(item);
  const vectors = {
    encodings: model.encodings.map((e) => ({ ...e })),
    bands: model.plans.flat().map((band) => ({ ...band })),
    plans: model.plans.map((plan) => plan.length),
    types: model.types.map((t) => ({ ...t })),
    modules: model.modules.map((m, i) => ({
      chunk_length: lengthOf(m),
      ...coded[i],
      reserved: 0,
      type: m.type,
      plan: m.plan,
    })),
    tensors: model.tensors.map((t, i) => ({
      chunk_length: lengthOf(t),
      ...coded[model.modules.length + i],
      compression: t.compression,
      element: t.element,
      role: t.role,
      axis: t.axis,
      dimensions: t.shape.length,
    })),
    dimensions: model.tensors.flatMap((t) => t.shape),
    sections: model.sections.map((s) => ({
      tag: s.tag,
      chunk_length: lengthOf(s),
      raw_length: s.raw_length ?? s.payload.length,
      compression: s.compression,
      flags: s.flags,
      reserved: 0,
    })),
    names: coded.flatMap(({ suffix }) => [...suffix]),
    ...(model.start && {
      start: [...model.start],
      positions: model.modules.filter((m) => m.position !== undefined).map((m) => m.position),
    }),
    ...(model.parent && {
      parent: wordsOf(model.parent.written.contentId),
      parent_modules: model.modules.map((m) => (m.parentModule === undefined ? 0 : m.parentModule + 1)),
    }),
  };
  lies.records?.(vectors);
  const plain = canonicalIndex(vectors);
  const index = lies.index?.(plain) ?? plain;

  for (const chunk of chunks) {
    chunk.crc = u32(crc32(chunk.stored));
    chunk.gap = padding(chunk.stored.length + 4, model.alignment);
  }
  const gap = padding(64 + index.length, model.alignment);
  lies.chunks?.(chunks, gap);
  const at = { index: 64, gap: 64 + index.length, first: 64 + index.length + gap.length, chunks: [] };
  let end = at.first;
  for (const chunk of chunks) {
    at.chunks.push(end);
    end += chunk.stored.length + 4 + chunk.gap.length;
  }

  const content = sha256(
    text("LQA content 1\n"),
    joined(
      chunks
        .filter(({ kind }) => kind !== "section")
        .flatMap(({ kind, item, raw }) => [contentRecord(model, kind, item), sha256(raw)]),
    ),
  );
  const digests = [content];
  let span = [];
  let length = 0;
  chunks.forEach((chunk, i) => {
    span.push(chunk.stored, chunk.crc, chunk.gap);
    length += chunk.stored.length + chunk.crc.length + chunk.gap.length;
    if (length < 32768 && i < chunks.length - 1) return;
    digests.push(sha256(joined(span)));
    span = [];
    length = 0;
  });
  lies.digests?.(digests);
  const list = concat(...digests);
  at.digests = end;
  at.trailer = end + list.length;
  at.end = at.trailer + 64;

  const fields = {
    magic: MAGIC,
    major: 1,
    minor: 0,
    required: requiredBits(model),
    readonly: 0,
    compatible: 0,
    fileLength: at.end,
    indexLength: index.length,
    modules: model.modules.length,
    tensors: model.tensors.length,
    sections: model.sections.length,
    exponent: Math.log2(model.alignment),
    reserved: zeros(7),
    indexCrc: crc32(index),
  };
  lies.prologue?.(fields);
  const head = concat(
    fields.magic,
    u16(fields.major, fields.minor),
    u32(fields.required, fields.readonly, fields.compatible),
    u64(fields.fileLength),
    u32(fields.indexLength, fields.modules, fields.tensors, fields.sections),
    u8(fields.exponent),
    fields.reserved,
    u32(fields.indexCrc),
  );
  const prologue = concat(head, u32(crc32(head)));

  const last = {
    root: sha256(prologue, index, list),
    fileLength: at.end,
    digestsLength: list.length,
    indexLength: index.length,
    reserved: 0,
    magic: Uint8Array.from(MAGIC).reverse(),
  };
  const fileId = last.root;
  lies.trailer?.(last);
  const tail = concat(
    last.root,
    u64(last.fileLength),
    u32(last.digestsLength, last.indexLength, last.reserved),
  );
  const bytes = concat(
    prologue,
    index,
    gap,
    joined(chunks.flatMap(({ stored, crc, gap }) => [stored, crc, gap])),
    list,
    tail,
    u32(crc32(tail)),
    last.magic,
  );
  return { bytes: lies.bytes?.(bytes, at) ?? bytes, fileId, contentId: content, at, vectors };
}

/** Bytes of a tensor with this shape; any dimension may be 0. */
export const tensorLength = (shape, element) =>
  shape.reduce((product, size) => product * size, WIDTHS[element]);
