// Attacks by parents (spec clause 8.9): chains, parents that are another file, and children that make more work than they are long.
import { copyFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { open } from "../../dist/core/index.js";
import { bytesOf, empty } from "./files.mjs";

const FILE = "a.lqa";
const PARENT = "parent.lqa";
const suite = join(import.meta.dirname, "../../conformance/suite");
const validating = (...parents) => ({
  words: ["validate", FILE, ...parents.flatMap((one) => ["--parent", one])],
});
const decoding = (...parents) => ({
  words: ["decode", FILE, "-o", "out", ...parents.flatMap((one) => ["--parent", one])],
});

/** Generations that Core allows, and as many modules as a quick reader decodes in a second. */
const GENERATIONS = 4;
const MODULES = 4096;
const names = Array.from({ length: GENERATIONS }, (_, i) => `generation-${i}.lqa`);

const idOf = async (bytes) => (await (await open(bytes)).verify()).contentId;

/** A file of modules of zeros, each a child of the module of its number. */
async function childrenOf(parent, count, over, components) {
  const parentId = await idOf(parent);
  const modules = Array.from({ length: count }, (_, i) =>
    empty(`m${String(i).padStart(5, "0")}`, { parentModule: i, parentId, ...over }, components),
  );
  return bytesOf({ modules });
}

/** A file and its parents one behind the other, each of which decodes nothing but zeros; the parents go next to `path`. */
async function chained(path, count, over, components) {
  const modules = Array.from({ length: count }, (_, i) =>
    empty(`m${String(i).padStart(5, "0")}`, over, components),
  );
  let bytes = await bytesOf({ modules });
  for (const name of names.slice(0, GENERATIONS)) {
    writeFileSync(join(dirname(path), name), bytes);
    bytes = await childrenOf(bytes, count, over, components);
  }
  return bytes;
}

/** A case of the conformance suite with its parents, which are copied next to the file. */
const ofSuite = (id, parents, tries, first, code, limit) => ({
  name: id,
  tries,
  limit,
  first,
  code,
  ...validating(...parents.map((_, i) => `parent-${i}.lqa`)),
  make(path) {
    for (const [i, parent] of parents.entries())
      copyFileSync(join(suite, `${parent}.lqa`), join(dirname(path), `parent-${i}.lqa`));
    copyFileSync(join(suite, `${id}.lqa`), path);
  },
});

const CHAIN = ["root", "child", "generation-2", "generation-3", "generation-4"].map(
  (name) => `valid/parent/${name}`,
);
const ROOT = ["valid/parent/root"];

export const PARENTS = [
  ofSuite("invalid/parent/five-generations", CHAIN, "a chain of five files", "CORE_LIMIT", 4, "GENERATIONS"),
  ofSuite("invalid/parent/largest-number", ROOT, "module 2^32 − 2 of a file of one", "PARENT_MISMATCH", 1),
  ofSuite(
    "invalid/parent/numbers-equal",
    ROOT,
    "one module decoded for each of its children",
    "RECORD_REFERENCE",
    1,
  ),
  ofSuite(
    "invalid/parent/infinite-negative",
    ["valid/parent/root-huge-negative"],
    "infinite weights",
    "NONFINITE_VALUE",
    1,
  ),
  ofSuite("invalid/parent/smaller-rank", ROOT, "a parent with more components", "PARENT_MISMATCH", 1),
  ofSuite("invalid/parent/other-experts", ROOT, "a parent with fewer experts", "PARENT_MISMATCH", 1),
  ofSuite(
    "invalid/parent/parent-with-a-false-content-id",
    ["invalid/parent/false-content-id"],
    "another file that states the content id of the parent",
    // The program verifies the files of --parent before it opens the child.
    "CONTENT_ID",
    1,
  ),
  {
    name: "a child without its parent",
    tries: "rests taken for weights",
    ...decoding(),
    first: "PARENT_MISSING",
    code: 3,
    make: (path) => copyFileSync(join(suite, "valid/parent/child.lqa"), path),
  },
  {
    name: "4,096 modules, four generations",
    tries: "each module decoded five times",
    ...decoding(...names),
    first: "valid",
    code: 0,
    make: (path) => chained(path, MODULES, { out: 64, in: 64 }),
  },
  {
    name: "16 GiB of weights in 700 bytes, and a parent",
    tries: "a sum that is longer than memory",
    ...decoding(PARENT),
    first: "BUDGET",
    code: 4,
    async make(path) {
      const over = { out: 2 ** 23, in: 2 ** 23 };
      const parent = await bytesOf({ modules: [empty("m", over, 256)] });
      writeFileSync(join(dirname(path), PARENT), parent);
      return childrenOf(parent, 1, over, 256);
    },
  },
].map((one) => ({ ...one, group: "Parents" }));
