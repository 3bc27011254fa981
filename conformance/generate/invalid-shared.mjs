// invalid/encoding, plan, type: the shared records (spec clauses 6.3 to 6.6, 9.1, 9.2).
import { affine, raw, sign, trellis, zero } from "./codecs.mjs";
import { band, module, twoBands } from "./compose.mjs";
import { prologue, records, set } from "./lies.mjs";

const only = (over) => ({ modules: [module(over)] });

function encodings(suite) {
  const bases = { zero: zero(), raw: raw(), affine: affine(), sign: sign(), trellis: trellis() };
  const add = (codec, fields, error, encoding = bases[codec], clauses = ["6.4"]) => {
    const name = Object.entries(fields)
      .map(([field, value]) => `${field.replaceAll("_", "-")}-${value}`)
      .join("-");
    suite.invalid(`invalid/encoding/${codec}-${name}`, error, only({ bands: [band(encoding)] }), {
      lies: set("encodings", 0, fields),
      clauses,
    });
  };
  const wrong = {
    zero: {
      element: [1],
      scale: [2],
      bits: [1],
      mixture: [1],
      group_exponent: [4],
      table: [1],
      rotation: [1],
    },
    raw: {
      element: [4, 5, 13],
      scale: [2],
      bits: [8],
      mixture: [1],
      group_exponent: [4],
      table: [1],
      rotation: [1],
    },
    affine: {
      scale: [4, 10, 13],
      group_exponent: [1, 3, 11, 255],
      bits: [0, 9, 255],
      mixture: [2, 255],
      element: [2],
      table: [4],
      rotation: [1],
    },
    sign: {
      scale: [4],
      group_exponent: [2, 3, 11],
      bits: [1],
      mixture: [1],
      element: [1],
      table: [1],
      rotation: [1],
    },
    trellis: {
      scale: [4],
      bits: [2],
      mixture: [1],
      element: [1],
    },
  };
  for (const [codec, fields] of Object.entries(wrong))
    for (const [field, values] of Object.entries(fields))
      for (const value of values) add(codec, { [field]: value }, "ENCODING_PARAMETER");
  // Numbers without a meaning: of the range for Private Use, and what is reserved. A later version may give others a meaning.
  const unknown = {
    raw: { element: [0, 224, 255] },
    affine: { scale: [0, 224, 255] },
    sign: { scale: [0, 224] },
    trellis: { scale: [0, 224], rotation: [224, 255] },
  };
  for (const [codec, fields] of Object.entries(unknown))
    for (const [field, values] of Object.entries(fields))
      for (const value of values) add(codec, { [field]: value }, "UNSUPPORTED_CODEC");
  // What a reader does not know is found before what is not allowed.
  add("raw", { element: 224, scale: 2 }, "UNSUPPORTED_CODEC");
  add("affine", { scale: 224, bits: 9, table: 1 }, "UNSUPPORTED_CODEC");
  add("trellis", { rotation: 224, bits: 2, mixture: 1 }, "UNSUPPORTED_CODEC");
  for (const codec of [224, 254, 255]) add("affine", { codec }, "UNSUPPORTED_CODEC");
  for (const table of [0, 224, 254, 255])
    add("trellis", { table }, "UNSUPPORTED_CODEC", bases.trellis, ["6.4", "8.6"]);
  const more = (name, error, adapter, lies, clauses = ["6.3"]) =>
    suite.invalid(`invalid/encoding/${name}`, error, adapter, { lies, clauses });
  const two = () => only({ bands: twoBands() });
  more(
    "twice",
    "RECORD_REFERENCE",
    two(),
    records((v) => {
      v.encodings[1] = { ...v.encodings[0] };
    }),
  );
  more(
    "not-used",
    "RECORD_REFERENCE",
    only({}),
    records((v) => void v.encodings.push(sign())),
  );
  more(
    "first-not-used",
    "RECORD_REFERENCE",
    only({}),
    records((v) => void v.encodings.unshift(sign())),
  );
  more(
    "none",
    "RECORD_REFERENCE",
    only({}),
    records((v) => {
      v.encodings.length = 0;
    }),
  );
}

