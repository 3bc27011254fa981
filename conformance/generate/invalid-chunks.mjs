// invalid/chunk, frame, padding: chunks as bytes (spec clauses 3.6, 7).
import { concat, f32, patched, text, u8, u32, zeros } from "./bytes.mjs";
import { affine, F32, raw, sign, TABLES, trellis, zero } from "./codecs.mjs";
import { band, compose, module, section, tensor, twoBands } from "./compose.mjs";
import { blocksOf, frame, rawBlock, rleBlock, shortFrames } from "./frames.mjs";
import { damage, payload, whole } from "./lies.mjs";

const only = (over) => ({ modules: [module(over)] });
const everything = () => ({
  alignment: 16,
  modules: [module({ out: 9, in: 20, bands: twoBands(2, 1) })],
  tensors: [tensor({ element: "U8", shape: [5] })],
  sections: [section("note", text("private"))],
});

function checksums(suite) {
  const add = (name, error, lies, adapter = everything(), about = {}) =>
    suite.invalid(`invalid/chunk/${name}`, error, adapter, { lies, level: "integrity", ...about });
  ["module", "tensor", "section"].forEach((kind, i) => {
    add(
      `${kind}-first-byte`,
      "CHUNK_CRC",
      damage((at) => at.chunks[i]),
    );
    add(`${kind}-crc`, "CHUNK_CRC", {
      chunks: (chunks) => {
        chunks[i].crc = patched(chunks[i].crc, 3, chunks[i].crc[3] ^ 0x80);
      },
    });
    add(`${kind}-crc-big-endian`, "CHUNK_CRC", {
      chunks: (chunks) => {
        chunks[i].crc = Uint8Array.from(chunks[i].crc).reverse();
      },
    });
  });
  add(
    "of-no-bytes",
    "CHUNK_CRC",
    {
      chunks: (chunks) => {
        chunks[0].crc = u32(1);
      },
    },
    only({ bands: [band(zero())] }),
  );
  add(
    "crc-of-the-raw-payload",
    "CHUNK_CRC",
    {
      chunks: (chunks) => {
        chunks[0].crc = u32(0x11223344);
      },
    },
    { tensors: [tensor({ shape: [40], data: zeros(160), compression: 1 })] },
  );
  for (const [name, at] of Object.entries({
    "in-a-module": (at) => at.chunks[0] + 3,
    "in-the-crc-of-a-module": (at) => at.chunks[1] - 7,
    "in-a-tensor": (at) => at.chunks[1] + 1,
    "in-the-padding-of-a-module": (at) => at.chunks[1] - 1,
    "in-the-digests": (at) => at.digests + 40,
    "in-the-trailer": (at) => at.end - 1,
  }))
    suite.invalid(`invalid/chunk/cut-${name}`, "TRUNCATED_FILE", everything(), {
      lies: whole((file, where) => file.subarray(0, at(where))),
      clauses: ["4.4"],
    });
}

