// mutations/: three tiny files and, for each, what becomes of every truncation and of every change of one byte. Both follow
// from where the parts of the file lie: whatever a byte means, the checksum over it is compared first.
import { hex, sha256 } from "./bytes.mjs";
import { raw, sign, trellis } from "./codecs.mjs";
import { band, compose, module, section, tensor, twoBands } from "./compose.mjs";
import { writeFile } from "./file.mjs";
import { meta } from "./messagepack.mjs";

const BASES = {
  quantized: {
    alignment: 8,
    modules: [module({ out: 3, in: 17, bands: twoBands() })],
    tensors: [tensor({ name: "q", role: "lora-bias", shape: [3] })],
    sections: [section("META", meta({ base_model: "tiny" }))],
  },
  trellis: {
    modules: [
      module({
        name: "a.1",
        bands: [band(trellis(3), raw(2))],
        experts: 2,
        role: "conv1d",
        kernel: [2],
        out: 2,
        in: 2,
      }),
      module({ name: "a.2", bands: [band(sign({ group: 0 }))] }),
    ],
  },
  carried: {
    alignment: 4,
    tensors: [
      tensor({ name: "t", element: "Bool", role: "carried", shape: [2, 3] }),
      tensor({
        name: "t",
        element: "U8",
        role: "carried",
        shape: [40],
        data: new Uint8Array(40),
        compression: 1,
      }),
    ].map((t, i) => ({ ...t, name: `t${i}` })),
    sections: [section("ORIG", meta({ dialect: "x" })), section("note", new Uint8Array(1), { flags: 0 })],
  },
};

export function mutations(suite) {
  for (const [name, adapter] of Object.entries(BASES)) {
    const { bytes, at, vectors } = writeFile(compose(adapter));
    const lengths = [...vectors.modules, ...vectors.tensors, ...vectors.sections].map((r) => r.chunk_length);
    const ends = at.chunks.map((start, i) => start + lengths[i]);
    const table = {
      file: `mutations/${name}.lqa`,
      bytes: bytes.length,
      sha256: hex(sha256(bytes)),
      level: "canonical",
      layout: {
        indexLength: at.gap - 64,
        chunks: at.chunks.map((start, i) => [start, ends[i]]),
        spans: [[at.first, at.digests]],
        digests: at.digests,
        trailer: at.trailer,
      },
      truncations: [
        [0, 64, "TRUNCATED_PROLOGUE"],
        [64, bytes.length, "TRUNCATED_FILE"],
      ],
      changes: [
        [0, 8, "BAD_MAGIC"],
        [
          0,
          1,
          [
            [0, "BAD_MAGIC"],
            [9, "MAGIC_TEXT_DAMAGE"],
            [10, "BAD_MAGIC"],
          ],
        ], // the high bit dropped
        [
          4,
          5,
          [
            [0, "BAD_MAGIC"],
            [10, "MAGIC_TEXT_DAMAGE"],
            [11, "BAD_MAGIC"],
          ],
        ], // CR LF became LF
        [8, 64, "PROLOGUE_CRC"],
        [64, at.gap, "INDEX_CRC"],
        [at.gap, at.digests, "PADDING_NONZERO"],
        ...at.chunks.map((start, i) => [start, ends[i], "CHUNK_CRC"]),
        [at.digests, at.digests + 32, "ROOT_DIGEST"], // the content id, which is compared last
        [at.digests + 32, at.trailer, "SPAN_DIGEST"],
        [at.trailer, at.trailer + 56, "TRAILER_CRC"],
        [at.trailer + 56, at.end, "TRAILER_MISMATCH"],
      ].filter(([from, to]) => from < to),
    };
    suite.files.set(table.file, bytes);
    suite.files.set(`mutations/${name}.json`, Buffer.from(`${JSON.stringify(table, null, 1)}\n`));
    suite.mutations.push({
      id: `mutations/${name}`,
      table: `mutations/${name}.json`,
      repaired: `mutations/${name}.repaired.json`,
    });
  }
}
