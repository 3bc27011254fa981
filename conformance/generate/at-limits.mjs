// limits/core, limits/above-core, limits/above-hard: what takes large numbers of records. Exactly at Core no reader may refuse, and
// one above Hard is HARD_LIMIT even for a reader that refuses what is above Core (spec clause 14). Most files have a second
// fault behind the limit, so that they need not be as large as they say.
import { text, zeros } from "./bytes.mjs";
import { affine, raw, sign, zero } from "./codecs.mjs";
import { band, module, section, tensor } from "./compose.mjs";
import { both, prologue, records, set } from "./lies.mjs";
import { meta } from "./messagepack.mjs";

const only = (over) => ({ modules: [module(over)] });
const mixed = (encoding, bits) => ({ ...encoding, mixture: bits });
const SEED = [1, 42];
const started = (over) =>
  module({ out: 1, in: 1, position: 7, bands: [band(zero(), mixed(zero(), 4))], ...over });

/** At Core: the first error is the second fault. */
function exactly(suite) {
  const add = (name, error, lies, adapter = only({}), about = {}) =>
    suite.invalid(`limits/core/${name}`, error, adapter, { lies, clauses: ["14", "15.2"], ...about });
  const filled = (vector, count, value) => records((v) => void (v[vector] = Array(count).fill(value(v))));

  add("index-2-to-the-24", "TRUNCATED_FILE", prologue({ indexLength: 2 ** 24 }));
  add("file-2-to-the-36", "FILE_LENGTH_MISMATCH", prologue({ fileLength: 2 ** 36 }));
  add("modules-2-to-the-16", "COUNT_MISMATCH", prologue({ modules: 2 ** 16 }));
  add("tensors-2-to-the-16", "COUNT_MISMATCH", prologue({ tensors: 2 ** 16 }));
  add(
    "encodings-256",
    "RECORD_REFERENCE",
    filled("encodings", 256, (v) => v.encodings[0]),
  );
  add(
    "plans-2-to-the-16",
    "RECORD_REFERENCE",
    filled("plans", 2 ** 16, () => 1),
  );
  add(
    "types-2-to-the-16",
    "RECORD_REFERENCE",
    filled("types", 2 ** 16, (v) => v.types[0]),
  );
  add(
    "bands-2-to-the-19",
    "RECORD_REFERENCE",
    filled("bands", 2 ** 19, (v) => v.bands[0]),
  );
  add(
    "positions-4096",
    "RECORD_REFERENCE",
    filled("positions", 4096, () => 0),
    { start: SEED, modules: [started()] },
  );
  add(
    "raw-module-2-to-the-30",
    "CHUNK_LENGTH_MISMATCH",
    {},
    only({ out: 2 ** 24, in: 1, bands: [band(raw(1), zero(), 16)], payload: zeros(8) }),
  );
  for (const [kind, adapter] of [
    ["module", only({})],
    ["tensor", { tensors: [tensor()] }],
    ["section", { sections: [section("note", text("note"))] }],
  ])
    add(
      `stored-${kind}-2-to-the-30`,
      "CHUNK_LENGTH_MISMATCH",
      set(`${kind}s`, 0, { chunk_length: 2 ** 30 }),
      adapter,
    );
  add("raw-section-2-to-the-30", "CHUNK_LENGTH_MISMATCH", set("sections", 0, { raw_length: 2 ** 30 }), {
    sections: [section("note", text("note"))],
  });
  add("meta-section-2-to-the-20", "CHUNK_LENGTH_MISMATCH", set("sections", 0, { raw_length: 2 ** 20 }), {
    sections: [section("META", meta({}))],
  });
  suite.valid(
    "limits/core/starts-4096",
    {
      start: SEED,
      modules: Array.from({ length: 4096 }, (_, i) => started({ name: `m${i}` })),
    },
    { features: ["start"], clauses: ["8.8", "14"], omit: ["modules"] },
  );
}

/** Records of 65,536 modules with names of 256 bytes, front-coded; what follows the last one, and the name of a tensor. */
const crowd = (end, tensorName) =>
  records((v) => {
    const [first] = v.modules;
    const suffixes = [];
    let last = "";
    v.modules = Array.from({ length: 2 ** 16 }, (_, i) => {
      const name = String(i).padStart(256, "0") + (i === 2 ** 16 - 1 ? end : "");
      let shared = 0;
      while (shared < Math.min(255, last.length) && last[shared] === name[shared]) shared++;
      last = name;
      suffixes.push(name.slice(shared));
      return { ...first, name_shared: shared, name_suffix: name.length - shared };
    });
    v.names = [...text(suffixes.join("") + tensorName)];
  });

