// What real adapters need of the limits of spec clause 14: for each quantity the largest value in the given .lqa files, next
// to Device and Core. Run after `npm run build`: node bench/limits.mjs FILE... (a folder of them: $(find encoded -name
// '*.lqa'))
import { readFileSync } from "node:fs";
import { validate } from "../dist/core/index.js";
import { inputLength } from "../dist/model/adapter.js";

const limits = JSON.parse(readFileSync(new URL("../spec/limits.json", import.meta.url), "utf8"));
const most = (values) => values.reduce((x, y) => Math.max(x, y), 0);
const utf8 = new TextEncoder();

/** The quantities of a file, by the names of spec/limits.json; what a file has only in parts (zstd frames, nesting) is left out. */
function quantities(bytes, { modules, tensors, sections }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const names = [...modules, ...tensors].map(({ name }) => utf8.encode(name).length);
  const encodings = new Set(
    modules.flatMap(({ bands }) => bands.flatMap(({ b, a }) => [b, a]).map((e) => JSON.stringify(e))),
  );
  const plans = new Map(modules.map(({ bands }) => [JSON.stringify(bands), bands.length]));
  const chunks = [...modules, ...tensors, ...sections];
  return {
    INDEX_BYTES: view.getUint32(32, true),
    MODULES: modules.length,
    TENSORS: tensors.length,
    SECTIONS: sections.length,
    ENCODINGS: encodings.size,
    SHARED_RECORDS: plans.size,
    BANDS: [...plans.values()].reduce((x, y) => x + y, 0),
    NAME_BYTES: most(names),
    NAMES_TOTAL_BYTES: names.reduce((x, y) => x + y, 0),
    RANK: most(modules.map(({ rank }) => rank)),
    DIMENSION: most(modules.flatMap((module) => [module.out, inputLength(module)])),
    EXPERTS: most(modules.map(({ experts }) => experts)),
    TENSOR_DIMENSIONS: most(tensors.map(({ shape }) => shape.length)),
    CHUNK_BYTES: most(chunks.flatMap(({ payload, chunk }) => [payload, chunk.length])),
    FILE_BYTES: bytes.length,
    META_BYTES: most(sections.map(({ payload }) => payload)),
  };
}

const largest = new Map();
for (const path of process.argv.slice(2)) {
  const bytes = new Uint8Array(readFileSync(path));
  const { index } = await validate(bytes, { level: "structure", limits: "hard" });
  if (index === undefined) throw new Error(`${path} is no .lqa file`);
  for (const [name, value] of Object.entries(quantities(bytes, index)))
    if (value > (largest.get(name)?.value ?? -1)) largest.set(name, { value, path });
}
console.log("| quantity | largest | Device | Core | in |\n|---|--:|--:|--:|---|");
for (const [name, { value, path }] of largest) {
  const { quantity, device, core } = limits.find((limit) => limit.name === name);
  console.log(`| ${quantity} | ${value} | ${device} | ${core} | ${path} |`);
}
