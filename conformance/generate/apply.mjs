// apply/: a base model and a file → the adapted base model (spec clause 9.6). Results are computed here by the formulas of
// that clause, in the numbers of JavaScript, which are binary64; a reader has to give the same bits.
import {
  concat,
  f32,
  f32OfBits,
  f64,
  hex,
  random,
  seedOf,
  sha256,
  text,
  u8,
  u16,
  u32,
  widen,
} from "./bytes.mjs";
import { affine, BF16, decode, F16, F32, raw, sign, trellis, zero } from "./codecs.mjs";
import { band, module, tensor, twoBands } from "./compose.mjs";
import { refusal } from "./suite.mjs";

const product = (shape) => shape.reduce((n, size) => n * size, 1);

/** Seeded numbers of about one, whose 24 bits all differ. */
function numbers(name, count) {
  const next = random(seedOf(name));
  return Array.from({ length: count }, () => (2 * next.below(2 ** 23) + 1) / 2 ** 23 - 1);
}

/** A base tensor. */
const base = (name, shape, values = numbers(name, product(shape))) => ({ name, shape, values });

/** PROTOCOL.md, Operation `apply`. */
const baseFile = (tensors) =>
  concat(
    ...tensors.flatMap(({ name, shape, values }) => [
      u16(name.length),
      text(name),
      u8(shape.length),
      u32(...shape),
      f32(...values),
    ]),
  );

/** The values of a plain tensor of a float type, as binary64. */
function valuesOf({ element, payload }) {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const read = {
    [F32]: [4, (at) => view.getFloat32(at, true)],
    [F16]: [2, (at) => f32OfBits(widen[F16](view.getUint16(at, true)))],
    [BF16]: [2, (at) => f32OfBits(widen[BF16](view.getUint16(at, true)))],
    4: [8, (at) => view.getFloat64(at, true)],
  };
  const [size, value] = read[element];
  return Array.from({ length: payload.length / size }, (_, i) => value(i * size));
}

/** 9.6: the base tensors after a file was applied to them. */
function adapted(model, tensors) {
  const result = new Map(tensors.map((t) => [t.name, { ...t, values: [...t.values] }]));
  const weightOf = (name) => result.get(`${name}.weight`) ?? result.get(name);
  const withRole = (role) => new Map(model.tensors.filter((t) => t.role === role).map((t) => [t.name, t]));
  for (const role of [0, 1])
    for (const [name, t] of withRole(role)) result.get(name).values = valuesOf(t).map(Math.fround);
  const [biases, magnitudes, indices] = [2, 3, 5].map(withRole);
  for (const m of model.modules) {
    const weight = weightOf(m.name);
    const magnitude = magnitudes.get(m.name);
    for (let e = 0; e < m.experts; e++) update(m, e, weight, magnitude);
    const bias = biases.get(m.name);
    if (bias === undefined) continue;
    const target = result.get(`${m.name}.bias`);
    target.values = target.values.map((b, i) => Math.fround(b + m.multiplier * valuesOf(bias)[i]));
  }
  for (const [name, t] of withRole(4)) {
    const weight = weightOf(name);
    const width = weight.shape[1];
    const rows = valuesOf(t);
    const { payload } = indices.get(name);
    for (let i = 0; 4 * i < payload.length; i++) {
      const row = new DataView(payload.buffer, payload.byteOffset).getUint32(4 * i, true);
      for (let k = 0; k < width; k++) weight.values[row * width + k] = Math.fround(rows[i * width + k]);
    }
  }
  return [...result.values()];
}

/** Steps 2 and 3 of 9.6 for one expert. */
function update(m, e, weight, magnitude) {
  const factor = (which, n) =>
    m.bands.flatMap((b, k) => {
      const words = decode(b[which], m.factors[e][k][which], b.components, n);
      return Array.from({ length: b.components }, (_, c) =>
        Array.from(words.subarray(c * n, (c + 1) * n), f32OfBits),
      );
    });
  const [b, a] = [factor("b", m.out), factor("a", m.n)];
  const size = m.out * m.n;
  const place = (o, i) => e * size + (m.baseLayout === 0 ? o * m.n + i : i * m.out + o);
  const v = new Float64Array(size);
  for (let o = 0; o < m.out; o++)
    for (let i = 0; i < m.n; i++) {
      let sum = 0;
      for (let c = 0; c < m.rank; c++) sum += b[c][o] * a[c][i];
      v[o * m.n + i] = weight.values[place(o, i)] + m.multiplier * sum;
    }
  const ofOutputs = magnitude === undefined || magnitude.axis === m.baseLayout;
  const index = (o, i) => (ofOutputs ? o : Math.floor((i * m.in) / m.n));
  const squares = new Float64Array(ofOutputs ? m.out : m.in);
  // Of one index these are in C order of the base weight, in either layout.
  for (let o = 0; o < m.out; o++)
    for (let i = 0; i < m.n; i++) squares[index(o, i)] += v[o * m.n + i] * v[o * m.n + i];
  const of = magnitude && valuesOf(magnitude);
  for (let o = 0; o < m.out; o++)
    for (let i = 0; i < m.n; i++) {
      const k = index(o, i);
      const scale = of === undefined ? 1 : of[e * squares.length + k] / Math.sqrt(squares[k]);
      weight.values[place(o, i)] = Math.fround(scale * v[o * m.n + i]);
    }
}

