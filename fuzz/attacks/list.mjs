// The attacks: what each file tries, how it is made, and how the program answers (exit code, first error). For every limit of
// src/limits.ts there is one at least. Used by run.mjs, which measures them, and by test/attacks.test.ts.
//
// An attack is { name, tries, group, words, code, first, make(folder), files, seconds, mib?, above?, limit?, big? }. `make` fills
// an empty folder, in which `lqa` runs with `words`; attacks with the same `files` fill it with the same. `seconds` is the most
// CPU time that it may take; `mib` is the most memory, and `above` says why it is more than the 64 MiB that are promised.
// `big`: it takes a gigabyte or seconds, and is left to run.mjs.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zipSync } from "fflate";
import { DIRECTORIES } from "./directories.mjs";
import {
  bytesOf,
  empty,
  F16,
  F32,
  framed,
  gguf,
  hollow,
  large,
  MIB,
  manyBands,
  meta,
  piecesOf,
  repeated,
  resealed,
  safetensors,
  section,
  sparse,
  stored,
  tinyPlanes,
  WIDE,
} from "./files.mjs";
import { PARENTS } from "./parents.mjs";
import { COMMANDS, CONFIGURATIONS } from "./side-files.mjs";
import { starts } from "./starts.mjs";

/** A sound file of a few hundred bytes: what memory and time are compared with. */
export const small = await bytesOf({ modules: [empty("m")], sections: [meta({ a: 1 })] });

const suite = join(import.meta.dirname, "../../conformance/suite");
const quarter = () => framed(1, 256, repeated);
const many = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const numbered = (length) => (i) => empty(`${"x".repeat(length - 6)}${String(i).padStart(6, "0")}`);
const prologue = (change) => () => resealed(small, change);

/** A case of the conformance suite. */
const ofSuite = (id, tries, first, code, limit) => ({
  name: id,
  tries,
  limit,
  first,
  code,
  make: () => readFileSync(join(suite, `${id}.lqa`)),
});

const FILE = "a.lqa";
const validating = { words: ["validate", FILE] };
const decoding = { words: ["decode", FILE, "-o", "out"] };

const LIMITS = [
  ofSuite(
    "limits/above-hard/index-2-to-the-32-minus-1",
    "an index of 4 GiB in a file of 380 bytes",
    "HARD_LIMIT",
    4,
    "INDEX_BYTES",
  ),
  ofSuite("limits/above-hard/modules-2-to-the-32-minus-1", "2^32 − 1 modules", "HARD_LIMIT", 4, "MODULES"),
  ofSuite(
    "limits/above-hard/tensors-2-to-the-32-minus-1",
    "2^32 − 1 plain tensors",
    "HARD_LIMIT",
    4,
    "TENSORS",
  ),
  ofSuite("limits/above-hard/sections-2-to-the-32-minus-1", "2^32 − 1 sections", "HARD_LIMIT", 4, "SECTIONS"),
  ofSuite(
    "limits/above-hard/encodings-257",
    "an encoding that no 8-bit reference reaches",
    "HARD_LIMIT",
    4,
    "ENCODINGS",
  ),
  ofSuite(
    "limits/above-hard/plans-65537",
    "a plan that no 16-bit reference reaches",
    "HARD_LIMIT",
    4,
    "SHARED_RECORDS",
  ),
  {
    name: "half a million bands",
    tries: "band plans that expand to more work than the file has bytes",
    limit: "BANDS",
    big: true,
    first: "CORE_LIMIT",
    code: 4,
    make: () => manyBands(1025, 512),
  },
  ofSuite("invalid/name/513-bytes", "a name of 513 bytes", "NAME_ENCODING", 1, "NAME_BYTES"),
  {
    name: "26 MB of names",
    tries: "65,536 front-coded names that expand to more than twice their bytes",
    limit: "NAMES_TOTAL_BYTES",
    big: true,
    first: "CORE_LIMIT",
    code: 4,
    make: () => bytesOf({ modules: many(65536, numbered(400)) }),
  },
  ofSuite(
    "limits/above-hard/rank-that-wraps-16-bits",
    "a rank that is 0 in 16 bits",
    "HARD_LIMIT",
    4,
    "RANK",
  ),
  ofSuite(
    "limits/above-hard/in-times-kernel-wraps-64-bits-to-0",
    "in · kernel that is 0 in 64 bits",
    "HARD_LIMIT",
    4,
    "DIMENSION",
  ),
  ofSuite("limits/above-hard/experts-65535", "65,535 experts", "HARD_LIMIT", 4, "EXPERTS"),
  ofSuite("invalid/tensor/dimensions-9", "a shape of 9 dimensions", "HARD_LIMIT", 4, "TENSOR_DIMENSIONS"),
  ofSuite("limits/above-hard/chunk-2-to-the-47", "a chunk of 128 TiB", "HARD_LIMIT", 4, "CHUNK_BYTES"),
  ofSuite(
    "limits/above-hard/file-near-2-to-the-64",
    "a file length that no double counts",
    "HARD_LIMIT",
    4,
    "FILE_BYTES",
  ),
  ofSuite(
    "limits/above-hard/orig-2-to-the-24-and-1",
    "ORIG of 16 MiB and a byte",
    "HARD_LIMIT",
    4,
    "META_BYTES",
  ),
  ofSuite("invalid/meta/depth-5000", "5,000 nested arrays", "META_ENCODING", 1, "META_DEPTH"),
  ofSuite(
    "invalid/frame/content-size-2-to-the-63",
    "a zstd frame of 2^63 bytes",
    "ZSTD_FRAME",
    1,
    "ZSTD_FRAME_BYTES",
  ),
].map((one) => ({ ...one, ...validating, group: "Limits" }));

