/**
 * Writes safetensors files and, beside each, a JSON twin that says what is in it, for check_safetensors.py.
 *
 *     node make_safetensors.mjs OUT_DIR [COUNT]
 *
 * Needs the built package (`npm run build`); LQA_DIST names another build.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [out, count = "200"] = process.argv.slice(2);
const dist = process.env.LQA_DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));
const { writeSafetensors } = await import(pathToFileURL(resolve(dist, "adapters/safetensors.js")).href);

const SIZES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};
const NAMES = [
  "weight",
  "a.b",
  "10",
  "2",
  "é",
  "😀",
  "\u2028",
  '"',
  "\\",
  "/",
  "\n\t\b\f\r",
  "\x01",
  "\x7f",
  " ",
  "constructor",
  "__metadata",
];

let state = 1;
const below = (limit) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};

mkdirSync(out, { recursive: true });
for (let index = 0; index < Number(count); index++) {
  const tensors = new Map();
  for (let left = below(8); left > 0; left--) {
    const name = NAMES[below(NAMES.length)] + (below(2) ? NAMES[below(NAMES.length)] : "");
    const element = Object.keys(SIZES)[below(Object.keys(SIZES).length)];
    const shape = Array.from({ length: below(5) }, () => below(4));
    const length = shape.reduce((product, size) => product * size, SIZES[element]);
    const data = Uint8Array.from({ length }, () => below(element === "BOOL" ? 2 : 256));
    tensors.set(name, { element, shape, data });
  }
  // One key at most: the library writes several in random order.
  const metadata = below(3) ? new Map([[NAMES[below(NAMES.length)], NAMES[below(NAMES.length)]]]) : undefined;
  writeFileSync(join(out, `${index}.safetensors`), writeSafetensors(tensors, { metadata }));
  const twin = {
    metadata: metadata ? Object.fromEntries(metadata) : null,
    tensors: [...tensors].map(([name, { element, shape, data }]) => ({
      name,
      dtype: element,
      shape,
      hex: Buffer.from(data).toString("hex"),
    })),
  };
  writeFileSync(join(out, `${index}.json`), JSON.stringify(twin));
}
