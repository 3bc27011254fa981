// The mutants, in groups: which files, and what may kill their mutants besides the suite. Tests are those of test/ that start no
// servers or processes, and replace no globals. Left out are generated files, the kernels, which are compiled from
// AssemblyScript, and the encoder's search, whose tests take more than an hour for all mutants.
const container = [
  "container/chunk",
  "container/compression",
  "container/index",
  "container/meta",
  "container/names",
  "container/prologue",
  "encode",
];
const inContainer = (...names) => ({
  files: names.map((name) => `src/core/container/${name}.ts`),
  tests: container,
});

export const groups = {
  head: {
    files: [
      ...inContainer("prologue", "layout", "digests").files,
      ...["bytes", "sha256", "runtime"].map((name) => `src/common/${name}.ts`),
    ],
    tests: container,
  },
  index: inContainer("index-verify", "index-read", "index-write", "schema-types"),
  shared: inContainer("shared-read", "encoding-record", "features"),
  records: inContainer(
    "records-read",
    "rare-records",
    "tensor-records",
    "start-record",
    "parent-record",
    "chunks-read",
    "types",
  ),
  written: inContainer("records-write", "names"),
  payload: {
    files: [
      ...inContainer("chunk", "payload", "compression", "decompress", "zstd", "portable-zstd", "zstd-frame")
        .files,
      "src/core/read/inflate.ts",
    ],
    tests: container,
  },
  meta: inContainer("meta", "meta-write"),
  codecs: {
    files: ["src/core/codecs/*.ts", "src/floats.ts", "!src/core/codecs/trellis-tables.ts"],
    tests: [
      "codecs/check",
      "codecs/decode",
      "codecs/decode-factor",
      "codecs/floats",
      "codecs/nonfinite",
      "codecs/product",
      "codecs/trellis",
    ],
  },
};
