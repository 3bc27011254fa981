/**
 * What longer windows would gain: trellis tables of 8, 10 and 12 bits trained alike, and their distortion on normal weights.
 *
 * `node bench/wide-window.mjs [bits per weight]`; several minutes. Tables start from shuffled quantiles of the normal
 * distribution and are trained by alternating Viterbi searches and centroids; entries are not rounded. The tables of the
 * format are better than the ones trained here at 8 bits, because they grew out of good convolutional codes; it is the
 * ratio between the rows that says what a window is worth. Seeded; the times are of this plain search.
 */
const k = Number(process.argv[2] ?? 2);
const TRAINING = 1 << 15;
const TEST = 1 << 17;
const ROUNDS = 40;

let state = 12345;
const uniform = () => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
  return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32;
};
const normals = (count) =>
  Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );

function shuffledQuantiles(count) {
  const sorted = normals(count * 64).sort();
  const table = Float32Array.from(
    { length: count },
    (_, i) => sorted.subarray(i * 64, (i + 1) * 64).reduce((s, x) => s + x, 0) / 64,
  );
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(uniform() * (i + 1));
    [table[i], table[j]] = [table[j], table[i]];
  }
  return table;
}

/** The windows of the best path. A state is the last bits of a window; the newest are highest. */
function search(samples, table, bits) {
  const states = 1 << (bits - k);
  const mask = states - 1;
  let costs = new Float32Array(states);
  let next = new Float32Array(states);
  const decisions = new Uint8Array(samples.length * states);
  for (let i = 0; i < samples.length; i++) {
    const x = samples[i];
    let lowest = Number.POSITIVE_INFINITY;
    for (let s = 0; s < states; s++) {
      const first = s << k;
      let best = Number.POSITIVE_INFINITY;
      let low = 0;
      for (let p = 0; p < 1 << k; p++) {
        const d = x - table[first + p];
        const cost = costs[(first + p) & mask] + d * d;
        if (cost < best) {
          best = cost;
          low = p;
        }
      }
      next[s] = best;
      if (best < lowest) lowest = best;
      decisions[i * states + s] = low;
    }
    for (let s = 0; s < states; s++) next[s] -= lowest;
    [costs, next] = [next, costs];
  }
  let s = costs.indexOf(Math.min(...costs));
  const windows = new Uint16Array(samples.length);
  for (let i = samples.length - 1; i >= 0; i--) {
    windows[i] = (s << k) | decisions[i * states + s];
    s = windows[i] & mask;
  }
  return windows;
}

function distortion(samples, table, bits) {
  let error = 0;
  let energy = 0;
  const piece = 1 << 14;
  for (let at = 0; at < samples.length; at += piece) {
    const part = samples.subarray(at, at + piece);
    search(part, table, bits).forEach((w, i) => {
      error += (part[i] - table[w]) ** 2;
      energy += part[i] ** 2;
    });
  }
  return error / energy;
}

const test = normals(TEST);
console.log(`${k} bits per weight; Shannon ${(4 ** -k).toPrecision(4)}; Node ${process.versions.node}`);
let first;
for (const bits of [8, 10, 12]) {
  const table = shuffledQuantiles(1 << bits);
  for (let round = 0; round < ROUNDS; round++) {
    const samples = normals(TRAINING);
    const sums = new Float64Array(table.length);
    const counts = new Float64Array(table.length);
    search(samples, table, bits).forEach((w, i) => {
      sums[w] += samples[i];
      counts[w]++;
    });
    // A mean of few samples is pulled towards what the entry was.
    for (let w = 0; w < table.length; w++) table[w] = (sums[w] + 4 * table[w]) / (counts[w] + 4);
  }
  const start = performance.now();
  const found = distortion(test, table, bits);
  const ns = ((performance.now() - start) * 1e6) / TEST;
  first ??= found;
  console.log(
    `window ${bits} bits: distortion ${found.toPrecision(4)}, ${(10 * Math.log10(found / first)).toFixed(2)} dB against 8 bits, ${(10 * Math.log10(found * 4 ** k)).toFixed(2)} dB above Shannon, ${(ns / 1000).toFixed(1)} us a weight`,
  );
}