export function apply(suite) {
  const add = (name, adapter, tensors, { features = [], ...about } = {}) => {
    const file = `valid/apply/${name}`;
    suite.valid(file, adapter, { clauses: ["9.2", "9.4", "9.6"], features });
    again(name, file, tensors, undefined, about);
  };
  const again = (name, file, tensors, error, about = {}) => {
    const path = `apply/${name}.base`;
    suite.files.set(path, baseFile(tensors));
    const results = (model) =>
      adapted(model, tensors).map(({ name, values }) => ({ name, sha256: hex(sha256(f32(...values))) }));
    suite.again(`apply/${name}`, file, {
      operation: "apply",
      base: path,
      level: "values",
      clauses: ["9.6"],
      ...about,
      expected:
        error === undefined
          ? { valid: true, exit: 0, results: results(suite.built.get(file).model) }
          : refusal(error),
    });
  };
  const rank = 5;
  /** Factors of 24 bits each, so that every rounding counts. */
  const exact = [band(raw(F32), raw(F32), rank)];
  const q = (over = {}) => module({ name: "q", out: 6, in: 5, bands: exact, ...over });
  const weight = (...shape) => base("q.weight", shape);
  const bias = base("q.bias", [6]);
  const other = base("other.weight", [2, 2]);

  add("linear", { modules: [q()] }, [weight(6, 5), bias, other]);
  add("linear-in-out", { modules: [q({ baseLayout: 1 })] }, [weight(5, 6), bias]);
  add("linear-square-in-out", { modules: [q({ in: 6, baseLayout: 1 })] }, [weight(6, 6)]);
  add("linear-named-as-the-base-tensor", { modules: [q()] }, [base("q", [6, 5])], {
    note: "the base model has no q.weight",
  });
  add("linear-weight-before-name", { modules: [q()] }, [base("q", [6, 5]), weight(6, 5)]);
  add("embedding", { modules: [q({ role: "embedding" })] }, [weight(5, 6)]);
  add("conv1d", { modules: [q({ role: "conv1d", kernel: [3] })] }, [weight(6, 5, 3), bias]);
  add("conv2d", { modules: [q({ role: "conv2d", kernel: [2, 3] })] }, [weight(6, 5, 2, 3), bias]);
  add("conv3d", { modules: [q({ role: "conv3d", kernel: [2, 1, 3] })] }, [weight(6, 5, 2, 1, 3)]);
  add("several-modules", { modules: [q({ name: "a" }), q({ name: "b", out: 3 })] }, [
    base("b.weight", [3, 5]),
    base("a.weight", [6, 5]),
  ]);
  const experts = ["experts"];
  const moe = (name, over, ...shape) =>
    add(name, { modules: [q({ experts: 3, ...over })] }, [base("q", [3, ...shape])], { features: experts });
  moe("experts", {}, 6, 5);
  moe("experts-in-out", { baseLayout: 1 }, 5, 6);
  moe("experts-conv1d", { role: "conv1d", kernel: [2] }, 6, 5, 2);
  const codecs = {
    "affine-and-sign": twoBands(3, 2),
    trellis: [band(trellis(4), trellis(5), 3)],
    rotated: [band(trellis(6, { rotation: 1 }), trellis(6, { rotation: 1 }), 2)],
    "zero-between": [band(affine(4)), band(zero()), band(sign())],
    "zero-alone": [band(zero())],
    "raw-f16": [band(raw(F16), raw(BF16), 3)],
  };
  for (const [name, bands] of Object.entries(codecs))
    add(`codec-${name}`, { modules: [q({ bands, out: 70, in: 66 })] }, [weight(70, 66)], {
      features: /trellis|rotated/.test(name) ? ["trellis"] : [],
    });
  for (const [name, over] of Object.entries({
    "alpha-over-r": { rule: "alpha/r", alpha: 7 },
    "alpha-over-sqrt-r": { rule: "alpha/sqrt(r)", alpha: 7 },
    explicit: { rule: "explicit", multiplier: 0.1 },
    negative: { rule: "explicit", multiplier: -1.7 },
    zero: { rule: "explicit", multiplier: 0 },
  }))
    add(`multiplier-${name}`, { modules: [q(over)] }, [weight(6, 5)]);

  // Sums that depend on their order and on how they are rounded.
  const bits = (...values) => values.map((x) => new DataView(f32(x).buffer).getUint32(0, true));
  const given = (name, b, a, w, over = {}) =>
    add(
      name,
      {
        modules: [
          q({
            out: b[0].length,
            in: a[0].length,
            rule: "explicit",
            multiplier: 1,
            bands: [band(raw(F32), raw(F32), b.length)],
            numbers: (_, __, factor) => ({ raw: (c, i) => bits((factor === "b" ? b : a)[c][i])[0] }),
            ...over,
          }),
        ],
      },
      [base("q.weight", [b[0].length, a[0].length], w)],
    );
  given("rounding-in-order", [[2 ** 60], [1 + 2 ** -20], [-(2 ** 60)]], [[1], [3 + 2 ** -20], [1]], [0]);
  given("rounding-of-a-small-last", [[1], [-1], [2 ** -80]], [[1], [1], [1]], [2 ** -60]);
  given("rounding-in-more-than-32-bits", [[1], [2 ** -30], [-1]], [[1], [1 + 2 ** -10], [1]], [0]);
  given("rounding-not-fused", [[1], [2 ** -20]], [[1], [2 ** -20]], [-(1 + 2 ** -23)], {
    multiplier: 1 + 2 ** -23,
  });
  given("rounding-to-a-tie", [[1]], [[2 ** -24]], [1]);
  given("rounding-once", [[1], [2 ** -30]], [[2 ** -24], [2 ** -24]], [1]);
  given("rounding-to-subnormal", [[2 ** -80]], [[3 * 2 ** -70]], [0]);

  const about = (role, shape, more = {}) => {
    const { name = "q", element = "F32", axis = 0, values = numbers(role, product(shape)), ...rest } = more;
    const data = { F32: f32, F64: f64 }[element]?.(...values);
    return tensor({ name, role, shape, element, axis, ...(data && { data }), ...rest });
  };
  const dora = (name, over, shape, size, axis, more = {}) =>
    add(
      `magnitude-${name}`,
      { modules: [q(over)], tensors: [about("magnitude", size, { axis, ...more })] },
      [over.experts > 1 ? base("q", shape) : weight(...shape)],
      { features: over.experts > 1 ? experts : [] },
    );
  dora("linear", {}, [6, 5], [6], 0);
  dora("linear-axis-1", {}, [6, 5], [1, 5], 1);
  dora("linear-in-out-axis-1", { baseLayout: 1 }, [5, 6], [6], 1);
  dora("linear-in-out-axis-0", { baseLayout: 1 }, [5, 6], [5, 1], 0);
  dora("embedding", { role: "embedding" }, [5, 6], [6], 1);
  dora("embedding-axis-0", { role: "embedding" }, [5, 6], [5, 1], 0);
  dora("conv2d", { role: "conv2d", kernel: [2, 3] }, [6, 5, 2, 3], [1, 6, 1, 1], 0);
  dora("conv2d-axis-1", { role: "conv2d", kernel: [2, 3] }, [6, 5, 2, 3], [1, 5, 1, 1], 1);
  dora("conv1d", { role: "conv1d", kernel: [3] }, [6, 5, 3], [1, 6, 1], 0);
  dora("conv3d", { role: "conv3d", kernel: [2, 1, 3] }, [6, 5, 2, 1, 3], [1, 6, 1, 1, 1], 0);
  dora("experts", { experts: 3 }, [3, 6, 5], [3, 6], 0);
  dora("experts-axis-1", { experts: 3 }, [3, 6, 5], [3, 5], 1);
  dora("experts-in-out-axis-1", { experts: 3, baseLayout: 1 }, [3, 5, 6], [3, 6], 1);
  dora("f16", {}, [6, 5], [6], 0, { element: "F16" });
  dora("bf16", {}, [6, 5], [6], 0, { element: "BF16" });
  dora("f64", {}, [6, 5], [6], 0, { element: "F64", values: numbers("m", 6).map((x) => x / 3) });
  dora("zero", {}, [6, 5], [6], 0, { values: Array(6).fill(0) });
  dora("of-codec-zero", { bands: [band(zero())] }, [6, 5], [6], 0);
  dora("large", { out: 40, in: 60, bands: [band(affine(4), affine(4), 4)] }, [40, 60], [40], 0);

  const with_ = (name, tensors, bases, over = {}, features = []) =>
    add(name, { modules: [q(over)], tensors }, bases, { features });
  with_("bias", [about("bias", [6], { name: "q.bias" })], [weight(6, 5), bias]);
  with_(
    "bias-f64",
    [about("bias", [6], { name: "q.bias", element: "F64", values: [1 / 3, 0.1, 2, 3, 4, 5] })],
    [weight(6, 5), bias],
  );
  with_("lora-bias", [about("lora-bias", [6])], [weight(6, 5), bias]);
  with_("lora-bias-f16", [about("lora-bias", [6], { element: "F16" })], [weight(6, 5), bias]);
  with_("lora-bias-conv2d", [about("lora-bias", [6])], [weight(6, 5, 2, 3), bias], {
    role: "conv2d",
    kernel: [2, 3],
  });
  with_(
    "lora-bias-experts",
    [about("lora-bias", [3, 6])],
    [base("q.weight", [3, 6, 5]), base("q.bias", [3, 6])],
    { experts: 3 },
    experts,
  );
  with_(
    "bias-and-lora-bias",
    [about("lora-bias", [6]), about("bias", [6], { name: "q.bias" })],
    [weight(6, 5), bias],
  );
  with_("lora-bias-and-magnitude", [about("lora-bias", [6]), about("magnitude", [6])], [weight(6, 5), bias]);
  with_("replace", [about("replace", [3], { name: "other" })], [weight(6, 5), base("other", [3])]);
  with_(
    "replace-f16",
    [about("replace", [3], { name: "other", element: "F16" })],
    [weight(6, 5), base("other", [3])],
  );
  with_(
    "replace-only-of-its-name",
    [about("replace", [3], { name: "other" })],
    [base("other.weight", [3]), weight(6, 5), base("other", [3])],
  );
  with_("replace-the-adapted-weight", [about("replace", [6, 5], { name: "q.weight" })], [weight(6, 5)]);
  with_(
    "replace-the-adapted-weight-and-magnitude",
    [about("magnitude", [6]), about("replace", [6, 5], { name: "q.weight" })],
    [weight(6, 5)],
  );
  with_("carried", [about("carried", [6, 5], { name: "q.weight" })], [weight(6, 5)]);
  const rows = (width, ...indices) => [
    about("token-rows", [indices.length, width], { name: "e" }),
    tensor({
      name: "e",
      role: "token-indices",
      element: "U32",
      shape: [indices.length],
      data: u32(...indices),
    }),
  ];
  with_("token-rows", rows(4, 0, 3, 8), [base("e.weight", [9, 4]), weight(6, 5)]);
  with_("token-rows-none", rows(4), [base("e.weight", [9, 4]), weight(6, 5)]);
  with_(
    "token-rows-of-a-replaced-weight",
    [...rows(4, 1, 2), about("replace", [9, 4], { name: "e.weight" })],
    [base("e.weight", [9, 4]), weight(6, 5)],
  );

  const wrong = (name, of, tensors, error) => again(name, `valid/apply/${of}`, tensors, error);
  wrong("refused-no-weight", "linear", [bias, other], "BASE_MODULE_MISSING");
  wrong("refused-another-shape", "linear", [weight(5, 6), bias], "BASE_SHAPE");
  wrong("refused-one-dimension-more", "linear", [weight(6, 5, 1), bias], "BASE_SHAPE");
  wrong("refused-flat", "linear", [weight(30), bias], "BASE_SHAPE");
  wrong("refused-a-kernel-turned", "conv2d", [weight(6, 5, 3, 2), bias], "BASE_SHAPE");
  wrong("refused-experts-of-a-matrix", "experts", [base("q", [18, 5])], "BASE_SHAPE");
  wrong("refused-bias-of-another-length", "lora-bias", [weight(6, 5), base("q.bias", [5])], "BASE_SHAPE");
  wrong("refused-no-tensor-to-replace", "replace", [weight(6, 5), other], "BASE_MODULE_MISSING");
  wrong("refused-replaced-of-another-shape", "replace", [weight(6, 5), base("other", [1, 3])], "BASE_SHAPE");
  // The second axis, or the last, has the width of the rows.
  for (const [name, shape] of Object.entries({ "before-a-kernel": [9, 4, 1], "behind-a-kernel": [9, 1, 4] }))
    wrong(`refused-rows-${name}`, "token-rows", [base("e.weight", shape), weight(6, 5)], "BASE_SHAPE");
  wrong("refused-token-beyond", "token-rows", [base("e.weight", [8, 4]), weight(6, 5)], "BASE_SHAPE");
  wrong(
    "refused-rows-of-another-width",
    "token-rows",
    [base("e.weight", [9, 5]), weight(6, 5)],
    "BASE_SHAPE",
  );
  wrong("refused-no-rows", "token-rows", [weight(6, 5)], "BASE_MODULE_MISSING");
  suite.valid(
    "valid/apply/two-names-of-one-weight",
    { modules: [q(), q({ name: "q.weight" })] },
    { clauses: ["9.6"] },
  );
  wrong("refused-two-names-of-one-weight", "two-names-of-one-weight", [weight(6, 5)], "BASE_MODULE_MISSING");
}
