// limits/: what a device (Device) and every other reader (Core) must accept, what it may refuse, what nothing may hold (Hard), and the caller's budget
// (spec clause 14).
import { concat, patched, text, zeros } from "./bytes.mjs";
import { affine, sign, zero } from "./codecs.mjs";
import { band, module, section, tensor } from "./compose.mjs";
import { frame, rawBlock, rleBlock } from "./frames.mjs";
import { prologue, records, set } from "./lies.mjs";
import { meta } from "./messagepack.mjs";
import { refusal } from "./suite.mjs";

const only = (over) => ({ modules: [module(over)] });
const nothing = [band(zero())];
const vector = sign({ group: 0 });

const SUM = "bands times experts, added up over the modules; none of them has bytes in the file";

/** So many modules of one band and 1,024 experts. */
const crowds = (count) =>
  Array.from({ length: count }, (_, i) =>
    module({ name: `m${String(i).padStart(5, "0")}`, out: 4096, in: 1, experts: 1024, bands: nothing }),
  );

/** Up to Core. */
function accepted(suite) {
  const add = (name, adapter, about = {}) =>
    suite.valid(`limits/core/${name}`, adapter, {
      clauses: ["3.1", "14"],
      hashes: false,
      budget: 2 ** 21,
      ...about,
    });
  add("rank-1024", only({ out: 1, in: 1, bands: [band(vector, vector, 1024)] }), { hashes: true });
  add("rank-1024-in-two-bands", only({ out: 1, in: 1, bands: [band(zero(), zero(), 1023), band(vector)] }), {
    hashes: true,
  });
  add("experts-1024", only({ out: 1, in: 1, experts: 1024, bands: [band(vector)] }), {
    hashes: true,
    features: ["experts"],
  });
  add("out-2-to-the-24", only({ out: 2 ** 24, in: 1, bands: nothing }), { note: "no bytes in the file" });
  add("in-2-to-the-24", only({ out: 1, in: 2 ** 24, bands: nothing }));
  add(
    "in-times-kernel-2-to-the-24",
    only({ role: "conv2d", out: 1, in: 2 ** 16, kernel: [16, 16], bands: nothing }),
  );
  add(
    "out-in-rank-and-experts-at-once",
    only({ out: 2 ** 24, in: 2 ** 24, experts: 1024, bands: [band(zero(), zero(), 1024)] }),
    {
      features: ["experts"],
      note: "2^45 weights that are 0, in no bytes: a reader that decodes them has not asked for its budget",
    },
  );
  add("bands-of-all-experts-2-to-the-20", { modules: crowds(1024) }, { features: ["experts"], note: SUM });
  add("tensor-of-8-dimensions", { tensors: [tensor({ shape: Array(8).fill(1) })] }, { hashes: true });
  const letter = (i) => String.fromCharCode(i < 26 ? 65 + i : 71 + i);
  const tags = Array.from({ length: 64 }, (_, i) => `X${letter(i >> 5)}${letter(i % 32)}x`);
  add("sections-64", { sections: tags.map((tag) => section(tag, zeros(0))) });
  const long = meta({ a: "x".repeat(2 ** 20 - 8) });
  const stored = frame(2 ** 20, [rawBlock(long.subarray(0, 8)), ...runs("x", 2 ** 20 - 8)]);
  add(
    "orig-2-to-the-20-bytes",
    { sections: [section("ORIG", long, { compression: 3, stored })] },
    {
      features: ["text-zstd"],
      omit: ["origin"],
    },
  );
}

const runs = (letter, count) => {
  const blocks = [];
  for (let left = count; left > 0; left -= 2 ** 17)
    blocks.push(rleBlock(text(letter)[0], Math.min(left, 2 ** 17)));
  return blocks;
};

/** Up to Device, and one above it, which only a device reader may refuse. */
function devices(suite) {
  const pair = (name, of, atMost, about = {}) => {
    for (const [folder, value] of [
      ["device", atMost],
      ["above-device", atMost + 1],
    ])
      suite.valid(`limits/${folder}/${name}-${value}`, of(value), {
        clauses: ["14", "14.1"],
        hashes: false,
        budget: 2 ** 21,
        ...about,
      });
  };
  pair("rank", (rank) => only({ out: 1, in: 1, bands: [band(vector, vector, rank)] }), 256, { hashes: true });
  pair("experts", (experts) => only({ out: 1, in: 1, experts, bands: [band(vector)] }), 128, {
    hashes: true,
    features: ["experts"],
  });
  pair("out", (out) => only({ out, in: 1, bands: nothing }), 2 ** 19);
  pair("in", (length) => only({ out: 1, in: length, bands: nothing }), 2 ** 19);
  const letter = (i) => String.fromCharCode(65 + i);
  pair(
    "sections",
    (count) => ({ sections: Array.from({ length: count }, (_, i) => section(`X${letter(i)}xx`, zeros(0))) }),
    16,
  );
  suite.valid(
    "limits/above-device/zstd",
    { tensors: [tensor({ element: "U8", shape: [2 ** 10], data: zeros(2 ** 10), compression: 1 })] },
    { clauses: ["14.1"], features: ["zstd"] },
  );
}

