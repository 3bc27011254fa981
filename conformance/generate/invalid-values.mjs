// invalid/scale, nonfinite, value, end: numbers of payloads, and what follows the chunks (spec clauses 8.1, 8.3, 11).
import { concat, crc32, f32, f64, patched, sha256, text, u8, u16, u32, zeros } from "./bytes.mjs";
import { affine, BF16, F16, F32, raw, sign, trellis } from "./codecs.mjs";
import { band, module, tensor, twoBands } from "./compose.mjs";
import { MAGIC } from "./file.mjs";
import { damage, trailer } from "./lies.mjs";

const only = (over) => ({ modules: [module(over)] });

function scales(suite) {
  const good = { [F16]: 0x3000, [BF16]: 0x3c00 };
  const add = (name, encoding, bits, about = {}) => {
    const { at = [0, 0], out = 3, inp = 40, components = 1, ...more } = about;
    const scale = (c, g) => (c === at[0] && g === at[1] ? bits : good[encoding.scale]);
    suite.invalid(
      `invalid/scale/${name}`,
      "SCALE_VALUE",
      only({
        out,
        in: inp,
        bands: [band({ ...raw() }, encoding, components)],
        numbers: (_, __, factor) => (factor === "a" ? { scales: scale } : {}),
      }),
      {
        level: "values",
        clauses: ["8.1"],
        ...more,
      },
    );
  };
  const patterns = { f16: [F16, 10], bf16: [BF16, 7] };
  for (const [type, [scale, fraction]] of Object.entries(patterns)) {
    const top = 2 ** 15;
    const infinity = top - 2 ** fraction;
    const values = {
      "minus-zero": top,
      "smallest-negative": top + 1,
      "minus-one": top + infinity / 2,
      infinity,
      "minus-infinity": top + infinity,
      nan: infinity + 2 ** (fraction - 1),
      "signalling-nan": infinity + 1,
      "minus-nan": 2 * top - 1,
    };
    for (const [name, bits] of Object.entries(values)) add(`${type}-${name}`, affine(2, { scale }), bits);
  }
  for (const [name, encoding] of Object.entries({
    sign: sign(),
    trellis: trellis(),
    "whole-vector": affine(4, { group: 0 }),
  })) {
    add(`${name}-minus-one`, encoding, encoding.scale === BF16 ? 0xbf80 : 0xbc00);
    add(`${name}-nan`, encoding, encoding.scale === BF16 ? 0x7fc0 : 0x7e00);
  }
  add("last-group", affine(2), 0x8000, { at: [0, 2] });
  add("last-component", affine(2), 0x8000, { at: [2, 1], components: 3 });
  const overflow = (name, encoding, bits, note) => add(`overflow-${name}`, encoding, bits, { note });
  overflow("affine-8-bf16", affine(8, { scale: BF16 }), 0x7c00, "2^121 times 255");
  overflow(
    "affine-3-bf16-by-one-bit",
    affine(3, { scale: BF16 }),
    0x7e13,
    "7 s is above 2^128, though no code may need it",
  );
  overflow("trellis", trellis(4), 0x7c02, "2^121 (1 + 1/64) times 127");
  overflow("trellis-rotated", trellis(4, { rotation: 1 }), 0x7902, "2^115 (1 + 1/64) times 64 times 127");
  overflow(
    "trellis-rotated-short-vector",
    trellis(4, { rotation: 1 }),
    0x7902,
    "8 is all that a vector of 40 is multiplied by, but the bound is of the codec",
  );
  suite.invalid(
    "invalid/scale/of-the-second-band",
    "SCALE_VALUE",
    only({
      bands: twoBands(),
      numbers: (_, k, factor) => (k === 1 && factor === "b" ? { scales: () => 0xbc00 } : {}),
    }),
    { level: "values", clauses: ["8.1"] },
  );
  suite.invalid(
    "invalid/scale/of-the-second-expert",
    "SCALE_VALUE",
    only({ experts: 2, numbers: (expert) => (expert === 1 ? { scales: () => 0xbc00 } : {}) }),
    { level: "values", clauses: ["8.1"] },
  );
  // 12.4: of the first scale a validator could say that its codes are not canonical, but the file is not valid.
  const idle = { scales: (c, g) => (c === 0 && g === 0 ? 0 : 0x3c00), codes: () => 1 };
  const behind = (name, adapter) =>
    suite.invalid(`invalid/scale/behind-codes-that-are-not-canonical-${name}`, "SCALE_VALUE", adapter, {
      level: "values",
      clauses: ["8.1", "12.4"],
    });
  const wide = (components) => ({ in: 33, bands: [band(affine(2), affine(2), components)] });
  const numbers = (scales) => (_, __, factor) => (factor === "a" ? { ...idle, scales } : idle);
  behind("same-component", only({ ...wide(1), numbers: numbers((_, g) => (g === 2 ? 0xbc00 : 0)) }));
  behind("next-component", only({ ...wide(2), numbers: numbers((c) => (c === 1 ? 0xbc00 : 0)) }));
  behind("next-module", {
    modules: [
      module({ numbers: () => idle }),
      module({ name: "r", numbers: () => ({ scales: () => 0xbc00 }) }),
    ],
  });
}

