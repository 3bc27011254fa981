/** The kernel of starts against plain TypeScript on random mixtures: the same bits, and the same generator afterwards. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { startKernel } from "../../src/core/codecs/kernels/start-kernel.ts";
import { addMixture, type Mixture } from "../../src/core/codecs/start/mixture.ts";
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
    const offset = r.below(9);
    const target = Float32Array.from(
      { length: offset + rank * length + 3 },
      () => (r.below(2 ** 24) - 2 ** 23) * 2 ** -20,
    );
    for (const c of components.slice(added)) target.fill(0, offset + c * length, offset + (c + 1) * length);
    const plain = target.slice();
    const next = r.below(625);
    const [one, other] = [generator(next), generator(next)];
    const after = startKernel()!.add(one, mixture, length, target, offset, true)!;
    const draws = new Int16Array(rank * length);
    takeDraws(other, draws);
    addMixture(mixture, draws, length, plain, offset);
    expect(hash(target)).toBe(hash(plain));
    expect([after.next, hash(after.words)]).toEqual([other.next, hash(other.words)]);
    expect([one.next, hash(one.words)]).toEqual([next, hash(seedWords(7))]);
  }
});
