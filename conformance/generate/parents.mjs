// valid/parent, invalid/parent: files that hold what differs from a parent (spec clause 8.9).
import { concat, patched, u8, zeros } from "./bytes.mjs";
import { affine, raw, sign, trellis, zero } from "./codecs.mjs";
import { band, module, tensor, twoBands } from "./compose.mjs";
import { payload, prologue, records, set, whole } from "./lies.mjs";

const CLAUSES = ["8.9", "8.9.1", "8.9.2", "8.9.3", "8.9.4"];
const SEED = [1, 42];
const F32 = 1;
const plain = [band(affine(2), affine(3), 2)];

/** A module that differs from module `parentModule` of the parent. */
const child = (over = {}) => module({ parentModule: 0, bands: plain, ...over });

/** Adds families: `root` files without a parent, `of` children with theirs. Cases are named by both. */
function families(suite) {
  const fileOf = (name) => `valid/parent/${name}.lqa`;
  return {
    root(name, adapter, about = {}) {
      suite.valid(`valid/parent/${name}`, adapter, { clauses: CLAUSES, ...about });
    },
    /** `given` are the files that a reader gets; by default the parent. */
    of(parent, name, modules, about = {}) {
      const { given = [parent], tensors = [], features = [], ...more } = about;
      const own = suite.built.get(`valid/parent/${parent}`);
      suite.valid(
        `valid/parent/${name}`,
        { parent: own, modules, tensors },
        {
          features: ["parent", ...features],
          clauses: CLAUSES,
          ...(given.length > 0 ? { parents: given.map(fileOf) } : { alone: true }),
          ...more,
        },
      );
    },
    invalid(parent, name, error, modules, lies = {}, about = {}) {
      const { given, ...more } = about;
      suite.invalid(
        `invalid/parent/${name}`,
        error,
        { parent: suite.built.get(`valid/parent/${parent}`), modules },
        { lies, clauses: ["8.9.1"], features: ["parent"], ...(given && { parents: given }), ...more },
      );
    },
    fileOf,
  };
}

