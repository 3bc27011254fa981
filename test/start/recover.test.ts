/** Recovery of starts: the elimination, an uncommon seed from the weights alone, and adapters that have none. */
import { describe, expect, it } from "vitest";
import { bitMatrix, plainMatrix } from "../../src/encode/start/eliminate.ts";
import { spacingsOf } from "../../src/encode/start/orders.ts";
import { type FactorA, recoverStart } from "../../src/encode/start/recover.ts";
import { random } from "../container/fixtures.ts";
import { seedWords, takeOutputs, twisterAt } from "../helpers/parts.ts";

const SEED = 2779005848;
const RANK = 8;
const IN = 256;
const OUT = 64;
const MODULES = 12;

/** A factors as PEFT draws them, each moved by `movement` of its range. */
function drawn(seed: number, first: number, movement: number): FactorA[] {
  const outputs = new Uint32Array(first + MODULES * RANK * (2 * IN + OUT));
  takeOutputs(twisterAt(seedWords(seed)), outputs);
  const r = random(5);
  let at = first;
  return Array.from({ length: MODULES }, (_, i) => {
    if (i > 0) at += RANK * (IN + OUT);
    const a = Float32Array.from({ length: RANK * IN }, () => {
      const u = (outputs[at++]! & 0xffffff) / 2 ** 23 - 1;
      return (u + (movement * (r.below(2001) - 1000)) / 1000) / Math.sqrt(IN);
    });
    return { name: `layers.${i}.q_proj`, a, inputs: IN, sizeB: RANK * OUT };
  });
}

describe("elimination", () => {
  it("gives the same bits with and without WebAssembly, and a triangular form", () => {
    const [count, words, columns] = [300, 8, 250];
    const [kernel, plain] = [bitMatrix(count, words), plainMatrix(count, words)];
    takeOutputs(twisterAt(seedWords(1)), plain.rows);
    // Rows that depend on others, and a column of zeros.
    plain.rows.copyWithin(10 * words, 0, 5 * words);
    for (let i = 0; i < count; i++) plain.rows[i * words + 1]! &= ~8;
    kernel.rows.set(plain.rows);
    const pivots = plain.eliminate(columns);
    expect([...kernel.eliminate(columns)]).toEqual([...pivots]);
    expect(kernel.rows).toEqual(plain.rows);
    expect(pivots.length).toBe(columns - 1);
    expect(new Set(pivots).has(35)).toBe(false);
    for (let i = columns; i < count; i++)
      for (let w = 0; 32 * w + 32 <= columns; w++) expect(plain.rows[i * words + w]).toBe(0);
  });
});

describe("recovery", () => {
  it("finds an uncommon seed and all positions from the weights alone", () => {
    const first = 9216;
    const found = recoverStart(drawn(SEED, first, 0.02), spacingsOf("peft"));
    expect(found?.state).toBe(SEED);
    expect([...found!.positions].sort(([x], [y]) => x - y)).toEqual(
      Array.from({ length: MODULES }, (_, i) => [i, first + i * RANK * (2 * IN + OUT)]),
    );
  }, 120_000);

  it("finds modules in any order, of which more are searched than at once", () => {
    const [count, each] = [300, 600];
    const all = new Uint32Array(count * each);
    takeOutputs(twisterAt(seedWords(42)), all);
    const placeOf = (i: number): number => ((i * 37) % count) * each;
    const subjects = Array.from({ length: count }, (_, i) => {
      const draws = all.subarray(placeOf(i), placeOf(i) + 512);
      const a = Float32Array.from(draws, (z) => ((z & 0xffffff) / 2 ** 23 - 1) / Math.sqrt(IN));
      return { name: `m${i}`, a, inputs: IN, sizeB: 100 };
    });
    const found = recoverStart(subjects, spacingsOf("peft"));
    expect([...found!.positions].sort(([x], [y]) => x - y)).toEqual(subjects.map((_, i) => [i, placeOf(i)]));
  }, 120_000);

  it("finds none in numbers of another generator, after a failed solution", () => {
    const subjects = drawn(SEED, 0, 0).map((own, i) => {
      const r = random(100 + i);
      return { ...own, a: own.a.map(() => (2 * (r.below(2 ** 24) / 2 ** 24) - 1) / Math.sqrt(IN)) };
    });
    expect(recoverStart(subjects, spacingsOf("peft"))).toBeUndefined();
  }, 120_000);

  it("does not look where the generator is another one, or the weights have moved far", () => {
    expect(recoverStart(drawn(42, 0, 0), spacingsOf("mlx"))).toBeUndefined();
    const started = process.cpuUsage().user;
    expect(recoverStart(drawn(SEED, 0, 3), spacingsOf("peft"))).toBeUndefined();
    expect(process.cpuUsage().user - started).toBeLessThan(1e6);
  });
});
