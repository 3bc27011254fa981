/**
 * Which decoder decodes what, and that the choice does not matter: whole factors of several parts, by the kernel and without
 * it, to the bits of the definition, and nothing is written outside them.
 */

import { describe, expect, it } from "vitest";
import { decodeFactor } from "../../src/core/codecs/decode.ts";
import type { DecodeTarget } from "../../src/core/codecs/encoding.ts";
import {
  DecodeKernel,
  type FactorJob,
  type FactorPart,
} from "../../src/core/codecs/kernels/decode-kernel.ts";
import { decodePlain, decodePlanes, lower, planeSizes } from "../../src/core/format.ts";
import { type Encoding, isLqaError } from "../../src/core/index.ts";
import { uniform } from "../helpers/random.ts";
import { partOf, plainly } from "./decode-jobs.ts";

const affine: Encoding = { codec: "affine", bits: 3, group: 32, scale: "f16" };
const wider: Encoding = { codec: "affine", bits: 6, group: 16, scale: "bf16" };
const sign: Encoding = { codec: "sign", group: 0, scale: "f16" };
const raw: Encoding = { codec: "raw", element: "f32" };
const zero: Encoding = { codec: "zero" };
const trellis: Encoding = { codec: "trellis", table: 3, group: 0, scale: "bf16", rotation: "none" };
const rotated: Encoding = { codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "hadamard64" };

const next = uniform(7);
const bytes = (length: number) => Uint8Array.from({ length }, () => Math.floor(256 * next()));
const scale = () => (1 + next()) * 2 ** (Math.floor(8 * next()) - 6);
const part = (encoding: Encoding, components: number, length: number): FactorPart =>
  partOf(encoding, components, length, bytes, scale);

interface Call {
  readonly kernel: DecodeKernel;
  readonly job: FactorJob;
  readonly offset: number;
  readonly taken: boolean;
}

/** The kernel calls while `body` runs. */
function watched(body: () => void): Call[] {
  const { decode } = DecodeKernel.prototype;
  const calls: Call[] = [];
  DecodeKernel.prototype.decode = function (job, target, offset) {
    const taken = decode.call(this, job, target, offset);
    calls.push({ kernel: this, job, offset, taken });
    return taken;
  };
  try {
    body();
  } finally {
    DecodeKernel.prototype.decode = decode;
  }
  return calls;
}

/** As if there were no kernel. */
function without(body: () => void): void {
  const { decode } = DecodeKernel.prototype;
  DecodeKernel.prototype.decode = () => false;
  try {
    body();
  } finally {
    DecodeKernel.prototype.decode = decode;
  }
}

const GUARD = 9;
const bitsOf = (target: DecodeTarget) =>
  target instanceof Float32Array ? new Uint32Array(target.buffer) : target;

/** The bits that `body` writes to the middle of an array; nothing changes around it. */
function written(count: number, wide: boolean, body: (target: DecodeTarget, offset: number) => void) {
  const target = wide ? new Float32Array(count + 2 * GUARD) : new Uint16Array(count + 2 * GUARD);
  const bits = bitsOf(target).fill(0x1234);
  body(target, GUARD);
  const around = [...bits.subarray(0, GUARD), ...bits.subarray(GUARD + count)];
  if (!around.every((value) => value === 0x1234)) expect.fail(`wrote outside it: ${around}`);
  return bits.slice(GUARD, GUARD + count);
}

/** What `toEqual` says, without its time for arrays that are equal. */
function expectSame(
  found: Uint32Array | Uint16Array,
  expected: Uint32Array | Uint16Array,
  name?: string,
): void {
  const bytesOf = ({ buffer, byteOffset, byteLength }: Uint32Array | Uint16Array) =>
    Buffer.from(buffer, byteOffset, byteLength);
  if (!bytesOf(found).equals(bytesOf(expected))) expect(found, name).toEqual(expected);
}