/** All names, of modules and then of tensors. The feature bits are wrong, so nothing behind the index is needed. */
function names(suite) {
  const plain = only({ out: 1, in: 1, bands: [band(zero())] });
  const lies = (end = "", tensorName = "") =>
    both(
      crowd(end, tensorName),
      prologue((p) => ({ required: p.required + 2, modules: 2 ** 16 })),
      { bytes: (file, at) => file.subarray(0, at.first) },
    );
  suite.invalid("limits/core/modules-2-to-the-16-and-their-names", "FEATURE_BITS", plain, {
    lies: lies(),
    clauses: ["14"],
    note: "2^24 bytes of names",
  });
  const above = (what, end, tensors) =>
    suite.invalid(
      `limits/above-core/names-before-the-name-of-a-${what}`,
      "CORE_LIMIT",
      { ...plain, tensors: tensors.map((name) => tensor({ name, element: "U8", shape: [0] })) },
      {
        lies: lies(end, tensors.join("")),
        clauses: ["14", "15.2"],
        obligation: "may",
        accept: ["NAME_ENCODING"],
        note: "2^24 + 1 bytes of names",
      },
    );
  above("module", "\n", []);
  above("tensor", "", ["\n"]);
}

/** One above Hard, with everything before it within Core. */
function malformed(suite) {
  const add = (name, adapter, lies = {}, about = {}) =>
    suite.invalid(`limits/above-hard/${name}`, "HARD_LIMIT", adapter, { lies, clauses: ["14"], ...about });
  add(
    "states-1025-before-positions-4097",
    { start: SEED, modules: [started()] },
    records((v) => {
      v.start = [1, ...Array(624 * 1025).fill(1)];
      v.positions = Array(4097).fill(0);
    }),
    { clauses: ["14", "15.2"], note: "the positions are above Core only" },
  );
  add("tensor-of-2-to-the-32-bytes", {
    tensors: [tensor({ element: "U8", shape: [2 ** 16, 2 ** 16], data: zeros(8) })],
  });
  add(
    "raw-weights-of-2-to-the-32-bytes",
    only({ out: 2 ** 24, in: 1, bands: [band(raw(1), zero(), 64)], payload: zeros(8) }),
  );
  // Above Core of what is added up first, so a reader may stop there.
  suite.invalid(
    "limits/above-hard/bands-of-all-experts-2-to-the-24-and-more",
    "HARD_LIMIT",
    {
      modules: ["a", "b"].map((name) =>
        module({
          name,
          out: 1,
          in: 1,
          experts: 4096,
          bands: Array.from({ length: 4096 }, (_, i) => band(i % 2 ? zero() : sign())),
          payload: zeros(0),
        }),
      ),
    },
    { clauses: ["14"], obligation: "may", accept: ["CORE_LIMIT"] },
  );
}

/** A file of `generations` parents, one behind the other: the first error, and files that are valid without their parents. */
function generations(suite) {
  const bands = [band(affine(2))];
  let last = "valid/parent/generation-1-of-17";
  suite.valid(last, only({ bands }), { clauses: ["8.9"] });
  const files = [`${last}.lqa`];
  for (let i = 2; i <= 17; i++) {
    const id = `valid/parent/generation-${i}-of-17`;
    suite.valid(
      id,
      { parent: suite.built.get(last), modules: [module({ parentModule: 0, bands })] },
      { features: ["parent"], clauses: ["8.9"], alone: true },
    );
    files.push(`${id}.lqa`);
    last = id;
  }
  const add = (folder, name, error, count, about) =>
    suite.invalid(
      `limits/${folder}/${name}`,
      error,
      {
        parent: suite.built.get(`valid/parent/generation-${count}-of-17`),
        modules: [module({ parentModule: 0, bands })],
      },
      { features: ["parent"], clauses: ["8.9.2", "14"], parents: files.slice(0, count), ...about },
    );
  const may = (accept) => ({ obligation: "may", accept: [accept] });
  add("above-hard", "parents-17", "HARD_LIMIT", 17, may("CORE_LIMIT"));
  add("above-core", "parents-16", "CORE_LIMIT", 16, may("valid"));
}

export function atLimits(suite) {
  for (const family of [exactly, names, malformed, generations]) family(suite);
}
