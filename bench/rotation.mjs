/**
 * Real vectors against normal ones: distortion of every trellis table on the components of real adapters, divided by its
 * distortion on normal weights, as they are and rotated (spec 8.6.1), and for comparison with neighbours mixed instead.
 *
 * Build first (`npm run build`), then `node bench/rotation.mjs`. The four strongest components of ten modules of each
 * adapter, weighted by energy; 1.00 is what normal weights lose.
 */
import { rotateWeights } from "../dist/core/codecs/rotation.js";
import { TRELLIS_TABLES, trellisRate } from "../dist/core/codecs/trellis.js";
import { trialDistortion } from "../dist/encode/quantize/rd/code-trellis.js";
import { moduleVectors } from "../dist/encode/quantize/rd/vectors.js";
import { adapterFolders, readRealAdapter } from "./real-adapters.mjs";

const MODULES = 10;
const tables = [...TRELLIS_TABLES.values()].sort((x, y) => trellisRate(x) - trellisRate(y));
const plain = { rotation: "none", weights: undefined };
/** Blocks of 64 neighbours, as columns for the rotation: [64 blocks' rows] becomes [rows][blocks]. */
const neighbours = (vector) => {
  const columns = Math.floor(vector.length / 64);
  const turned = vector.slice();
  for (let c = 0; c < columns; c++) for (let r = 0; r < 64; r++) turned[r * columns + c] = vector[c * 64 + r];
  return turned;
};
const modes = [
  ["as they are", (vector) => vector],
  ["rotated", rotateWeights],
  ["neighbours rotated", (vector) => rotateWeights(neighbours(vector))],
];
console.log(`bits per weight: ${tables.map(trellisRate).join(", ")}`);
for (const [name, path] of adapterFolders()) {
  const adapter = await readRealAdapter(path);
  if (adapter === undefined) continue;
  const step = Math.ceil(adapter.modules.length / MODULES);
  const sums = new Map();
  for (const module of adapter.modules.filter((_, i) => i % step === 0)) {
    for (const component of moduleVectors(module, undefined).components.slice(0, 4)) {
      for (const factor of ["b", "a"])
        for (const vector of component[factor])
          for (const [mode, rotate] of modes) {
            const rotated = rotate(vector);
            const key = `${factor.toUpperCase()}' ${mode}`;
            const row = sums.get(key) ?? tables.map(() => 0).concat(0);
            tables.forEach((table, i) => {
              row[i] += (component.energy * trialDistortion(rotated, table, plain)) / table.distortion;
            });
            row[tables.length] += component.energy;
            sums.set(key, row);
          }
    }
  }
  console.log(name);
  for (const [key, row] of [...sums].sort(([x], [y]) => (x < y ? -1 : 1)))
    console.log(
      `  ${key.padEnd(22)} ${tables.map((_, i) => (row[i] / row[tables.length]).toFixed(3)).join("  ")}`,
    );
}
