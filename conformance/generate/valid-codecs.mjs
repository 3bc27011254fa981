// valid/affine, sign, trellis, raw, zero, numbers: every codec with every parameter, and the edges of its numbers.
import { affine, BF16, F16, F32, raw, sign, TABLES, trellis, zero } from "./codecs.mjs";
import { band, module } from "./compose.mjs";

const LENGTHS = [1, 7, 63, 64, 65, 127, 128, 130];
export const GROUPS = [0, 16, 32, 64, 128, 256, 512, 1024];
export const SCALES = { f16: F16, bf16: BF16 };
const scales = Object.keys(SCALES);

/** One module whose B′ and A′ have this encoding. */
const one = (encoding, out, inp, over = {}) => ({
  modules: [module({ out, in: inp, bands: [band(encoding)], ...over })],
});
/** A length for large groups: just below, at, and just above one group. */
const around = (group, i) => (group > 128 ? group + (i % 3) - 1 : LENGTHS[i % 8]);

function affineFiles(suite) {
  let i = 0;
  for (let bits = 1; bits <= 8; bits++) {
    for (const group of GROUPS) {
      const scale = scales[(i + bits) % 2];
      const [out, inp] = [LENGTHS[(i + bits) % 8], around(group, i + 3 * bits)];
      suite.valid(
        `valid/affine/b${bits}-g${group}-${scale}-o${out}-i${inp}`,
        one(affine(bits, { group, scale: SCALES[scale] }), out, inp),
        { features: ["affine"], clauses: ["6.4", "7.2", "8.4", "8.7"] },
      );
      i++;
    }
  }
}

function signFiles(suite) {
  let i = 0;
  for (const group of GROUPS) {
    for (const scale of scales) {
      const [out, inp] = [LENGTHS[i % 8], around(group, i + 5)];
      suite.valid(
        `valid/sign/g${group}-${scale}-o${out}-i${inp}`,
        one(sign({ group, scale: SCALES[scale] }), out, inp),
        {
          features: ["sign"],
          clauses: ["6.4", "7.2", "8.5", "8.7"],
        },
      );
      i++;
    }
  }
}

function trellisFiles(suite) {
  for (const table of TABLES.keys()) {
    for (const rotation of [0, 1]) {
      for (const pair of [
        [1, 63],
        [64, 65],
        [127, 128],
        [130, 7],
        [192, 193],
      ]) {
        suite.valid(
          `valid/trellis/t${table}${rotation ? "-rotated" : ""}-o${pair[0]}-i${pair[1]}`,
          one(trellis(table, { rotation }), pair[0], pair[1]),
          {
            features: ["trellis"],
            clauses: ["6.4", "7.2", "8.6", ...(rotation ? ["8.6.1"] : []), "8.7"],
          },
        );
      }
    }
  }
  const numbers = () => ({ scales: (c) => (c % 2 === 0 ? 0 : 0x3c00), codes: () => 0 });
  const bands = [band(trellis(4), trellis(4), 3)];
  suite.valid("valid/trellis/t4-zero-scales", one(trellis(4), 33, 65, { bands, numbers }), {
    features: ["trellis"],
    clauses: ["8.6", "12.4"],
    note: "negative integers times a scale of 0 are -0",
  });
}

function plainFiles(suite) {
  for (const [name, element] of Object.entries({ f32: F32, f16: F16, bf16: BF16 })) {
    for (const [out, inp] of [
      [1, 7],
      [63, 64],
      [130, 65],
    ])
      suite.valid(`valid/raw/${name}-o${out}-i${inp}`, one(raw(element), out, inp), {
        features: ["raw"],
        clauses: ["6.4", "8.3"],
      });
  }
  for (const [out, inp] of [
    [1, 1],
    [7, 64],
    [130, 65],
  ])
    suite.valid(`valid/zero/o${out}-i${inp}`, one(zero(), out, inp), {
      features: ["zero"],
      clauses: ["6.4", "8.2"],
    });
  suite.valid("valid/zero/rank-64-in-no-bytes", one(zero(), 9, 9, { bands: [band(zero(), zero(), 64)] }), {
    features: ["zero"],
    clauses: ["8.2"],
  });
}

