// stream/, range/: the same files pushed in pieces, and read in part (spec clause 13; PROTOCOL.md).
import { concat, patched, text } from "./bytes.mjs";
import { affine, sign, trellis } from "./codecs.mjs";
import { band, module, section, tensor, twinOf, twoBands } from "./compose.mjs";
import { meta } from "./messagepack.mjs";
import { refusal } from "./suite.mjs";

/** Cuts of a file of `length` bytes: at once, byte by byte, in blocks, and around each place in `places`. */
function splitsOf(length, places) {
  const around = [...new Set(places.flatMap((at) => [at - 1, at, at + 1]))].filter(
    (at) => at > 0 && at < length,
  );
  const cuts = around.sort((x, y) => x - y).map((at, i, all) => at - (all[i - 1] ?? 0));
  return [[], [1], [2], [63, 2], [64], [4096], [length - 1, 1], [...cuts, length]];
}

function streams(suite) {
  const add = (of, whole, level = undefined) => {
    const { written } = suite.built.get(of);
    const first = suite.cases.find((c) => c.id === of);
    const { at } = written;
    const places = [8, 64, at.gap, at.first, ...at.chunks, at.digests, at.trailer, at.end];
    const kind = first.expected.valid ? "valid" : "invalid";
    suite.again(`stream/${kind}/${of.split("/").slice(1).join("-")}`, of, {
      operation: "stream",
      level: level ?? first.level,
      clauses: ["13.1", ...first.clauses],
      splits: splitsOf(first.bytes, places),
      events: suite.events(of, whole),
      shallower: undefined,
    });
  };
  const all = undefined;
  for (const of of [
    "layout/empty",
    "layout/everything",
    "layout/alignment-4096",
    "layout/only-a-section",
    "role/linear-out-in",
    "role/experts-3-padding-between",
    "plan/every-codec",
    "tensor/several-shapes",
    "tensor/role-token-rows",
    "section/four-sections",
    "name/unicode",
    "trellis/t4-rotated-o64-i65",
    "parent/modules",
  ])
    add(`valid/${of}`, all, "values");
  // Whatever is wrong in prologue or index: nothing is handed out.
  for (const of of [
    "prologue/cut-after-32",
    "prologue/damaged-major",
    "prologue/major-2",
    "prologue/required-bit-31",
    "prologue/reserved-49",
    "prologue/alignment-exponent-13",
    "prologue/file-length-one-more",
    "index/damaged-first",
    "index/cut",
    "index/root-2",
    "index/identifier-4c514932",
    "index/names-absent",
    "index/sections-does-not-fit",
    "count/a-module-left-out",
    "encoding/affine-bits-9",
    "plan/empty",
    "type/role-224",
    "name/heap-a-byte-left",
    "name/order-descending",
    "module/length-one-more",
    "tensor/magnitude-axis-2",
    "section/order-descending",
    "feature/trellis-missing",
    "layout/padding-behind-the-index-last",
    "parent/another-file",
    "parent/another-file-before-a-chunk",
    "parent/another-file-before-a-scale",
    "parent/another-file-before-trailing-bytes",
    "parent/another-file-before-missing-bytes",
    "parent/number-beyond-before-a-chunk",
    "parent/grandparent-lacks-it",
    "layout/padding-behind-the-index-before-the-parent",
  ])
    add(`invalid/${of}`, 0);
  // The number of chunks before the first broken one.
  const later = {
    "chunk/module-first-byte": 0,
    "chunk/tensor-crc": 1,
    "chunk/section-first-byte": 2,
    "chunk/cut-in-a-module": 0,
    "chunk/cut-in-a-tensor": 1,
    "chunk/cut-in-the-digests": 3,
    "chunk/cut-in-the-trailer": 3,
    "value/first-module": 0,
    "value/second-module-scale": 1,
    "value/second-module-raw": 1,
    "value/first-tensor": 3,
    "value/second-tensor": 4,
    "scale/f16-nan": 0,
    "scale/bf16-infinity": 0,
    "scale/f16-minus-zero": 0,
    "scale/trellis-nan": 0,
    "scale/overflow-affine-8-bf16": 0,
    "nonfinite/raw-f16-nan": 0,
    "nonfinite/raw-f32-infinity": 0,
    "nonfinite/tensor-f64-nan": 0,
    "nonfinite/tensor-shuffled": 0,
    "padding/sign-last-bit": 0,
    "frame/byte-behind": 0,
    "meta/keys-not-sorted": 1,
    "end/digest-of-the-first-span": 3,
    "end/content-id-zero": 1,
    "end/root-zero": 1,
    "end/trailer-damaged-root": 1,
    "end/trailer-magic-zeros": 1,
    "order/body-module-crc-before-unused-bits": 0,
    "order/body-tensor-crc-before-meta": 2,
    "order/body-span-before-trailer-crc": 6,
  };
  for (const [of, whole] of Object.entries(later)) add(`invalid/${of}`, whole);
  add("invalid/layout/padding-behind-the-index-wrong-and-cut", 0);
  // Padding behind a chunk is checked after the chunk was handed out, if the reader is quick.
  add("invalid/layout/padding-behind-a-module-last", 1);
  add("invalid/layout/padding-behind-a-tensor", 2);
  add("invalid/layout/padding-behind-a-module-wrong-and-cut", 1);
  add("invalid/layout/padding-behind-a-module-cut-and-its-crc-wrong", 0);
  add("invalid/layout/behind-it-a-zero-byte", all);
  add("invalid/layout/without-the-last-byte", all);
}

