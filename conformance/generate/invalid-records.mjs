// invalid/name, module, tensor, section, feature, layout: records of the index (spec clauses 3.3, 5.3, 6.7 to 6.10, 7.1,
// 7.5, 9.4, 10).
import { concat, fromHex, patched, text, u8, u32, zeros } from "./bytes.mjs";
import { sign, trellis } from "./codecs.mjs";
import { band, module, section, tensor } from "./compose.mjs";
import { gapBehind, prologue, records, set, whole } from "./lies.mjs";
import { meta } from "./messagepack.mjs";

const only = (over) => ({ modules: [module(over)] });
const named = (...list) => ({ modules: list.map((name) => module({ name, out: 1, in: 1 })) });

function names(suite) {
  const bad = (name, bytes) =>
    suite.invalid(
      `invalid/name/${name}`,
      "NAME_ENCODING",
      named(typeof bytes === "string" ? bytes : fromHex(bytes[0])),
      { clauses: ["3.3"] },
    );
  bad("empty", "");
  bad("513-bytes", "a".repeat(513));
  bad("600-bytes-of-two-byte-characters", "é".repeat(300));
  bad("nul", "a\0b");
  bad("line-feed", "a\n");
  bad("escape", "\u001b[31m");
  bad("unit-separator", "\u001f");
  bad("delete", "a\u007f");
  bad("u-0080", "\u0080");
  bad("u-009f", "a\u009fb");
  const utf8 = {
    "continuation-alone": "80",
    "byte-ff": "61ff",
    "byte-c0": "c0af",
    "overlong-2": "c1bf",
    "overlong-3": "e09fbf",
    "overlong-4": "f08fbfbf",
    "surrogate-high": "eda080",
    "surrogate-pair": "eda080edb080",
    "above-10ffff": "f4908080",
    "byte-f5": "f5808080",
    "cut-2": "c3",
    "cut-3": "e282",
    "cut-4": "f09f98",
    "cut-in-the-middle": "c361",
    "byte-f8-and-nine": `f8${"80".repeat(9)}`,
    "latin-1": "e9",
  };
  for (const [name, hex] of Object.entries(utf8)) bad(`utf-8-${name}`, [hex]);
  suite.invalid(
    "invalid/name/tensor-empty",
    "NAME_ENCODING",
    { tensors: [tensor({ name: "" })] },
    { clauses: ["3.3"] },
  );
  suite.invalid(
    "invalid/name/tensor-utf-8",
    "NAME_ENCODING",
    { tensors: [tensor({ name: fromHex("ff") })] },
    { clauses: ["3.3"] },
  );
  suite.invalid("invalid/name/cut-character-shared", "NAME_ENCODING", named("aé", "b"), {
    clauses: ["3.3", "6.10"],
    lies: records((v) => {
      v.modules[1] = { ...v.modules[1], name_shared: 2, name_suffix: 0 };
      v.names.pop();
    }),
    note: "the second name would end inside é",
  });

  const order = (name, ...list) =>
    suite.invalid(`invalid/name/order-${name}`, "NAME_ORDER", named(...list), { clauses: ["3.3", "6.7"] });
  order("descending", "b", "a");
  order("twice", "a", "a");
  order("ten-before-two", "layers.10.q", "layers.2.q");
  order("leading-zero-after", "a1", "a01");
  order("more-zeros-before-fewer", "a00", "a0", "a000");
  order("longer-first", "a.b", "a");
  order("lower-before-upper", "a", "A");
  order("letters-before-digits", "a", "1");
  order("as-signed-bytes", "é", "a");
  order("as-utf-16", "\u{10000}", "\uffff");
  order("digits-beyond-2-to-the-64", `a${"9".repeat(21)}`, `a${"8".repeat(21)}`);
  order("tail-behind-equal-numbers", "a1b", "a01a");
  const tensors = (name, ...list) =>
    suite.invalid(
      `invalid/name/tensors-${name}`,
      "NAME_ORDER",
      { tensors: list.map((about) => tensor(about)) },
      { clauses: ["3.3", "6.8"] },
    );
  tensors("descending", { name: "b" }, { name: "a" });
  tensors("same-role-twice", { name: "a" }, { name: "a" });
  tensors("roles-descending", { name: "a", role: "bias" }, { name: "a", role: "replace" });
  tensors("descending-and-an-unknown-role", { name: "b" }, { name: "a", role: 224 });

  const heap = (name, adapter, change) =>
    suite.invalid(`invalid/name/heap-${name}`, "NAME_HEAP", adapter, {
      clauses: ["6.10"],
      lies: records(change),
    });
  heap("first-module-shares", named("a"), (v) => {
    v.modules[0].name_shared = 1;
  });
  heap(
    "first-tensor-shares",
    { modules: [module({ name: "a" })], tensors: [tensor({ name: "ab" })] },
    (v) => {
      v.tensors[0] = { ...v.tensors[0], name_shared: 1, name_suffix: 1 };
      v.names.splice(1, 1);
    },
  );
  heap("shares-more-than-there-is", named("a", "b"), (v) => {
    v.modules[1].name_shared = 2;
  });
  heap("suffix-beyond", named("a"), (v) => {
    v.modules[0].name_suffix = 2;
  });
  heap("second-suffix-a-byte-beyond", named("a", "b"), (v) => {
    v.modules[1].name_suffix = 2;
  });
  heap("second-suffix-beyond-before-a-third-in-wrong-order", named("b", "c", "d"), (v) => {
    v.modules[1].name_suffix = 3;
    v.modules[2] = { ...v.modules[2], name_shared: 0, name_suffix: 1 };
  });
  heap("suffix-65535", named("a"), (v) => {
    v.modules[0].name_suffix = 65535;
  });
  heap("a-byte-left", named("a"), (v) => void v.names.push(0x62));
  heap("a-zero-byte-left", named("a"), (v) => void v.names.push(0));
  heap("empty", named("a"), (v) => {
    v.names.length = 0;
  });
  heap("tensor-beyond", { tensors: [tensor()] }, (v) => {
    v.tensors[0].name_suffix = 9;
  });
}