/** Edges of IEEE 754: [name, encoding, numbers, note]. */
const edges = [
  [
    "scale-zero-codes-zero",
    affine(2),
    { scales: () => 0, zeros: () => 0, codes: () => 0 },
    "0 times 0 is +0",
  ],
  ["scale-zero-sign", sign(), { scales: () => 0, codes: () => 0 }, "+1 times 0 is +0"],
  ["scale-f16-smallest-subnormal", affine(4), { scales: () => 1 }],
  ["scale-f16-largest-subnormal", affine(4), { scales: () => 0x3ff }],
  ["scale-f16-smallest-normal", affine(4), { scales: () => 0x400 }],
  ["scale-f16-largest", affine(8), { scales: () => 0x7bff }, "finite in f32, infinite in f16"],
  ["scale-bf16-smallest-subnormal", affine(4, { scale: BF16 }), { scales: () => 1 }],
  ["scale-bf16-largest-that-fits", affine(8, { scale: BF16 }), { scales: () => 0x7b80 }, "2^120 times 255"],
  ["scale-bf16-largest-for-one-bit", sign({ scale: BF16 }), { scales: () => 0x7f7f }],
  [
    "f16-halfway-to-infinity",
    affine(8, { scale: BF16 }),
    { scales: () => 0x4380, zeros: () => 0, codes: (_, i) => 255 - (i % 3) },
    "65280 stays finite",
  ],
  [
    "f16-65520",
    raw(F32),
    { raw: (_, i) => [0x477fefff, 0x477ff000, 0xc77ff000, 0xc77fefff][i % 4] },
    "65519.996 is 65504, 65520 is infinite",
  ],
  ["f16-ties-to-even", raw(F32), { raw: (_, i) => [0x3f801000, 0x3f803000, 0x3f801001, 0xbf801000][i % 4] }],
  [
    "f16-subnormal-ties",
    raw(F32),
    { raw: (_, i) => [0x33000000, 0x33000001, 0x33c00000, 0x32ffffff, 0x387fe000, 0x387ff000][i % 6] },
  ],
  ["f32-subnormal-weights", raw(F32), { raw: (_, i) => [1, 0x80000001, 0x7fffff, 0x807fffff][i % 4] }],
  ["raw-minus-zero", raw(F16), { raw: (_, i) => 0x8000 * (i % 2) }],
  ["raw-bf16-minus-zero", raw(BF16), { raw: () => 0x8000 }],
  ["raw-f16-subnormals", raw(F16), { raw: (c, i) => 1 + 102 * i + c }],
  ["zero-point-above-codes", affine(8), { zeros: () => 255, codes: () => 0 }],
  ["zero-point-equals-codes", affine(5), { zeros: () => 17, codes: () => 17 }, "q - z is 0: +0"],
  ["all-ones", affine(8), { zeros: () => 0, codes: () => 255 }],
  ["sign-all-minus", sign(), { codes: () => 1 }],
  ["constant-group", affine(3), { scales: () => 0x3c00, zeros: () => 3, codes: () => 5 }],
  ["trellis-largest-scale", trellis(6), { scales: () => 0x7c00 }, "2^121 times 127"],
  ["trellis-rotated-largest-scale", trellis(3, { rotation: 1 }), { scales: () => 0x7900 }],
  ["trellis-steps-all-ones", trellis(2), { codes: () => 1 }],
  ["trellis-steps-all-zero", trellis(1, { rotation: 1 }), { codes: () => 0 }],
];
function numberFiles(suite) {
  for (const [name, encoding, numbers, note] of edges)
    suite.valid(`valid/numbers/${name}`, one(encoding, 7, 66, { numbers: () => numbers }), {
      features: [["zero", "raw", "affine", "sign", "trellis"][encoding.codec]],
      clauses: ["3.2", "8.1", "8.7"],
      note,
    });
}

/** Vectors of more than 2^16 weights: some readers decode in pieces, and the second one does not begin at weight 0. */
function longFiles(suite) {
  const long = {
    affine: affine(1, { group: 1024 }),
    sign: sign({ group: 0 }),
    trellis: trellis(2),
    "trellis-rotated": trellis(2, { rotation: 1 }),
    raw: raw(BF16),
    zero: zero(),
  };
  for (const [name, encoding] of Object.entries(long))
    suite.valid(
      `valid/${name.split("-")[0]}/${name}-longer-than-2-to-the-16`,
      one(encoding, 1, 65600, { bands: [band(zero(), encoding)] }),
      { features: [name.split("-")[0]], clauses: ["7.2", "8.7"] },
    );
}

export function validCodecs(suite) {
  for (const family of [affineFiles, signFiles, trellisFiles, plainFiles, numberFiles, longFiles])
    family(suite);
}
