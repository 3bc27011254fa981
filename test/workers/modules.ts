/** A small module of seeded weights with falling components. */
import type { LoraModule } from "../../src/core/index.ts";
import { shape } from "../container/fixtures.ts";
import { normal } from "../helpers/random.ts";

export function createModule(
  name: string,
  out: number,
  input: number,
  rank: number,
  seed: number,
): LoraModule {
  const next = normal(seed);
  return {
    ...shape(name, { out, in: input, rank, alpha: 2 * rank }),
    b: Float32Array.from({ length: out * rank }, (_, i) => next() * 0.1 * 0.7 ** (i % rank)),
    a: Float32Array.from({ length: rank * input }, () => next() * 0.1),
  };
}