function frames(suite) {
  const size = 200;
  const bytes = Uint8Array.from({ length: size }, (_, i) => (i < 20 ? i : 7));
  const blocks = blocksOf(bytes);
  const add = (name, stored, about = {}) => {
    const { data = bytes, compression = 1, element = "U8", ...more } = about;
    suite.invalid(
      `invalid/frame/${name}`,
      "ZSTD_FRAME",
      { tensors: [tensor({ element, shape: [data.length], data, compression, stored })] },
      { level: "integrity", features: ["zstd-frames"], ...more },
    );
  };
  const good = frame(size, blocks);
  add(
    "not-a-frame",
    Uint8Array.from({ length: 30 }, (_, i) => i),
  );
  add("magic-of-0-7", frame(size, blocks, { magic: 0xfd2fb527 }));
  add("skippable-frame", concat(u32(0x184d2a50, 4), zeros(4), good));
  add("skippable-frame-behind", concat(good, u32(0x184d2a5f, 1), u8(0)));
  add("one-byte", u8(0x28));
  add("magic-only", u32(0xfd2fb528));
  add("cut-in-the-size", good.subarray(0, 5));
  add("cut-in-a-block-header", good.subarray(0, 7));
  add("cut-in-a-block", good.subarray(0, 15));
  add("cut-before-the-last-byte", good.subarray(0, good.length - 1));
  add("byte-behind", concat(good, u8(0)));
  add("second-frame-of-nothing", concat(good, frame(0, [rawBlock(zeros(0))])));
  add("same-frame-twice", concat(good, good));
  add(
    "two-frames-for-one",
    concat(frame(20, blocksOf(bytes.subarray(0, 20))), frame(size - 20, blocksOf(bytes.subarray(20)))),
  );
  for (const bits of [8, 16, 1, 2, 3]) add(`descriptor-bits-${bits}`, frame(size, blocks, { bits }));
  add("dictionary-id", concat(u32(0xfd2fb528), u8(0x21), u8(9), u8(size), good.subarray(6)));
  add("no-content-size", frame(size, blocks, { single: false, width: 0 }));
  add("no-content-size-of-a-run", frame(size, [rleBlock(7, size)], { single: false, width: 0 }), {
    data: new Uint8Array(size).fill(7),
    note: "the frame ends before eight bytes of a content size could",
  });
  add(
    "no-content-size-and-a-window-byte-that-equals-it",
    frame(size, [rleBlock(7, size)], { single: false, width: 0, window: size }),
    { data: new Uint8Array(size).fill(7) },
  );
  add("content-size-one-more", frame(size, blocks, { declared: size + 1 }));
  add("content-size-one-less", frame(size, blocks, { declared: size - 1 }));
  add("content-size-2-to-the-63", frame(size, blocks, { width: 8, declared: 2 ** 63 }));
  add("content-size-2-to-the-32-more", frame(size, blocks, { width: 8, declared: 2 ** 32 + size }));
  for (const [name, window] of [
    ["of-1-kib", 0],
    ["as-large-as-the-content", 0x50],
    ["of-8-mib", 0x68],
    ["of-3-tib", 0xff],
  ])
    add(`window-${name}`, frame(size, blocks, { single: false, width: 8, window }));
  add(
    "block-type-3",
    frame(
      size,
      blocks.map((block, i) => (i === 0 ? { ...block, type: 3 } : block)),
    ),
  );
  add("block-above-128-kib", frame(2 ** 18, [rleBlock(0, 2 ** 17 + 1), rleBlock(0, 2 ** 17 - 1)]), {
    data: zeros(2 ** 18),
  });
  add("no-last-block", frame(size, blocks, { last: 0 }));
  add("block-longer-than-the-frame", frame(size, [{ ...rawBlock(bytes.subarray(0, 50)), size }]));
  add("checksum", frame(size, blocks, { checksum: u32(0) }));
  add("checksum-flag-alone", frame(size, blocks, { checksum: zeros(0) }));
  add("content-shorter-than-declared", frame(size, blocksOf(bytes.subarray(0, 50)), { declared: size }), {
    features: ["zstd"],
  });
  add(
    "content-longer-than-declared",
    frame(size, [...blocks.slice(0, -1), rleBlock(7, size - 19)], { declared: size }),
    { features: ["zstd"] },
  );
  add("content-of-no-blocks", frame(size, [rawBlock(zeros(0))], { declared: size }), { features: ["zstd"] });
  const long = zeros(2 ** 20 + 5);
  const two = shortFrames(long);
  add("one-frame-for-two", frame(long.length, blocksOf(long)), { data: long });
  add("second-frame-missing", two.subarray(0, two.length - 10), { data: long });
  add("frames-swapped", concat(frame(5, [rleBlock(0, 5)]), frame(2 ** 20, blocksOf(zeros(2 ** 20)))), {
    data: long,
  });
  add("gap-between-frames", concat(two.subarray(0, two.length - 10), u8(0), two.subarray(two.length - 10)), {
    data: long,
  });
  add("shuffled-cut", shortFrames(f32(...Array(30).fill(1)), 4).subarray(0, 12), {
    data: f32(...Array(30).fill(1)),
    compression: 2,
  });
  const section3 = (name, stored, features = []) =>
    suite.invalid(
      `invalid/frame/section-${name}`,
      "ZSTD_FRAME",
      { sections: [section("note", zeros(60), { compression: 3, stored })] },
      { level: "integrity", features },
    );
  section3("cut", shortFrames(zeros(60)).subarray(0, 8));
  section3("content-shorter-than-declared", frame(60, [rleBlock(0, 59)]), ["text-zstd"]);
  section3("byte-behind", concat(shortFrames(zeros(60)), u8(1)));
  section3(
    "dictionary-id",
    concat(u32(0xfd2fb528), u8(0x21), u8(9), u8(60), shortFrames(zeros(60)).subarray(6)),
  );
}

