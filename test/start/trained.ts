/**
 * Adapters as PEFT begins them: A of the uniform numbers that torch draws, in the order in which it draws them.
 *
 * @module
 */

import type { Adapter, LoraModule } from "../../src/core/index.ts";
import { random, shape } from "../container/fixtures.ts";
import { outputs } from "../helpers/mt19937.ts";

export const SEED = 42;
export const RANK = 4;
const FIRST = 100_003;

/** Numbers of torch from −1 to 1. */
function uniforms(seed: number, from: number, count: number): Float64Array {
  return Float64Array.from(outputs(seed, from, count), (z) => (z & 0xffffff) / 2 ** 23 - 1);
}

/** An adapter that was trained a little: A has moved by `movement` of its size. */
export function trained(movement: number): Adapter {
  const modules: LoraModule[] = [];
  const r = random(7);
  const noise = (): number => (r.below(2001) - 1000) / 1000;
  let at = FIRST;
  for (const name of ["layers.0.q_proj", "layers.0.v_proj", "layers.1.q_proj", "layers.1.v_proj"]) {
    const own = shape(name, { out: name.endsWith("q_proj") ? 320 : 192, in: 256, rank: RANK });
    const [a, b] = [RANK * own.in, RANK * own.out];
    at += modules.length === 0 ? 0 : a + b;
    const draws = uniforms(SEED, at, a);
    at += a;
    const bound = 1 / Math.sqrt(own.in);
    modules.push({
      ...own,
      a: Float32Array.from(draws, (u) => bound * (u + movement * noise())),
      b: Float32Array.from({ length: b }, () => noise() / 50),
    });
  }
  return { modules, tensors: [], origin: undefined, meta: {} };
}

/** A module of rank 1 whose A has later draws, not trained at all: with its start, it stores next to nothing. */
export function untouched(over: { readonly out: number; readonly in: number }): LoraModule {
  const own = shape("long", { ...over, rank: 1 });
  const bound = 1 / Math.sqrt(own.in);
  return {
    ...own,
    a: Float32Array.from(uniforms(SEED, 200_000, own.in), (u) => bound * u),
    b: new Float32Array(own.out).fill(1),
  };
}
