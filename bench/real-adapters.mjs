// The adapters that benches run over: the project's own example, and the real ones in $LQA_ADAPTERS (folders of
// adapters, several separated as in PATH; default ../shared/adapters), which are not part of the project.
import { existsSync, readdirSync } from "node:fs";
import { delimiter } from "node:path";
import { toFloat32 } from "../dist/adapters/elements.js";
import { readAdapter } from "../dist/adapters/index.js";
import { readSafetensors } from "../dist/adapters/safetensors.js";
import { isLqaError } from "../dist/core/index.js";
import { readSourceFiles } from "../dist/node/index.js";

/** Names and folders; says so on stderr when the real ones are absent. */
export function adapterFolders() {
  const given = process.env.LQA_ADAPTERS ?? new URL("../../shared/adapters", import.meta.url).pathname;
  const real = given
    .split(delimiter)
    .flatMap((root) =>
      existsSync(root)
        ? readdirSync(root, { withFileTypes: true }).flatMap((e) =>
            e.isDirectory() ? [[e.name, `${root}/${e.name}`]] : [],
          )
        : [],
    );
  if (real.length === 0) console.error(`skipped: no adapters in ${given}`);
  const own = new URL("../examples/number-words/adapter", import.meta.url).pathname;
  return [["number-words (ours)", own], ...real];
}

/** Keys of A and B in conventions that the library does not read yet; `t` marks transposed factors. */
const PAIRS = [
  { a: /^(.*)\.lora_A$/, b: /^(.*)\.lora_B$/ },
  { a: /^(.*)[._]lora\.down\.weight$/, b: /^(.*)[._]lora\.up\.weight$/ },
  { a: /^(.*):down$/, b: /^(.*):up$/ },
  { a: /^w_a_(.*)$/, b: /^w_b_(.*)$/ },
  { a: /^(.*)\.lora_a$/, b: /^(.*)\.lora_b$/, t: true },
];

/**
 * An adapter, by the library where it knows the dialect; else its linear pairs, with multiplier 1, for benches that
 * need real weights and nothing else. Undefined for a toy of PEFT's own tests, and without any pair that is not zero.
 */
export async function readRealAdapter(path) {
  const files = await readSourceFiles(path);
  let adapter;
  try {
    adapter = readAdapter(files);
  } catch (error) {
    if (!isLqaError(error)) throw error;
    adapter = { modules: linearPairs(files), tensors: [], origin: undefined, meta: {} };
  }
  const weights = adapter.modules.reduce((sum, m) => sum + (m.b.some((x) => x !== 0) ? m.b.length : 0), 0);
  return weights < 5000 ? undefined : adapter;
}

function linearPairs(files) {
  const [bytes] = [...files].find(([name]) => name.endsWith(".safetensors")).slice(1);
  const { tensors } = readSafetensors(bytes);
  const modules = [];
  for (const { a, b, t } of PAIRS) {
    const found = (pattern) =>
      new Map([...tensors].flatMap(([key, x]) => (pattern.test(key) ? [[pattern.exec(key)[1], x]] : [])));
    const left = found(b);
    for (const [name, right] of found(a)) {
      const other = left.get(name);
      if (other === undefined || right.shape.length !== 2) continue;
      const [rank, input] = t ? [...right.shape].reverse() : right.shape;
      const out = other.shape[t ? 1 : 0];
      modules.push({
        name: name.replaceAll(":", "."),
        role: "linear",
        kernel: [],
        experts: 1,
        baseLayout: "out-in",
        multiplier: 1,
        alpha: rank,
        rule: "alpha/r",
        out,
        in: input,
        rank,
        b: t ? transposed(toFloat32(other), rank, out) : toFloat32(other),
        a: t ? transposed(toFloat32(right), input, rank) : toFloat32(right),
      });
    }
  }
  return modules;
}

function transposed(values, rows, columns) {
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
}

/** The published variants of LoRAQuant. */
export const VARIANTS = ["2@0.8", "2@0.9", "3@0.8", "3@0.9"];
