/** The generator of starts from inside: its draws, the kernel that adds mixtures of them, and the search for a seed in weights. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { nextBlock, type Twister, takeDraws } from "../../src/common/mt19937.ts";
import { startKernel } from "../../src/core/codecs/kernels/start-kernel.ts";
import { drawsOf, localStart } from "../../src/core/codecs/start/draws.ts";
import { addMixture, columnsAtOnce, DRAW_BYTES, type Mixture } from "../../src/core/codecs/start/mixture.ts";
import { bitMatrix, plainMatrix } from "../../src/encode/start/eliminate.ts";
import { spacingsOf } from "../../src/encode/start/orders.ts";
import { type FactorA, recoverStart } from "../../src/encode/start/recover.ts";
import { random } from "../container/fixtures.ts";
import { outputs, seedWords } from "../helpers/mt19937.ts";

/** Draws, by another way than the reader's. */
function drawsAfter(seed: number, from: number, count: number): number[] {
  return Array.from(outputs(seed, from, count), (z) => ((z >>> 8) & 0xffff) - 2 ** 15);
}

const hash = (array: Float32Array | Uint32Array): string => createHash("sha256").update(array).digest("hex");
const generator = (next: number): Twister => ({ words: seedWords(7), next });

const SEED = 2779005848;
const RANK = 8;
const IN = 256;
const OUT = 64;
const MODULES = 12;

/** A factors as PEFT draws them, each moved by `movement` of its range. */
function drawn(seed: number, first: number, movement: number): FactorA[] {
  const all = outputs(seed, 0, first + MODULES * RANK * (2 * IN + OUT));
  const r = random(5);
  let at = first;
  return Array.from({ length: MODULES }, (_, i) => {
    if (i > 0) at += RANK * (IN + OUT);
    const a = Float32Array.from({ length: RANK * IN }, () => {
      const u = (all[at++]! & 0xffffff) / 2 ** 23 - 1;
      return (u + (movement * (r.below(2001) - 1000)) / 1000) / Math.sqrt(IN);
    });
    return { name: `layers.${i}.q_proj`, a, inputs: IN, sizeB: RANK * OUT };
  });
}

describe("the generator", () => {
  it("gives the outputs that its authors publish, and the numbers of torch.rand", () => {
    expect([...outputs(5489, 0, 3)]).toEqual([3499211612, 581869302, 3890346734]);
    // torch.manual_seed(42); torch.rand(4), in 16 bits
    const torch = [0.8822692633, 0.915003955364, 0.382863759995, 0.95930564403];
    const draws = drawsOf({ start: { state: 42 }, position: 0 }, new Int16Array(4));
    expect([...draws]).toEqual(torch.map((u) => Math.floor(u * 2 ** 16) - 2 ** 15));
  });

  it("has the same draws from a seed, from a state, and from the block of the module alone", () => {
    for (const position of [0, 1, 623, 624, 625, 79_871, 79_872, 100_000, 2 ** 22 - 1]) {
      const start = { state: SEED };
      const expected = drawsAfter(SEED, position, 700);
      expect([...drawsOf({ start, position }, new Int16Array(700))]).toEqual(expected);
      expect([...drawsOf({ start: { state: seedWords(SEED) }, position }, new Int16Array(700))]).toEqual(
        expected,
      );
      expect([...drawsOf(structuredClone(localStart({ start, position })), new Int16Array(700))]).toEqual(
        expected,
      );
    }
  });

  it("counts positions from the state that they are in", () => {
    const state = new Uint32Array([...seedWords(1), ...seedWords(2)]);
    const draws = drawsOf({ start: { state }, position: 2 ** 22 + 5 }, new Int16Array(10));
    expect([...draws]).toEqual(drawsAfter(2, 5, 10));
  });

  it("has the same draws where it knows all positions, in any order, near and far, equal, in several states", () => {
    const r = random(5);
    const seeds = [SEED, 2, 3];
    const state = new Uint32Array(seeds.flatMap((seed) => [...seedWords(seed)]));
    const positions = Array.from({ length: 120 }, () => {
      const draw = r.below(3) === 0 ? r.below(3000) : r.below(60_000);
      return r.below(seeds.length) * 2 ** 22 + draw;
    });
    const start = { state, positions: [...positions, positions[0]!] };
    for (const position of positions) {
      const own = { start, position };
      const expected = drawsAfter(seeds[position >>> 22]!, position % 2 ** 22, 30);
      expect([...drawsOf(own, new Int16Array(30))]).toEqual(expected);
      expect([...drawsOf(structuredClone(localStart(own)), new Int16Array(30))]).toEqual(expected);
    }
    // A module alone takes one block along, not those of all modules.
    expect(structuredClone(localStart({ start, position: positions[0]! }).start.state)).toHaveLength(624);
  });
});