function modules(suite) {
  const add = (name, error, lies, adapter = only({}), clauses = ["7.1"]) =>
    suite.invalid(`invalid/module/${name}`, error, adapter, { lies, clauses });
  const length = (change) =>
    records((v) => {
      v.modules[0].chunk_length = change(v.modules[0].chunk_length);
    });
  for (const [name, change] of Object.entries({
    "one-more": (n) => n + 1,
    "one-less": (n) => n - 1,
    "without-crc": (n) => n - 4,
    zero: () => 0,
    three: () => 3,
    "2-to-the-20": () => 2 ** 20,
  }))
    add(`length-${name}`, "CHUNK_LENGTH_MISMATCH", length(change));
  for (const reserved of [2, 3, 4, 255])
    add(`reserved-${reserved}`, "RECORD_RESERVED_NONZERO", set("modules", 0, { reserved }), only({}), [
      "6.3",
      "6.7",
    ]);
  add(
    "zero-payload-with-a-byte",
    "CHUNK_LENGTH_MISMATCH",
    length((n) => n + 1),
    only({ bands: [band({ ...sign(), codec: 0, scale: 0, group_exponent: 0 })] }),
  );
  add("shorter-by-a-dimension", "CHUNK_LENGTH_MISMATCH", set("types", 0, { inp: 13 }));
  add(
    "longer-by-a-component",
    "CHUNK_LENGTH_MISMATCH",
    records((v) => {
      v.bands[0].components = 2;
      v.types[0].alpha = 4;
    }),
  );
  add("longer-by-an-expert", "CHUNK_LENGTH_MISMATCH", set("types", 0, { experts: 2 }), only({ experts: 1 }), [
    "7.1",
    "7.3",
  ]);
}

