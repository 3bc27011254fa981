// valid/start, invalid/start: known beginnings of A′ (spec clause 8.8).
import { patched } from "./bytes.mjs";
import { affine, raw, sign, trellis, zero } from "./codecs.mjs";
import { band, module, tensor } from "./compose.mjs";
import { both, payload, prologue, records, set } from "./lies.mjs";

const SEED = [1, 42];
/** 624 words that no seed gives. */
const STATE = [1, ...Array.from({ length: 624 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0)];
/** As many states, no two alike. */
const states = (count) => [
  1,
  ...Array.from({ length: 624 * count }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0),
];
const CLAUSES = ["8.8", "8.8.1", "8.8.2", "8.8.3", "8.8.4", "8.8.5"];

/** An encoding of A′ with a mixture of so many bits. */
const mixed = (encoding, bits) => ({ ...encoding, mixture: bits });
const started = (bands, over = {}) => module({ position: 7, bands, ...over });
const file = (modules, start = SEED) => ({ start, modules });
const only = (over) => file([started([band(affine(2), mixed(zero(), 4), 2)], over)]);

function valid(suite) {
  const add = (name, adapter, about = {}) =>
    suite.valid(`valid/start/${name}`, adapter, { features: ["start"], clauses: CLAUSES, ...about });
  for (const bits of [4, 8])
    add(`mixture-of-${bits}-bits`, file([started([band(sign(), mixed(zero(), bits), 3)], { in: 65 })]));
  const rests = {
    raw: raw(),
    affine: affine(3),
    sign: sign(),
    trellis: trellis(4),
    "trellis-rotated": trellis(3, { rotation: 1 }),
  };
  for (const [name, rest] of Object.entries(rests))
    add(`rest-${name}`, file([started([band(zero(), mixed(rest, 4), 2)], { in: 130, out: 3 })]), {
      features: ["start", name.split("-")[0]],
    });
  for (const position of [0, 1, 623, 624, 625, 1247, 1248, 100_003])
    add(`position-${position}`, only({ position, in: 40 }));
  // One before the last draw that a position can name; those that follow run on.
  add("position-4194303", only({ position: 2 ** 22 - 1, in: 40 }));
  for (const seed of [0, 1, 2 ** 31, 2 ** 32 - 1])
    add(`seed-${seed}`, file([started([band(sign(), mixed(zero(), 4))])], [1, seed]));
  add("state", file([started([band(sign(), mixed(zero(), 4), 2)])], STATE));
  for (const state of [0, 1, 2])
    add(
      `state-${state}-of-3`,
      file([started([band(sign(), mixed(zero(), 4), 2)], { position: state * 2 ** 22 + 630 })], states(3)),
    );
  add(
    "a-module-of-each-state",
    file(
      ["a", "b", "c"].map((name, i) =>
        started([band(sign(), mixed(zero(), 4), 2)], { name, position: (2 - i) * 2 ** 22 }),
      ),
      states(3),
    ),
  );
  // More than 2^16 draws.
  add(
    "longer-than-2-to-the-16",
    file([started([band(affine(8), mixed(zero(), 4))], { in: 65600, out: 128 })]),
  );
  add("rank-256", file([started([band(sign(), mixed(zero(), 8), 256)], { in: 20, out: 2 })]));
  // All factors 255 and -255: the largest sums.
  const extreme = (negative) => (_x, _k, factor) =>
    factor === "mix" ? { zeros: () => (negative ? 255 : 0), codes: () => (negative ? 0 : 255) } : {};
  for (const [name, negative] of [
    ["largest-factors", false],
    ["smallest-factors", true],
  ])
    add(
      name,
      file([started([band(zero(), mixed(zero(), 8), 256)], { in: 9, out: 2, numbers: extreme(negative) })]),
    );
  add(
    "several-modules-and-bands",
    {
      start: SEED,
      modules: [
        module({ name: "a" }),
        started(
          [
            band(affine(2), mixed(affine(2), 8)),
            band(sign(), sign(), 2),
            band(sign(), mixed(sign(), 4), 2),
            band(zero(), mixed(zero(), 4)),
          ],
          { name: "b", in: 33, out: 9, position: 900 },
        ),
        started([band(affine(2), mixed(zero(), 4), 2)], { name: "c", position: 3 }),
      ],
      tensors: [tensor({ name: "t" })],
    },
    { features: ["start", "affine", "sign"] },
  );
  add("convolution", only({ role: "conv2d", kernel: [3, 3], in: 4 }));
  add(
    "two-modules-of-one-position",
    file([
      started([band(sign(), mixed(zero(), 4))], { name: "a" }),
      started([band(sign(), mixed(zero(), 4))], { name: "b" }),
    ]),
  );
  add(
    "last-band-without-a-mixture",
    file([started([band(sign(), mixed(zero(), 4)), band(affine(2), affine(2))])]),
    { features: ["start", "affine"] },
  );
  // More than 227 draws: word 623 of the state takes part.
  add("state-word-623", file([started([band(sign(), mixed(zero(), 4), 2)], { in: 300 })], STATE));
  add("states-64", file([started([band(sign(), mixed(zero(), 4))], { position: 63 * 2 ** 22 })], states(64)));
  // 9 · 14563 operations for a chunk of 8 bytes: 16,384 for each byte.
  add("work-at-core", file([started([band(zero(), mixed(zero(), 4))], { in: 14563 })]));
  // 0x5f7f is the largest scale whose product with 2^64 is finite.
  add(
    "largest-scale",
    only({ numbers: (_x, _k, factor) => (factor === "mix" ? { scales: () => 0x5f7f } : {}) }),
  );
  add(
    "scale-0",
    only({
      numbers: (_x, _k, factor) =>
        factor === "mix" ? { scales: () => 0, zeros: () => 0, codes: () => 0 } : {},
    }),
  );
}

function invalid(suite) {
  const add = (name, error, adapter, lies, about = {}) =>
    suite.invalid(`invalid/start/${name}`, error, adapter, { lies, clauses: ["8.8.1"], ...about });
  const change = (how) => records(how);
  const one = only({});
  add(
    "no-bit",
    "ENCODING_PARAMETER",
    one,
    prologue((p) => ({ required: p.required - 32 })),
  );
  add(
    "bit-without-a-mixture",
    "RECORD_REFERENCE",
    { start: SEED, modules: [module({ position: 7 })] },
    prologue((p) => ({ required: p.required + 32 })),
  );
  add(
    "bit-without-anything",
    "FEATURE_BITS",
    { start: SEED, modules: [module()] },
    prologue((p) => ({ required: p.required + 32 })),
  );
  // 1 to 3 and 5 to 7 bits were allowed in drafts.
  for (const bits of [1, 2, 3, 5, 6, 7, 9, 255])
    add(`mixture-of-${bits}-bits`, "ENCODING_PARAMETER", one, set("encodings", 1, { mixture: bits }));
  add("mixture-of-b", "BAND_PLAN", file([started([band(mixed(sign(), 4), mixed(sign(), 4))])]), {});
  add(
    "mixture-of-b-in-the-last-band",
    "BAND_PLAN",
    file([started([band(sign(), mixed(sign(), 4)), band(mixed(zero(), 8), zero())])]),
    {},
  );
  for (const experts of [2, 1024]) add(`experts-${experts}`, "BAND_PLAN", only({ experts, in: 17 }), {});
  add(
    "no-start",
    "INDEX_FIELD_MISSING",
    one,
    change((v) => void delete v.start),
  );
  add(
    "no-positions",
    "INDEX_FIELD_MISSING",
    one,
    change((v) => void delete v.positions),
  );
  add(
    "start-of-no-words",
    "UNSUPPORTED_CODEC",
    one,
    change((v) => void (v.start = [])),
  );
  for (const generator of [0, 224, 2 ** 32 - 1])
    add(`generator-${generator}`, "UNSUPPORTED_CODEC", file(one.modules, [generator, 42]), {});
  for (const words of [0, 2, 623, 625, 1247])
    add(
      `state-of-${words}-words`,
      "ENCODING_PARAMETER",
      one,
      change((v) => void (v.start = [1, ...Array(words).fill(1)])),
    );
  add(
    "position-missing",
    "RECORD_REFERENCE",
    one,
    change((v) => void v.positions.pop()),
  );
  add(
    "position-left",
    "RECORD_REFERENCE",
    one,
    change((v) => void v.positions.push(0)),
  );
  for (const position of [2 ** 22, 2 ** 32 - 1])
    add(`position-${position}-of-a-seed`, "RECORD_REFERENCE", one, set("positions", 0, position));
  add(
    "state-missing",
    "RECORD_REFERENCE",
    file([started([band(sign(), mixed(zero(), 4), 2)], { position: 2 ** 22 })], states(2)),
    change((v) => void (v.start = states(1))),
  );
  // Above Core a reader may refuse, or go on.
  const may = (...accept) => ({ obligation: "may", accept });
  add(
    "states-above-core",
    "CORE_LIMIT",
    one,
    change((v) => void (v.start = states(65))),
    may("valid", "CONTENT_ID"),
  );
  const wide = file([started([band(sign(), mixed(sign(), 4), 257)], { in: 1, out: 1 })]);
  add("rank-257", "HARD_LIMIT", wide, {});
  add(
    "positions-above-core",
    "CORE_LIMIT",
    one,
    change((v) => void (v.positions = Array(4097).fill(0))),
    may("RECORD_REFERENCE"),
  );
  add(
    "positions-above-hard",
    "HARD_LIMIT",
    one,
    change((v) => void (v.positions = Array(65537).fill(0))),
  );
  // 9 · n operations for a chunk of 8 bytes: 16,385 for each, and 2^20 and one more.
  const work = (n) => file([started([band(zero(), mixed(zero(), 4))], { in: n })]);
  add("work-above-core", "CORE_LIMIT", work(14564), {}, may("valid"));
  add("work-at-hard", "CORE_LIMIT", work(932067), {}, may("valid"));
  add("work-above-hard", "HARD_LIMIT", work(932068), {});
  // Two faults: the first of clause 15.2.
  suite.invalid("invalid/module/length-before-rank-of-a-start", "CHUNK_LENGTH_MISMATCH", wide, {
    lies: set("modules", 0, { chunk_length: 9 }),
    clauses: ["15.2"],
  });
  suite.invalid("invalid/plan/reference-before-a-mixture-of-b", "RECORD_REFERENCE", one, {
    lies: both(set("bands", 0, { b: 7 }), set("encodings", 0, { mixture: 4 })),
    clauses: ["15.2"],
  });
  suite.invalid("invalid/type/not-used-before-positions", "RECORD_REFERENCE", one, {
    lies: change((v) => {
      v.types.push({ ...v.types[0], out: 9 });
      v.positions.push(0);
    }),
    clauses: ["15.2"],
  });
  add("rank-257-before-its-position", "HARD_LIMIT", wide, set("positions", 0, 2 ** 32 - 1));
  add(
    "experts-2-before-rank-257",
    "BAND_PLAN",
    { ...wide, modules: [{ ...wide.modules[0], experts: 2 }] },
    {},
  );
  add("position-of-no-state-before-work", "RECORD_REFERENCE", work(14564), set("positions", 0, 2 ** 31));
  add(
    "position-missing-before-the-next-module",
    "RECORD_REFERENCE",
    file([
      started([band(sign(), mixed(zero(), 4))], { name: "a" }),
      started([band(sign(), mixed(zero(), 4))], { name: "b" }),
    ]),
    change((v) => {
      v.positions = [];
      v.modules[1].chunk_length = 1;
    }),
  );
  add(
    "position-left-behind-types",
    "RECORD_REFERENCE",
    one,
    change((v) => void v.positions.push(0, 0)),
  );
  const values = { level: "values", clauses: ["8.8.2"] };
  const scaleOf = (bits) =>
    only({ numbers: (_x, _k, factor) => (factor === "mix" ? { scales: () => bits } : {}) });
  add("scale-infinite", "SCALE_VALUE", scaleOf(0x7f80), {}, values);
  add("scale-not-a-number", "SCALE_VALUE", scaleOf(0x7fc0), {}, values);
  add("scale-negative", "SCALE_VALUE", scaleOf(0x8000), {}, values);
  add("scale-too-large", "SCALE_VALUE", scaleOf(0x5f80), {}, values);
  add(
    "unused-bits",
    "PADDING_NONZERO",
    only({ bands: [band(zero(), mixed(zero(), 4), 1)] }),
    payload(0, (bytes) => patched(bytes, 0, bytes[0] | 0x80)),
    { level: "integrity", clauses: ["8.8.2"] },
  );
  add(
    "unused-bits-of-a-zero-point",
    "PADDING_NONZERO",
    only({ bands: [band(zero(), mixed(zero(), 4), 1)] }),
    payload(0, (bytes) => patched(bytes, 1, bytes[1] | 0x80)),
    { level: "integrity", clauses: ["8.8.2"] },
  );
  add(
    "not-canonical",
    "NONCANONICAL_CODES",
    only({ numbers: (_x, _k, factor) => (factor === "mix" ? { scales: () => 0, codes: () => 3 } : {}) }),
    {},
    { level: "canonical", clauses: ["8.8.2"] },
  );
  add("content-without-the-start", "CONTENT_ID", one, set("start", 1, 43), {
    level: "integrity",
    clauses: ["8.8.5"],
  });
}

export function starts(suite) {
  valid(suite);
  invalid(suite);
}
