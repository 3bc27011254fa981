/** Checkpoints of one training run, as the encoder's tests need them: factors that move little, in a basis of their own each. */
import type { Adapter, LoraModule } from "../../src/core/index.ts";

/** Numbers from −1 to 1 by a congruential generator. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Values that fall off by component, as trained factors do. */
function factor(seed: number, rank: number, length: number): Float32Array {
  const next = numbers(seed);
  return Float32Array.from({ length: rank * length }, (_, i) => next() * 0.7 ** Math.floor(i / length));
}

/** What {@link checkpoint} may vary. */
export interface Variation {
  readonly rank?: number;
  readonly experts?: number;
  /** Whether B and A are in another basis than those of the other checkpoints: B·G⁻¹, G·A. */
  readonly turned?: boolean;
  readonly multiplier?: number;
  /** Added to the names of modules. */
  readonly suffix?: string;
}

/** Out and in of the modules. */
const SHAPES = [
  [96, 160],
  [64, 96],
  [200, 64],
] as const;

/** The adapter after some steps: each moves the factors a hundredth of their size. */
export function checkpoint(step: number, variation: Variation = {}): Adapter {
  const { rank = 4, experts = 1, turned = false, multiplier = 2, suffix = "" } = variation;
  const modules = SHAPES.map(([out, n], m): LoraModule => {
    const b = new Float32Array(experts * out * rank);
    const a = new Float32Array(experts * rank * n);
    for (let e = 0; e < experts; e++) {
      const own = (seed: number, length: number): Float32Array => {
        const [start, way] = [factor(seed, rank, length), factor(seed + 1, rank, length)];
        return start.map((value, i) => value + 0.01 * step * way[i]!);
      };
      const [columns, rows] = [own(1000 * m + 10 * e + 1, out), own(1000 * m + 10 * e + 5, n)];
      // Shears: row c of A gets half of row c + 1, column c + 1 of B loses half of column c.
      for (let c = 0; turned && c + 1 < rank; c++) {
        for (let i = 0; i < n; i++) rows[c * n + i]! += 0.5 * rows[(c + 1) * n + i]!;
        for (let i = 0; i < out; i++) columns[(c + 1) * out + i]! -= 0.5 * columns[c * out + i]!;
      }
      a.set(rows, e * rank * n);
      for (let c = 0; c < rank; c++)
        for (let i = 0; i < out; i++) b[(e * out + i) * rank + c] = columns[c * out + i]!;
    }
    return {
      ...{ name: `layers.${m}.proj${suffix}`, role: "linear", out, in: n, kernel: [], experts, rank },
      ...{ baseLayout: "out-in", multiplier, alpha: multiplier * rank, rule: "alpha/r", b, a },
    };
  });
  return { modules, tensors: [], origin: undefined, meta: {} };
}
