/** The kernel of starts against plain TypeScript on random mixtures: the same bits. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { startKernel } from "../../src/core/codecs/kernels/start-kernel.ts";
import { addMixture, columnsAtOnce, DRAW_BYTES, type Mixture } from "../../src/core/codecs/start/mixture.ts";
import { random } from "../container/fixtures.ts";
import { nextBlock, seedWords, type Twister, takeDraws } from "../helpers/parts.ts";

const hash = (array: Float32Array | Uint32Array): string => createHash("sha256").update(array).digest("hex");
const generator = (next: number): Twister => ({ words: seedWords(7), next });

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
