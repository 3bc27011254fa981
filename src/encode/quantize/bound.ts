/**
 * The rate-distortion bound that no code for Gaussian vectors can beat (reverse water-filling over the components).
 *
 * A component of energy E with vectors of m and n weights that get R_b and R_a bits per weight loses at least E · (1 − (1 −
 * 4^−R_b)(1 − 4^−R_a)). The bound minimises the sum over components under Σ m R_b + n R_a = bits, by bisection on the
 * Lagrangian multiplier. Real vectors are not Gaussian, so a code can do better or worse than the bound. It shows how much a
 * better code could gain if they were. For reports only: it uses `log2`.
 *
 * @module
 */

import { inputLength, type LoraModule } from "../../model/adapter.ts";
import { reparameterize } from "./reparameterize.ts";

/** The properties of a component that the bound depends on. */
export interface BoundComponent {
  /** multiplier² s². */
  readonly energy: number;
  /** Weights of its two vectors. */
  readonly out: number;
  readonly n: number;
}

const LN4 = Math.log(4);
const BISECTIONS = 200;

/** The components of a module, over all experts. Weights must be finite. */
export function boundComponents(module: LoraModule): BoundComponent[] {
  const { experts, out, multiplier } = module;
  const n = inputLength(module);
  return Array.from({ length: experts }, (_, e) => reparameterize(module, e).singularValues).flatMap((s) =>
    Array.from(s, (value) => ({ energy: (multiplier * value) ** 2, out, n })),
  );
}

/** The least share of the components' energy that is lost at a total number of bits; 0 if there is no energy. */
export function relativeBound(components: readonly BoundComponent[]): (bits: number) => number {
  const energy = components.reduce((sum, component) => sum + component.energy, 0);
  return (bits) => (energy === 0 ? 0 : gaussianBound(components, bits) / energy);
}

/** The least Σ loss at `bits` bits in total. */
export function gaussianBound(components: readonly BoundComponent[], bits: number): number {
  // Bisects the logarithm of λ, over the range of all energies times every rate up to 64 bits.
  let low = -1100;
  let high = 1100;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (spend(components, 2 ** middle).bits > bits) low = middle;
    else high = middle;
  }
  return spend(components, 2 ** high).loss;
}

function spend(components: readonly BoundComponent[], lambda: number): { bits: number; loss: number } {
  let bits = 0;
  let loss = 0;
  for (const component of components) {
    const point = best(component, lambda);
    bits += point.bits;
    loss += point.loss;
  }
  return { bits, loss };
}

/** The rates of one component with the least loss + λ · bits: a stationary point, or zero bits. */
function best({ energy, out, n }: BoundComponent, lambda: number): { bits: number; loss: number } {
  const nothing = { bits: 0, loss: energy };
  if (energy === 0) return nothing;
  // x = 4^−R_b, y = 4^−R_a: x (1 − y) = λ m / (E ln 4), y (1 − x) = λ n / (E ln 4).
  const forB = (lambda * out) / (energy * LN4);
  const forA = (lambda * n) / (energy * LN4);
  const sum = 1 - forB + forA;
  const discriminant = sum * sum - 4 * forA;
  if (!(discriminant >= 0)) return nothing;
  const y = (2 * forA) / (sum + Math.sqrt(discriminant));
  const x = y + forB - forA;
  if (!(x > 0 && x < 1 && y > 0 && y < 1)) return nothing;
  const point = {
    bits: -(out * Math.log2(x) + n * Math.log2(y)) / 2,
    loss: energy * (1 - (1 - x) * (1 - y)),
  };
  return point.loss + lambda * point.bits < energy ? point : nothing;
}