function nonfinite(suite) {
  const add = (name, adapter, features = []) =>
    suite.invalid(`invalid/nonfinite/${name}`, "NONFINITE_VALUE", adapter, {
      level: "values",
      clauses: ["8.3"],
      features,
    });
  const weights = {
    f32: [
      F32,
      { infinity: 0x7f800000, "minus-infinity": 0xff800000, nan: 0x7fc00000, "signalling-nan": 0xff800001 },
      0x3f800000,
    ],
    f16: [F16, { infinity: 0x7c00, "minus-infinity": 0xfc00, nan: 0x7e00, "signalling-nan": 0xfc01 }, 0x3c00],
    bf16: [
      BF16,
      { infinity: 0x7f80, "minus-infinity": 0xff80, nan: 0x7fc0, "signalling-nan": 0xff81 },
      0x3f80,
    ],
  };
  for (const [type, [element, patterns, one]] of Object.entries(weights))
    for (const [name, bits] of Object.entries(patterns))
      add(
        `raw-${type}-${name}`,
        only({
          bands: [band(raw(element))],
          numbers: (_, __, factor) => ({ raw: (_, i) => (factor === "a" && i === 4 ? bits : one) }),
        }),
      );
  const t = (name, element, data) =>
    add(`tensor-${name}`, { tensors: [tensor({ element, shape: [2], data })] });
  t("f32-infinity", "F32", f32(1, Infinity));
  t("f32-nan", "F32", f32(Number.NaN, 1));
  t("f16-infinity", "F16", u16(0x3c00, 0xfc00));
  t("f16-nan", "F16", u16(0x7c01, 0));
  t("bf16-nan", "BF16", u16(0, 0x7fff));
  t("f64-infinity", "F64", f64(0, -Infinity));
  t("f64-nan", "F64", f64(Number.NaN, 0));
  t("f64-signalling-nan", "F64", concat(u32(1, 0x7ff00000), zeros(8)));
  add("tensor-carried", { tensors: [tensor({ role: "carried", shape: [1], data: f32(Number.NaN) })] });
  add(
    "tensor-shuffled",
    {
      tensors: [
        tensor({ element: "F32", shape: [24], data: f32(...Array(23).fill(0), Infinity), compression: 2 }),
      ],
    },
    ["zstd"],
  );
  for (const [name, indices] of Object.entries({
    twice: [7, 7],
    descending: [7, 1],
    "first-again-at-the-end": [1, 7, 1],
    "ascending-as-signed-numbers": [2 ** 32 - 1, 0],
    "ascending-as-big-endian-numbers": [2 ** 24, 1],
  }))
    suite.invalid(
      `invalid/tensor/token-indices-${name}`,
      "TENSOR_RECORD",
      {
        tensors: [
          tensor({ name: "e", role: "token-rows", shape: [indices.length, 2] }),
          tensor({
            name: "e",
            role: "token-indices",
            element: "U32",
            shape: [indices.length],
            data: u32(...indices),
          }),
        ],
      },
      { level: "values", clauses: ["9.4"] },
    );
  for (const [name, value] of Object.entries({ two: 2, "all-ones": 255, last: 3 }))
    suite.invalid(
      `invalid/tensor/bool-${name}`,
      "TENSOR_RECORD",
      {
        tensors: [
          tensor({ element: "Bool", shape: [3], data: name === "last" ? u8(0, 1, value) : u8(value, 0, 1) }),
        ],
      },
      { level: "values", clauses: ["6.8"] },
    );
}

