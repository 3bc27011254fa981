/**
 * Generated adapters shaped like LLaMA-2-7B's, at 1.5 bits, with a band plan of its own for nearly every module, as the
 * profile `rd` gives them: it rotates all trellis codes of a factor of a module, or none of them. Codes are arbitrary: they make no
 * difference to time or memory.
 */
import { concat } from "../../dist/common/bytes.js";
import { createWriter } from "../../dist/core/write/write.js";
import { linear, PROJECTIONS } from "../seven-b.mjs";

const LAYERS = 32;
const zero = { codec: "zero" };
const affine6 = { codec: "affine", bits: 6, group: 128, scale: "f16" };

let state = 7;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const drawRotation = () => (random() < 0.5 ? "none" : "hadamard64");
const trellis = (table, rotation) => ({ codec: "trellis", table, group: 0, scale: "bf16", rotation });

/** Components at each rate, of 16, with 1.47 bits per weight. */
const PLANS = [
  [
    [1, 0],
    [2, 6],
    [2, 5],
    [1, 4],
    [1, 3],
    [1, 2],
    [8, -1],
  ],
  [
    [4, 6],
    [2, 5],
    [1, 3],
    [9, -1],
  ],
  [
    [2, 6],
    [3, 5],
    [2, 4],
    [1, 3],
    [1, 2],
    [7, -1],
  ],
];

/** Components and rate of each band of rank 4. */
const SMALL_PLAN = [
  [1, 6],
  [1, 4],
  [2, -1],
];

function bandsOf(rank) {
  const plan = rank === 16 ? PLANS[Math.floor(random() * PLANS.length)] : SMALL_PLAN;
  const [b, a] = [drawRotation(), drawRotation()];
  return plan.map(([components, table]) => {
    if (table < 0) return { components, b: zero, a: zero };
    if (table === 0) return { components, b: affine6, a: trellis(6, a) };
    return { components, b: trellis(table, b), a: trellis(table, a) };
  });
}

/** Shapes that are measured: which projections, and the rank. */
export const SHAPES = {
  "all-linear r16": { rank: 16, projections: PROJECTIONS },
  "q/v r16": { rank: 16, projections: PROJECTIONS.filter(([name]) => /[qv]_proj/.test(name)) },
  "q/v r4": { rank: 4, projections: PROJECTIONS.filter(([name]) => /[qv]_proj/.test(name)) },
};

/** Names and shapes of an adapter's modules. */
export function modulesOf({ rank, projections }) {
  return Array.from({ length: LAYERS }, (_, layer) =>
    projections.map(([name, out, input]) => ({
      name: `model.layers.${layer}.${name}`,
      shape: { rank, out, in: input, multiplier: 2 },
    })),
  ).flat();
}

/** A file of a shape. */
export async function adapterFile({ rank, projections }) {
  const modules = [];
  for (let layer = 0; layer < LAYERS; layer++)
    for (const [name, out, input] of projections)
      modules.push(linear(`model.layers.${layer}.${name}`, out, input, bandsOf(rank)));
  return concat([...(await createWriter({ tensors: [], sections: [] })).prepare(modules).pieces()]);
}
