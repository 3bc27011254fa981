// canonical/, optional/: files that a reader accepts but that are not canonical, and faults of which the specification says
// that implementations may differ (spec clauses 6.1, 7.5, 12).
import { concat, patched, u32 } from "./bytes.mjs";
import { affine, sign, trellis } from "./codecs.mjs";
import { CODED } from "./coded-frames.mjs";
import { band, module, section, tensor, twoBands } from "./compose.mjs";
import { blocksOf, frame, rawBlock } from "./frames.mjs";
import { vectorsAs } from "./invalid-head.mjs";
import { both, otherIndex, prologue, records } from "./lies.mjs";
import { meta } from "./messagepack.mjs";
import { refusal } from "./suite.mjs";

const only = (over) => ({ modules: [module(over)] });

/** Two cases of one file: accepted with its contents at level values, refused at level canonical. */
function pair(suite, name, error, adapter, about) {
  suite.valid(`canonical/accepted/${name}`, adapter, { level: "values", ...about });
  suite.again(`canonical/refused/${name}`, `canonical/accepted/${name}`, {
    level: "canonical",
    expected: refusal(error),
  });
}

function indexes(suite) {
  const adapter = () => ({
    modules: [module({ bands: twoBands() }), module({ name: "r" })],
    tensors: [tensor({ role: "carried" })],
    sections: [section("META", meta({ a: 1 }))],
  });
  const add = (name, lies, note, about = adapter()) =>
    pair(suite, `index-${name}`, "NONCANONICAL_INDEX", about, {
      lies,
      note,
      documents: about.sections ? { META: { a: 1 } } : {},
      clauses: ["6.1", "6.2", "12.1", "12.2"],
    });
  const other = (name, options, note) =>
    add(
      name,
      vectorsAs((vectors) => otherIndex(vectors, options)),
      note,
    );
  other("vtable-behind-the-table", { vtable: "back" });
  other("vectors-backwards", { order: [8, 7, 6, 5, 4, 3, 2, 1, 0] });
  other("vectors-shuffled", { order: [3, 1, 4, 8, 5, 0, 2, 6, 7] });
  other("unknown-fields", { extra: 3 }, "of a later minor version");
  other("unknown-fields-and-vtable-behind", { extra: 1, vtable: "back" });
  other("gaps", { gap: 8 }, "bytes that belong to nothing");
  const few = { modules: [module()] };
  add(
    "empty-vectors-shared",
    vectorsAs((vectors) => otherIndex(vectors, { shareEmpty: true })),
    "vectors may overlap",
    few,
  );
  add("a-byte-longer", { index: (bytes) => concat(bytes, new Uint8Array(1)) });
  add(
    "without-the-last-padding",
    { index: (bytes) => bytes.subarray(0, -1) },
    "the names have 3 bytes here, and nothing needs the byte behind them",
    { modules: [module({ name: "abc" })] },
  );
  add("four-bytes-longer", { index: (bytes) => concat(bytes, u32(0x12345678)) });
  add("bytes-between-identifier-and-vtable", { index: (bytes) => patched(bytes, 8, 1) });
  add(
    "padding-of-a-vector",
    { index: (bytes) => patched(bytes, bytes.length - 1, 7) },
    "the names have 3 bytes here, so the last byte is padding",
    {
      modules: [module({ name: "abc" })],
    },
  );
  add(
    "two-vtables",
    {
      index: (bytes) =>
        patched(concat(bytes, bytes.subarray(10, 32)), 32, ...u32(2 ** 32 - (bytes.length - 32))),
    },
    "the table uses the second one",
  );
}

function names(suite) {
  const unshare = (list, i, shared) => {
    const record = list[i];
    return { ...record, name_shared: shared, name_suffix: record.name_suffix + record.name_shared - shared };
  };
  const add = (name, first, second, shared, kind = "modules") => {
    const make = kind === "modules" ? (name) => module({ name }) : (name) => tensor({ name });
    pair(
      suite,
      `name-${name}`,
      "NONCANONICAL_NAME",
      { [kind]: [make(first), make(second)] },
      {
        clauses: ["6.10", "12.3"],
        lies: records((v) => {
          v[kind][1] = unshare(v[kind], 1, shared);
          const bytes = new TextEncoder().encode(second);
          v.names.splice(first.length, v.names.length, ...bytes.subarray(shared));
        }),
      },
    );
  };
  add("shares-nothing", "layers.0.q", "layers.1.q", 0);
  add("shares-one-byte-less", "layers.0.q", "layers.1.q", 6);
  add("of-a-tensor", "aa", "ab", 0, "tensors");
  add("that-could-share-255", `${"a".repeat(300)}1`, `${"a".repeat(300)}2`, 254);
}

