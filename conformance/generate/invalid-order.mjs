// invalid/order: files with two faults; the one that clause 15.2 names first is the error. Each chain lists faults of one
// file in the order of that clause; each with the next and the one after it makes a file.
import { patched, u16, u32, zeros } from "./bytes.mjs";
import { affine, sign } from "./codecs.mjs";
import { band, module, section, tensor, twoBands } from "./compose.mjs";
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
      ["version", "UNSUPPORTED_VERSION", prologue({ major: 2 })],
      ["feature", "UNSUPPORTED_FEATURE", prologue({ required: 2 ** 31 })],
      ["reserved", "PROLOGUE_RESERVED_NONZERO", prologue({ reserved: patched(zeros(7), 3, 1) })],
      ["alignment", "ALIGNMENT_OUT_OF_RANGE", prologue({ exponent: 13 })],
      ["file-length", "HARD_LIMIT", prologue({ fileLength: 2 ** 53 })],
      ["index-length", "TRUNCATED_FILE", prologue({ indexLength: 2 ** 20 })],
    ],
  ],
  index: [
    "structure",
    [
      ["crc", "INDEX_CRC", prologue({ indexCrc: 1 })],
      ["identifier", "INDEX_IDENTIFIER", index((bytes) => patched(bytes, 4, 0))],
      ["root", "INDEX_TABLE", index((bytes) => patched(bytes, 0, 0))],
      ["missing", "INDEX_FIELD_MISSING", index((bytes) => patched(bytes, 14, 0, 0))],
      ["second-field", "INDEX_TABLE", index((bytes) => patched(bytes, 16, 2, 0))],
      [
        "third-vector",
        "INDEX_VECTOR",
        index((bytes, view) => patched(bytes, 44 + view.getUint32(44, true), 255, 255, 255, 255)),
      ],
      ["count", "COUNT_MISMATCH", prologue({ modules: 9 })],
    ],
  ],
  kinds: [
    "structure",
    [
      ["count", "COUNT_MISMATCH", prologue({ tensors: 9 })],
      ["codec", "UNSUPPORTED_CODEC", set("encodings", 0, { codec: 9 })],
      ["second-encoding", "ENCODING_PARAMETER", set("encodings", 1, { bits: 1 })],
      ["band", "BAND_PLAN", set("bands", 0, { components: 0 })],
      ["type", "UNSUPPORTED_ROLE", set("types", 0, { role: 9 })],
      ["module", "RECORD_RESERVED_NONZERO", set("modules", 0, { reserved: 9 })],
      ["tensor", "TENSOR_RECORD", set("tensors", 0, { axis: 1 })],
      ["dimensions", "RECORD_REFERENCE", records((v) => void v.dimensions.push(1))],
      ["names", "NAME_HEAP", records((v) => void v.names.push(1))],
      ["section", "RECORD_RESERVED_NONZERO", set("sections", 0, { flags: 4 })],
      ["features", "FEATURE_BITS", prologue({ required: 0 })],
      ["file-length", "FILE_LENGTH_MISMATCH", prologue((p) => ({ fileLength: p.fileLength + 16 }))],
      [
        "padding",
        "PADDING_NONZERO",
        {
          chunks: (_, gap) => {
            gap[0] = 1;
          },
        },
      ],
      ["cut", "TRUNCATED_FILE", whole((file) => file.subarray(0, -1))],
    ],
  ],
  encoding: [
    "structure",
    [
      ["table", "UNSUPPORTED_CODEC", set("encodings", 0, { codec: 4, table: 9 })],
      ["scale", "ENCODING_PARAMETER", set("encodings", 0, { scale: 9 })],
      [
        "equal",
        "RECORD_REFERENCE",
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
        "RECORD_REFERENCE",
        records((v) => {
          v.plans[0] = 9;
        }),
      ],
      ["components", "BAND_PLAN", set("bands", 0, { components: 0 })],
      ["reference", "RECORD_REFERENCE", set("bands", 0, { b: 7 })],
      ["second-band", "BAND_PLAN", set("bands", 1, { components: 0 })],
    ],
  ],
  type: [
    "structure",
    [
      ["role", "UNSUPPORTED_ROLE", set("types", 0, { role: 9 })],
      ["layout", "ROLE_SHAPE", set("types", 0, { base_layout: 2 })],
      ["rule", "MULTIPLIER", set("types", 0, { rule: 4 })],
      ["reserved", "RECORD_RESERVED_NONZERO", set("types", 0, { reserved: 1 })],
      ["zero", "DIMENSION_RANGE", set("types", 0, { experts: 0 })],
      ["kernel", "ROLE_SHAPE", set("types", 0, { kernel0: 1 })],
      ["limit", "HARD_LIMIT", set("types", 0, { out: 2 ** 25 + 1 })],
      ["multiplier", "MULTIPLIER", set("types", 0, { multiplier: Number.NaN })],
      ["second-role", "UNSUPPORTED_ROLE", set("types", 1, { role: 9 })],
    ],
  ],
  module: [
    "structure",
    [
      ["heap", "NAME_HEAP", set("modules", 0, { name_shared: 1 })],
      [
        "encoding",
        "NAME_ENCODING",
        records((v) => {
          v.names[0] = 1;
        }),
      ],
      ["type", "RECORD_REFERENCE", set("modules", 0, { type: 9 })],
      ["plan", "RECORD_REFERENCE", set("modules", 0, { plan: 9 })],
      ["rule", "MULTIPLIER", set("types", 0, { rule: 0 })],
      ["reserved", "RECORD_RESERVED_NONZERO", set("modules", 0, { reserved: 2 })],
      ["length", "CHUNK_LENGTH_MISMATCH", set("modules", 0, { chunk_length: 7 })],
      [
        "order",
        "NAME_ORDER",
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
        "NAME_ENCODING",
        records((v) => {
          v.names[2] = 1;
        }),
      ],
      ["role", "UNSUPPORTED_ROLE", set("tensors", 0, { role: 9 })],
      ["element", "UNSUPPORTED_CODEC", set("tensors", 0, { element: 0 })],
      ["dimensions", "HARD_LIMIT", set("tensors", 0, { dimensions: 9 })],
      ["axis", "TENSOR_RECORD", set("tensors", 0, { axis: 2 })],
      [
        "limit",
        "HARD_LIMIT",
        records((v) => {
          v.dimensions[0] = 2 ** 32 - 1;
          v.tensors[0].element = 1;
        }),
      ],
      ["compression", "UNSUPPORTED_COMPRESSION", set("tensors", 0, { compression: 3 })],
      ["length", "CHUNK_LENGTH_MISMATCH", set("tensors", 0, { chunk_length: 7 })],
    ],
  ],
  section: [
    "structure",
    [
      ["tag", "SECTION_RECORD", set("sections", 1, { tag: "no e" })],
      ["flags", "RECORD_RESERVED_NONZERO", set("sections", 1, { flags: 9 })],
      ["order", "SECTION_ORDER", set("sections", 1, { tag: "AAAA" })],
      ["critical", "UNSUPPORTED_SECTION", set("sections", 1, { tag: "XTRA", flags: 1 })],
      ["compression", "UNSUPPORTED_COMPRESSION", set("sections", 1, { compression: 1 })],
      ["length", "CHUNK_LENGTH_MISMATCH", set("sections", 1, { raw_length: 9 })],
    ],
  ],
  body: [
    "integrity",
    [
      [
        "module-crc",
        "CHUNK_CRC",
        {
          chunks: (chunks) => {
            chunks[0].crc = zeros(4);
          },
        },
      ],
      [
        "unused-bits",
        "PADDING_NONZERO",
        // The second byte of a code of 9 bits.
        payload(0, (bytes) => patched(bytes, 7, bytes[7] | 0xf0)),
      ],
      ["behind-it", "PADDING_NONZERO", gapBehind(0)],
      [
        "tensor-crc",
        "CHUNK_CRC",
        {
          chunks: (chunks) => {
            chunks[2].crc = zeros(4);
          },
        },
      ],
      ["meta", "META_ENCODING", payload(4, () => zeros(4))],
      [
        "section-crc",
        "CHUNK_CRC",
        {
          chunks: (chunks) => {
            chunks[5].crc = zeros(4);
          },
        },
      ],
      [
        "span",
        "SPAN_DIGEST",
        {
          digests: (list) => {
            list[1] = zeros(32);
          },
        },
      ],
      ["trailer-crc", "TRAILER_CRC", { bytes: (file, at) => patched(file, at.trailer + 52, 0, 0, 0, 0) }],
      ["trailer-field", "TRAILER_MISMATCH", trailer({ reserved: 1 })],
      ["root", "ROOT_DIGEST", trailer({ root: zeros(32) })],
      [
        "content",
        "CONTENT_ID",
        {
          digests: (list) => {
            list[0] = zeros(32);
          },
        },
      ],
    ],
  ],
};

export function invalidOrder(suite) {
  for (const [chain, [level, faults]] of Object.entries(CHAINS)) {
    faults.forEach(([name, error, lie], i) => {
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
    both({
      digests: (list) => {
        list[0] = zeros(32);
      },
    }),
    "integrity",
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
