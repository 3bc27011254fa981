// invalid/order: files with two faults; the one whose row comes first in the table of clause 15.2 is the error. Each chain
// lists faults of one file, each with the check of spec/checks.json that finds it; each with the next and the one after it
// makes a file. Faults of records of one kind are in the order of the records.
import { patched, u16, u32, zeros } from "./bytes.mjs";
import { affine, sign } from "./codecs.mjs";
import { band, module, section, tensor, twoBands } from "./compose.mjs";
import { CHECKS } from "./coverage.mjs";
import { both, gapBehind, index, payload, prologue, records, set, trailer, whole } from "./lies.mjs";
import { meta } from "./messagepack.mjs";

const adapter = () => ({
  alignment: 64,
  modules: [
    module({ name: "a", out: 9, in: 20, bands: twoBands(2, 1), rule: "explicit" }),
    module({ name: "b" }),
  ],
  tensors: [
    tensor({ name: "a", element: "U8", role: "carried", shape: [5] }),
    tensor({ name: "b", role: "lora-bias", shape: [3] }),
  ],
  sections: [section("META", meta({ a: 1 })), section("note", zeros(1))],
});

const CHAINS = {
  prologue: [
    "structure",
    [
      ["version", "version", prologue({ major: 2 })],
      ["feature", "required-bits", prologue({ required: 2 ** 31 })],
      ["reserved", "prologue-reserved", prologue({ reserved: patched(zeros(7), 3, 1) })],
      ["alignment", "alignment", prologue({ exponent: 13 })],
      ["file-length", "prologue-limits", prologue({ fileLength: 2 ** 53 })],
      ["index-length", "index-bytes", prologue({ indexLength: 2 ** 20 })],
    ],
  ],
  index: [
    "structure",
    [
      ["crc", "index-crc", prologue({ indexCrc: 1 })],
      ["identifier", "index-identifier", index((bytes) => patched(bytes, 4, 0))],
      ["root", "index-root", index((bytes) => patched(bytes, 0, 0))],
      ["missing", "index-field", index((bytes) => patched(bytes, 14, 0, 0))],
      ["second-field", "index-place", index((bytes) => patched(bytes, 16, 2, 0))],
      [
        "third-vector",
        "index-vector",
        index((bytes, view) => patched(bytes, 44 + view.getUint32(44, true), 255, 255, 255, 255)),
      ],
      ["count", "counts", prologue({ modules: 9 })],
    ],
  ],
  kinds: [
    "structure",
    [
      ["count", "counts", prologue({ tensors: 9 })],
      ["codec", "encoding-codec", set("encodings", 0, { codec: 224 })],
      ["second-encoding", "encoding-parameter", set("encodings", 1, { bits: 1 })],
      ["band", "band-components", set("bands", 0, { components: 0 })],
      ["type", "type-role", set("types", 0, { role: 224 })],
      ["module", "module-reserved", set("modules", 0, { reserved: 9 })],
      ["tensor", "tensor-axis", set("tensors", 0, { axis: 1 })],
      ["dimensions", "dimensions-used", records((v) => void v.dimensions.push(1))],
      ["names", "names-used", records((v) => void v.names.push(1))],
      ["section", "section-flags", set("sections", 0, { flags: 4 })],
      ["features", "features", prologue({ required: 0 })],
      ["file-length", "file-length", prologue((p) => ({ fileLength: p.fileLength + 16 }))],
      [
        "padding",
        "index-padding",
        {
          chunks: (_, gap) => {
            gap[0] = 1;
          },
        },
      ],
      ["cut", "end-bytes", whole((file) => file.subarray(0, -1))],
    ],
  ],
  encoding: [
    "structure",
    [
      ["table", "encoding-codec", set("encodings", 0, { codec: 4, table: 224 })],
      ["scale", "encoding-parameter", set("encodings", 0, { scale: 9 })],
      [
        "equal",
        "encoding-twice",
        records((v) => {
          v.encodings[1] = { ...v.encodings[0] };
        }),
      ],
    ],
  ],
  plan: [
    "structure",
    [
      [
        "bands",
        "plan-bands",
        records((v) => {
          v.plans[0] = 9;
        }),
      ],
      ["components", "band-components", set("bands", 0, { components: 0 })],
      ["reference", "band-reference", set("bands", 0, { b: 7 })],
      ["second-band", "band-components", set("bands", 1, { components: 0 })],
    ],
  ],
  type: [
    "structure",
    [
      ["role", "type-role", set("types", 0, { role: 224 })],
      ["layout", "type-role", set("types", 0, { base_layout: 224 })],
      ["rule", "type-role", set("types", 0, { rule: 224 })],
      ["reserved", "type-reserved", set("types", 0, { reserved: 1 })],
      ["zero", "type-zero", set("types", 0, { experts: 0 })],
      ["kernel", "type-shape", set("types", 0, { kernel0: 1 })],
      ["limit", "type-limits", set("types", 0, { out: 2 ** 25 + 1 })],
      ["multiplier", "type-multiplier", set("types", 0, { multiplier: Number.NaN })],
      ["second-role", "type-role", set("types", 1, { role: 224 })],
    ],
  ],
  module: [
    "structure",
    [
      ["heap", "module-heap", set("modules", 0, { name_shared: 1 })],
      [
        "encoding",
        "module-name",
        records((v) => {
          v.names[0] = 1;
        }),
      ],
      ["type", "module-references", set("modules", 0, { type: 9 })],
      ["plan", "module-references", set("modules", 0, { plan: 9 })],
      ["rule", "module-multiplier", set("types", 0, { rule: 0 })],
      ["limit", "module-limits", set("types", 0, { out: 2 ** 24, in: 2 ** 24, experts: 1024 })],
      ["reserved", "module-reserved", set("modules", 0, { reserved: 2 })],
      ["length", "module-length", set("modules", 0, { chunk_length: 7 })],
      [
        "order",
        "module-order",
        records((v) => {
          v.names[1] = 0x41;
        }),
      ],
    ],
  ],
  tensor: [
    "structure",
    [
      [
        "encoding",
        "tensor-name",
        records((v) => {
          v.names[2] = 1;
        }),
      ],
      ["role", "tensor-role", set("tensors", 0, { role: 224 })],
      ["element", "tensor-element", set("tensors", 0, { element: 0 })],
      ["dimensions", "tensor-dimensions", set("tensors", 0, { dimensions: 9 })],
      ["axis", "tensor-axis", set("tensors", 0, { axis: 2 })],
      [
        "limit",
        "tensor-limits",
        records((v) => {
          v.dimensions[0] = 2 ** 32 - 1;
          v.tensors[0].element = 1;
        }),
      ],
      ["compression", "tensor-compression", set("tensors", 0, { compression: 3 })],
      ["length", "tensor-length", set("tensors", 0, { chunk_length: 7 })],
    ],
  ],
  section: [
    "structure",
    [
      ["tag", "section-tag", set("sections", 1, { tag: "no e" })],
      ["flags", "section-flags", set("sections", 1, { flags: 9 })],
      ["order", "section-order", set("sections", 1, { tag: "AAAA" })],
      ["critical", "section-critical", set("sections", 1, { tag: "XTRA", flags: 1 })],
      ["compression", "section-compression", set("sections", 1, { compression: 1 })],
      ["length", "section-length", set("sections", 1, { raw_length: 9 })],
    ],
  ],
  body: [
    "integrity",
    [
      [
        "module-crc",
        "chunk-crc",
        {
          chunks: (chunks) => {
            chunks[0].crc = zeros(4);
          },
        },
      ],
      [
        "unused-bits",
        "unused",
        // The second byte of a code of 9 bits.
        payload(0, (bytes) => patched(bytes, 7, bytes[7] | 0xf0)),
      ],
      ["behind-it", "chunk-padding", gapBehind(0)],
      [
        "tensor-crc",
        "chunk-crc",
        {
          chunks: (chunks) => {
            chunks[2].crc = zeros(4);
          },
        },
      ],
      ["meta", "messagepack", payload(4, () => zeros(4))],
      [
        "section-crc",
        "chunk-crc",
        {
          chunks: (chunks) => {
            chunks[5].crc = zeros(4);
          },
        },
      ],
      [
        "span",
        "spans",
        {
          digests: (list) => {
            list[1] = zeros(32);
          },
        },
      ],
      ["trailer-crc", "trailer-crc", { bytes: (file, at) => patched(file, at.trailer + 52, 0, 0, 0, 0) }],
      ["trailer-field", "trailer-fields", trailer({ reserved: 1 })],
      ["root", "root", trailer({ root: zeros(32) })],
      [
        "content",
        "content",
        {
          digests: (list) => {
            list[0] = zeros(32);
          },
        },
      ],
    ],
  ],
};