const jobs: FactorJob[] = [];
for (const order of ["component", "weight"] as const)
  for (const multiplier of [1, -0.375])
    for (const length of [1, 5, 70, 300])
      for (const parts of [
        [part(affine, 2, length), part(raw, 1, length), part(sign, 3, length)],
        [part(trellis, 1, length), part(zero, 2, length)],
        [part(wider, 2, length), part(rotated, 1, length)],
        [part(raw, 2, length)],
      ])
        jobs.push({ parts, length, order, multiplier });
const componentsOf = ({ parts }: FactorJob) => parts.reduce((sum, { components }) => sum + components, 0);

describe("a whole factor", () => {
  it.each([true, false])(
    "has the bits of the definition, with a kernel and without (binary32: %s)",
    (wide) => {
      const own = DecodeKernel.make()!;
      for (const job of jobs) {
        const count = componentsOf(job) * job.length;
        const expected = plainly(job, wide);
        const decode = (target: DecodeTarget, offset: number) => decodeFactor(job, target, offset);
        expectSame(written(count, wide, decode), expected);
        expectSame(
          written(count, wide, (...to) => decodeFactor(job, ...to, own)),
          expected,
        );
        without(() => expectSame(written(count, wide, decode), expected));
      }
    },
  );

  it("is left to a kernel from 512 weights on: to the caller's, or to one for all", () => {
    const own = DecodeKernel.make()!;
    for (const [length, times] of [
      [255, 0],
      [256, 1],
      [300, 1],
    ] as const) {
      const job: FactorJob = { parts: [part(affine, 2, length)], length, order: "weight", multiplier: 1 };
      const target = new Float32Array(2 * length + 3);
      const shared = watched(() => decodeFactor(job, target, 3));
      expect(shared.map(({ offset, taken }) => [offset, taken])).toEqual(Array(times).fill([3, true]));
      const given = watched(() => decodeFactor(job, target, 3, own));
      expect(given.map(({ kernel }) => kernel)).toEqual(Array(times).fill(own));
      for (const { kernel } of shared) expect(kernel).not.toBe(own);
    }
  });

  it("keeps the kernel for all, until its memory has grown large", () => {
    const small: FactorJob = { parts: [part(sign, 1, 512)], length: 512, order: "component", multiplier: 1 };
    const kernelOf = (job: FactorJob, count: number) =>
      watched(() => decodeFactor(job, new Uint16Array(count), 0))[0]!.kernel;
    const first = kernelOf(small, 512);
    expect(kernelOf(small, 512)).toBe(first);
    first.allocate([small], false, 2 ** 23 + 1 - first.memory.buffer.byteLength);
    first.memory.grow(Math.max(0, (2 ** 23 - first.memory.buffer.byteLength) / 65536));
    expect(first.memory.buffer.byteLength).toBe(2 ** 23);
    expect(kernelOf(small, 512)).toBe(first);
    expect(kernelOf(small, 512)).toBe(first);
    first.memory.grow(1);
    expect(kernelOf(small, 512)).toBe(first);
    expect(kernelOf(small, 512)).not.toBe(first);
  });

  it("must fit into its target", () => {
    const job: FactorJob = {
      parts: [part(zero, 2, 3), part(zero, 1, 3)],
      length: 3,
      order: "component",
      multiplier: 1,
    };
    const attempt = (size: number, offset: number) => {
      const target = new Float32Array(size);
      try {
        decodeFactor(job, target, offset);
      } catch (error) {
        return isLqaError(error) ? error.kind : error;
      }
      return "decoded";
    };
    expect(attempt(9, 0)).toBe("decoded");
    expect(attempt(11, 2)).toBe("decoded");
    expect(attempt(8, 0)).toBe("TARGET_SIZE");
    expect(attempt(10, 2)).toBe("TARGET_SIZE");
    expect(attempt(20, -1)).toBe("TARGET_SIZE");
    expect(attempt(20, Number.NaN)).toBe("TARGET_SIZE");
  });

  it("has planes of the lengths that its encodings say", () => {
    for (const plane of ["codes", "scales", "zeroPoints"] as const) {
      const { planes, ...rest } = part(affine, 1, 40);
      const longer = { ...planes, [plane]: new Uint8Array(planes[plane].length + 1) };
      const job: FactorJob = {
        parts: [part(sign, 1, 40), { ...rest, planes: longer }],
        length: 40,
        order: "weight",
        multiplier: 1,
      };
      expect(() => decodeFactor(job, new Float32Array(80), 0)).toThrow(RangeError);
    }
  });
});

