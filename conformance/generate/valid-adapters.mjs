// valid/tensor, section, name, layout: what an adapter holds in addition to its modules, and how a file is laid out.
import { f64, fromHex, hex, text, u8, u16, u32, zeros } from "./bytes.mjs";
import { ELEMENTS, trellis, WIDTHS } from "./codecs.mjs";
import { CODED } from "./coded-frames.mjs";
import { band, module, section, tensor, twoBands } from "./compose.mjs";
import { frame, rleBlock } from "./frames.mjs";
import { meta } from "./messagepack.mjs";

const only = (over) => ({ modules: [module(over)] });

function tensors(suite) {
  const add = (name, list, { adapter, ...about } = {}) =>
    suite.valid(
      `valid/tensor/${name}`,
      { modules: [module()], tensors: list, ...adapter },
      { clauses: ["6.8", "7.4", "9.4"], features: ["tensors"], ...about },
    );
  for (const element of Object.keys(ELEMENTS))
    add(`element-${element.toLowerCase()}`, [tensor({ element, shape: [2, 3] })]);
  const largest = {
    F16: u16(0x7bff, 0xfbff),
    BF16: u16(0x7f7f, 0xff7f),
    F32: u32(0x7f7fffff, 0xff7fffff),
    F64: f64(Number.MAX_VALUE, -Number.MAX_VALUE),
  };
  for (const [element, data] of Object.entries(largest))
    add(`element-${element.toLowerCase()}-largest`, [tensor({ element, shape: [2], data })], {
      clauses: ["3.2", "6.8"],
    });
  add("role-bias", [tensor({ role: "bias" })]);
  add("role-carried", [tensor({ role: "carried", element: "U8", shape: [5] })]);
  add("role-lora-bias", [tensor({ name: "q", role: "lora-bias", shape: [3] })]);
  add("role-lora-bias-experts", [tensor({ name: "q", role: "lora-bias", shape: [2, 3] })], {
    adapter: only({ experts: 2 }),
  });
  add("role-magnitude-axis-0", [tensor({ name: "q", role: "magnitude", shape: [3], axis: 0 })]);
  add("role-magnitude-axis-1", [tensor({ name: "q", role: "magnitude", shape: [1, 5], axis: 1 })]);
  add("role-magnitude-in-out-axis-1", [tensor({ name: "q", role: "magnitude", shape: [3], axis: 1 })], {
    adapter: only({ baseLayout: 1 }),
  });
  add("role-magnitude-experts", [tensor({ name: "q", role: "magnitude", shape: [2, 3] })], {
    adapter: only({ experts: 2 }),
  });
  const conv = { adapter: only({ role: "conv2d", kernel: [3, 2] }) };
  add("role-magnitude-conv2d-axis-0", [tensor({ name: "q", role: "magnitude", shape: [1, 3, 1, 1] })], conv);
  add(
    "role-magnitude-conv2d-axis-1",
    [tensor({ name: "q", role: "magnitude", shape: [1, 5, 1, 1], axis: 1 })],
    conv,
  );
  add("role-magnitude-of-one", [tensor({ name: "q", role: "magnitude", shape: [] })], {
    adapter: only({ out: 1 }),
    note: "dimensions of 1 do not count",
  });
  add("role-lora-bias-and-magnitude", [
    tensor({ name: "q", role: "lora-bias", shape: [3] }),
    tensor({ name: "q", role: "magnitude", shape: [3, 1] }),
  ]);
  for (const element of ["F16", "BF16", "F64"])
    for (const role of ["bias", "lora-bias", "magnitude"])
      add(`role-${role}-${element.toLowerCase()}`, [tensor({ name: "q", role, element, shape: [3] })]);
  add("role-replaces-the-weight-it-adapts", [tensor({ name: "q.weight", shape: [3, 5] })]);
  const rows = (name, element, ...indices) => [
    tensor({ name, role: "token-rows", element, shape: [indices.length, 7] }),
    tensor({ name, role: "token-indices", element: "U32", shape: [indices.length], data: u32(...indices) }),
  ];
  add("role-token-rows", rows("e", "F32", 1, 7));
  add("role-token-rows-bf16-largest-index", rows("e", "BF16", 0, 1, 2 ** 31, 2 ** 32 - 1));
  add("role-token-rows-none", [
    tensor({ name: "e", role: "token-rows", shape: [0, 3] }),
    tensor({ name: "e", role: "token-indices", element: "U32", shape: [0] }),
  ]);
  add(
    "one-name-all-roles",
    [0, 2, 3, 6].map((role) => tensor({ name: "q", role, shape: [3] })),
  );
  add(
    "one-name-bias-and-carried",
    [1, 6].map((role) => tensor({ name: "t", role })),
  );
  add("name-of-a-module", [tensor({ name: "q" })]);
  add("without-modules", [tensor()], { adapter: { modules: [] } });
  add("magnitudes-only-set-bit-3", [tensor({ name: "q", role: "magnitude", shape: [3] })]);
  add("scalar", [tensor({ shape: [] })]);
  add("dimension-zero", [tensor({ shape: [0] })]);
  add("dimension-zero-beside-large", [tensor({ shape: [2 ** 32 - 1, 0, 2 ** 32 - 1] })], {
    note: "a product that passes 2^53 and is 0 all the same",
  });
  add("eight-dimensions", [tensor({ shape: [1, 2, 1, 3, 1, 1, 2, 1] })]);
  add("several-shapes", [
    tensor({ name: "a", shape: [4] }),
    tensor({ name: "b", shape: [] }),
    tensor({ name: "c", shape: [2, 1] }),
  ]);
  add("bool-both", [tensor({ element: "Bool", shape: [4], data: u8(0, 1, 1, 0) })]);
  add("u64-all-ones", [tensor({ element: "U64", shape: [1], data: u8(...Array(8).fill(255)) })]);
  add("i32-patterns-of-nan", [tensor({ element: "I32", shape: [1], data: u32(0x7fc00000) })], {
    note: "integers are never NaN",
  });
  add("f64-largest", [tensor({ element: "F64", shape: [1], data: f64(Number.MAX_VALUE) })]);

  const zstd = { features: ["tensors", "zstd"], clauses: ["7.5"] };
  add("zstd", [tensor({ shape: [40], data: zeros(160), compression: 1 })], zstd);
  add(
    "zstd-blocks-of-both-kinds",
    [
      tensor({
        element: "U8",
        shape: [60],
        data: Uint8Array.from({ length: 60 }, (_, i) => (i < 20 ? i : 7)),
        compression: 1,
      }),
    ],
    zstd,
  );
  const saved = Uint8Array.from({ length: 34 }, (_, i) => (i < 20 ? i : 7));
  add(
    "zstd-one-byte-less-than-plain",
    [tensor({ element: "U8", shape: [34], data: saved, compression: 1 })],
    zstd,
  );
  const run = new Uint8Array(200).fill(7);
  for (const [name, over] of Object.entries({
    "content-size-of-4-bytes": { width: 4 },
    "content-size-of-8-bytes": { width: 8 },
  }))
    add(
      `zstd-${name}`,
      [
        tensor({
          element: "U8",
          shape: [200],
          data: run,
          compression: 1,
          stored: frame(200, [rleBlock(7, 200)], over),
        }),
      ],
      zstd,
    );
  for (const element of ["F16", "F32", "F64"]) {
    const width = WIDTHS[ELEMENTS[element]];
    const data = Uint8Array.from({ length: 24 * width }, (_, i) =>
      i % width === width - 1 ? 0x3c : i % width === 0 ? (i / width) % 11 : 0,
    );
    const halves = Uint8Array.from({ length: 240 * width }, (_, i) => (i < 120 * width ? 0x11 : 0x22));
    add(`zstd-${element.toLowerCase()}`, [tensor({ element, shape: [240], data: halves, compression: 1 })], {
      ...zstd,
      note: "an element of several bytes that is compressed and not shuffled",
    });
    add(`shuffled-zstd-${element.toLowerCase()}`, [tensor({ element, shape: [24], data, compression: 2 })], {
      ...zstd,
      clauses: ["7.5", "7.6"],
    });
  }
  add("shuffled-zstd-u8", [tensor({ element: "U8", shape: [30], data: zeros(30), compression: 2 })], {
    ...zstd,
    clauses: ["7.5", "7.6"],
    note: "one byte: nothing to shuffle",
  });
  add(
    "zstd-two-frames",
    [tensor({ element: "U8", shape: [2 ** 20 + 5], data: zeros(2 ** 20 + 5), compression: 1 })],
    { ...zstd, note: "a frame holds 2^20 bytes" },
  );
  add(
    "zstd-exactly-one-frame",
    [tensor({ element: "U8", shape: [2 ** 20], data: zeros(2 ** 20), compression: 1 })],
    zstd,
  );
  for (const [name, { payload, stored, shape, element, compression }] of Object.entries(CODED.tensors))
    add(`zstd-coded-${name}`, [tensor({ element, shape, data: payload, compression, stored })], {
      ...zstd,
      note: "blocks with Huffman or FSE codes",
    });
}

