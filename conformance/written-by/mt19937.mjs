// The generator of spec clause 8.8.3, for adapters that begin as torch begins them.

/** The state of a seed. */
export function seedWords(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  return state;
}

/** Outputs `from` to `from + count`, not included, of a state. */
export function words(state, from, count) {
  const x = Uint32Array.from(state);
  const taken = new Uint32Array(count);
  for (let i = 0; i < from + count; i++) {
    const k = i % 624;
    const y = (x[k] & 0x80000000) | (x[(k + 1) % 624] & 0x7fffffff);
    x[k] = x[(k + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 2567483615 : 0);
    if (i < from) continue;
    let z = x[k] ^ (x[k] >>> 11);
    z ^= (z << 7) & 2636928640;
    z ^= (z << 15) & 4022730752;
    taken[i - from] = z ^ (z >>> 18);
  }
  return taken;
}
