// invalid/magic, prologue, index, count: the first bytes, and the FlatBuffer (spec clauses 5, 6.1 to 6.3).
import { concat, fromHex, patched, text, u16, u32, zeros } from "./bytes.mjs";
import { module, section, tensor } from "./compose.mjs";
import { MAGIC, SLOTS } from "./file.mjs";
import { damage, index, otherIndex, placedIndex, prologue, set, whole } from "./lies.mjs";

/** One module, one tensor, one section: every kind of record. */
export const plain = () => ({
  modules: [module()],
  tensors: [tensor({ name: "t", role: "carried", element: "U8", shape: [3] })],
  sections: [section("note", text("x"))],
});

function magic(suite) {
  const bad = (name, bytes, error = "BAD_MAGIC", about = {}) =>
    suite.bytes(`invalid/magic/${name}`, bytes, error, { clauses: ["5.1", "15.2"], ...about });
  const rest = zeros(120);
  bad("zeros", zeros(64));
  bad("first-byte", concat(u16(0x4c88), text("QA\r\n\x1a\n"), rest));
  bad("last-byte", concat(MAGIC.subarray(0, 7), fromHex("0b"), rest));
  bad("lower-case", concat(fromHex("896c7161"), MAGIC.subarray(4), rest));
  bad("backwards", concat(Uint8Array.from(MAGIC).reverse(), rest));
  bad("png", concat(fromHex("89504e470d0a1a0a"), rest));
  bad("gguf", concat(text("GGUF"), u32(3), rest));
  bad("safetensors", concat(fromHex("4000000000000000"), text('{"__metadata__":{}}'), rest));
  bad("zip", concat(text("PK\x03\x04"), rest));
  bad("a-byte-before-it", concat(zeros(1), MAGIC, rest), "BAD_MAGIC", { clauses: ["4.4", "5.1"] });
  bad("byte-order-mark-before-it", concat(fromHex("efbbbf"), MAGIC, rest));
  bad("one-byte-that-is-wrong", text("L"));
  bad("seven-bytes-and-the-last-wrong", concat(MAGIC.subarray(0, 6), fromHex("1b")));
  const damaged = (name, start, more = rest) => bad(name, concat(fromHex(start), more), "MAGIC_TEXT_DAMAGE");
  damaged("carriage-returns-dropped", "894c51410a1a0a");
  damaged("line-feeds-doubled", "894c51410d0d0a1a0d0a");
  damaged("high-bit-dropped", "094c51410d0a1a0a");
  damaged("latin-1-to-utf-8", "c2894c51410d0a1a0a");
  damaged("replacement-character", "efbfbd4c51410d0a1a0a");
  damaged("carriage-returns-dropped-and-cut", "894c51410a", zeros(0));
  damaged("replacement-character-and-cut", "efbfbd4c5141", zeros(0));
  bad("latin-1-to-utf-8-cut-too-early", fromHex("c2894c51"));
  for (const length of [0, 1, 4, 7, 8, 12, 32, 63])
    suite.invalid(`invalid/prologue/cut-after-${length}`, "TRUNCATED_PROLOGUE", plain(), {
      clauses: ["5.1", "4.4"],
      lies: whole((file) => file.subarray(0, length)),
    });
}

