// Bytes as a sequence of choices: what a grammar-based target makes its input from, so that mutating bytes mutates structure.

/** Takes choices from bytes; where they end, every choice is the first one. */
export function choices(bytes) {
  let at = 0;
  const next = () => (at < bytes.length ? bytes[at++] : 0);
  return {
    next,
    /** A number below `most`, which is at most 256. */
    below: (most) => next() % most,
    /** One of several things. */
    pick: (things) => things[next() % things.length],
    /** Whether bytes are left. */
    more: () => at < bytes.length,
  };
}