function sections(suite) {
  const add = (name, list, documents = {}, about = {}) =>
    suite.valid(
      `valid/section/${name}`,
      { modules: [module()], sections: list },
      { documents, clauses: ["6.9", "10.1", "10.2"], features: ["sections"], ...about },
    );
  const documents = {
    empty: {},
    strings: { base_model: "tiny", description: 'ü 日本 😀 \u0000 "', empty: "" },
    integers: {
      a: 0,
      b: 127,
      c: 128,
      d: 255,
      e: 256,
      f: 65535,
      g: 65536,
      h: 2 ** 32 - 1,
      i: 2 ** 32,
      j: 2 ** 53 - 1,
    },
    negative: {
      a: -1,
      b: -32,
      c: -33,
      d: -128,
      e: -129,
      f: -32768,
      g: -32769,
      h: -(2 ** 31),
      i: -(2 ** 31) - 1,
      j: 1 - 2 ** 53,
    },
    floats: {
      a: 0.1,
      b: -0.5,
      c: 1e300,
      d: 5e-324,
      e: 9007199254740994,
      f: 1.7976931348623157e308,
      g: 2 ** 53,
      h: -(2 ** 53),
    },
    simple: { false: false, null: null, true: true },
    nested: { a: [1, [2, [3, { b: [] }]]], c: { d: { e: {} } } },
    "depth-16": JSON.parse(`{"a":${"[".repeat(15)}${"]".repeat(15)}}`),
    "array-15-and-16": { a: Array(15).fill(0), b: Array(16).fill(1) },
    "map-15-and-16": {
      a: Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${10 + i}`, i])),
      b: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${10 + i}`, i])),
    },
    "16-keys": Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${10 + i}`, i])),
    // A decoder of UTF-8 that takes U+FEFF for a byte order mark drops it; some libraries do so from 201 bytes on only.
    "strings-that-begin-with-u-feff": {
      a: "\ufeff",
      b: `\ufeff${"x".repeat(28)}`,
      c: `\ufeff${"x".repeat(197)}`,
      d: `\ufeff${"x".repeat(198)}`,
      e: `\ufeff${"x".repeat(300)}`,
      f: "\ufeff\ufeffx",
    },
    "string-lengths": { a: "x".repeat(31), b: "x".repeat(32), c: "x".repeat(255), d: "x".repeat(256) },
    "key-255-characters": { [`~${"k".repeat(254)}`]: 1 },
    "key-one-space": { " ": 1 },
    "keys-in-byte-order": { A: 1, Z: 2, a: 3, aa: 4, b: 5 },
    "names-of-properties": { constructor: 1, hasOwnProperty: 2, toString: 3 },
    binary: { a: { bin: "" }, b: { bin: "00ff" }, c: { bin: hex(zeros(255)) }, d: { bin: hex(zeros(256)) } },
  };
  for (const [name, document] of Object.entries(documents))
    add(`meta-${name}`, [section("META", meta(document))], { META: document });
  const digests = {
    "base-digest": { bin: hex(Uint8Array.from({ length: 32 }, (_, i) => 8 * i)) },
    "base-digest-of-another-form": "means nothing to who does not compare it",
  };
  for (const [name, value] of Object.entries(digests))
    add(
      `meta-${name}`,
      [section("META", meta({ base_digest: value }))],
      { META: { base_digest: value } },
      { clauses: ["10.6"] },
    );
  add(
    "orig",
    [
      section(
        "ORIG",
        meta({ dialect: "peft", tensor_element: "F32", tensor_elements: [["bias", "t", "BF16"]] }),
      ),
    ],
    { ORIG: { dialect: "peft", tensor_element: "F32", tensor_elements: [["bias", "t", "BF16"]] } },
    { clauses: ["10.3"] },
  );
  const marked = { dialect: "peft", text: `\ufeff${"x".repeat(300)}` };
  add(
    "orig-string-that-begins-with-u-feff",
    [section("ORIG", meta(marked))],
    { ORIG: marked },
    { clauses: ["10.2", "10.3"] },
  );
  const both = [section("META", meta({ a: 1 })), section("ORIG", meta({ dialect: "x" }))];
  add("meta-and-orig", both, { META: { a: 1 }, ORIG: { dialect: "x" } });
  add("critical-meta", [section("META", meta({}), { flags: 3 })], { META: {} });
  add("no-flags", [section("META", meta({}), { flags: 0 })], { META: {} });
  add("private", [section("note", text("anything"), { flags: 0 })]);
  add("private-safe-to-copy", [section("note", text("anything"))]);
  add("unknown-public", [section("XTRA", text("of a later version"))]);
  add(
    "unknown-upper-and-lower",
    [section("Xbcd", u8(1)), section("xBCD", u8(2))],
    {},
    { note: "upper case precedes lower case" },
  );
  add("empty-payload", [section("none", zeros(0))]);
  add("four-sections", [...both, section("XAAA", u8(1)), section("zzzz", u8(2))], {
    META: { a: 1 },
    ORIG: { dialect: "x" },
  });
  const textZstd = { features: ["sections", "text-zstd"], clauses: ["7.5", "10.1"] };
  const long = { a: "x".repeat(60), dialect: "x" };
  add(
    "orig-text-zstd-without-dictionary-use",
    [section("ORIG", meta(long), { compression: 3 })],
    { ORIG: long },
    textZstd,
  );
  add(
    "private-larger-than-a-document",
    [section("note", zeros(2 ** 20 + 1), { compression: 3 })],
    {},
    { ...textZstd, clauses: [...textZstd.clauses, "14"], note: "only META and ORIG end at 2^20 bytes" },
  );
  add("private-text-zstd", [section("note", zeros(50), { compression: 3 })], {}, textZstd);
  const { document, stored } = CODED.orig;
  add(
    "orig-text-zstd",
    [section("ORIG", meta(document), { compression: 3, stored })],
    { ORIG: document },
    textZstd,
  );
}

function names(suite) {
  const files = (name, list, about = {}) =>
    suite.valid(
      `valid/name/${name}`,
      { modules: list.map((name) => module({ name, out: 1, in: 1 })) },
      { clauses: ["3.3", "6.7", "6.10"], ...about },
    );
  files("layers-in-natural-order", [
    "layers.0.q",
    "layers.1.q",
    "layers.2.k",
    "layers.2.q",
    "layers.10.q",
    "layers.11.q",
    "layers.100.q",
  ]);
  files("leading-zeros", ["a0", "a00", "a01", "a1", "a001x", "a2"], {
    note: "a0 and a00 are equal as numbers, then compared as bytes",
  });
  files("long-digits", [`a${"9".repeat(40)}`, `a1${"0".repeat(40)}`]);
  files("digits-and-letters", ["1", "1a", "2", "10", "a"]);
  files("prefix-first", ["a", "a.b", "a.b.c", "b"]);
  files("separators", ["a-1", "a.1", "a/1", "a1", "a:1", "a_1"]);
  files("unicode", ["é", "ß", "日本語", "😀"].sort(bytewise));
  files("unicode-not-normalized", ["e\u0301", "é"]);
  files("unicode-digits-are-bytes", ["a٢", "a١0"].sort(bytewise), { note: "only ASCII digits are numbers" });
  files("first-character-u-feff", ["a", "\ufeff", "\ufeffa"], {
    note: "no byte order mark: a character of the name",
  });
  files("properties", ["__proto__", "constructor", "hasOwnProperty", "toString"]);
  files("paths", ["..", "../../etc/passwd", "/", "C:\\x"]);
  files("spaces", [" ", "  ", " a"]);
  files("512-bytes", ["a".repeat(512), "b".repeat(512)]);
  files("512-bytes-of-four-byte-characters", ["😀".repeat(128)]);
  files("shared-255", [`${"a".repeat(300)}1`, `${"a".repeat(300)}2`], { note: "name_shared stops at 255" });
  files("shared-inside-a-character", ["aé", "aè"].sort(bytewise));
  files("case", ["A", "B", "a", "b"]);
  files("bytes-before-digits", ["a", "a!", "a0", "aA"]);
  files("noncharacters", ["\ufdd0", "\ufffe", "\u{10ffff}"].sort(bytewise));
  files("soft-hyphen-and-nbsp", ["\u00a0", "\u00ad"]);
  suite.valid(
    "valid/name/tensors-restart",
    {
      modules: [module({ name: "layers.1.q" })],
      tensors: [tensor({ name: "layers.1.q" }), tensor({ name: "layers.1.q.bias", role: "bias" })],
    },
    { clauses: ["6.8", "6.10"], note: "the first tensor shares nothing with the last module" },
  );
}
const bytewise = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

function layouts(suite) {
  for (let e = 2; e <= 12; e++)
    suite.valid(
      `valid/layout/alignment-${2 ** e}`,
      { alignment: 2 ** e, modules: [module()], tensors: [tensor()] },
      { clauses: ["3.6", "4.2", "4.3", "4.4", "5.1", "7.1"] },
    );
  const bytes = (length, i) => tensor({ name: `t${i}`, element: "U8", role: "carried", shape: [length] });
  const span = (name, alignment, ...lengths) =>
    suite.valid(
      `valid/layout/${name}`,
      { alignment, tensors: lengths.map(bytes) },
      { clauses: ["11.1"], features: ["tensors"] },
    );
  span("span-closed-exactly-at-32768", 4, 4, 32752, 9);
  span("span-not-closed-at-32764", 4, 32760, 32761);
  span("three-spans", 4096, 100, 28600, 28673, 28674);
  const empty = (name, adapter, about = {}) =>
    suite.valid(`valid/layout/${name}`, adapter, { clauses: ["4.2", "11.1"], ...about });
  empty("empty", {});
  empty("empty-alignment-4096", { alignment: 4096 });
  empty("only-a-section", { sections: [section("META", meta({}))] }, { documents: { META: {} } });
  empty("only-a-tensor", { tensors: [tensor()] });
  empty(
    "minor-version-1",
    { modules: [module()] },
    {
      lies: {
        prologue: (p) => {
          p.minor = 1;
        },
      },
      clauses: ["5.2"],
    },
  );
  empty(
    "minor-version-65535",
    { modules: [module()] },
    {
      lies: {
        prologue: (p) => {
          p.minor = 65535;
        },
      },
      clauses: ["5.2"],
    },
  );
  // Private bits, which no later version gives a meaning.
  for (const [name, bit] of Object.entries({ first: 28, second: 29, last: 31 }))
    for (const kind of ["compatible", "readonly"])
      empty(
        `unknown-${kind}-bit-${name}`,
        { modules: [module()] },
        {
          lies: {
            prologue: (p) => {
              p[kind] += 2 ** bit;
            },
          },
          clauses: ["5.3"],
        },
      );
  empty(
    "unknown-read-only-compatible-bits",
    { modules: [module()] },
    {
      lies: {
        prologue: (p) => {
          p.readonly = 2 ** 31 + 2 ** 28;
        },
      },
      clauses: ["5.2", "5.3"],
    },
  );
  empty(
    "everything",
    {
      alignment: 64,
      modules: [
        module({ name: "layers.2.q", out: 24, in: 40, bands: twoBands(2, 6) }),
        module({ name: "layers.10.conv", role: "conv2d", kernel: [3, 3] }),
        module({ name: "moe", experts: 2, bands: [band(trellis(4))] }),
      ],
      tensors: [
        tensor({ name: "head", shape: [4, 4] }),
        tensor({ name: "layers.2.q", role: "magnitude", shape: [24] }),
        tensor({ name: "zeros", shape: [64], data: zeros(256), compression: 1 }),
      ],
      sections: [
        section("META", meta({ base_model: "tiny" })),
        section("note", fromHex("00ff"), { flags: 0 }),
      ],
    },
    {
      documents: { META: { base_model: "tiny" } },
      features: ["zstd", "trellis", "experts", "tensors", "sections"],
      clauses: ["4.1"],
    },
  );
}

export function validAdapters(suite) {
  for (const family of [tensors, sections, names, layouts]) family(suite);
}