describe("the kernel against plain TypeScript", () => {
  it("makes the same blocks", () => {
    for (const blocks of [1, 2, 1000]) {
      const [words, plain] = [new Uint32Array(624), seedWords(3)];
      startKernel()!.advance(seedWords(3), blocks, words);
      for (let i = 0; i < blocks; i++) nextBlock(plain);
      expect(hash(words)).toBe(hash(plain));
    }
  });

  it("adds the same mixtures, at every length, rank, number of components and place of the generator", () => {
    const r = random(11);
    for (let i = 0; i < 200; i++) {
      const rank = i % 40 === 0 ? 256 : 1 + r.below(19);
      const length = [1 + r.below(40), 1 + r.below(700), 1 + r.below(3000)][i % 3]!;
      const components = Array.from({ length: rank }, (_, c) => c).filter(() => r.below(4) > 0);
      const extreme = i % 7 === 0;
      const added = r.below(components.length + 1);
      // The sums of the others are exact in binary32.
      const largest = (row: number): number => (row < added ? 255 : Math.min(255, Math.floor(512 / rank)));
      const mixture: Mixture = {
        rank,
        components,
        added,
        integers: Int16Array.from({ length: components.length * rank }, (_, at) => {
          const most = largest(Math.floor(at / rank));
          return extreme ? most * (2 * (i & 1) - 1) : r.below(2 * most + 1) - most;
        }),
        scales: Float64Array.from(
          { length: components.length },
          // The smallest scale, 0, or any other.
          () => [2 ** -148, 0][r.below(12)] ?? (1 + r.below(255)) * 2 ** (r.below(80) - 60),
        ),
      };
      const target = Float32Array.from(
        { length: rank * length + 3 },
        () => (r.below(2 ** 24) - 2 ** 23) * 2 ** -20,
      );
      for (const c of components.slice(added)) target.fill(0, c * length, (c + 1) * length);
      const plain = target.slice();
      const next = r.below(625);
      const [one, other] = [generator(next), generator(next)];
      expect(startKernel()!.add(one, mixture, length, target)).toBe(true);
      const draws = new Int16Array(rank * length);
      takeDraws(other, draws);
      addMixture(mixture, draws, length, plain, 0);
      expect(hash(target)).toBe(hash(plain));
      expect([one.next, hash(one.words)]).toEqual([next, hash(seedWords(7))]);
    }
  });

  it("makes draws in pieces of columns where all are too many", () => {
    const [rank, length] = [5, 1_000_003];
    expect(columnsAtOnce(rank, length)).toBeLessThan(length);
    const mixture: Mixture = {
      rank,
      components: [3, 0],
      added: 1,
      integers: Int16Array.from({ length: 2 * rank }, (_, i) => 7 * i - 30),
      scales: Float64Array.of(2 ** -20, 3 * 2 ** -18),
    };
    const [target, plain] = [new Float32Array(rank * length), new Float32Array(rank * length)];
    for (const array of [target, plain]) array.fill(0.3, 3 * length, 4 * length);
    const [one, other] = [generator(617), generator(617)];
    startKernel()!.add(one, mixture, length, target);
    const draws = new Int16Array(rank * length);
    takeDraws(other, draws);
    addMixture(mixture, draws, length, plain, 0);
    expect(hash(target)).toBe(hash(plain));
    // The memory of the kernel does not grow with the module: draws, a tile, and what WebAssembly rounds up to.
    expect(startKernel()!.length).toBeLessThan(DRAW_BYTES + 2 ** 20);
  });
});

describe("elimination", () => {
  it("gives the same bits with and without WebAssembly, and a triangular form", () => {
    const [count, words, columns] = [300, 8, 250];
    const [kernel, plain] = [bitMatrix(count, words), plainMatrix(count, words)];
    plain.rows.set(outputs(1, 0, plain.rows.length));
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
    const all = outputs(42, 0, count * each);
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

  // The noise of `moved` is uniform like the draws: the share of the energy that is not from them is movement² / (1 + movement²).
  it.each([
    { movement: 0.37, used: true },
    { movement: 0.39, used: false },
  ])(
    "is of use where A moved by at most an eighth of its energy: by $movement of its size",
    ({ movement, used }) => {
      for (const seed of [42, undefined])
        expect(recoverStart(drawn(42, 0, movement), spacingsOf("peft"), seed)?.positions.size).toBe(
          used ? MODULES : undefined,
        );
    },
  );

  it("does not look where the generator is another one, or the weights have moved far", () => {
    expect(recoverStart(drawn(42, 0, 0), spacingsOf("mlx"))).toBeUndefined();
    const started = process.cpuUsage().user;
    expect(recoverStart(drawn(SEED, 0, 3), spacingsOf("peft"))).toBeUndefined();
    expect(process.cpuUsage().user - started).toBeLessThan(1e6);
  });
});
