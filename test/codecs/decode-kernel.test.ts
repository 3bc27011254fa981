import { describe, expect, it } from "vitest";
import { type Encoding, encodingLabel, type ScaleType } from "../../src/core/index.ts";
import { DecodeKernel, type FactorJob } from "../helpers/parts.ts";
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
    let length = 0;
    for (let round = 0; round < 300; round++) {
      length = round + 1;
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
    for (let round = 0; round < 24; round++) {
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