function tensors(suite) {
  const add = (name, error, about, lies = {}, clauses = ["6.8"], mods = [module()]) =>
    suite.invalid(
      `invalid/tensor/${name}`,
      error,
      { modules: mods, tensors: [].concat(about).map((t) => tensor(t)) },
      { lies, clauses },
    );
  for (const role of [224, 254, 255]) add(`role-${role}`, "UNSUPPORTED_ROLE", { role }, {}, ["9.4"]);
  for (const element of [0, 224, 255])
    add(`element-${element}`, "UNSUPPORTED_CODEC", {}, set("tensors", 0, { element }));
  for (const dimensions of [9, 255])
    add(`dimensions-${dimensions}`, "HARD_LIMIT", {}, set("tensors", 0, { dimensions }), ["6.8", "14"]);
  add("nine-dimensions-that-are-there", "HARD_LIMIT", { shape: Array(9).fill(1) }, {}, ["6.8", "14"]);
  add("more-dimensions-than-there-are", "RECORD_REFERENCE", {}, set("tensors", 0, { dimensions: 3 }), [
    "6.3",
    "6.8",
  ]);
  add(
    "a-dimension-left",
    "RECORD_REFERENCE",
    {},
    records((v) => void v.dimensions.push(1)),
    ["6.3"],
  );
  add(
    "fewer-dimensions-of-the-same-size",
    "RECORD_REFERENCE",
    { shape: [6, 1] },
    set("tensors", 0, { dimensions: 1 }),
    ["6.3"],
  );
  for (const role of ["replace", "bias", "carried"])
    add(`${role}-axis-1`, "TENSOR_RECORD", { role, axis: 1 }, {}, ["9.4"]);
  add("lora-bias-axis-1", "TENSOR_RECORD", { name: "q", role: "lora-bias", shape: [3], axis: 1 }, {}, [
    "9.4",
  ]);
  add("magnitude-axis-2", "TENSOR_RECORD", { name: "q", role: "magnitude", shape: [3], axis: 2 }, {}, [
    "9.4",
  ]);
  const companion = (name, about, mods) => add(name, "TENSOR_RECORD", about, {}, ["9.4"], mods);
  companion("lora-bias-without-module", { name: "x", role: "lora-bias", shape: [3] });
  companion("lora-bias-of-in", { name: "q", role: "lora-bias", shape: [5] });
  companion("lora-bias-of-one-expert", { name: "q", role: "lora-bias", shape: [3] }, [
    module({ experts: 2 }),
  ]);
  companion("magnitude-without-module", { name: "x", role: "magnitude", shape: [3] });
  companion("magnitude-of-the-other-axis", { name: "q", role: "magnitude", shape: [5] });
  companion("magnitude-axis-1-of-out", { name: "q", role: "magnitude", shape: [3], axis: 1 });
  companion("magnitude-in-out-of-out", { name: "q", role: "magnitude", shape: [3] }, [
    module({ baseLayout: 1 }),
  ]);
  companion("magnitude-of-one-expert", { name: "q", role: "magnitude", shape: [3] }, [
    module({ experts: 2 }),
  ]);
  companion("magnitude-axis-2-of-in", { name: "q", role: "magnitude", shape: [5], axis: 2 });
  companion("lora-bias-between-modules", { name: "b", role: "lora-bias", shape: [3] }, [
    module({ name: "a" }),
    module({ name: "c" }),
  ]);
  companion("magnitude-scalar", { name: "q", role: "magnitude", shape: [] });
  companion("magnitude-of-all-experts-in-one-dimension", { name: "q", role: "magnitude", shape: [6] }, [
    module({ experts: 2 }),
  ]);
  companion("magnitude-of-experts-last", { name: "q", role: "magnitude", shape: [3, 2] }, [
    module({ experts: 2 }),
  ]);
  companion(
    "magnitude-conv2d-axis-1-of-in-and-kernel",
    { name: "q", role: "magnitude", shape: [30], axis: 1 },
    [module({ role: "conv2d", kernel: [3, 2] })],
  );
  for (const role of ["lora-bias", "magnitude"])
    companion(`${role}-of-a-dimension-more`, { name: "q", role, shape: [3, 2] });
  companion("magnitude-of-other-dimensions", { name: "q", role: "magnitude", shape: [2, 2] }, [
    module({ out: 4 }),
  ]);
  for (const element of ["Bool", "U8", "I32", "U64"])
    for (const role of ["bias", "lora-bias", "magnitude"])
      companion(`${role}-${element.toLowerCase()}`, { name: "q", role, element, shape: [3] });
  companion("replace-and-bias-of-one-name", [
    { name: "q.bias", shape: [3] },
    { name: "q.bias", role: "bias", shape: [3] },
  ]);
  const rows = { name: "e", role: "token-rows", shape: [2, 3] };
  const indices = { name: "e", role: "token-indices", element: "U32", shape: [2], data: u32(1, 7) };
  companion("token-rows-i32", [{ ...rows, element: "I32" }, indices]);
  for (const over of [{}, { role: "embedding" }, { role: "conv1d", kernel: [3] }])
    companion(
      `token-rows-of-a-module-${over.role ?? "linear"}`,
      [
        { ...rows, name: "q" },
        { ...indices, name: "q" },
      ],
      [module(over)],
    );
  companion("token-rows-alone", rows);
  companion("token-indices-alone", indices);
  companion("token-rows-of-another-name", [{ ...rows, name: "a" }, indices]);
  companion("token-rows-before-a-carried-tensor", [
    rows,
    { name: "e", role: "carried", element: "U32", shape: [2] },
  ]);
  companion("token-rows-one-dimension", [{ ...rows, shape: [2] }, indices]);
  companion("token-rows-three-dimensions", [{ ...rows, shape: [2, 3, 1] }, indices]);
  companion("token-rows-other-count", [{ ...rows, shape: [3, 2] }, indices]);
  companion("token-indices-two-dimensions", [rows, { ...indices, shape: [2, 1] }]);
  companion("token-indices-scalar", [rows, { ...indices, shape: [], data: u32(1) }]);
  companion("token-indices-i32", [rows, { ...indices, element: "I32" }]);
  companion("token-indices-u64", [rows, { ...indices, element: "U64", data: u32(1, 0, 7, 0) }]);
  const length = (change) =>
    records((v) => {
      v.tensors[0].chunk_length = change(v.tensors[0].chunk_length);
    });
  for (const [name, change] of Object.entries({
    "one-more": (n) => n + 1,
    "one-less": (n) => n - 1,
    zero: () => 0,
  }))
    add(`length-${name}`, "CHUNK_LENGTH_MISMATCH", {}, length(change), ["7.1"]);
  for (const compression of [3, 224, 255])
    add(`compression-${compression}`, "UNSUPPORTED_COMPRESSION", {}, set("tensors", 0, { compression }), [
      "7.5",
    ]);
  add(
    "empty-but-four-bytes",
    "CHUNK_LENGTH_MISMATCH",
    { shape: [0] },
    length((n) => n + 4),
    ["7.1"],
  );
  add(
    "empty-and-compressed",
    "CHUNK_LENGTH_MISMATCH",
    { shape: [0] },
    set("tensors", 0, { compression: 1 }),
    ["7.1"],
  );
  for (const bytes of [0, 3, 4])
    add(
      `compressed-of-${bytes}-bytes`,
      "CHUNK_LENGTH_MISMATCH",
      {},
      set("tensors", 0, { compression: 1, chunk_length: bytes }),
      ["7.1"],
    );
  add(
    "shuffled-as-long-as-not-compressed",
    "CHUNK_LENGTH_MISMATCH",
    {},
    set("tensors", 0, { compression: 2 }),
    ["7.1"],
  );
  const shape = (name, dims, error = "HARD_LIMIT") =>
    add(`size-${name}`, error, { shape: dims, data: zeros(24) }, {}, ["6.8", "14"]);
  shape("wraps-32-bits", [2 ** 16, 2 ** 16]);
  shape("wraps-32-bits-to-24", [2 ** 30 + 6, 1, 1]);
  shape("wraps-64-bits-to-0", [2 ** 31, 2 ** 31, 1]);
  shape("wraps-64-bits", [2 ** 31, 2 ** 31, 2 ** 31, 3]);
  shape("largest", Array(8).fill(2 ** 32 - 1));
}