/** Above Core: a reader may refuse, and if it does not, it goes on to the next fault, or accepts. */
function refusable(suite) {
  const add = (name, adapter, lies, other = ["valid"], note = undefined) =>
    suite.invalid(`limits/above-core/${name}`, "CORE_LIMIT", adapter, {
      note,
      lies,
      clauses: ["14"],
      obligation: "may",
      accept: other,
    });
  const lie = (fields) => prologue(fields);
  add("index-2-to-the-24-and-1", only({}), lie({ indexLength: 2 ** 24 + 1 }), ["TRUNCATED_FILE"]);
  add("index-2-to-the-26", only({}), lie({ indexLength: 2 ** 26 }), ["TRUNCATED_FILE"]);
  add("modules-2-to-the-16-and-1", only({}), lie({ modules: 2 ** 16 + 1 }), ["COUNT_MISMATCH"]);
  add("modules-2-to-the-20", only({}), lie({ modules: 2 ** 20 }), ["COUNT_MISMATCH"]);
  add("tensors-2-to-the-16-and-1", only({}), lie({ tensors: 2 ** 16 + 1 }), ["COUNT_MISMATCH"]);
  add("sections-65", only({}), lie({ sections: 65 }), ["COUNT_MISMATCH"]);
  add("sections-1024", only({}), lie({ sections: 1024 }), ["COUNT_MISMATCH"]);
  add("file-2-to-the-36-and-1", only({}), lie({ fileLength: 2 ** 36 + 1 }), ["FILE_LENGTH_MISMATCH"]);
  add("file-2-to-the-53-minus-1", only({}), lie({ fileLength: 2 ** 53 - 1 }), ["FILE_LENGTH_MISMATCH"]);
  add("rank-1025", only({ out: 1, in: 1, bands: [band(zero(), zero(), 1025)] }));
  const one = module({ name: "n", out: 1, in: 1, bands: nothing });
  add("bands-of-all-experts-2-to-the-20-and-1", { modules: [...crowds(1024), one] }, {}, ["valid"], SUM);
  add("rank-4096", only({ out: 1, in: 1, bands: [band(zero(), zero(), 4096)] }));
  add("experts-1025", only({ out: 1, in: 1, experts: 1025, bands: nothing }));
  add("out-2-to-the-24-and-1", only({ out: 2 ** 24 + 1, in: 1, bands: nothing }));
  add("in-2-to-the-25", only({ out: 1, in: 2 ** 25, bands: nothing }));
  add(
    "in-times-kernel-above",
    only({ role: "conv1d", out: 1, in: 2 ** 23 + 1, kernel: [2], bands: nothing }),
  );
  add(
    "bands-2-to-the-19-and-1",
    only({}),
    records((v) => {
      v.bands = Array(2 ** 19 + 1).fill(v.bands[0]);
    }),
    ["RECORD_REFERENCE"],
  );
  add(
    "raw-tensor-2-to-the-30-and-more",
    { tensors: [tensor({ element: "U8", shape: [2 ** 30 + 1], data: zeros(8) })] },
    {},
    ["CHUNK_LENGTH_MISMATCH"],
  );
  add("stored-chunk-2-to-the-31", only({}), set("modules", 0, { chunk_length: 2 ** 31 }), [
    "CHUNK_LENGTH_MISMATCH",
  ]);
  add(
    "orig-2-to-the-20-and-1",
    { sections: [section("ORIG", meta({}))] },
    set("sections", 0, { raw_length: 2 ** 20 + 1 }),
    ["CHUNK_LENGTH_MISMATCH"],
  );
  add(
    "meta-2-to-the-24",
    { sections: [section("META", meta({}))] },
    set("sections", 0, { raw_length: 2 ** 24 }),
    ["CHUNK_LENGTH_MISMATCH"],
  );
  add(
    "meta-2-to-the-32-minus-1",
    { sections: [section("META", meta({}))] },
    set("sections", 0, { raw_length: 2 ** 32 - 1 }),
    ["HARD_LIMIT"],
    "first the limit of a chunk, of which this is above Core only, then that of MessagePack",
  );
  add(
    "raw-section-2-to-the-30-and-1",
    { sections: [section("note", zeros(50), { compression: 3 })] },
    set("sections", 0, { raw_length: 2 ** 30 + 1 }),
    ["ZSTD_FRAME", "BUDGET", "valid"],
  );
  const long = (length) => ({
    tensors: [tensor({ element: "U8", shape: [length], data: zeros(0), compression: 1, stored: zeros(99) })],
  });
  add("raw-chunk-2-to-the-30-and-1", long(2 ** 30 + 1), {}, ["ZSTD_FRAME", "BUDGET", "valid"]);

  /** A payload of zstd in a chunk of 103 bytes that expands by so much. */
  const bomb = (name, expansion) =>
    tensor({
      name,
      element: "U8",
      shape: [16 * 103 + expansion],
      data: zeros(0),
      compression: 1,
      stored: zeros(99),
    });
  const sections = (expansion) => ({
    sections: [
      section("note", zeros(0), { compression: 3, stored: zeros(99), raw_length: 16 * 103 + expansion }),
    ],
  });
  const most = 2 ** 28;
  for (const [name, of] of [
    ["expansion-of-tensors", (by) => ({ tensors: [bomb("t", by)] })],
    ["expansion-of-tensors-added-up", (by) => ({ tensors: [bomb("t", most / 2), bomb("u", by - most / 2)] })],
    ["expansion-of-sections", (by) => sections(by)],
    [
      "expansion-of-sections-and-tensors",
      (by) => ({ tensors: [bomb("t", most - 1)], ...sections(by - most + 1) }),
    ],
  ]) {
    suite.valid(`limits/core/${name}-2-to-the-28`, of(most), {
      level: "structure",
      clauses: ["14"],
      twin: false,
      note: "what is stored is no zstd; at this level that is not looked at",
    });
    add(`${name}-2-to-the-28-and-1`, of(most + 1), {}, ["ZSTD_FRAME", "BUDGET"]);
  }
}

