/** The kernel of starts against plain TypeScript on random mixtures: the same bits, and the same generator afterwards. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { startKernel } from "../../src/core/codecs/kernels/start-kernel.ts";
import { addMixture, type Mixture } from "../../src/core/codecs/start/mixture.ts";
import { nextBlock, seedWords, type Twister, takeDraws } from "../../src/core/codecs/start/mt19937.ts";
import { random } from "../container/fixtures.ts";

const hash = (array: Float32Array | Uint32Array): string => createHash("sha256").update(array).digest("hex");
const generator = (next: number): Twister => ({ words: seedWords(7), next });

it("makes the same blocks", () => {
  for (const blocks of [1, 2, 1000]) {
    const [words, plain] = [seedWords(3), seedWords(3)];
    startKernel()!.advance(words, blocks);
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
    const mixture: Mixture = {
      rank,
      components,
      integers: Int16Array.from({ length: components.length * rank }, () =>
        extreme ? 255 * (2 * (i & 1) - 1) : r.below(511) - 255,
      ),
      scales: Float64Array.from(
        { length: components.length },
        () => (1 + r.below(255)) * 2 ** (r.below(80) - 60),
      ),
    };
    const offset = r.below(9);
    const target = Float32Array.from(
      { length: offset + rank * length + 3 },
      () => (r.below(2 ** 24) - 2 ** 23) * 2 ** -20,
    );
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