/** Chains whose faults are in one record after the other, so that a check comes again. */
const RECORDS = new Set(["plan", "type", "module", "body"]);

/** The first error of a check, whose row has to be at or behind that of the fault before it. */
function errorOf(chain, name, check, before) {
  const row = (id) => CHECKS.findIndex((each) => each.id === id);
  if (row(check) < 0) throw new Error(`no check ${check} in spec/checks.json`);
  if (row(check) < row(before) && !RECORDS.has(chain))
    throw new Error(`${chain}: ${name} comes before ${before} in spec/checks.json`);
  return CHECKS[row(check)].errors[0];
}

export function invalidOrder(suite) {
  for (const [chain, [level, faults]] of Object.entries(CHAINS)) {
    faults.forEach(([name, check, lie], i) => {
      const error = errorOf(chain, name, check, faults[i - 1]?.[1]);
      for (const [next, , other] of faults.slice(i + 1, i + 3))
        suite.invalid(`invalid/order/${chain}-${name}-before-${next}`, error, adapter(), {
          lies: both(other, lie),
          level,
          clauses: ["15.2"],
        });
    });
  }
  const more = (name, error, about, lies, level = "values", shallower = undefined) =>
    suite.invalid(`invalid/order/${name}`, error, about, { lies, level, shallower, clauses: ["15.2"] });
  more(
    "bands-there-before-components",
    "RECORD_REFERENCE",
    { modules: [module({ name: "a" }), module({ name: "b", bands: [band(sign({ group: 0 }))] })] },
    records((v) => {
      v.plans[1] = 2;
      v.bands[1].components = 0;
    }),
    "structure",
  );
  more(
    "dimensions-there-before-length",
    "RECORD_REFERENCE",
    { tensors: [tensor({ name: "a", shape: [2] }), tensor({ name: "b", shape: [3] })] },
    records((v) => {
      v.tensors[1].dimensions = 2;
      v.tensors[1].chunk_length = 9;
    }),
    "structure",
  );
  const longer = whole((file) => Uint8Array.from([...file, 0]));
  const bad = { modules: [module({ bands: [band(sign())], numbers: () => ({ scales: () => 0xbc00 }) })] };
  more(
    "unused-bits-before-values",
    "PADDING_NONZERO",
    bad,
    payload(0, (bytes) => patched(bytes, 0, bytes[0] | 0x80)),
    "integrity",
  );
  more(
    "values-before-the-next-chunk",
    "SCALE_VALUE",
    { ...bad, tensors: [tensor()] },
    { bytes: (file, at) => patched(file, at.digests - 1, file[at.digests - 1] ^ 1) },
    "values",
    "CHUNK_CRC",
  );
  const damagedDigest = { bytes: (file, at) => patched(file, at.digests + 40, 0) };
  more("values-before-digests", "SCALE_VALUE", bad, damagedDigest, "values", "SPAN_DIGEST");
  more(
    "second-raw-before-first-scale",
    "NONFINITE_VALUE",
    {
      modules: [
        module({
          bands: [
            {
              components: 1,
              b: affine(2),
              a: { ...sign(), codec: 1, element: 2, scale: 0, group_exponent: 0 },
            },
          ],
          numbers: (_, __, factor) => (factor === "b" ? { scales: () => 0x7c00 } : { raw: () => 0x7c00 }),
        }),
      ],
    },
    {},
  );
  more(
    "first-raw-before-second-scale",
    "NONFINITE_VALUE",
    {
      modules: [
        module({
          bands: [
            {
              components: 1,
              b: { ...sign(), codec: 1, element: 2, scale: 0, group_exponent: 0 },
              a: affine(2),
            },
          ],
          numbers: (_, __, factor) => (factor === "a" ? { scales: () => 0x7c00 } : { raw: () => 0x7c00 }),
        }),
      ],
    },
    {},
  );
  more(
    "content-id-before-trailing-bytes",
    "CONTENT_ID",
    adapter(),
    both(
      {
        digests: (list) => {
          list[0] = zeros(32);
        },
      },
      longer,
    ),
    "integrity",
    "TRAILING_BYTES",
  );
  more(
    "root-before-trailing-bytes",
    "ROOT_DIGEST",
    adapter(),
    both(trailer({ root: zeros(32) }), longer),
    "integrity",
    "TRAILING_BYTES",
  );
  more(
    "chunk-crc-before-padding-that-is-cut",
    "CHUNK_CRC",
    adapter(),
    both(
      {
        chunks: (chunks) => {
          chunks[0].crc = zeros(4);
        },
      },
      whole((file, at) => file.subarray(0, at.chunks[1] - 1)),
    ),
    "integrity",
    "TRUNCATED_FILE",
  );
  more(
    "value-before-canonical-index",
    "SCALE_VALUE",
    bad,
    index((bytes) => Uint8Array.from([...bytes, ...u16(0), ...u16(0)])),
  );
  more(
    "names-before-index",
    "NONCANONICAL_NAME",
    { modules: [module({ name: "aa" }), module({ name: "ab" })] },
    both(
      records((v) => {
        v.modules[1] = { ...v.modules[1], name_shared: 0, name_suffix: 2 };
        v.names.splice(2, 1, 0x61, 0x62);
      }),
      index((bytes) => Uint8Array.from([...bytes, ...u32(0)])),
    ),
    "canonical",
  );
  more(
    "codes-before-names",
    "NONCANONICAL_CODES",
    {
      modules: [
        module({ name: "aa", bands: [band(sign())], numbers: () => ({ scales: () => 0, codes: () => 1 }) }),
        module({ name: "ab", bands: [band(sign())], numbers: () => ({ scales: () => 0, codes: () => 1 }) }),
      ],
    },
    records((v) => {
      v.modules[1] = { ...v.modules[1], name_shared: 0, name_suffix: 2 };
      v.names.splice(2, 1, 0x61, 0x62);
    }),
    "canonical",
  );
}