/** Above Hard: malformed. */
function malformed(suite) {
  const add = (name, adapter, lies = {}, clauses = ["14"]) =>
    suite.invalid(`limits/above-hard/${name}`, "HARD_LIMIT", adapter, { lies, clauses });
  const lie = (name, fields) => add(name, only({}), prologue(fields), ["14", "15.2"]);
  lie("index-2-to-the-26-and-1", { indexLength: 2 ** 26 + 1 });
  lie("index-2-to-the-32-minus-1", { indexLength: 2 ** 32 - 1 });
  lie("modules-2-to-the-20-and-1", { modules: 2 ** 20 + 1 });
  lie("modules-2-to-the-32-minus-1", { modules: 2 ** 32 - 1 });
  lie("tensors-2-to-the-20-and-1", { tensors: 2 ** 20 + 1 });
  lie("tensors-2-to-the-32-minus-1", { tensors: 2 ** 32 - 1 });
  lie("sections-1025", { sections: 1025 });
  lie("sections-2-to-the-32-minus-1", { sections: 2 ** 32 - 1 });
  lie("file-2-to-the-53", { fileLength: 2 ** 53 });
  lie("file-2-to-the-63", { fileLength: 2 ** 63 });
  lie("file-near-2-to-the-64", { fileLength: 18446744073709549568n });
  add(
    "encodings-257",
    only({}),
    records((v) => {
      v.encodings = Array.from({ length: 257 }, () => ({ ...v.encodings[0] }));
    }),
  );
  add(
    "plans-65537",
    only({}),
    records((v) => {
      v.plans = Array(65537).fill(1);
    }),
  );
  add(
    "types-65537",
    only({}),
    records((v) => {
      v.types = Array(65537).fill(v.types[0]);
    }),
  );
  add("rank-4097", only({ out: 1, in: 1, bands: [band(zero(), zero(), 4097)] }));
  add(
    "rank-65535-twice",
    only({ payload: zeros(8), bands: [band(zero(), zero(), 65535), band(vector, vector, 65535)] }),
  );
  add(
    "rank-that-wraps-16-bits",
    only({ payload: zeros(8), bands: [band(zero(), zero(), 65535), band(vector)] }),
    {},
    ["14"],
  );
  add("experts-4097", only({ out: 1, in: 1, experts: 4097, payload: zeros(0), bands: nothing }));
  add("experts-65535", only({ out: 1, in: 1, experts: 65535, payload: zeros(0), bands: nothing }));
  const out = (name, over) => add(name, only({ out: 1, in: 1, bands: nothing, ...over }), {}, ["3.1", "14"]);
  out("out-2-to-the-25-and-1", { out: 2 ** 25 + 1 });
  out("out-2-to-the-32-minus-1", { out: 2 ** 32 - 1 });
  out("in-2-to-the-25-and-1", { in: 2 ** 25 + 1 });
  out("in-times-kernel-wraps-32-bits-to-0", { role: "conv1d", in: 2 ** 31, kernel: [2] });
  out("in-times-kernel-wraps-32-bits-to-1", { role: "conv1d", in: 641, kernel: [65535] });
  out("in-times-kernel-wraps-64-bits-to-0", { role: "conv3d", in: 2 ** 31, kernel: [2 ** 15, 2 ** 15, 8] });
  out("in-times-kernel-beyond-2-to-the-53", {
    role: "conv3d",
    in: 2 ** 32 - 1,
    kernel: [65535, 65535, 65535],
  });
  const payload = (name, over) => add(name, only({ payload: zeros(8), ...over }), {}, ["3.1", "14"]);
  payload("chunk-2-to-the-32", {
    out: 2 ** 20,
    in: 2 ** 20,
    bands: [band({ ...zero(), codec: 1, element: 1 }, zero(), 1024)],
  });
  payload("chunk-2-to-the-34-of-experts", {
    out: 2 ** 24,
    in: 1,
    experts: 1024,
    bands: [band(affine(8), zero())],
  });
  payload("chunk-2-to-the-47", {
    out: 2 ** 24,
    in: 2 ** 24,
    experts: 1024,
    bands: [band({ ...zero(), codec: 1, element: 1 }, { ...zero(), codec: 1, element: 1 }, 1024)],
  });
  add(
    "orig-2-to-the-24-and-1",
    { sections: [section("ORIG", meta({}))] },
    set("sections", 0, { raw_length: 2 ** 24 + 1 }),
  );
}