function codes(suite) {
  const add = (name, encoding, numbers, about = {}) => {
    const { out = 3, inp = 40, components = 1, clauses = ["12.4"], ...more } = about;
    pair(
      suite,
      `codes-${name}`,
      "NONCANONICAL_CODES",
      only({
        out,
        in: inp,
        bands: [band(affine(8), encoding, components)],
        numbers: (_, __, factor) => (factor === "a" ? numbers : {}),
      }),
      { clauses, ...more },
    );
  };
  const none = { scales: () => 0, zeros: () => 0, codes: () => 0 };
  const second = (value) => ({
    scales: (_, g) => (g === 1 ? 0 : 0x3000),
    codes: (_, i) => (i === 20 ? value : 0),
  });
  add("affine-code", affine(3), { ...none, codes: (_, i) => Number(i === 7) });
  add("affine-last-code", affine(3), { ...none, codes: (_, i) => Number(i === 39) });
  add("affine-zero-point", affine(3), { ...none, zeros: (_, g) => Number(g === 2) });
  add(
    "affine-zero-point-equals-code",
    affine(3),
    { ...none, zeros: () => 5, codes: () => 5 },
    { note: "every weight is +0 all the same" },
  );
  add("affine-second-group", affine(2), { ...second(3), zeros: () => 0 });
  add(
    "sign",
    sign(),
    { ...none, codes: (_, i) => Number(i === 0) },
    { note: "a weight is -0 instead of +0" },
  );
  add("sign-second-group", sign(), second(1));
  add("trellis-whole-vector", trellis(4), { ...none, codes: (_, j) => Number(j === 0) });
  add(
    "beyond-2-to-the-16",
    sign({ group: 0 }),
    { ...none, codes: (_, i) => Number(i === 65590) },
    { inp: 65600 },
  );
  add("trellis-last-step", trellis(4), { ...none, codes: (_, j) => Number(j === 39) });
  add("trellis-last-bit", trellis(4), { ...none, codes: (_, j) => 2 * Number(j === 39) });
  add(
    "trellis-last-bit-of-the-last-component",
    trellis(3),
    { scales: (c) => (c === 1 ? 0 : 0x3c00), codes: (c, j) => (c === 1 && j === 19 ? 4 : 0) },
    { components: 2 },
  );
  add(
    "trellis-rotated",
    trellis(4, { rotation: 1 }),
    { ...none, codes: (_, j) => Number(j === 70) },
    { inp: 130 },
  );
  add(
    "trellis-second-component",
    trellis(4),
    {
      scales: (c) => (c === 1 ? 0 : 0x3c00),
      codes: (c, j) => (c === 1 ? Number(j === 20) : j % 4),
    },
    { components: 2 },
  );
  suite.valid("canonical/codes/all-zero", only({ bands: [band(affine(2))], numbers: () => none }), {
    features: ["affine"],
    clauses: ["12.4"],
  });
}

function optional(suite) {
  const bytes = (from, stored, compression = 1) => ({
    tensors: [tensor({ element: "U8", shape: from.shape, data: from.payload, compression, stored })],
  });
  const may = (name, adapter, accept, note) =>
    suite.invalid(`optional/${name}`, "ZSTD_FRAME", adapter, {
      level: "integrity",
      obligation: "may",
      accept,
      note,
      features: ["zstd"],
      clauses: ["7.5"],
    });
  const { text } = CODED.tensors;
  const zstdNote =
    "what RFC 8878 calls corrupt, as far as an implementation notices it; what passes is found by the content id";
  for (const at of [10, 11, 12, 20, 40, 60, 100])
    may(
      `zstd-coded-block-byte-${at}`,
      bytes(text, patched(text.stored, at, text.stored[at] ^ 0x55)),
      ["CONTENT_ID"],
      zstdNote,
    );
  may(
    "zstd-coded-block-last-byte",
    bytes(text, patched(text.stored, text.stored.length - 1, 0)),
    ["CONTENT_ID"],
    zstdNote,
  );
  const small = { payload: Uint8Array.from({ length: 40 }, (_, i) => (i < 10 ? i : 7)), shape: [40] };
  const empty = frame(40, [rawBlock(new Uint8Array(0)), ...blocksOf(small.payload)]);
  suite.valid("valid/frame/empty-block-first", bytes(small, empty), {
    features: ["zstd"],
    clauses: ["7.5"],
    note: "a block of no bytes is legal",
  });
  const fourBytes = frame(80, blocksOf(concat(small.payload, small.payload)), { width: 4 });
  suite.valid(
    "valid/frame/size-longer-than-needed",
    {
      tensors: [
        tensor({
          element: "U8",
          shape: [80],
          data: concat(small.payload, small.payload),
          compression: 1,
          stored: fourBytes,
        }),
      ],
    },
    { features: ["zstd"], clauses: ["7.5"] },
  );
  suite.valid("valid/layout/minor-version-with-unknown-fields", only({}), {
    level: "values",
    clauses: ["5.2", "6.1", "16"],
    lies: both(
      prologue({ minor: 3 }),
      vectorsAs((vectors) => otherIndex(vectors, { extra: 2 })),
    ),
    note: "what a later minor version may look like",
  });
}

export function choices(suite) {
  for (const family of [indexes, names, codes, optional]) family(suite);
}