function paddings(suite) {
  const add = (name, adapter, change, about = {}) =>
    suite.invalid(`invalid/padding/${name}`, "PADDING_NONZERO", adapter, {
      lies: payload(0, change),
      level: "integrity",
      clauses: ["3.6", "7.2", "7.3"],
      ...about,
    });
  const set =
    (at, value = 1) =>
    (bytes) =>
      patched(bytes, at < 0 ? bytes.length + at : at, value | bytes.at(at));
  /** The last byte of a component of a plane of A'. */
  const last = (name, over, plane, value, component = -1) => {
    const { at, length } = planesOf(over).find((p) => p.factor === "a" && p.plane === plane);
    const rows = over.bands[0].components;
    const end = at + (length / rows) * (component < 0 ? rows : component + 1);
    add(name, only(over), set(end - 1, value));
  };
  for (let bits = 1; bits <= 7; bits++) {
    const n = 8 - bits + 1; // a last byte that is not full, at least for odd numbers of bits
    const used = (n * bits) % 8;
    const over = { out: n, in: n, bands: [band(affine(bits, { group: 0 }))] };
    if (used > 0) last(`affine-${bits}-bits-last-code`, over, "codes", 1 << used);
  }
  const four = { out: 3, in: 3, bands: [band(affine(4))] };
  last("affine-4-bits-highest-unused-bit", four, "codes", 0x80);
  last("sign-last-bit", { bands: [band(sign())] }, "codes", 0x80);
  last("sign-first-unused-bit", { bands: [band(sign())] }, "codes", 0x20);
  const twice = { out: 3, in: 3, bands: [band(sign({ group: 0 }), sign({ group: 0 }), 2)] };
  last("codes-of-the-first-of-two-components", twice, "codes", 0x08, 0);
  last("zero-points", { bands: [band(affine(3))] }, "zeros", 0x08);
  last("zero-points-highest-bit", { bands: [band(affine(2))] }, "zeros", 0x80);
  for (const [number, { stepBits, weightsPerStep }] of TABLES) {
    const n = 8 * weightsPerStep + weightsPerStep; // nine steps
    const over = { out: n, in: n, bands: [band(trellis(number))] };
    if ((9 * stepBits) % 8 > 0) last(`trellis-${number}-steps`, over, "codes", 1 << ((9 * stepBits) % 8));
  }
  const gaps = {
    "before-scales": { out: 9, in: 9, bands: [band(sign({ group: 0 }), affine(3, { group: 0 }))] },
    "before-raw": { out: 17, in: 2, bands: [band(sign({ group: 0 }), raw(F32))] },
  };
  for (const [name, over] of Object.entries(gaps)) {
    const { at, gap } = planesOf(over).find((plane) => plane.gap > 0);
    add(`gap-${name}`, only(over), set(at - gap));
    add(`gap-${name}-last-byte`, only(over), set(at - 1, 0xff));
  }
  const experts = { experts: 2, out: 3, in: 3, bands: [band(sign({ group: 0 }))] };
  const second = planesOf(experts).find((plane) => plane.expert === 1);
  for (const [name, at] of Object.entries({ first: second.at - 10, last: second.at - 1 }))
    add(`gap-before-the-second-expert-${name}`, only(experts), set(at), { features: ["experts"] });
}

const planesOf = (over) => compose(only(over)).modules[0].planes;

export function invalidChunks(suite) {
  for (const family of [checksums, frames, paddings]) family(suite);
}
