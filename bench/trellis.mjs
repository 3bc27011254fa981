/**
 * The trellis codec: time of the search with the kernel and without, time of decoding, and distortion against Shannon's
 * bound.
 *
 * Build first (`npm run build`), then `node bench/trellis.mjs`. One thread; each time is the least of several runs, in
 * nanoseconds per weight. Distortion is the mean squared error of seeded standard normal weights, each vector of 4096 with
 * one f16 scale that is refitted after the search, as an encoder would.
 */
import { decodePlanes } from "../dist/core/codecs/decode.js";
import { TRELLIS_TABLES } from "../dist/core/codecs/trellis.js";
import { viterbiKernelEngine } from "../dist/encode/quantize/viterbi/kernels/viterbi-kernel.js";
import { viterbiPlainEngine } from "../dist/encode/quantize/viterbi/plain.js";
import { encodeTrellis } from "../dist/encode/quantize/viterbi/viterbi.js";
import { f16ToNumber, numberToF16 } from "../dist/floats.js";

const LENGTH = 4096;
const VECTORS = 128;
let state = 1;
const uniform = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return ((state >>> 0) + 0.5) / 2 ** 32;
};
const weights = Array.from({ length: VECTORS }, () =>
  Float32Array.from(
    { length: LENGTH },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  ),
);
const importance = Float32Array.from({ length: LENGTH }, () => uniform());

function nanoseconds(run, weightsPerRun, runs) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    run();
    least = Math.min(least, performance.now() - start);
  }
  return (least * 1e6) / weightsPerRun;
}

const kernel = viterbiKernelEngine();
const plain = viterbiPlainEngine();
console.log(`Node ${process.versions.node}; kernel ${kernel === undefined ? "missing" : "present"}`);
console.log("table  bits  ns: kernel  weighted   plain  decode f32   f16   distortion  4^-R    above");
for (const table of TRELLIS_TABLES.values()) {
  const rate = table.stepBits / table.weightsPerStep;
  const search = (engine, weigh, vectors, runs) => {
    const scaled = weights.slice(0, vectors).map((vector) => vector.map((x) => x / table.unit));
    const run = () => {
      for (const vector of scaled) encodeTrellis(vector, table, weigh, engine);
    };
    return nanoseconds(run, vectors * LENGTH, runs);
  };
  const times = [
    search(kernel ?? plain, undefined, 16, 9),
    search(kernel ?? plain, importance, 16, 9),
    search(plain, undefined, 2, 3),
  ];

  let error = 0;
  let energy = 0;
  let codes;
  for (const vector of weights) {
    const squares = vector.reduce((sum, x) => sum + x * x, 0);
    const scale = table.unit * Math.sqrt(squares / LENGTH);
    const found = encodeTrellis(
      vector.map((x) => x / scale),
      table,
    );
    codes = found.bits;
    let inner = 0;
    let own = 0;
    for (let i = 0; i < LENGTH; i++) {
      inner += vector[i] * found.values[i];
      own += found.values[i] ** 2;
    }
    const refitted = f16ToNumber(numberToF16(inner / own));
    error += squares - 2 * refitted * inner + refitted ** 2 * own;
    energy += squares;
  }
  const encoding = { codec: "trellis", table: table.number, group: 0, scale: "bf16", rotation: "none" };
  const planes = { scales: Uint8Array.of(0, 0x2c), zeroPoints: new Uint8Array(0), codes };
  const decode = (target) => {
    const at = { offset: 0, componentStride: LENGTH, weightStride: 1 };
    const run = () => {
      for (let i = 0; i < 64; i++) decodePlanes(encoding, planes, 1, LENGTH, target, at);
    };
    return nanoseconds(run, 64 * LENGTH, 15);
  };
  const bound = 4 ** -rate;
  const distortion = error / energy;
  console.log(
    [
      String(table.number).padStart(5),
      String(rate).padStart(5),
      times[0].toFixed(1).padStart(11),
      times[1].toFixed(1).padStart(9),
      times[2].toFixed(0).padStart(7),
      decode(new Float32Array(LENGTH)).toFixed(2).padStart(11),
      decode(new Uint16Array(LENGTH)).toFixed(2).padStart(5),
      distortion.toPrecision(4).padStart(12),
      bound.toPrecision(4).padStart(9),
      `${(10 * Math.log10(distortion / bound)).toFixed(2)} dB`.padStart(8),
    ].join(" "),
  );
}