function sections(suite) {
  const add = (name, error, list, lies = {}, clauses = ["6.9"]) =>
    suite.invalid(
      `invalid/section/${name}`,
      error,
      { modules: [module()], sections: list },
      { lies, clauses },
    );
  const x = (tag, over) => section(tag, text("x"), over);
  for (const [name, tag] of Object.entries({
    digit: "abc1",
    space: "ab c",
    nul: "abc\0",
    underscore: "a_bc",
    "at-sign": "@bcd",
    bracket: "[bcd",
    backquote: "`bcd",
    brace: "{bcd",
  }))
    add(`tag-${name}`, "SECTION_RECORD", [x(tag)]);
  add("tag-of-a-high-byte", "SECTION_RECORD", [x("abcd")], tagBytes("e9626364"));
  add("tag-of-zeros", "SECTION_RECORD", [x("abcd")], tagBytes("00000000"));
  for (const flags of [4, 8, 128, 255])
    add(`flags-${flags}`, "RECORD_RESERVED_NONZERO", [x("abcd", { flags })]);
  for (const reserved of [1, 256])
    add(`reserved-${reserved}`, "RECORD_RESERVED_NONZERO", [x("abcd")], set("sections", 0, { reserved }));
  add("order-descending", "SECTION_ORDER", [x("bbbb"), x("aaaa")]);
  add("order-twice", "SECTION_ORDER", [x("abcd"), x("abcd")]);
  add("order-meta-twice", "SECTION_ORDER", [section("META", meta({})), section("META", meta({}))]);
  add("order-by-letters", "SECTION_ORDER", [x("xBCD"), x("Xbcd")]);
  add("order-as-little-endian-numbers", "SECTION_ORDER", [x("bbba"), x("aaab")]);
  for (const tag of ["note", "aBCD"])
    add(`private-and-critical-${tag}`, "SECTION_RECORD", [x(tag, { flags: 1 })]);
  for (const [tag, flags] of [
    ["XTRA", 1],
    ["Xtra", 3],
    ["XBCD", 1],
    ["MEta", 1],
  ])
    add(`unknown-and-critical-${tag}`, "UNSUPPORTED_SECTION", [x(tag, { flags })], {}, ["10.1"]);
  for (const compression of [1, 2, 3, 255])
    add(
      `meta-compression-${compression}`,
      "SECTION_RECORD",
      [section("META", meta({}))],
      set("sections", 0, { compression }),
      ["10.2"],
    );
  for (const compression of [1, 2, 224, 255])
    add(
      `compression-${compression}`,
      "UNSUPPORTED_COMPRESSION",
      [x("note")],
      set("sections", 0, { compression }),
      ["7.5"],
    );
  for (const [name, change] of Object.entries({
    "one-more": (s) => ({ raw_length: s.raw_length + 1 }),
    "one-less": (s) => ({ raw_length: s.raw_length - 1 }),
    "chunk-one-more": (s) => ({ chunk_length: s.chunk_length + 1 }),
    "chunk-zero": () => ({ chunk_length: 0 }),
  }))
    add(
      `length-${name}`,
      "CHUNK_LENGTH_MISMATCH",
      [x("note")],
      records((v) => void Object.assign(v.sections[0], change(v.sections[0]))),
      ["7.1"],
    );
  add(
    "text-zstd-as-long-as-not-compressed",
    "CHUNK_LENGTH_MISMATCH",
    [x("note")],
    set("sections", 0, { compression: 3 }),
    ["7.1"],
  );
}

