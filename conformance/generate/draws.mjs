// The draws of a start (spec clause 8.8.3), in the plainest way: words as BigInt, one after the other.

const WORD = 0xffffffffn;

/** The words of `start` that a position counts from, seed or state, and the number of its draw there (8.8.1). */
export function placeOf([, ...words], position) {
  const state = Math.floor(position / 2 ** 22);
  return [words.length === 1 ? words : words.slice(624 * state, 624 * (state + 1)), position % 2 ** 22];
}

/** `count` draws, and those `before` after a position. */
export function drawsOf(start, position, before, count) {
  const [state, first] = placeOf(start, position);
  const x = state.map(BigInt);
  for (let i = x.length; i < 624; i++)
    x.push((1812433253n * (x[i - 1] ^ (x[i - 1] >> 30n)) + BigInt(i)) & WORD);
  const draws = [];
  for (let i = 624; i < 624 + first + before + count; i++) {
    const y = (x[i - 624] & 0x80000000n) | (x[i - 623] & 0x7fffffffn);
    x.push(x[i - 227] ^ (y >> 1n) ^ (y & 1n ? 2567483615n : 0n));
    if (i < 624 + first + before) continue;
    let z = x[i] ^ (x[i] >> 11n);
    z ^= (z << 7n) & 2636928640n;
    z ^= (z << 15n) & 4022730752n;
    z = (z ^ (z >> 18n)) & WORD;
    draws.push(Number((z >> 8n) & 0xffffn) - 2 ** 15);
  }
  return draws;
}