function valid(suite) {
  const { root, of } = families(suite);
  root("root", { modules: [module({ bands: plain })] });
  of("root", "child", [child()]);
  of("root", "child-without-its-parent", [child()], { given: [] });
  of("root", "same-components", [child({ bands: [band(zero(), zero(), 2)] })]);
  const rests = {
    "raw-f32": raw(F32),
    "raw-f16": raw(2),
    "raw-bf16": raw(3),
    affine: affine(5),
    sign: sign(),
    trellis: trellis(4),
    "trellis-rotated": trellis(3, { rotation: 1 }),
  };
  for (const [name, rest] of Object.entries(rests)) {
    const bands = [band(rest, rest, 2)];
    root(
      `root-${name}`,
      { modules: [module({ bands, in: 130, out: 66 })] },
      { features: name.startsWith("trellis") ? ["trellis"] : [] },
    );
    of(`root-${name}`, `rest-${name}`, [child({ bands, in: 130, out: 66 })], {
      features: name.startsWith("trellis") ? ["trellis"] : [],
    });
  }
  // Numbers of raw bands as bits: each pair is the parent's and the rest's.
  const bits = (words) => ({ numbers: () => ({ raw: (_, i) => words[i % words.length] }) });
  const pairs = {
    "zeros-of-either-sign": [
      [0, 0x80000000, 0, 0x80000000],
      [0, 0, 0x80000000, 0x80000000],
    ],
    subnormal: [
      [1, 0x007fffff, 0x80000001, 0x00800000],
      [1, 1, 0x00000002, 0x80000001],
    ],
    "rounded-to-even": [
      [0x3f800000, 0x3f800001, 0x3f800000, 0x4b800000],
      [0x33800000, 0x33800000, 0xb3000000, 0x3f800000],
    ],
    cancelled: [
      [0x3f800000, 0x3f800001, 0xc0490fdb, 0x00800000],
      [0xbf800000, 0xbf800000, 0x40490fdb, 0x80800000],
    ],
    // Half a unit in the last place of the largest number, less one bit: rounded down.
    largest: [
      [0x7f7fffff, 0xff7fffff, 0x7f7fffff, 0x7effffff],
      [0x72ffffff, 0xf2ffffff, 0xff7fffff, 0x7effffff],
    ],
    // 65519.996 and 65520: the second is infinite as f16.
    "as-f16-finite": [
      [0x47000000, 0xc7000000, 0x477fefff, 0x47000000],
      [0x46ffdffe, 0xc6ffdffe, 0, 0x46000000],
    ],
    "as-f16-infinite": [
      [0x47000000, 0x3f800000, 0x3f800000, 0x3f800000],
      [0x46ffe000, 0, 0, 0],
    ],
  };
  for (const [name, [parent, rest]] of Object.entries(pairs)) {
    const bands = [band(raw(F32))];
    root(`root-${name}`, { modules: [module({ bands, ...bits(parent) })] });
    of(`root-${name}`, name, [child({ bands, ...bits(rest) })]);
  }
  // Where the parent has no component, −0 becomes +0 as well.
  of("root-zeros-of-either-sign", "larger-rank-of-minus-zeros", [
    child({ bands: [band(raw(F32), raw(F32), 2)], ...bits([0x80000000]) }),
  ]);
  of("root", "larger-rank", [
    child({ bands: [band(sign()), band(affine(4), raw(F32), 2), band(zero(), sign(), 3)] }),
  ]);
  of("root", "bands-of-other-lengths", [child({ bands: [band(sign()), band(zero(), affine(2))] })]);
  of("root", "other-multiplier-role-and-name", [
    child({ name: "other", rule: "explicit", role: "embedding", baseLayout: 1 }),
  ]);
  root(
    "root-experts",
    { modules: [module({ bands: twoBands(1, 2), experts: 3, in: 17 })] },
    { features: ["experts"] },
  );
  of("root-experts", "experts", [child({ bands: twoBands(2, 3), experts: 3, in: 17 })], {
    features: ["experts"],
  });
  root("root-convolution", { modules: [module({ bands: plain, role: "conv2d", kernel: [3, 3], in: 4 })] });
  of("root-convolution", "convolution", [child({ role: "conv2d", kernel: [3, 3], in: 4 })]);
  root("root-embedding", { modules: [module({ bands: plain, role: "embedding", in: 40 })] });
  of("root-embedding", "embedding", [child({ role: "embedding", in: 40 })]);
  root(
    "root-start",
    {
      start: SEED,
      modules: [module({ position: 7, bands: [band(affine(2), { ...sign(), mixture: 4 }, 2)], in: 33 })],
    },
    { features: ["start"] },
  );
  of("root-start", "start", [child({ bands: [band(sign(), affine(3), 3)], in: 33 })], {
    features: ["start"],
  });
  root("root-modules", {
    modules: [
      module({ name: "a", bands: twoBands() }),
      module({ name: "b", bands: plain, in: 33 }),
      module({ name: "c", bands: plain }),
    ],
    tensors: [tensor({ name: "t" })],
  });
  of(
    "root-modules",
    "modules",
    [
      module({ name: "b", bands: plain }),
      child({ name: "c", parentModule: 1, in: 33 }),
      child({ name: "d", parentModule: 2, bands: [band(zero(), zero(), 2)] }),
      module({ name: "e", bands: plain }),
    ],
    { tensors: [tensor({ name: "u", role: "bias" })] },
  );
  // Generations: each file is the parent of the next one.
  const chain = ["root", "child", "generation-2", "generation-3", "generation-4", "generation-5"];
  for (let i = 2; i < 5; i++) of(chain[i - 1], chain[i], [child()], { given: chain.slice(0, i) });
  of(chain[4], chain[5], [child()], { given: [] });
  of("child", "generation-2-of-files-in-order", [child()], { given: ["child", "root"] });
  of("child", "generation-2-without-the-first", [child()], { given: ["child"], alone: true });
  of("root", "files-that-are-not-needed", [child()], { given: ["root-affine", "child", "root"] });
  suite.again("valid/parent/file-that-is-not-needed", "valid/parent/root", {
    parents: ["valid/parent/child.lqa"],
  });
}