/** One bad value among good ones: what stands before it may be handed out, and in part of a file what stands elsewhere. */
function among(suite) {
  const add = (name, error, bad) =>
    suite.invalid(
      `invalid/value/${name}`,
      error,
      {
        modules: [0, 1, 2].map((i) =>
          module({
            name: `m.${i}`,
            bands: [band(affine(2)), band(raw(F16))],
            numbers: (_, band, factor) =>
              i === bad.module && band === bad.band && factor === "a" ? bad.numbers : {},
          }),
        ),
        tensors: [
          tensor({ name: "t.0", shape: [3], ...bad.first }),
          tensor({ name: "t.1", shape: [3], element: "Bool", ...bad.second }),
        ],
      },
      { level: "values", clauses: ["2.2", "13.1"] },
    );
  const scales = (bits) => ({ scales: () => bits });
  add("first-module", "SCALE_VALUE", { module: 0, band: 0, numbers: scales(0x7e00) });
  add("second-module-scale", "SCALE_VALUE", { module: 1, band: 0, numbers: scales(0xbc00) });
  add("second-module-raw", "NONFINITE_VALUE", { module: 1, band: 1, numbers: { raw: () => 0x7c00 } });
  add("first-tensor", "NONFINITE_VALUE", { first: { data: f32(0, Number.NaN, 0) } });
  add("second-tensor", "TENSOR_RECORD", { second: { data: u8(1, 0, 2) } });
}