const STRUCTURE = [
  {
    name: "no bytes",
    tries: "nothing at all",
    first: "TRUNCATED_PROLOGUE",
    code: 1,
    make: () => new Uint8Array(0),
  },
  {
    name: "an index that is not there",
    tries: "16 MiB to be waited for",
    first: "TRUNCATED_FILE",
    code: 1,
    make: prologue((bytes) => bytes.writeUInt32LE(2 ** 24, 32)),
  },
  ofSuite(
    "invalid/index/length-times-size-wraps-to-0",
    "a vector whose size is 0 in 32 bits",
    "INDEX_VECTOR",
    1,
  ),
  ofSuite("invalid/index/vtable-far-before", "a vtable outside the index", "INDEX_TABLE", 1),
  ofSuite("invalid/index/offset-4294967295", "an offset that wraps", "INDEX_TABLE", 1),
  ofSuite("invalid/tensor/size-wraps-64-bits-to-0", "a shape whose size is 0 in 64 bits", "HARD_LIMIT", 4),
  ofSuite(
    "invalid/order/module-length-before-order",
    "a chunk shorter than its shape",
    "CHUNK_LENGTH_MISMATCH",
    1,
  ),
  ofSuite("invalid/chunk/cut-in-a-module", "a truncated adapter, to be loaded as zeros", "TRUNCATED_FILE", 1),
  ofSuite("invalid/order/type-role-before-layout", "a number outside an enumeration", "UNSUPPORTED_ROLE", 3),
  ofSuite("invalid/name/order-twice", "two modules of one name", "NAME_ORDER", 1),
  ofSuite("invalid/meta/key-proto", "a key `__proto__` in META", "META_ENCODING", 1),
  {
    name: "4,096 × 1,024 experts",
    tries: "4 million empty experts to be listed",
    limit: "EXPERT_BANDS",
    first: "CORE_LIMIT",
    code: 4,
    make: () => bytesOf({ modules: many(4096, (i) => empty(`m${i}`, { experts: 1024 })) }),
  },
  {
    name: "the most modules and plans",
    tries: "the index with the most records: 65,536 modules, 65,536 plans, 524,288 bands",
    big: true,
    first: "valid",
    code: 0,
    make: () => manyBands(65536, 8),
  },
  {
    name: "13 MB of names",
    tries: "65,536 names of 200 bytes in an index of a tenth",
    big: true,
    first: "valid",
    code: 0,
    make: () => bytesOf({ modules: many(65536, numbered(200)) }),
  },
  {
    name: "half a million planes",
    tries: "planes of one and two bytes, in 2 MB",
    first: "valid",
    code: 0,
    make: () => tinyPlanes(1024),
  },
  {
    name: "a million items in META",
    tries: "an object for every byte",
    first: "valid",
    code: 0,
    make: () => bytesOf({ sections: [meta({ a: Array(MIB - 64).fill(0) })] }),
  },
  {
    name: "128 GiB of zeros in 300 bytes",
    tries: "codec zero: weights without bytes",
    first: "valid",
    code: 0,
    make: () => bytesOf({ modules: [empty("m", { out: 2 ** 24, in: 2 ** 24 }, 1024)] }),
  },
  {
    name: "128 GiB of zeros in 300 bytes",
    tries: "to have them decoded",
    ...decoding,
    first: "BUDGET",
    code: 4,
    make: () => bytesOf({ modules: [empty("m", { out: 2 ** 24, in: 2 ** 24 }, 1024)] }),
  },
  {
    name: "1 GiB of zeros in 364 bytes",
    tries: "more decoded bytes than a small file may have",
    ...decoding,
    first: "BUDGET",
    code: 4,
    make: () => bytesOf({ modules: [empty("m", { out: 2 ** 23, in: 2 ** 23 }, 16)] }),
  },
  {
    name: "128 MiB of zeros in 364 bytes",
    tries: "the most that it may have, compared with itself",
    words: ["diff", "a.lqa", "a.lqa"],
    big: true,
    mib: 768,
    above: "two modules are compared whole, in twice the precision",
    first: "valid",
    code: 0,
    make: () => bytesOf({ modules: [empty("m", { out: 2 ** 20, in: 2 ** 20 }, 16)] }),
  },
  {
    name: "1,024 components without bytes",
    tries: "to have them compared",
    words: ["diff", FILE, FILE],
    first: "BUDGET",
    code: 4,
    make: () => bytesOf({ modules: [empty("m", { out: 2 ** 14, in: 2 ** 14 }, 1024)] }),
  },
  {
    name: "1,024 components without bytes",
    tries: "to have what most of them hold computed",
    words: [...decoding.words, "--rank", "1"],
    first: "BUDGET",
    code: 4,
    make: () => bytesOf({ modules: [empty("m", { out: 2 ** 14, in: 2 ** 14 }, 1024)] }),
  },
  {
    name: "512 components without bytes",
    tries: "the most that may be compared",
    words: [...decoding.words, "--rank", "1"],
    big: true,
    mib: 768,
    above: "two modules are compared whole, in twice the precision",
    first: "valid",
    code: 0,
    make: () => bytesOf({ modules: [empty("m", { out: 2 ** 12, in: 2 ** 12 }, 512)] }),
  },
  {
    name: "960 MiB of zeros in 40 KB",
    tries: "zstd that expands 24,000 times",
    limit: "EXPANSION",
    big: true,
    first: "CORE_LIMIT",
    code: 4,
    make: () => framed(960, 1, repeated),
  },
  {
    name: "256 MiB of zeros in 11 KB",
    tries: "the most that it may expand",
    big: true,
    first: "valid",
    code: 0,
    make: () => framed(256, 1, repeated),
  },
  {
    name: "256 MiB of zeros in 19 KB",
    tries: "the same in 256 tensors",
    big: true,
    first: "valid",
    code: 0,
    make: quarter,
  },
  {
    name: "256 MiB of zeros in 19 KB",
    tries: "to have them decoded",
    ...decoding,
    mib: 640,
    above: "plain tensors are in memory until all are written",
    big: true,
    first: "valid",
    code: 0,
    make: quarter,
  },
  {
    name: "256 MiB of zeros in 19 KB",
    tries: "to have them compared",
    words: ["diff", FILE, FILE],
    mib: 640,
    above: "plain tensors of two files are in memory",
    big: true,
    first: "valid",
    code: 0,
    make: quarter,
  },
  {
    name: "4,096 × 256 experts",
    tries: "a million empty experts in 70 KB, the most that Core allows",
    first: "valid",
    code: 0,
    make: () => bytesOf({ modules: many(4096, (i) => empty(`m${i}`, { experts: 256 })) }),
  },
].map((one) => ({ ...validating, ...one, group: "Small files that declare much" }));