describe("planes to any placement", () => {
  const placements = (components: number, length: number) =>
    [
      ["component after component", 0, length, 1, "component"],
      ["weight after weight", 0, 1, components, "weight"],
      ["with gaps between components", 2, length + 3, 1, undefined],
      ["with gaps between weights", 1, 1, components + 2, undefined],
      ["with gaps between both", 1, 1 + 2 * length, 2, undefined],
    ] as const;

  it.each([affine, wider, sign, raw, zero, trellis, rotated])(
    "decodes $codec there and nowhere else",
    (encoding) => {
      for (const [components, length] of [
        [1, 1],
        [3, 20],
        [2, 256],
        [1, 600],
        [3, 300],
      ] as const) {
        const { planes } = part(encoding, components, length);
        for (const wide of [true, false])
          for (const [name, offset, componentStride, weightStride, order] of placements(components, length)) {
            const at = { offset, componentStride, weightStride };
            const count = offset + (components - 1) * componentStride + (length - 1) * weightStride + 1;
            const plain = written(count, wide, (target) =>
              decodePlain(
                lower(encoding),
                planes,
                components,
                length,
                target.subarray(GUARD, GUARD + count),
                at,
              ),
            );
            let calls: Call[] = [];
            const found = written(count, wide, (target) => {
              const exact = target.subarray(GUARD, GUARD + count);
              calls = watched(() => decodePlanes(encoding, planes, components, length, exact, at));
            });
            expectSame(found, plain, name);
            const alone = components === 1 && weightStride === 1;
            const expected = components * length < 512 ? [] : alone ? ["component"] : order ? [order] : [];
            expect(
              calls.map(({ job }) => job.order),
              `${name}, ${components} × ${length}`,
            ).toEqual(expected);
            for (const { offset } of calls) expect(offset).toBe(at.offset);
          }
      }
    },
  );

  it("refuses one that leaves its target by one weight, at either end", () => {
    const attempt = (size: number, offset: number, componentStride: number, weightStride: number) => {
      const at = { offset, componentStride, weightStride };
      try {
        decodePlanes(zero, part(zero, 2, 3).planes, 2, 3, new Float32Array(size), at);
      } catch (error) {
        return isLqaError(error) ? error.kind : error;
      }
      return "decoded";
    };
    for (const [offset, componentStride, weightStride] of [
      [0, 3, 1],
      [4, 3, 1],
      [2, 1, 7],
      [1, 10, 3],
    ] as const) {
      const last = offset + componentStride + 2 * weightStride;
      expect(attempt(last + 1, offset, componentStride, weightStride)).toBe("decoded");
      expect(attempt(last, offset, componentStride, weightStride)).toBe("TARGET_SIZE");
    }
    expect(attempt(100, -1, 3, 1)).toBe("TARGET_SIZE");
    expect(attempt(100, 50, -3, 1)).toBe("TARGET_SIZE");
    expect(attempt(100, 50, 3, -1)).toBe("TARGET_SIZE");
    // All weights in one place, which says nothing.
    expect(attempt(1, 0, 0, 0)).toBe("decoded");
  });

  it("has planes of the lengths that its encoding says", () => {
    const { planes } = part(affine, 1, 40);
    expect(planeSizes(affine, 1, 40)).toEqual({ scales: 4, zeroPoints: 1, codes: 15 });
    const at = { offset: 0, componentStride: 40, weightStride: 1 };
    for (const plane of ["codes", "scales", "zeroPoints"] as const)
      expect(() =>
        decodePlanes(affine, { ...planes, [plane]: new Uint8Array(0) }, 1, 40, new Float32Array(40), at),
      ).toThrow(RangeError);
  });
});