function ends(suite) {
  const three = () => ({
    alignment: 4,
    tensors: [100, 32800, 40].map((length, i) =>
      tensor({ name: `t${i}`, element: "U8", role: "carried", shape: [length] }),
    ),
  });
  const small = () => only({ rule: "explicit", alpha: 8 });
  const add = (name, error, adapter, lies, about = {}) =>
    suite.invalid(`invalid/end/${name}`, error, adapter, { lies, level: "integrity", ...about });
  const flip = (list, i) => {
    list[i] = patched(list[i], 31, list[i][31] ^ 1);
  };
  add("digest-of-the-first-span", "SPAN_DIGEST", three(), { digests: (list) => flip(list, 1) });
  add("digest-of-the-last-span", "SPAN_DIGEST", three(), { digests: (list) => flip(list, 2) });
  add("digests-swapped", "SPAN_DIGEST", three(), {
    digests: (list) => {
      list.splice(1, 2, list[2], list[1]);
    },
  });
  add("digests-zero", "SPAN_DIGEST", three(), {
    digests: (list) => {
      list[1] = zeros(32);
    },
  });
  add("chunk-changed-with-its-crc", "SPAN_DIGEST", small(), {
    bytes: (file, at) => {
      const changed = patched(file, at.chunks[0], file[at.chunks[0]] ^ 1);
      const end = at.digests - 4 - ((at.digests - at.chunks[0] - 4) % 4);
      for (let crc = end; crc > at.chunks[0]; crc--)
        if (
          crc32(file.subarray(at.chunks[0], crc)) ===
          new DataView(file.buffer, file.byteOffset).getUint32(crc, true)
        )
          return patched(changed, crc, ...u32(crc32(changed.subarray(at.chunks[0], crc))));
      throw new Error("no CRC-32");
    },
  });
  add(
    "digest-without-the-padding",
    "SPAN_DIGEST",
    { tensors: [tensor({ element: "U8", shape: [5] })] },
    {
      digests: (list) => {
        list[1] = sha256(text("the chunk without its padding"));
      },
    },
  );
  add("content-id-zero", "CONTENT_ID", small(), {
    digests: (list) => {
      list[0] = zeros(32);
    },
  });
  add("content-id-one-bit", "CONTENT_ID", three(), { digests: (list) => flip(list, 0) });
  add("content-id-of-nothing", "CONTENT_ID", small(), {
    digests: (list) => {
      list[0] = sha256(text("LQA content 1\n"));
    },
  });
  add(
    "content-id-of-an-empty-file",
    "CONTENT_ID",
    {},
    {
      digests: (list) => {
        list[0] = sha256(text("LQA content 1"));
      },
    },
  );
  const repaired = (change) => ({
    bytes: (file, at) => {
      const changed = change(file, at);
      const index = patched(changed, 56, ...u32(crc32(changed.subarray(64, at.gap))));
      return patched(index, 60, ...u32(crc32(index.subarray(0, 60))));
    },
  });
  add(
    "minor-version-changed-with-its-crc",
    "ROOT_DIGEST",
    small(),
    repaired((file) => patched(file, 10, 1)),
  );
  add(
    "compatible-bit-added-with-its-crc",
    "ROOT_DIGEST",
    small(),
    repaired((file) => patched(file, 23, 0x40)),
  );
  add(
    "index-changed-with-its-crcs",
    "ROOT_DIGEST",
    small(),
    repaired((file) => {
      const view = new DataView(file.buffer, file.byteOffset);
      const types = 64 + 48 + view.getUint32(64 + 48, true) + 4;
      return patched(file, types + 12, ...f32(16));
    }),
    { note: "alpha, of which the content id knows nothing" },
  );
  add("root-zero", "ROOT_DIGEST", small(), trailer({ root: zeros(32) }));
  add(
    "root-one-bit",
    "ROOT_DIGEST",
    three(),
    trailer((t) => ({ root: patched(t.root, 0, t.root[0] ^ 128) })),
  );
  add(
    "content-id-damaged",
    "ROOT_DIGEST",
    small(),
    damage((at) => at.digests),
  );
  for (const [name, at] of Object.entries({
    root: 0,
    "file-length": 32,
    "digests-length": 40,
    "index-length": 44,
    reserved: 51,
    crc: 52,
  }))
    add(
      `trailer-damaged-${name}`,
      "TRAILER_CRC",
      small(),
      damage((places) => places.trailer + at),
    );
  const fields = {
    "file-length": (t) => ({ fileLength: t.fileLength + 1 }),
    "file-length-zero": () => ({ fileLength: 0 }),
    "file-length-high": (t) => ({ fileLength: t.fileLength + 2 ** 32 }),
    "digests-length": (t) => ({ digestsLength: t.digestsLength + 32 }),
    "digests-length-zero": () => ({ digestsLength: 0 }),
    "index-length": (t) => ({ indexLength: t.indexLength + 4 }),
    reserved: () => ({ reserved: 1 }),
    "reserved-high": () => ({ reserved: 2 ** 31 }),
    "magic-forwards": () => ({ magic: MAGIC }),
    "magic-zeros": () => ({ magic: zeros(8) }),
    "magic-last-byte": (t) => ({ magic: patched(t.magic, 7, 0x88) }),
  };
  for (const [name, change] of Object.entries(fields))
    add(`trailer-${name}`, "TRAILER_MISMATCH", small(), trailer(change));
}

export function invalidValues(suite) {
  for (const family of [scales, nonfinite, among, ends]) family(suite);
}