const zeroMib = new Uint8Array(MIB);
const gigabyte = (make) => async (path) => sparse(path, await make());
const vectors = gigabyte(() => large(2, WIDE, 2 ** 24, 32));
/** One chunk of f32, and the last byte of the trailer is another. */
const wrongTrailer = gigabyte(async () => {
  const pieces = [...(await large(1, F32, 2 ** 24, 15))];
  const last = Buffer.from(pieces.pop());
  last[last.length - 1] ^= 1;
  return [...pieces, last];
});

const GIGABYTES = [
  {
    name: "zeros",
    tries: "no file at all",
    first: "BAD_MAGIC",
    code: 1,
    make: gigabyte(() => Array(1024).fill(zeroMib)),
  },
  {
    name: "a gigabyte behind a sound file",
    tries: "something hidden behind the end",
    first: "TRAILING_BYTES",
    code: 1,
    make: gigabyte(() => [small, ...Array(1024).fill(zeroMib)]),
  },
  {
    name: "one chunk of f32",
    tries: "an allocation of 960 MiB",
    first: "valid",
    code: 0,
    make: gigabyte(() => large(1, F32, 2 ** 24, 15)),
  },
  {
    name: "one chunk of f32, trailer wrong",
    tries: "the same, found out at the last byte",
    first: "TRAILER_MISMATCH",
    code: 1,
    make: wrongTrailer,
  },
  {
    name: "one chunk of f32, trailer wrong",
    tries: "to have it decoded",
    ...decoding,
    first: "TRAILER_MISMATCH",
    code: 1,
    make: wrongTrailer,
  },
  {
    name: "64 chunks of f16",
    tries: "an allocation of 16 MiB, 64 times",
    first: "valid",
    code: 0,
    make: gigabyte(() => large(64, F16, 2 ** 18, 32)),
  },
  {
    name: "65,536 chunks",
    tries: "an object for every chunk",
    first: "valid",
    code: 0,
    make: gigabyte(() => large(65536, F16, 2 ** 9, 16)),
  },
  {
    name: "vectors of 2^24 codes",
    tries: "the longest component",
    first: "valid",
    code: 0,
    make: vectors,
  },
  {
    name: "vectors of 2^24 codes",
    tries: "the same, in canonical form",
    words: ["validate", FILE, "--level", "canonical"],
    first: "valid",
    code: 0,
    make: vectors,
  },
  {
    name: "nothing but NaN",
    tries: "half a billion findings",
    words: ["validate", FILE, "--all"],
    first: "NONFINITE_VALUE",
    code: 1,
    make: gigabyte(() => large(64, F16, 2 ** 18, 32, [1, 0x7c])),
  },
  {
    name: "a section nobody knows",
    tries: "a gigabyte of something else",
    first: "valid",
    code: 0,
    make: gigabyte(() => piecesOf({ sections: [section("note", new Uint8Array(1000 * MIB))] })),
  },
  {
    name: "a gigabyte of META",
    tries: "metadata that dwarfs the weights",
    first: "HARD_LIMIT",
    code: 4,
    make: gigabyte(async () => {
      // As the section nobody knows, under another name.
      const pieces = [...(await piecesOf({ sections: [section("MEtA", new Uint8Array(1000 * MIB))] }))];
      const large = pieces.findIndex(({ length }) => length > MIB);
      const head = Buffer.concat(pieces.slice(0, large));
      head.write("META", head.indexOf("MEtA"));
      return [resealed(head, () => {}), ...pieces.slice(large)];
    }),
  },
  {
    name: "zstd, stored blocks",
    tries: "a compressed chunk of 840 MiB",
    first: "valid",
    code: 0,
    make: (path) => sparse(path, [framed(960, 1, stored)]),
  },
  {
    name: "zstd, one frame without end",
    tries: "a frame of 280 million blocks without bytes, to be held",
    first: "BUDGET",
    code: 4,
    make: (path) => sparse(path, [framed(960, 1, hollow)]),
  },
].map((one) => ({ ...validating, seconds: 25, ...one, big: true, group: "Files of a gigabyte" }));