function plans(suite) {
  const add = (name, error, adapter, lies, clauses = ["6.3", "6.5"]) =>
    suite.invalid(`invalid/plan/${name}`, error, adapter, { lies, clauses });
  const two = () => only({ bands: twoBands() });
  add(
    "empty",
    "BAND_PLAN",
    only({}),
    records((v) => {
      v.plans[0] = 0;
    }),
    ["6.5"],
  );
  add(
    "second-empty",
    "BAND_PLAN",
    { modules: [module({ name: "a" }), module({ name: "b", bands: twoBands(1, 1), rule: "explicit" })] },
    records((v) => {
      v.plans[1] = 0;
    }),
    ["6.5"],
  );
  add(
    "takes-more-bands-than-there-are",
    "RECORD_REFERENCE",
    only({}),
    records((v) => {
      v.plans[0] = 2;
    }),
  );
  add(
    "takes-65535-bands",
    "RECORD_REFERENCE",
    only({}),
    records((v) => {
      v.plans[0] = 65535;
    }),
  );
  add(
    "leaves-a-band",
    "RECORD_REFERENCE",
    two(),
    records((v) => {
      v.plans[0] = 1;
      v.encodings.pop();
      v.bands[1] = { components: 3, b: 0, a: 0 };
    }),
  );
  add("band-of-no-components", "BAND_PLAN", only({}), set("bands", 0, { components: 0 }), ["6.5"]);
  add("second-band-of-no-components", "BAND_PLAN", two(), set("bands", 1, { components: 0 }), ["6.5"]);
  add("neighbours-with-the-same-encodings", "BAND_PLAN", two(), set("bands", 1, { b: 0, a: 0 }), ["6.5"]);
  add("reference-beyond-b", "RECORD_REFERENCE", only({}), set("bands", 0, { b: 1 }));
  add("reference-beyond-a", "RECORD_REFERENCE", only({}), set("bands", 0, { a: 1 }));
  add("reference-255", "RECORD_REFERENCE", only({}), set("bands", 0, { b: 255 }));
  add(
    "encodings-not-in-order-of-use",
    "RECORD_REFERENCE",
    two(),
    records((v) => {
      v.bands[0] = { components: 1, b: 1, a: 1 };
      v.bands[1] = { components: 1, b: 0, a: 0 };
    }),
  );
  add(
    "a-used-before-b",
    "RECORD_REFERENCE",
    only({ bands: [band(affine(2), sign())] }),
    set("bands", 0, { b: 1, a: 0 }),
  );
  const pair = () => ({
    modules: [
      module({ name: "a", rule: "explicit" }),
      module({ name: "b", rule: "explicit", bands: twoBands(2, 1) }),
    ],
  });
  add(
    "twice",
    "RECORD_REFERENCE",
    { modules: [module({ name: "a" }), module({ name: "b" })] },
    records((v) => {
      v.bands.push({ ...v.bands[0] });
      v.plans.push(1);
      v.modules[1].plan = 1;
    }),
  );
  add(
    "not-used",
    "RECORD_REFERENCE",
    only({}),
    records((v) => {
      v.bands.push({ ...v.bands[0], components: 2 });
      v.plans.push(1);
    }),
  );
  add(
    "none",
    "RECORD_REFERENCE",
    only({}),
    records((v) => {
      v.plans.length = 0;
      v.bands.length = 0;
      v.encodings.length = 0;
    }),
  );
  add("module-refers-beyond", "RECORD_REFERENCE", only({}), set("modules", 0, { plan: 1 }));
  add(
    "modules-refer-in-another-order",
    "RECORD_REFERENCE",
    pair(),
    records((v) => {
      v.modules[0].plan = 1;
      v.modules[1].plan = 0;
    }),
  );
  add("module-refers-to-65535", "RECORD_REFERENCE", only({}), set("modules", 0, { plan: 65535 }));
}