/** The tag of the first section as bytes, which text cannot say. */
const tagBytes = (hex) => ({
  index: (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const at = 64 + view.getUint32(64, true) + 4;
    const copy = Uint8Array.from(bytes);
    copy.set(fromHex(hex), at);
    return copy;
  },
});

function features(suite) {
  const full = {
    zstd: {
      tensors: [tensor({ name: "z", role: "carried", shape: [40], data: zeros(160), compression: 1 })],
    },
    trellis: only({ bands: [band(trellis(4))] }),
    experts: only({ experts: 2 }),
    magnitude: { modules: [module()], tensors: [tensor({ name: "q", role: "magnitude", shape: [3] })] },
    replacement: { tensors: [tensor({ role: "bias" })] },
  };
  const add = (name, adapter, lies, about = {}) =>
    suite.invalid(`invalid/feature/${name}`, "FEATURE_BITS", adapter, { lies, clauses: ["5.3"], ...about });
  Object.entries(full).forEach(([name, adapter], bit) => {
    add(
      `${name}-missing`,
      adapter,
      prologue((p) => ({ required: p.required - 2 ** bit })),
    );
    add(
      `${name}-without-need`,
      only({}),
      prologue((p) => ({ required: p.required + 2 ** bit })),
    );
  });
  for (const role of ["lora-bias", "replace"])
    add(
      `replacement-missing-for-${role}`,
      { modules: [module()], tensors: [tensor({ name: "q", role, shape: [3] })] },
      prologue({ required: 0 }),
    );
  add("replacement-for-carried", { tensors: [tensor({ role: "carried" })] }, prologue({ required: 16 }));
  add(
    "zstd-for-a-section",
    { sections: [section("note", zeros(50), { compression: 3 })] },
    prologue({ required: 1 }),
  );
}