function fields(suite) {
  const add = (name, error, lies, about = {}) =>
    suite.invalid(`invalid/prologue/${name}`, error, plain(), { lies, ...about });
  const places = {
    major: 8,
    minor: 10,
    required: 12,
    "read-only": 16,
    compatible: 20,
    "file-length": 24,
    "file-length-high": 31,
    "index-length": 32,
    modules: 36,
    tensors: 40,
    sections: 44,
    exponent: 48,
    reserved: 55,
    "index-crc": 56,
    "first-of-crc": 60,
    "last-of-crc": 63,
  };
  for (const [name, at] of Object.entries(places)) add(`damaged-${name}`, "PROLOGUE_CRC", damage(at));
  add(
    "crc-of-all-64-bytes",
    "PROLOGUE_CRC",
    whole((file) => patched(file, 60, 0, 0, 0, 0)),
  );
  add(
    "crc-big-endian",
    "PROLOGUE_CRC",
    whole((file) => patched(file, 60, ...Uint8Array.from(file.subarray(60, 64)).reverse())),
  );
  for (const major of [0, 2, 256, 65535])
    add(`major-${major}`, "UNSUPPORTED_VERSION", prologue({ major }), { clauses: ["5.2"] });
  add("major-2-minor-7", "UNSUPPORTED_VERSION", prologue({ major: 2, minor: 7 }), { clauses: ["5.2"] });
  for (const bit of [28, 29, 30, 31])
    add(
      `required-bit-${bit}`,
      "UNSUPPORTED_FEATURE",
      prologue((p) => ({ required: p.required + 2 ** bit })),
      { clauses: ["5.3"] },
    );
  add("required-all-bits", "UNSUPPORTED_FEATURE", prologue({ required: 2 ** 32 - 1 }), { clauses: ["5.3"] });
  for (let i = 0; i < 7; i++)
    add(
      `reserved-${49 + i}`,
      "PROLOGUE_RESERVED_NONZERO",
      prologue({ reserved: patched(zeros(7), i, i === 6 ? 128 : 1) }),
    );
  for (const exponent of [0, 1, 13, 32, 64, 255])
    add(`alignment-exponent-${exponent}`, "ALIGNMENT_OUT_OF_RANGE", prologue({ exponent }), {
      clauses: ["4.3", "5.1"],
    });
  for (const [name, change] of Object.entries({
    "one-more": (p) => p.fileLength + 1,
    "one-less": (p) => p.fileLength - 1,
    "an-alignment-more": (p) => p.fileLength + 4,
    zero: () => 0,
    "2-to-the-32-more": (p) => p.fileLength + 2 ** 32,
    "2-to-the-36": () => 2 ** 36,
  }))
    add(
      `file-length-${name}`,
      "FILE_LENGTH_MISMATCH",
      prologue((p) => ({ fileLength: change(p) })),
      { clauses: ["4.2"] },
    );
  for (const kind of ["modules", "tensors", "sections"]) {
    add(
      `count-of-${kind}-one-more`,
      "COUNT_MISMATCH",
      prologue((p) => ({ [kind]: p[kind] + 1 })),
    );
    add(`count-of-${kind}-zero`, "COUNT_MISMATCH", prologue({ [kind]: 0 }));
  }
}