/** Letters that a compressor would not find much in, so that a name fills the index. */
const longName = (i, length) =>
  `${String(i).padStart(3, "0")}${"abcdefghijklmnopqrstuvwxyz"[i % 26]}`.padEnd(length, "x");

function ranges(suite) {
  const add = (name, of, wanted, error = undefined) => {
    const { model, written } = suite.built.get(of);
    const { at } = written;
    const { bytes } = suite.cases.find((c) => c.id === of);
    const contents = () => twinOf(model, written).modules.filter((m) => wanted.includes(m.name));
    const lengths = written.vectors.modules.map((m) => m.chunk_length);
    const chosen = model.modules
      .map((m, i) => [m.name, i])
      .filter(([module]) => wanted.includes(module))
      .map(([, i]) => i);
    const need = [[0, at.first], ...chosen.map((i) => [at.chunks[i], at.chunks[i] + lengths[i]])];
    const spans = spansOf(at);
    const may = [
      [0, Math.min(65536, bytes)],
      ...spans.filter(([start, end]) => chosen.some((i) => at.chunks[i] >= start && at.chunks[i] < end)),
      [at.digests, at.end],
    ];
    suite.again(`range/${name}`, of, {
      operation: "range",
      level: "values",
      clauses: ["13.2"],
      modules: wanted,
      need,
      may,
      expected: error === undefined ? { valid: true, exit: 0, modules: contents() } : refusal(error),
    });
  };
  const spansOf = (at) => {
    const list = [];
    let start = at.first;
    at.chunks.forEach((_, i) => {
      const end = at.chunks[i + 1] ?? at.digests;
      if (end - start < 32768 && i < at.chunks.length - 1) return;
      list.push([start, end]);
      start = end;
    });
    return list;
  };
  const layers = (count, out) =>
    Array.from({ length: count }, (_, i) =>
      module({ name: `layers.${i}.q`, out, in: 64, bands: [band(affine(8, { group: 0 }))] }),
    );
  suite.valid(
    "valid/range/six-modules-of-40-kib",
    { modules: layers(6, 40000), tensors: [tensor()], sections: [section("META", meta({ a: 1 }))] },
    { features: ["affine"], documents: { META: { a: 1 } }, clauses: ["13.2"] },
  );
  const six = "valid/range/six-modules-of-40-kib";
  add("first-of-six", six, ["layers.0.q"]);
  add("last-of-six", six, ["layers.5.q"]);
  add("two-apart", six, ["layers.1.q", "layers.4.q"]);
  add("two-neighbours", six, ["layers.2.q", "layers.3.q"]);
  add(
    "all-of-six",
    six,
    Array.from({ length: 6 }, (_, i) => `layers.${i}.q`),
  );
  add("none-of-six", six, []);
  suite.valid(
    "valid/range/small-modules-in-one-span",
    {
      modules: Array.from({ length: 8 }, (_, i) => module({ name: `m${i}`, bands: twoBands(), out: 8 + i })),
    },
    { clauses: ["13.2"] },
  );
  add("one-of-a-span", "valid/range/small-modules-in-one-span", ["m3"]);
  const damaged = (name, error, change, level, shallower = undefined) =>
    suite.damaged(`invalid/range/${name}`, "valid/range/small-modules-in-one-span", error, change, {
      level,
      clauses: ["13.2"],
      ...(shallower && { shallower }),
    });
  damaged(
    "fourth-of-eight-chunks",
    "CHUNK_CRC",
    (file, at) => patched(file, at.chunks[3], 0xaa),
    "integrity",
  );
  damaged("trailer", "TRAILER_CRC", (file, at) => patched(file, at.trailer, 0), "integrity");
  damaged("index", "INDEX_CRC", (file) => patched(file, 100, 0xaa), "structure");
  add("broken-chunk-not-wanted", "invalid/range/fourth-of-eight-chunks", ["m2", "m4"]);
  add("broken-chunk-wanted", "invalid/range/fourth-of-eight-chunks", ["m2", "m3"], "CHUNK_CRC");
  add("bad-values-not-wanted", "invalid/value/second-module-scale", ["m.0", "m.2"]);
  add("bad-scale-wanted", "invalid/value/second-module-scale", ["m.1"], "SCALE_VALUE");
  add("bad-scale-behind-a-good-module", "invalid/value/second-module-scale", ["m.0", "m.1"], "SCALE_VALUE");
  add("bad-raw-weight-wanted", "invalid/value/second-module-raw", ["m.1", "m.2"], "NONFINITE_VALUE");
  for (const [name, error] of Object.entries({
    "scale/f16-nan": "SCALE_VALUE",
    "scale/bf16-infinity": "SCALE_VALUE",
    "scale/f16-minus-one": "SCALE_VALUE",
    "scale/trellis-nan": "SCALE_VALUE",
    "scale/overflow-affine-8-bf16": "SCALE_VALUE",
    "nonfinite/raw-bf16-nan": "NONFINITE_VALUE",
    "nonfinite/raw-f32-infinity": "NONFINITE_VALUE",
  }))
    add(name.replace("/", "-"), `invalid/${name}`, ["q"], error);
  // What the server says of the length is compared before chunks are read.
  damaged("a-byte-more", "TRAILING_BYTES", (file) => concat(file, text("x")), "structure");
  damaged("a-byte-less", "TRUNCATED_FILE", (file) => file.subarray(0, -1), "structure");
  damaged(
    "a-byte-more-and-a-broken-chunk",
    "CHUNK_CRC",
    (file, at) => concat(patched(file, at.chunks[3], 0xaa), text("x")),
    "integrity",
    "TRAILING_BYTES",
  );
  for (const name of ["a-byte-more", "a-byte-more-and-a-broken-chunk"]) {
    add(name, `invalid/range/${name}`, ["m3"], "TRAILING_BYTES");
    add(`${name}-not-wanted`, `invalid/range/${name}`, ["m5"], "TRAILING_BYTES");
  }
  add("a-byte-less", "invalid/range/a-byte-less", ["m0"], "TRUNCATED_FILE");
  add("cut-in-the-wanted-chunk", "invalid/chunk/cut-in-a-module", ["layers.10.conv"], "TRUNCATED_FILE");
  add("wrong-parent", "invalid/parent/another-file", ["q"], "PARENT_MISMATCH");
  add("wrong-parent-before-a-chunk", "invalid/parent/another-file-before-a-chunk", ["q"], "PARENT_MISMATCH");
  add(
    "wrong-parent-before-a-byte-more",
    "invalid/parent/another-file-before-trailing-bytes",
    ["q"],
    "PARENT_MISMATCH",
  );
  add(
    "module-that-the-parent-lacks",
    "invalid/parent/number-beyond-before-a-chunk",
    ["q"],
    "PARENT_MISMATCH",
  );
  add("broken-trailer", "invalid/range/trailer", ["m0"]);
  add("broken-index", "invalid/range/index", ["m0"], "INDEX_CRC");
  add("a-file-below-64-kib", "valid/layout/everything", ["layers.10.conv"]);
  add("experts-and-trellis", "valid/layout/everything", ["moe"]);
  add("children", "valid/parent/modules", ["b", "c"]);
  // An index that ends just before, at, and behind the first 65,536 bytes.
  const names = (last) =>
    Array.from({ length: 131 }, (_, i) =>
      module({
        name: longName(i, i === 130 ? last : 490),
        out: 1,
        in: 1,
        bands: [band(sign({ group: 0 }), trellis(2))],
      }),
    );
  for (const [name, target] of Object.entries({
    "of-65472-bytes": 65472,
    "of-65476-bytes": 65476,
    "of-65536-bytes": 65536,
  })) {
    const id = `valid/range/index-${name}`;
    const last = lengthOfLast(names, target, suite);
    suite.valid(
      id,
      { modules: names(last), sections: [section("note", text("behind"))] },
      { features: ["trellis"], clauses: ["6.2", "13.2"] },
    );
    add(`index-${name}`, id, [longName(64, 490)]);
  }
}

/** How long the last name has to be for the index to have this length: each byte more is one more, up to padding. */
function lengthOfLast(names, target, suite) {
  const length = (last) =>
    suite.indexLength({ modules: names(last), sections: [section("note", text("behind"))] });
  const last = 100 + target - length(100);
  if (length(last) !== target) throw new Error(`no index of ${target} bytes`);
  return last;
}

export function operations(suite) {
  for (const family of [streams, ranges]) family(suite);
}
