/**
 * The kernel against the plain decoder: every encoding at every tail, then random jobs of any encoding, several parts, lengths around
 * every tail, planes and targets at any alignment, in an array of the caller and in the kernel's own memory, multiplied or not. Compared
 * bit by bit, and the bytes around the target must be as they were.
 *
 * `LQA_DECODE_CASES` is the number of random jobs (two million take some minutes), `LQA_DECODE_SEED` another sequence.
 * A failure names the number of its job; the same seed finds it again.
 */
import { describe, expect, it } from "vitest";
import {
  DecodeKernel,
  type FactorJob,
  type FactorPart,
} from "../../src/core/codecs/kernels/decode-kernel.ts";
import { type Encoding, encodingLabel, type ScaleType } from "../../src/core/index.ts";
import { uniform } from "../helpers/random.ts";
import { cases, numbers, thorough } from "../helpers/thorough.ts";
import { partOf, plainly } from "./decode-jobs.ts";

/** Every encoding, ignoring its group. */
const SCALES: readonly ScaleType[] = ["f16", "bf16"];
function everyEncoding(group: number, scale: ScaleType): Encoding[] {
  const all: Encoding[] = [{ codec: "zero" }, { codec: "sign", group, scale }];
  for (const element of ["f16", "bf16", "f32"] as const) all.push({ codec: "raw", element });
  for (let bits = 1; bits <= 8; bits++) all.push({ codec: "affine", bits, group, scale });
  for (let table = 1; table <= 6; table++) {
    all.push({ codec: "trellis", table, group: 0, scale: "bf16", rotation: "none" });
    all.push({ codec: "trellis", table, group: 0, scale: "bf16", rotation: "hadamard64" });
  }
  return all;
}

let state = 12345;
const byte = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state & 255;
};
/** Arbitrary bytes at an arbitrary place of a buffer. */
function bytes(length: number): Uint8Array {
  const shift = byte() % 8;
  return new Uint8Array(length + 16).map(byte).subarray(shift, shift + length);
}

/** A scale an encoder may write: subnormal in binary16 up to what nearly overflows, and 0. */
const anyScale = (): number => (byte() < 8 ? 0 : (1 + byte() / 255) * 2 ** ((byte() % 26) - 24));

const kernel = DecodeKernel.make()!;

/** Kernel and plain decoder side by side: true if the kernel took the job. */
function compare(job: FactorJob, wide: boolean): boolean {
  const expected = plainly(job, wide);
  const Target = wide ? Float32Array : Uint16Array;
  const guard = 40;
  const target = new Target(expected.length + 2 * guard).fill(7);
  const taken = kernel.decode(job, target, guard);
  const label = `${job.parts.map((p) => `${p.components}×${encodingLabel(p.encoding)}`)} ${job.length} ${job.order} ${wide}`;
  if (taken) {
    const Bits = wide ? Uint32Array : Uint16Array;
    const found = new Bits(target.buffer, guard * target.BYTES_PER_ELEMENT, expected.length);
    for (let i = 0; i < expected.length; i++)
      if (expected[i] !== found[i]) {
        expect.fail(`${label}: weight ${i} is ${found[i]!.toString(16)}, not ${expected[i]!.toString(16)}`);
      }
  }
  for (let i = 0; i < guard; i++)
    if (target[i] !== 7 || target[target.length - 1 - i] !== 7) expect.fail(`${label}: wrote outside`);
  return taken;
}

const both = [true, false];
const orders = ["component", "weight"] as const;

