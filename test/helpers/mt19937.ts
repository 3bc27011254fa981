/**
 * The generator mt19937 by the paper of its authors (Matsumoto and Nishimura, 1998), for tests. Independent of the library's own, so
 * that a fault there cannot hide itself.
 *
 * @module
 */

const [N, M] = [624, 397];

/** The words of the state that a seed gives, before the first block. */
export function seedWords(seed: number): Uint32Array {
  const words = new Uint32Array(N);
  words[0] = seed;
  for (let i = 1; i < N; i++) {
    const before = words[i - 1]!;
    words[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  return words;
}

/** Outputs of a seed: `count` of them, after the first `from`. */
export function outputs(seed: number, from: number, count: number): Uint32Array {
  const words = seedWords(seed);
  const taken = new Uint32Array(count);
  for (let at = 0; at < from + count; at++) {
    if (at % N === 0) advance(words);
    if (at < from) continue;
    let z = words[at % N]!;
    z ^= z >>> 11;
    z ^= (z << 7) & 0x9d2c5680;
    z ^= (z << 15) & 0xefc60000;
    taken[at - from] = z ^ (z >>> 18);
  }
  return taken;
}

function advance(words: Uint32Array): void {
  for (let i = 0; i < N; i++) {
    const y = (words[i]! & 0x80000000) | (words[(i + 1) % N]! & 0x7fffffff);
    words[i] = words[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
  }
}