const TENSOR = (fields) => `{"base_model.model.q.lora_A.weight":{${fields}}}`;
const AT = (begin, end, shape = "[2,2]") =>
  TENSOR(`"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]`);
const FLOAT = 0;
const encode = (file, ...more) => ({ file, words: ["encode", file, "-o", "out.lqa", ...more] });
// A dialect that needs no configuration.
const KOHYA = encode("a.safetensors", "--from", "kohya");
const GGUF = encode("a.gguf");
const PICKLE = encode("a.bin");
const info = (name, dims, type, offset) => [name, dims.length, ...dims.map(BigInt), type, BigInt(offset)];

const SOURCES = [
  {
    name: "header of 2^63",
    tries: "a header longer than the file",
    ...KOHYA,
    first: "SOURCE_HEADER",
    make: () => safetensors(2n ** 63n, "{}"),
  },
  {
    name: "offsets behind the end",
    tries: "to read another's memory",
    ...KOHYA,
    first: "TRUNCATED_SOURCE",
    make: () => safetensors(AT(0, 16).length, AT(0, 16)),
  },
  {
    name: "a shape that wraps",
    tries: "a size that is 0 in 64 bits",
    ...KOHYA,
    first: "SOURCE_HEADER",
    make: () => {
      const header = AT(0, 0, "[4294967296,4294967296]");
      return safetensors(header.length, header);
    },
  },
  {
    name: "a gigabyte and a lying header",
    tries: "a tensor of half its shape",
    ...KOHYA,
    big: true,
    seconds: 25,
    first: "SOURCE_HEADER",
    make: gigabyte(() => {
      const header = AT(0, 2 ** 30, `[${2 ** 14},${2 ** 15}]`);
      return [safetensors(header.length, header), ...Array(1024).fill(zeroMib)];
    }),
  },
  {
    name: "a gigabyte, 90 MB of it header",
    tries: "a header of nothing but spaces",
    ...KOHYA,
    big: true,
    seconds: 25,
    first: "SOURCE_HEADER",
    mib: 160,
    above:
      "a header may have 100 MB, as in the reference library, and is read whole: it is the index of that format",
    make: gigabyte(() => [
      safetensors(90_000_000, `{${" ".repeat(90_000_000 - 1)}`),
      ...Array(900).fill(zeroMib),
    ]),
  },
  {
    name: "GGUF, 2^64 − 1 tensors",
    tries: "an array as long as a number says",
    ...GGUF,
    first: "SOURCE_HEADER",
    make: () => gguf(2n ** 64n - 1n, 0n),
  },
  {
    name: "GGUF, 2^61 pairs",
    tries: "a product that wraps",
    ...GGUF,
    first: "SOURCE_HEADER",
    make: () => gguf(0n, 2n ** 61n),
  },
  {
    name: "GGUF, 5 dimensions",
    tries: "to write behind an array of four",
    ...GGUF,
    first: "SOURCE_HEADER",
    make: () => gguf(1n, 0n, ...info("a", [1, 1, 1, 1, 1], FLOAT, 0)),
  },
  {
    name: "GGUF, 2^32 − 1 dimensions",
    tries: "a loop without end",
    ...GGUF,
    first: "TRUNCATED_SOURCE",
    make: () => gguf(1n, 0n, "a", 2 ** 32 - 1),
  },
  {
    name: "GGUF, dimensions that wrap",
    tries: "a size that is 0 in 64 bits",
    ...GGUF,
    first: "SOURCE_HEADER",
    make: () => gguf(1n, 0n, ...info("a", [2 ** 32, 2 ** 32], FLOAT, 0), Buffer.alloc(64)),
  },
  {
    name: "GGUF, type 200",
    tries: "an element type outside the table",
    ...GGUF,
    first: "SOURCE_ELEMENT_TYPE",
    make: () => gguf(1n, 0n, ...info("a", [4], 200, 0), Buffer.alloc(64)),
  },
  {
    name: "GGUF, tensor behind the end",
    tries: "to read another's memory",
    ...GGUF,
    first: "TRUNCATED_SOURCE",
    make: () => gguf(1n, 0n, ...info("a", [2 ** 20], FLOAT, 0), Buffer.alloc(64)),
  },
  {
    name: "GGUF, string of 2^64 − 1",
    tries: "a length that wraps",
    ...GGUF,
    first: "SOURCE_HEADER",
    make: () => gguf(0n, 1n, 2n ** 64n - 1n, "x"),
  },
  {
    name: "GGUF, nested arrays",
    tries: "recursion on input",
    ...GGUF,
    first: "SOURCE_HEADER",
    make: () =>
      gguf(0n, 1n, "k", 9, Buffer.concat(Array(100_000).fill(Buffer.of(9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)))),
  },
  {
    name: "GGUF, alignment of 2^31",
    tries: "padding that wraps",
    ...GGUF,
    first: "SOURCE_HEADER",
    make: () => gguf(1n, 1n, "general.alignment", 4, 2 ** 31, ...info("a", [4], FLOAT, 0), Buffer.alloc(64)),
  },
  {
    name: "npz of 256 MiB of zeros",
    tries: "deflate that expands 1,000 times",
    ...encode("adapters.npz"),
    big: true,
    first: "SOURCE_HEADER",
    make: () => zipSync({ "x.lora_a.npy": new Uint8Array(256 * MIB) }, { level: 9 }),
  },
  {
    name: "a pickle that calls os.system",
    tries: "to run a command",
    ...PICKLE,
    first: "UNSAFE_PICKLE",
    code: 1,
    make: () => Buffer.from("\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.", "latin1"),
  },
  {
    name: "a pickle of 4 million values",
    tries: "an object for every byte",
    ...PICKLE,
    first: "SOURCE_HEADER",
    make: () => Buffer.concat([Buffer.from([0x80, 2]), Buffer.alloc(2 ** 22 + 1, 0x4e)]),
  },
  {
    name: "a pickle that remembers 4 million values",
    tries: "the same, in another place",
    mib: 128,
    above: "ten values may be remembered for each of a hundred thousand tensors",
    ...PICKLE,
    first: "SOURCE_HEADER",
    make: () => Buffer.concat([Buffer.from([0x80, 4, 0x4e]), Buffer.alloc(2 ** 22 + 1, 0x94)]),
  },
].map((one) => ({ code: 1, ...one, group: "Adapters of other formats" }));

/** Most CPU seconds above those for the small file, several times what was measured. */
const SECONDS = 10;

export const ATTACKS = [
  ...LIMITS,
  ...STRUCTURE,
  ...starts(ofSuite, validating, decoding),
  ...PARENTS,
  ...GIGABYTES,
  ...SOURCES,
  ...CONFIGURATIONS,
  ...COMMANDS,
  ...DIRECTORIES,
].map(({ file = FILE, make: files, ...one }) => ({
  seconds: SECONDS,
  ...one,
  files,
  // Those above give bytes, or write them to the path of their file themselves; an empty path is the folder.
  async make(folder) {
    const path = join(folder, file);
    const bytes = await files(path);
    if (bytes !== undefined) writeFileSync(path, bytes);
  },
}));