function layout(suite) {
  const big = () => ({
    alignment: 64,
    modules: [module()],
    tensors: [tensor({ element: "U8", shape: [5] })],
  });
  const pad = (name, lies, about = {}) =>
    suite.invalid(`invalid/layout/${name}`, "PADDING_NONZERO", big(), {
      lies,
      clauses: ["3.6", "4.2"],
      ...about,
    });
  for (const [name, position] of Object.entries({ first: 0, last: -1 })) {
    pad(`padding-behind-the-index-${name}`, {
      chunks: (_, gap) => {
        gap[(position + gap.length) % gap.length] = 1;
      },
    });
    pad(
      `padding-behind-a-module-${name}`,
      {
        chunks: ([chunk]) => {
          chunk.gap[(position + chunk.gap.length) % chunk.gap.length] = 128;
        },
      },
      { level: "integrity" },
    );
  }
  // All of the padding has to be there before it is looked at, and what stands before it is looked at first.
  const cut = (name, of, error, change, about = {}) =>
    suite.damaged(
      `invalid/layout/padding-behind-${name}`,
      `invalid/layout/padding-behind-${of}`,
      error,
      change,
      {
        clauses: ["3.6", "15.2"],
        ...about,
      },
    );
  const behind = (file, at) => file.subarray(0, at.chunks[1] - 1);
  cut("the-index-wrong-and-cut", "the-index-first", "TRUNCATED_FILE", (file, at) =>
    file.subarray(0, at.first - 1),
  );
  cut("a-module-wrong-and-cut", "a-module-first", "TRUNCATED_FILE", behind);
  cut(
    "a-module-cut-and-its-crc-wrong",
    "a-module-first",
    "CHUNK_CRC",
    (file, at) => patched(behind(file, at), at.chunks[0], file[at.chunks[0]] ^ 1),
    { level: "integrity", shallower: "TRUNCATED_FILE" },
  );
  pad("padding-behind-a-tensor", gapBehind(1, 3), { level: "integrity" });
  suite.invalid(
    "invalid/layout/padding-behind-a-section",
    "PADDING_NONZERO",
    { sections: [section("note", u8(1))] },
    { level: "integrity", lies: gapBehind(0, 2), clauses: ["3.6", "4.2"] },
  );
  const tail = (name, bytes) =>
    suite.invalid(`invalid/layout/behind-it-${name}`, "TRAILING_BYTES", big(), {
      lies: whole((file) => concat(file, typeof bytes === "function" ? bytes(file) : bytes)),
      clauses: ["4.4"],
    });
  tail("a-zero-byte", zeros(1));
  tail("a-line-feed", text("\n"));
  tail("4096-zeros", zeros(4096));
  tail("a-zip", text("PK\x05\x06".padEnd(22, "\0")));
  tail("itself", (file) => file);
  for (const [name, cut] of Object.entries({
    "the-last-byte": 1,
    "the-trailer": 64,
    "the-digests": 128,
    "half-of-it": 250,
  }))
    suite.invalid(`invalid/layout/without-${name}`, "TRUNCATED_FILE", big(), {
      lies: whole((file) => file.subarray(0, file.length - cut)),
      clauses: ["4.4"],
    });
  suite.invalid("invalid/layout/index-and-nothing-more", "TRUNCATED_FILE", big(), {
    lies: whole((file, at) => file.subarray(0, at.gap)),
    clauses: ["4.4"],
  });
  suite.invalid("invalid/layout/alignment-of-another-file", "FILE_LENGTH_MISMATCH", big(), {
    lies: prologue({ exponent: 2 }),
    clauses: ["4.2", "4.3"],
  });
}

export function invalidRecords(suite) {
  for (const family of [names, modules, tensors, sections, features, layout]) family(suite);
}