function types(suite) {
  const add = (name, error, fields, over = {}, about = {}) =>
    suite.invalid(`invalid/type/${name}`, error, only(over), {
      lies: set("types", 0, fields),
      clauses: ["6.6"],
      ...about,
    });
  for (const role of [224, 254, 255]) add(`role-${role}`, "UNSUPPORTED_ROLE", { role });
  for (const base_layout of [224, 255])
    add(`base-layout-${base_layout}`, "UNSUPPORTED_ROLE", { base_layout });
  for (const rule of [224, 255]) add(`rule-${rule}`, "UNSUPPORTED_ROLE", { rule }, {}, { clauses: ["9.1"] });
  add("embedding-out-in", "ROLE_SHAPE", { base_layout: 0 }, { role: "embedding" }, { clauses: ["9.2"] });
  for (const [role, kernel] of [
    ["conv1d", [3]],
    ["conv2d", [3, 1]],
    ["conv3d", [1, 2, 3]],
  ])
    add(`${role}-in-out`, "ROLE_SHAPE", { base_layout: 1 }, { role, kernel }, { clauses: ["9.2"] });
  for (const reserved of [1, 128])
    add(`reserved-${reserved}`, "RECORD_RESERVED_NONZERO", { reserved }, {}, { clauses: ["6.3"] });
  for (const field of ["out", "inp", "experts"]) add(`${field}-0`, "DIMENSION_RANGE", { [field]: 0 });
  const kernels = {
    "linear-kernel-0": [{}, { kernel0: 1 }],
    "linear-kernel-1": [{}, { kernel1: 3 }],
    "linear-kernel-2": [{}, { kernel2: 1 }],
    "embedding-kernel": [{ role: "embedding" }, { kernel0: 1 }],
    "conv1d-no-kernel": [{ role: "conv1d", kernel: [3] }, { kernel0: 0 }],
    "conv1d-second-kernel": [{ role: "conv1d", kernel: [3] }, { kernel1: 1 }],
    "conv1d-kernel-in-the-second-place": [
      { role: "conv1d", kernel: [3] },
      { kernel0: 0, kernel1: 3 },
    ],
    "conv2d-no-second-kernel": [{ role: "conv2d", kernel: [3, 3] }, { kernel1: 0 }],
    "conv2d-third-kernel": [{ role: "conv2d", kernel: [3, 3] }, { kernel2: 1 }],
    "conv3d-no-first-kernel": [{ role: "conv3d", kernel: [1, 2, 3] }, { kernel0: 0 }],
    "conv3d-no-third-kernel": [{ role: "conv3d", kernel: [1, 2, 3] }, { kernel2: 0 }],
    "linear-becomes-conv1d": [{}, { role: 2 }],
    "conv2d-becomes-linear": [{ role: "conv2d", kernel: [1, 1] }, { role: 0 }],
  };
  for (const [name, [over, fields]] of Object.entries(kernels))
    add(name, "ROLE_SHAPE", fields, over, { clauses: ["6.6", "9.2"] });
  const explicit = { rule: "explicit" };
  for (const [name, value] of Object.entries({
    nan: Number.NaN,
    infinity: Infinity,
    "minus-infinity": -Infinity,
    "minus-zero": -0,
  })) {
    add(`multiplier-${name}`, "MULTIPLIER", { multiplier: value }, explicit, { clauses: ["9.1"] });
    add(`alpha-${name}`, "MULTIPLIER", { alpha: value }, explicit, { clauses: ["9.1"] });
  }
  const rules = {
    "none-multiplier-2": [{ rule: "none" }, { multiplier: 2 }],
    "none-multiplier-0": [{ rule: "none" }, { multiplier: 0 }],
    "none-alpha-1": [{ rule: "none" }, { alpha: 1 }],
    "alpha-over-r-doubled": [{}, { multiplier: 4 }],
    "alpha-over-r-negated": [{}, { multiplier: -2 }],
    "alpha-over-r-one-bit-more": [
      { bands: [band(sign(), sign(), 3)], alpha: 1 },
      { multiplier: 0.3333333730697632 },
    ],
    "alpha-over-r-one-bit-less": [
      { bands: [band(sign(), sign(), 3)], alpha: 1 },
      { multiplier: 0.3333333134651184 },
    ],
    "alpha-over-sqrt-r-as-over-r": [
      { bands: [band(sign(), sign(), 4)], rule: "alpha/sqrt(r)", alpha: 8 },
      { multiplier: 2 },
    ],
    "alpha-over-r-as-over-sqrt-r": [{ bands: [band(sign(), sign(), 4)], alpha: 8 }, { multiplier: 4 }],
    "alpha-over-sqrt-r-one-bit-less": [
      { bands: [band(sign(), sign(), 2)], rule: "alpha/sqrt(r)", alpha: 1 },
      { multiplier: 0.7071067094802856 },
    ],
    "alpha-0-multiplier-1": [{}, { alpha: 0, multiplier: 1 }],
  };
  for (const [name, [over, fields]] of Object.entries(rules))
    add(`rule-${name}`, "MULTIPLIER", fields, over, { clauses: ["9.1"] });
  suite.invalid(
    "invalid/type/rule-of-one-module-of-two",
    "MULTIPLIER",
    { modules: [module({ name: "a" }), module({ name: "b" })] },
    {
      clauses: ["9.1"],
      lies: records((v) => {
        v.bands.push({ ...v.bands[0], components: 3 });
        v.plans.push(1);
        v.modules[1].plan = 1;
      }),
      note: "they share a type, but their ranks are 1 and 3",
    },
  );
  const shared = (name, adapter, lies) =>
    suite.invalid(`invalid/type/${name}`, "RECORD_REFERENCE", adapter, { lies, clauses: ["6.3"] });
  const two = () => ({ modules: [module({ name: "a" }), module({ name: "b", out: 4 })] });
  shared(
    "twice",
    two(),
    records((v) => {
      v.types[1] = { ...v.types[0] };
    }),
  );
  shared(
    "not-used",
    only({}),
    records((v) => void v.types.push({ ...v.types[0], out: 4 })),
  );
  shared(
    "none",
    only({}),
    records((v) => {
      v.types.length = 0;
    }),
  );
  shared("module-refers-beyond", only({}), set("modules", 0, { type: 1 }));
  shared(
    "modules-refer-in-another-order",
    two(),
    records((v) => {
      v.modules[0].type = 1;
      v.modules[1].type = 0;
    }),
  );
  shared(
    "all-without-modules",
    {},
    {
      ...records((v) => {
        v.encodings.push(sign());
        v.bands.push({ components: 1, b: 0, a: 0 });
        v.plans.push(1);
      }),
      ...prologue({}),
    },
  );
}

export function invalidShared(suite) {
  for (const family of [encodings, plans, types]) family(suite);
}