describe("the decode kernel", () => {
  it("is there", () => expect(kernel).toBeDefined());

  it("gives the bits of the plain decoder for every encoding, tail length, output and layout", () => {
    for (const length of numbers(1, 300, 6)) {
      const round = length - 1;
      const group = [0, 16, 32, 64, 128, 256, 512, 1024][round % 8]!;
      for (const encoding of everyEncoding(group, SCALES[round % 2]!)) {
        const part = partOf(encoding, 1 + (byte() % 5), length, bytes, anyScale);
        for (const wide of both)
          for (const order of orders) compare({ parts: [part], length, order, multiplier: 1 }, wide);
      }
    }
  });

  it("widens every finite binary16 number, beside normal and subnormal ones", () => {
    // In order, tiles have numbers of one kind; with each of these between them, of two.
    for (const between of [undefined, 0x3c00, 0x8000, 0x0001, 0xfbff, 0x83ff]) {
      const finite = Array.from({ length: 0x10000 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00);
      const halves = Uint16Array.from(finite.flatMap((i) => (between === undefined ? [i] : [i, between])));
      const codes = new Uint8Array(halves.buffer);
      const planes = { codes, scales: new Uint8Array(0), zeroPoints: new Uint8Array(0) };
      const part = { encoding: { codec: "raw", element: "f16" }, planes, components: 1 } as const;
      for (const wide of both)
        expect(
          compare({ parts: [part], length: halves.length, order: "component", multiplier: 1 }, wide),
        ).toBe(true);
    }
  });

  it("does so for long vectors, many components and several parts", () => {
    for (let round = 0; round < (thorough ? 24 : 4); round++) {
      const length = [512, 513, 1000, 1024, 4096, 4100, 5000, 11008][round % 8]! + (round > 8 ? byte() : 0);
      const group = [128, 0, 16, 1024][round % 4]!;
      const all = everyEncoding(group, SCALES[round % 2]!);
      for (const [i, encoding] of all.entries()) {
        const parts = [partOf(encoding, 1 + (byte() % 18), length, bytes, anyScale)];
        if (round % 2 === 1)
          parts.push(partOf(all[(i * 7 + round) % all.length]!, 1 + (byte() % 3), length, bytes, anyScale));
        const multiplier = round % 3 === 2 ? Math.fround(byte() / 16 - 8) : 1;
        for (const wide of both)
          for (const order of orders)
            expect(compare({ parts, length, order, multiplier }, wide), encodingLabel(encoding)).toBe(true);
      }
    }
  });
});

const CASES = Number(process.env.LQA_DECODE_CASES ?? cases(20_000));
const SEED = Number(process.env.LQA_DECODE_SEED ?? 1);
const GROUPS = [0, 16, 32, 64, 128, 256, 512, 1024] as const;
const ELEMENTS = ["f16", "bf16", "f32"] as const;

/** Which facts of the jobs were seen: kinds of encoding with type, order and place; tails; alignments. */
const seen = new Set<string>();
let weights = 0;
let left = 0;

/** A number from 0 to n − 1. */
let below: (n: number) => number;

function anyEncoding(): Encoding {
  const group = GROUPS[below(GROUPS.length)]!;
  const scale = SCALES[below(2)]!;
  // By how much there is to go wrong, not by codec.
  const which = below(20);
  if (which === 0) return { codec: "zero" };
  if (which <= 2) return { codec: "raw", element: ELEMENTS[below(3)]! };
  if (which <= 4) return { codec: "sign", group, scale };
  if (which <= 12) return { codec: "affine", bits: 1 + below(8), group, scale };
  if (which <= 16)
    return { codec: "trellis", table: 1 + below(6), group: 0, scale: "bf16", rotation: "none" };
  return { codec: "trellis", table: 1 + below(6), group: 0, scale: "bf16", rotation: "hadamard64" };
}

function anyLength(rotated: boolean): number {
  // Rotated vectors below 512 are not the kernel's.
  const least = rotated && below(16) > 0 ? 512 : 1;
  const most = [130, 130, 130, 1100, 1100, 2300, 5000][below(7)]!;
  return least + below(Math.max(1, most - least));
}

/** Arbitrary bytes at an arbitrary place of a buffer. */
function anyBytes(length: number): Uint8Array {
  const shift = below(16);
  const buffer = new Uint8Array(length + 16);
  // Two bytes of each number: bytes are most of what a job costs.
  const pairs = new Uint16Array(buffer.buffer, 0, buffer.length >> 1);
  for (let i = 0; i < pairs.length; i++) pairs[i] = below(65536);
  seen.add(`plane at ${shift}`);
  return buffer.subarray(shift, shift + length);
}

/** A scale an encoder may write: from subnormal in binary16 up to what nearly overflows, and 0. */
const jobScale = (): number => (below(32) === 0 ? 0 : (1 + below(256) / 256) * 2 ** (below(26) - 24));

function anyPart(encoding: Encoding, length: number, ordinary: boolean): FactorPart {
  const components = 1 + (below(4) === 0 ? below(18) : below(4));
  return partOf(encoding, components, length, anyBytes, ordinary ? jobScale : undefined);
}

const GUARD = 64;
let jobKernel = DecodeKernel.make()!;

/** One job: decoded both ways, to the same bits. */
function run(number: number): void {
  const random = uniform(Math.imul(SEED, 0x9e3779b1) + number);
  below = (n) => Math.floor(random() * n);
  const first = anyEncoding();
  const others = Array.from({ length: below(5) === 0 ? 1 + below(3) : 0 }, anyEncoding);
  const encodings = [first, ...others];
  const isRotated = (e: Encoding): boolean => e.codec === "trellis" && e.rotation !== "none";
  const length = anyLength(encodings.some(isRotated));
  const ordinary = below(12) > 0;
  const parts = encodings.map((encoding) => anyPart(encoding, length, ordinary));
  const order = below(2) === 0 ? "component" : "weight";
  const multiplier = below(6) === 0 ? Math.fround(below(4096) / 256 - 8) : 1;
  const job: FactorJob = { parts, length, order, multiplier };
  const wide = below(2) === 0;
  const expected = plainly(job, wide);
  const size = wide ? 4 : 2;
  const shift = size * below(64 / size);
  const room = 2 * GUARD + 64 + size * expected.length;
  // A kernel's memory only grows: a new one now and then.
  if (jobKernel.memory.buffer.byteLength > 2 ** 23) jobKernel = DecodeKernel.make()!;
  const own = below(2) === 0 ? jobKernel.allocate([job], wide, room) : undefined;
  const place = own === undefined ? "array" : "own memory";
  const buffer = own === undefined ? new ArrayBuffer(room) : jobKernel.memory.buffer;
  const begin = (own ?? 0) + GUARD + shift;
  const around = new Uint8Array(buffer, own ?? 0, room).fill(0xa7);
  const Target = wide ? Float32Array : Uint16Array;
  const taken = jobKernel.decode(job, new Target(buffer, begin, expected.length), 0);
  const label = (): string =>
    `job ${number}: ${parts.map((p) => `${p.components} × ${encodingLabel(p.encoding)}`)}, length ${length}, ${order}, ${wide ? "f32" : "f16"}, × ${multiplier}, ${place} at ${shift}`;
  const short = length < 512 && encodings.some(isRotated);
  if (!taken) {
    left++;
    if (ordinary && !short && multiplier === 1) expect.fail(`${label()}: the kernel left it`);
  } else {
    const Bits = wide ? Uint32Array : Uint16Array;
    const found = new Bits(buffer, begin, expected.length);
    for (let i = 0; i < expected.length; i++)
      if (found[i] !== expected[i])
        expect.fail(`${label()}: weight ${i} is ${found[i]!.toString(16)}, not ${expected[i]!.toString(16)}`);
    weights += expected.length;
    const { codec } = first;
    const kind =
      codec === "affine"
        ? `affine${first.bits}`
        : codec === "trellis"
          ? encodingLabel(first).split(" ")[0]
          : codec;
    seen.add(`${kind} ${wide} ${order} ${place}`);
    seen.add(`${codec} ${wide} tail ${length % 64}`);
    seen.add(`${wide} ${order} ${place} at ${shift}`);
  }
  const end = GUARD + shift + size * expected.length;
  for (let i = 0; i < GUARD; i++)
    if (around[GUARD + shift - 1 - i] !== 0xa7 || around[end + i] !== 0xa7)
      expect.fail(`${label()}: wrote outside`);
}

describe("random jobs of the decode kernel", () => {
  it(
    `${CASES} of them give the bits of the plain decoder, and nothing outside the target`,
    () => {
      for (let number = 0; number < CASES; number++) run(number);
      // What is counted was compared: one in ten may be left, for its scales or as a short rotated vector.
      expect(left).toBeLessThan(0.2 * CASES);
      if (process.env.LQA_DECODE_CASES !== undefined)
        console.log(`${CASES - left} jobs compared, ${weights} weights; ${left} left to the plain decoder`);
    },
    60_000 + CASES,
  );

  it.runIf(CASES >= 20_000)(
    "have every encoding, type, layout and place; every tail; every alignment",
    () => {
      const kinds = ["zero", "raw", "sign"];
      for (let bits = 1; bits <= 8; bits++) kinds.push(`affine${bits}`);
      for (const rate of ["0.5", "1", "1.5", "2", "3", "4"]) kinds.push(`trellis${rate}`, `trellis${rate}r`);
      const missing: string[] = [];
      const need = (what: string): void => {
        if (!seen.has(what)) missing.push(what);
      };
      for (let shift = 0; shift < 16; shift++) need(`plane at ${shift}`);
      for (const wide of [true, false]) {
        for (const order of ["component", "weight"])
          for (const place of ["array", "own memory"]) {
            for (const kind of kinds) need(`${kind} ${wide} ${order} ${place}`);
            for (let shift = 0; shift < 64; shift += wide ? 4 : 2)
              need(`${wide} ${order} ${place} at ${shift}`);
          }
        for (const codec of ["raw", "sign", "affine", "trellis"])
          for (let tail = 0; tail < 64; tail++) need(`${codec} ${wide} tail ${tail}`);
      }
      expect(missing).toEqual([]);
    },
  );
});
