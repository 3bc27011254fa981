/**
 * What refitting A' to the quantized B' could gain: the error of ΔW with B̂ and
 *   1. the A' it was coded with, not quantized, each component scaled best;
 *   2. the A that is best for B̂ (least squares, B̂ᵀB̂ A = B̂ᵀ ΔW), not quantized.
 * The difference bounds what re-solving A', coding it in the metric B̂ᵀB̂ and alternating can save, before any of it is
 * lost by quantizing A again.
 *
 * Build first (`npm run build`), then `node bench/refit.mjs [bits]`.
 */

import { open } from "../dist/core/index.js";
import { encodeAdapter } from "../dist/encode/index.js";
import { reparameterize } from "../dist/encode/quantize/reparameterize.js";
import { adapterFolders, readRealAdapter } from "./real-adapters.mjs";

const bits = Number(process.argv[2] ?? 1.5);
const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
const gram = (x, y) => x.map((u) => y.map((v) => dot(u, v)));
const energy = (b, a) => {
  const left = gram(b, b);
  const right = gram(a, a);
  return left.reduce((sum, row, i) => sum + dot(row, right[i]), 0);
};
const lost = (b, a, b2, a2) => energy([...b, ...b2.map((v) => v.map((x) => -x))], [...a, ...a2]);

/** X with G X = R, by elimination; G is symmetric and definite. */
function solve(g, r) {
  const rows = g.map((row, i) => [...row, ...r[i]]);
  rows.forEach((pivot, i) => {
    rows.forEach((row, j) => {
      if (i === j) return;
      const factor = row[i] / pivot[i];
      for (let k = i; k < row.length; k++) row[k] -= factor * pivot[k];
    });
  });
  return rows.map((row, i) => row.slice(g.length).map((x) => x / row[i]));
}

console.log("adapter                     error     exact A', scaled  best A    saved, of the error");
for (const [name, path] of adapterFolders()) {
  const adapter = await readRealAdapter(path);
  if (adapter === undefined) continue;
  const { bytes, report } = await encodeAdapter(adapter, { bits });
  const file = await open(bytes);
  let total = 0;
  let scaled = 0;
  let best = 0;
  for (const module of adapter.modules.filter(({ experts }) => experts === 1)) {
    const { rank, out, multiplier } = module;
    const { b, a, n, singularValues } = reparameterize(module, 0);
    const live = [...singularValues.keys()].filter((i) => singularValues[i] > 0);
    const was = live.map((i) => [b.slice(i * out, (i + 1) * out), a.slice(i * n, (i + 1) * n)]);
    const decoded = await file.decode(module.name);
    const kept = live
      .map((i) => ({ i, b: Float64Array.from({ length: out }, (_, o) => decoded.b.data[o * rank + i]) }))
      .filter((component) => dot(component.b, component.b) > 0);
    const bs = was.map(([u]) => u);
    const as = was.map(([, v]) => v);
    const weight = multiplier ** 2;
    total += weight * energy(bs, as);
    const coded = kept.map((component) => component.b);
    if (coded.length === 0) {
      scaled += weight * energy(bs, as);
      best += weight * energy(bs, as);
      continue;
    }
    const own = kept.map(({ i, b: u }) => as[i].map((x) => (x * dot(u, bs[i])) / dot(u, u)));
    const refitted = solve(gram(coded, coded), gram(coded, bs)).map((row) => {
      const vector = new Float64Array(n);
      row.forEach((factor, i) => {
        for (let j = 0; j < n; j++) vector[j] += factor * as[i][j];
      });
      return vector;
    });
    scaled += weight * lost(bs, as, coded, own);
    best += weight * lost(bs, as, coded, refitted);
  }
  const figures = [report.relativeError, scaled / total, best / total].map((x) => x.toFixed(5).padEnd(9));
  const saved = (scaled - best) / total / report.relativeError;
  console.log(`${name.padEnd(27)} ${figures.join(" ")} ${(100 * saved).toFixed(2)} %`);
}