/** The caller's budget: far above and far below what a chunk needs, and exactly at it. */
function budgets(suite) {
  const add = (name, adapter, features = []) => {
    suite.valid(`limits/budget/${name}-fits`, adapter, { clauses: ["14"], features });
    suite.again(`limits/budget/${name}-does-not-fit`, `limits/budget/${name}-fits`, {
      features: [],
      budget: 1000,
      level: "integrity",
      expected: refusal("BUDGET"),
    });
  };
  /** What counts is the stored payload, and the inflated one with it. */
  const exactly = (name, adapter, needed, features = []) => {
    const id = `limits/budget/${name}-exactly`;
    suite.valid(id, adapter, { clauses: ["14"], hashes: false, budget: needed, features });
    suite.again(`limits/budget/${name}-one-byte-less`, id, {
      features: [],
      budget: needed - 1,
      level: "integrity",
      expected: refusal("BUDGET"),
    });
  };
  const bytes = { element: "U8", shape: [5000] };
  exactly("plain", { tensors: [tensor(bytes)] }, 5000);
  const squeezed = frame(5000, [rleBlock(7, 5000)]);
  exactly(
    "compressed",
    { tensors: [tensor({ ...bytes, data: new Uint8Array(5000).fill(7), compression: 1, stored: squeezed })] },
    5000 + squeezed.length,
    ["zstd"],
  );
  add("stored-chunk", only({ out: 2000, in: 2000, bands: [band(affine(8))] }));
  add("tensor", { tensors: [tensor({ element: "U8", shape: [5000] })] });
  add("section", { sections: [section("note", zeros(5000))] });
  add(
    "zstd-chunk",
    { tensors: [tensor({ element: "U8", shape: [2 ** 17], data: zeros(2 ** 17), compression: 1 })] },
    ["zstd"],
  );
  const bomb = concat(
    ...Array.from({ length: 4 }, () =>
      frame(
        2 ** 20,
        Array.from({ length: 8 }, () => rleBlock(0, 2 ** 17)),
      ),
    ),
  );
  suite.valid(
    "limits/budget/weights-exactly",
    { modules: [module({ out: 100, in: 100, bands: [band(zero(), zero(), 2)] })] },
    { clauses: ["14"], budget: 4 * 2 * (100 + 100), features: ["zero"] },
  );
  suite.invalid(
    "limits/budget/4-mib-of-zeros-in-200-bytes",
    "BUDGET",
    {
      tensors: [
        tensor({ element: "U8", shape: [2 ** 22], data: zeros(2 ** 22), compression: 1, stored: bomb }),
      ],
    },
    {
      level: "integrity",
      budget: 2 ** 20,
      clauses: ["14", "17"],
    },
  );
  suite.invalid(
    "limits/budget/before-bytes-that-are-missing",
    "BUDGET",
    only({ out: 2000, in: 2000, bands: [band(affine(8))] }),
    {
      level: "integrity",
      shallower: "TRUNCATED_FILE",
      budget: 1000,
      clauses: ["14", "15.2"],
      lies: { bytes: (file) => file.subarray(0, 600) },
    },
  );
  suite.invalid(
    "limits/budget/before-the-crc",
    "BUDGET",
    only({ out: 2000, in: 2000, bands: [band(affine(8))] }),
    {
      level: "integrity",
      budget: 1000,
      clauses: ["14", "15.2"],
      lies: { bytes: (file, at) => patched(file, at.chunks[0], file[at.chunks[0]] ^ 1) },
    },
  );
}

export function limits(suite) {
  for (const family of [devices, accepted, refusable, malformed, budgets]) family(suite);
}