function invalid(suite) {
  const { invalid: add, fileOf } = families(suite);
  const one = [child()];
  const bit = (p) => ({ required: p.required - 64 });
  const change = (how) => records(how);
  add(
    "root",
    "both-bits",
    "FEATURE_BITS",
    one,
    prologue((p) => ({ required: p.required + 32 })),
  );
  add(
    "root",
    "both-bits-before-reserved-bytes",
    "FEATURE_BITS",
    one,
    prologue((p) => ({ required: p.required + 32, reserved: patched(zeros(7), 3, 1) })),
  );
  add("root-modules", "numbers-equal", "RECORD_REFERENCE", [child(), child({ name: "r" })]);
  add("root-modules", "numbers-descending", "RECORD_REFERENCE", [
    child({ parentModule: 2 }),
    module({ name: "r" }),
    child({ name: "s", parentModule: 1 }),
  ]);
  add("root", "no-bit", "CONTENT_ID", one, prologue(bit), { level: "integrity", clauses: ["8.9", "8.9.4"] });
  add(
    "root",
    "bit-without-a-child",
    "FEATURE_BITS",
    [module()],
    prologue((p) => ({ required: p.required + 64 })),
  );
  add(
    "root",
    "bit-without-vectors",
    "INDEX_FIELD_MISSING",
    one,
    change((v) => {
      delete v.parent;
      delete v.parent_modules;
    }),
  );
  add(
    "root",
    "no-parent",
    "INDEX_FIELD_MISSING",
    one,
    change((v) => void delete v.parent),
  );
  add(
    "root",
    "no-numbers",
    "INDEX_FIELD_MISSING",
    one,
    change((v) => void delete v.parent_modules),
  );
  for (const words of [0, 7, 9])
    add(
      "root",
      `parent-of-${words}-words`,
      "RECORD_REFERENCE",
      one,
      change((v) => void (v.parent = Array(words).fill(1))),
    );
  add(
    "root",
    "number-missing",
    "RECORD_REFERENCE",
    one,
    change((v) => void (v.parent_modules = [])),
  );
  add(
    "root",
    "number-left",
    "RECORD_REFERENCE",
    one,
    change((v) => void v.parent_modules.push(0)),
  );
  add("root", "content-of-another-parent", "CONTENT_ID", one, set("parent", 0, 1), {
    level: "integrity",
    clauses: ["8.9.4"],
  });
  add("root", "content-of-another-module", "CONTENT_ID", one, set("parent_modules", 0, 2), {
    level: "integrity",
    clauses: ["8.9.4"],
  });
  add(
    "root",
    "content-without-the-parent",
    "CONTENT_ID",
    [child(), module({ name: "r" })],
    set("parent_modules", 1, 2),
    { level: "integrity", clauses: ["8.9.4"] },
  );

  // With the parent that is given.
  const given = (...names) => ({ given: names.map(fileOf), clauses: ["8.9.2"] });
  const refused = (name, parent, modules, about = given(parent), lies = {}) =>
    add(parent, name, "PARENT_MISMATCH", modules, lies, about);
  refused("another-file", "root", one, given("root-affine"));
  refused("only-its-own-parent", "child", one, given("root"));
  refused("number-beyond", "root", [child({ parentModule: 1 })]);
  refused("largest-number", "root", [child({ parentModule: 2 ** 32 - 2 })]);
  refused("second-number-beyond", "root", [child(), child({ name: "r", parentModule: 1 })]);
  refused("other-out", "root", [child({ out: 4 })]);
  refused("other-in", "root", [child({ in: 6 })]);
  refused("other-experts", "root", [child({ experts: 2 })]);
  refused("other-kernel", "root", [child({ role: "conv1d", kernel: [1] })]);
  refused("same-length-of-another-kernel", "root-convolution", [
    child({ role: "conv2d", kernel: [9, 1], in: 4 }),
  ]);
  refused("smaller-rank", "root", [child({ bands: [band(affine(2))] })]);
  // The parent is the right one, and its own parent lacks the module.
  suite.valid(
    "valid/parent/beyond-its-parent",
    { parent: suite.built.get("valid/parent/root"), modules: [child({ parentModule: 3 })] },
    { features: ["parent"], clauses: CLAUSES, hashes: false },
  );
  refused("grandparent-lacks-it", "beyond-its-parent", one, given("beyond-its-parent", "root"));
  add(
    "generation-4",
    "five-generations",
    "CORE_LIMIT",
    one,
    {},
    {
      ...given("root", "child", "generation-2", "generation-3", "generation-4"),
      obligation: "may",
      accept: ["valid"],
    },
  );
  // Files that state the content id of another one, or are broken.
  const { written } = suite.built.get("valid/parent/root");
  suite.invalid(
    "invalid/parent/false-content-id",
    "CONTENT_ID",
    { modules: [module({ bands: plain, name: "other" })] },
    {
      lies: { digests: (list) => void (list[0] = written.contentId) },
      level: "integrity",
      clauses: ["8.9.2", "11.3"],
    },
  );
  suite.damaged(
    "invalid/parent/damaged-parent",
    "valid/parent/root",
    "CHUNK_CRC",
    (bytes, at) => patched(bytes, at.first, bytes[at.first] ^ 1),
    {
      level: "integrity",
      clauses: ["8.9.2", "7.1"],
    },
  );
  refused("parent-with-a-false-content-id", "root", one, {
    given: ["invalid/parent/false-content-id.lqa"],
    clauses: ["8.9.2"],
  });
  refused("parent-that-is-cut", "root", one, {
    given: ["invalid/prologue/cut-after-32.lqa"],
    clauses: ["8.9.2"],
  });
  refused("parent-that-is-damaged", "root", one, {
    given: ["invalid/parent/damaged-parent.lqa"],
    clauses: ["8.9.2"],
  });
  refused("none-of-several", "root", one, {
    given: ["invalid/parent/damaged-parent.lqa", fileOf("root-affine"), fileOf("root-sign")],
    clauses: ["8.9.2"],
  });
  // Files before the parent that are broken, or state its content id: they are passed over.
  const liars = [
    "invalid/parent/false-content-id.lqa",
    "invalid/prologue/cut-after-32.lqa",
    "invalid/parent/damaged-parent.lqa",
  ];
  suite.valid(
    "valid/parent/files-that-are-not-valid",
    { parent: suite.built.get("valid/parent/root"), modules: one },
    { features: ["parent"], clauses: CLAUSES, parents: [...liars, fileOf("root")] },
  );

  // The parent is looked up behind the index: before chunks, and before the length of the file.
  const wrong = { ...given("root-affine"), clauses: ["8.9.2", "15.2"] };
  refused(
    "another-file-before-trailing-bytes",
    "root",
    one,
    wrong,
    whole((file) => concat(file, u8(0))),
  );
  refused(
    "another-file-before-missing-bytes",
    "root",
    one,
    wrong,
    whole((file) => file.subarray(0, -1)),
  );
  refused("another-file-before-a-chunk", "root", one, wrong, {
    chunks: (chunks) => void (chunks[0].crc = zeros(4)),
  });
  refused(
    "another-file-before-unused-bits",
    "root",
    [child({ bands: [band(sign())], out: 9 })],
    wrong,
    payload(0, (bytes) => patched(bytes, 1, bytes[1] | 0x80)),
  );
  refused(
    "another-file-before-a-scale",
    "root",
    [child({ bands: [band(sign())], numbers: () => ({ scales: () => 0x7c00 }) })],
    wrong,
  );
  refused("number-beyond-before-a-chunk", "root", [child({ parentModule: 1 })], given("root"), {
    chunks: (chunks) => void (chunks[0].crc = zeros(4)),
  });
  suite.invalid(
    "invalid/layout/padding-behind-the-index-before-the-parent",
    "PADDING_NONZERO",
    { alignment: 64, parent: suite.built.get("valid/parent/root"), modules: one },
    {
      lies: { chunks: (_, gap) => void (gap[0] = 1) },
      parents: [fileOf("root-affine")],
      features: ["parent"],
      clauses: ["15.2"],
    },
  );

  // Sums that f32 cannot hold: the parent's largest numbers, and half a unit in the last place.
  const raws = (word, factors = "ba") => ({
    bands: [band(raw(F32))],
    numbers: (_, __, factor) => ({
      raw: (_, i) => (factors.includes(factor) && i === 2 ? word : 0x3f800000),
    }),
  });
  suite.valid("valid/parent/root-huge", { modules: [module(raws(0x7f7fffff))] }, { clauses: CLAUSES });
  suite.valid(
    "valid/parent/root-huge-negative",
    { modules: [module(raws(0xff7fffff))] },
    { clauses: CLAUSES },
  );
  const infinite = (name, parent, modules, about = {}, lies = {}) =>
    add(parent, `infinite-${name}`, "NONFINITE_VALUE", modules, lies, {
      level: "values",
      clauses: ["8.9.3"],
      given: [fileOf(parent)],
      ...about,
    });
  infinite("rounded-to-even", "root-huge", [child(raws(0x73000000))]);
  infinite("in-b", "root-huge", [child(raws(0x7f7fffff, "b"))]);
  suite.again("invalid/parent/infinite-in-b-at-the-budget-exactly", "invalid/parent/infinite-in-b", {
    budget: 32,
  });
  infinite("in-a", "root-huge", [child(raws(0x7f7fffff, "a"))]);
  infinite("negative", "root-huge-negative", [child(raws(0xff7fffff))]);
  infinite(
    "before-the-next-chunk",
    "root-huge",
    [child(raws(0x73000000)), module({ name: "r" })],
    { shallower: "CHUNK_CRC" },
    {
      chunks: (chunks) => void (chunks[1].crc = zeros(4)),
    },
  );
  infinite(
    "before-digests",
    "root-huge",
    [child(raws(0x73000000))],
    { shallower: "SPAN_DIGEST" },
    {
      digests: (list) => void (list[1] = zeros(32)),
    },
  );
  infinite("before-codes-that-are-not-canonical", "root-huge", [
    child({
      bands: [band(raw(F32)), band(sign())],
      numbers: (_, b, factor) =>
        b === 1 ? { scales: () => 0, codes: () => 1 } : raws(0x73000000).numbers(_, b, factor),
    }),
  ]);
  suite.valid(
    "valid/parent/infinite-without-its-parent",
    { parent: suite.built.get("valid/parent/root-huge"), modules: [child(raws(0x73000000))] },
    { features: ["parent"], clauses: CLAUSES, alone: true },
  );
}

export function parents(suite) {
  valid(suite);
  invalid(suite);
}