function indexBytes(suite) {
  const add = (name, error, change, about = {}) =>
    suite.invalid(`invalid/index/${name}`, error, plain(), {
      lies: index(change),
      clauses: ["6.2"],
      ...about,
    });
  suite.invalid("invalid/index/crc-of-prologue-wrong", "INDEX_CRC", plain(), {
    lies: prologue((p) => ({ indexCrc: (p.indexCrc ^ 1) >>> 0 })),
  });
  for (const [name, at] of Object.entries({ first: 64, identifier: 68, vtable: 74, records: 140 }))
    suite.invalid(`invalid/index/damaged-${name}`, "INDEX_CRC", plain(), { lies: damage(at) });
  suite.invalid("invalid/index/damaged-last", "INDEX_CRC", plain(), {
    lies: damage(
      (at) => at.gap - 1,
      (byte) => byte ^ 0x80,
    ),
  });
  suite.invalid("invalid/index/cut", "TRUNCATED_FILE", plain(), {
    clauses: ["4.4", "6.2"],
    lies: whole((file) => file.subarray(0, 100)),
  });
  suite.invalid("invalid/index/length-one-less", "INDEX_CRC", plain(), {
    lies: prologue((p) => ({ indexLength: p.indexLength - 1 })),
  });
  suite.invalid("invalid/index/length-beyond-the-file", "TRUNCATED_FILE", plain(), {
    clauses: ["4.4"],
    lies: prologue({ indexLength: 2 ** 20 }),
  });

  for (const length of [0, 1, 4, 7])
    add(`of-${length}-bytes`, "INDEX_TABLE", (bytes) => bytes.subarray(0, length));
  add("of-8-bytes", "INDEX_TABLE", (bytes) => bytes.subarray(0, 8));
  add("of-8-bytes-and-identifier-4c514932", "INDEX_IDENTIFIER", (bytes) =>
    patched(bytes.subarray(0, 8), 4, ...text("LQI2")),
  );
  for (const identifier of ["LQI0", "LQI2", "lqi1", "1IQL", "\0\0\0\0"])
    add(
      `identifier-${Buffer.from(identifier).toString("hex")}`,
      "INDEX_IDENTIFIER",
      (bytes) => patched(bytes, 4, ...text(identifier)),
      { clauses: ["6.1", "6.2"] },
    );
  add("size-prefixed", "INDEX_IDENTIFIER", (bytes) => concat(u32(bytes.length), bytes), { clauses: ["6.1"] });

  const word = (at, value) => (bytes) => patched(bytes, at, ...u32(value));
  const half = (at, value) => (bytes) => patched(bytes, at, ...u16(value));
  const roots = {
    0: 0,
    2: 2,
    3: 3,
    33: 33,
    34: 34,
    "2-to-the-31": 2 ** 31,
    "2-to-the-32-minus-4": 2 ** 32 - 4,
  };
  for (const [name, value] of Object.entries(roots)) add(`root-${name}`, "INDEX_TABLE", word(0, value));
  add("root-at-the-end", "INDEX_TABLE", (bytes) => patched(bytes, 0, ...u32(bytes.length)));
  add("root-in-the-last-four-bytes", "INDEX_FIELD_MISSING", (bytes) =>
    concat(u32(bytes.length + 4), bytes.subarray(4), u16(4, 4), u32(4)),
  );
  add("root-in-the-last-two-bytes", "INDEX_TABLE", (bytes) =>
    concat(u32(bytes.length), bytes.subarray(4), zeros(2)),
  );
  const vtables = {
    "before-the-index": 40,
    "far-before": 2 ** 31 - 1,
    odd: 23,
    "behind-the-index": 2 ** 32 - 4096,
    "far-behind": 2 ** 31,
  };
  for (const [name, value] of Object.entries(vtables)) add(`vtable-${name}`, "INDEX_TABLE", word(32, value));
  add("vtable-in-the-last-four-bytes", "INDEX_FIELD_MISSING", (bytes) =>
    concat(u32(bytes.length), bytes.subarray(4), u32(2 ** 32 - 4), u16(4, 4)),
  );
  add("vtable-cut-by-the-end", "INDEX_TABLE", (bytes) =>
    patched(bytes, 32, ...u32(2 ** 32 - (bytes.length - 2 - 32))),
  );
  for (const size of [0, 2, 3, 21, 65534]) add(`vtable-size-${size}`, "INDEX_TABLE", half(10, size));
  for (const size of [0, 2, 3, 65532]) add(`table-size-${size}`, "INDEX_TABLE", half(12, size));
  add("table-size-39", "INDEX_TABLE", half(12, 39), { note: "the last field does not lie in it" });
  add("table-size-3-and-no-fields", "INDEX_TABLE", (bytes) => patched(bytes, 10, 4, 0, 3, 0));
  for (const size of [4, 6, 20])
    add(`vtable-size-${size}-without-later-fields`, "INDEX_FIELD_MISSING", half(10, size));
  SLOTS.forEach(([name], slot) => {
    const at = 14 + 2 * slot;
    const place = 36 + 4 * slot;
    add(`${name}-absent`, "INDEX_FIELD_MISSING", half(at, 0));
    add(`${name}-offset-0`, "INDEX_TABLE", word(place, 0));
    add(`${name}-offset-beyond`, "INDEX_TABLE", word(place, 2 ** 30));
    add(`${name}-length-2-to-the-32`, "INDEX_VECTOR", (bytes, view) =>
      patched(bytes, place + view.getUint32(place, true), 255, 255, 255, 255),
    );
    add(`${name}-does-not-fit`, "INDEX_VECTOR", (bytes, view) => {
      const start = place + view.getUint32(place, true);
      return patched(bytes, start, ...u32(Math.floor((bytes.length - start - 4) / SLOTS[slot][1]) + 1));
    });
  });
  for (const place of [1, 2, 3, 5, 6, 38, 40, 65532])
    add(`field-at-${place}`, "INDEX_TABLE", half(14, place));
  for (const offset of [1, 2, 3, 33, 34, 2 ** 32 - 1])
    add(`offset-${offset}`, "INDEX_TABLE", word(36, offset));
  add("offset-to-the-end", "INDEX_TABLE", (bytes) => patched(bytes, 36, ...u32(bytes.length - 36)));
  add(
    "length-times-size-wraps-to-0",
    "INDEX_VECTOR",
    (bytes, view) => patched(bytes, 36 + view.getUint32(36, true), ...u32(2 ** 29)),
    { note: "2^29 records of 8 bytes are 2^32 bytes" },
  );
  add(
    "length-times-size-wraps-to-16",
    "INDEX_VECTOR",
    (bytes, view) => patched(bytes, 52 + view.getUint32(52, true), ...u32(2 ** 32 / 4 + 1)),
    { note: "of 12 bytes" },
  );
  // Consistent except for the place of one part: a reader that does not check that place reads all of it.
  const moved = (name, error, change, note = undefined) =>
    suite.invalid(`invalid/index/${name}`, error, plain(), {
      clauses: ["6.2"],
      lies: vectorsAs((vectors) => change(vectors)),
      note,
    });
  moved("table-at-a-multiple-of-2", "INDEX_TABLE", (vectors) =>
    placedIndex(vectors, { vtable: 8, table: 30 }),
  );
  moved("vtable-at-an-odd-position", "INDEX_TABLE", (vectors) => placedIndex(vectors, { vtable: 9 }));
  moved("fields-at-multiples-of-2", "INDEX_TABLE", (vectors) => placedIndex(vectors, { field: 6 }));
  moved("vectors-at-multiples-of-2", "INDEX_TABLE", (vectors) => placedIndex(vectors, { gap: 2 }));
  const even = "every distance is a multiple of 4: only positions show it";
  moved(
    "table-and-vectors-at-multiples-of-2",
    "INDEX_TABLE",
    (vectors) => placedIndex(vectors, { vtable: 8, table: 30, gap: 2 }),
    even,
  );
  moved(
    "table-at-a-multiple-of-2-with-fields-at-multiples-of-4",
    "INDEX_TABLE",
    (vectors) => placedIndex(vectors, { vtable: 8, table: 30, field: 6 }),
    "every position but that of the table is a multiple of 4",
  );
  moved(
    "fields-and-vectors-at-multiples-of-2",
    "INDEX_TABLE",
    (vectors) => placedIndex(vectors, { field: 6, gap: 2 }),
    even,
  );
  moved(
    "vtable-before-the-index-and-at-its-end",
    "INDEX_TABLE",
    (vectors) => {
      const bytes = placedIndex(vectors);
      return concat(patched(bytes, 32, ...u32(32 + 22)), bytes.subarray(10, 32));
    },
    "in some languages, position -22 is the one 22 bytes before the end",
  );
  suite.invalid("invalid/index/two-readers-of-one-table", "INDEX_FIELD_MISSING", plain(), {
    clauses: ["6.2"],
    lies: { index: (bytes) => patched(bytes, 30, 0, 0) },
    note: "the last entry of the vtable is 0: a reader that takes defaults sees no names",
  });
  suite.invalid("invalid/index/vtable-behind-the-table-cut", "INDEX_TABLE", plain(), {
    clauses: ["6.2"],
    lies: vectorsAs((vectors) => {
      const bytes = otherIndex(vectors, { vtable: "back" });
      return patched(bytes, 8, ...u32(2 ** 32 - (bytes.length - 8)));
    }),
  });
  const lied = (name, lies, clauses = ["6.3"]) =>
    suite.invalid(`invalid/count/${name}`, "COUNT_MISMATCH", plain(), { lies, clauses });
  lied("a-module-left-out", { records: (v) => void v.modules.pop() });
  lied("a-tensor-left-out", { records: (v) => void v.tensors.pop() });
  lied("a-section-left-out", { records: (v) => void v.sections.pop() });
  lied("a-module-twice", { records: (v) => void v.modules.push(v.modules[0]) });
  lied("two-modules-and-no-tensor", {
    records: (v) => {
      v.modules.push(v.modules[0]);
      v.tensors.pop();
    },
  });
  lied(
    "modules-before-a-bad-encoding",
    { ...set("encodings", 0, { codec: 9 }), ...prologue({ modules: 5 }) },
    ["15.2"],
  );
}

/** The index as another FlatBuffer of the same records. */
export const vectorsAs = (make) => {
  let kept;
  return {
    records: (vectors) => {
      kept = vectors;
    },
    index: () => make(kept),
  };
};

export function invalidHead(suite) {
  for (const family of [magic, fields, indexBytes]) family(suite);
}
