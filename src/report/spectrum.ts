/**
 * The singular values of a module's ΔW = multiplier · B · A.
 *
 * @module
 */

import type { BoundComponent } from "../encode/index.ts";
import { reparameterize } from "../encode/rooms.ts";

import { inputLength, type LoraModule } from "../model/adapter.ts";

/** Whether all weights of a module are finite, so that it can be decomposed. */
export function finite({ b, a }: LoraModule): boolean {
  return b.every(Number.isFinite) && a.every(Number.isFinite);
}

/**
 * The singular values of ΔW, largest first, `[rank]`: root mean squares over the experts.
 *
 * @param components receives every component of every expert
 */
export function spectrum(module: LoraModule, components?: BoundComponent[]): Float64Array {
  const { experts, rank, out, multiplier } = module;
  const squares = new Float64Array(rank);
  for (let e = 0; e < experts; e++)
    reparameterize(module, e).singularValues.forEach((value, i) => {
      const energy = (multiplier * value) ** 2;
      squares[i]! += energy / experts;
      components?.push({ energy, out, n: inputLength(module) });
    });
  return squares.map(Math.sqrt);
}
