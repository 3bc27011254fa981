/** What breaks no rule but is hardly meant: each suspicion is raised where it should be, and nowhere else. */

import { describe, expect, it } from "vitest";
import type { ModuleInput } from "../../src/core/format.ts";
import { type Encoding, validate } from "../../src/core/index.ts";
import { bands, fileBytes, packed, shape, smallInput } from "../container/fixtures.ts";

const CODES3: Encoding = { codec: "affine", bits: 3, group: 0, scale: "f16" };
const RAW: Encoding = { codec: "raw", element: "f32" };

async function warningsOf(...modules: ModuleInput[]): Promise<string[]> {
  const result = await validate(await fileBytes({ modules, tensors: [], sections: [] }));
  expect(result.error).toBeUndefined();
  return result.warnings.map(({ kind, where }) => `${kind} ${where ?? ""}`.trim());
}

/** One band, with the planes of B changed. */
function changed(
  encoding: Encoding,
  change: (planes: { scales: Uint8Array; zeroPoints: Uint8Array; codes: Uint8Array }) => void,
) {
  const module = packed(shape("m"), [{ components: 4, b: encoding, a: encoding }]);
  change(module.planes[0]![0]!.b as { scales: Uint8Array; zeroPoints: Uint8Array; codes: Uint8Array });
  return module;
}

const floats = (value: number, count: number): Uint8Array =>
  new Uint8Array(new Float32Array(count).fill(value).buffer);

describe("warnings", () => {
  it("are none for ordinary modules", async () => {
    expect(await warningsOf(packed(shape("m"), bands(1, 3)))).toEqual([]);
  });

  it.each<[string, () => ModuleInput, string]>([
    [
      "a factor whose scales are all zero",
      () =>
        changed(CODES3, ({ scales, codes }) => {
          scales.fill(0);
          codes.fill(0);
        }),
      'ZERO_MODULE module "m", B\'',
    ],
    [
      "a raw factor of zeros",
      () => changed(RAW, ({ codes }) => codes.fill(0)),
      'ZERO_MODULE module "m", B\'',
    ],
    [
      "a module declared to be zero",
      () => packed(shape("m"), [{ components: 4, b: RAW, a: { codec: "zero" } }]),
      'ZERO_MODULE module "m"',
    ],
    [
      "a raw factor of one number",
      () => changed(RAW, ({ codes }) => codes.set(floats(0.5, 96))),
      'CONSTANT_FACTOR module "m", B\'',
    ],
    [
      "a quantized factor of one number",
      () =>
        changed(CODES3, ({ scales, zeroPoints, codes }) => {
          scales.set([0, 0x28, 0, 0x28, 0, 0x28, 0, 0x28]);
          zeroPoints.fill(1);
          codes.fill(0);
        }),
      'CONSTANT_FACTOR module "m", B\'',
    ],
    [
      "codes that stand at their ends",
      () =>
        changed(CODES3, ({ codes }) => {
          // 7, 0, 7, 0, … of three bits each, in whole bytes for 24 of them.
          for (let i = 0; i < 8 * codes.length; i++)
            if (i % 6 < 3) codes[i >> 3]! |= 1 << (i & 7);
            else codes[i >> 3]! &= ~(1 << (i & 7));
        }),
      'SATURATED_CODES module "m", B\'',
    ],
    [
      "weights at the end of f16",
      () => changed(RAW, ({ codes }) => codes.set(floats(65504, 1))),
      'SATURATED_WEIGHTS module "m"',
    ],
    [
      "a multiplier of 0",
      () => packed(shape("m", { multiplier: 0, alpha: 0 }), bands(1, 3)),
      'MULTIPLIER_ZERO module "m"',
    ],
    [
      "a multiplier beyond all use",
      () => packed(shape("m", { multiplier: 4000, alpha: 16000 }), bands(1, 3)),
      'MULTIPLIER_UNUSUAL module "m"',
    ],
    [
      "a multiplier that alpha gives by no rule",
      () => packed(shape("m", { multiplier: 3, alpha: 16, rule: "explicit" }), bands(1, 3)),
      'MULTIPLIER_UNUSUAL module "m"',
    ],
    [
      "more components than dimensions",
      () => packed(shape("m", { out: 3 }), bands(1, 3)),
      'RANK_ABOVE_SHAPE module "m"',
    ],
  ])("%s", async (_, make, expected) => {
    expect(await warningsOf(make())).toEqual([expected]);
  });

  it("stay silent about an explicit multiplier that a rule explains, or without an alpha", async () => {
    const explained = shape("m", { multiplier: 8, alpha: 16, rule: "explicit" });
    const alone = shape("n", { multiplier: 3, alpha: 0, rule: "explicit" });
    expect(await warningsOf(packed(explained, bands(1, 3)), packed(alone, bands(1, 3)))).toEqual([]);
  });

  it("say that a file of a few bytes declares gigabytes", async () => {
    const zero = [{ components: 1024, b: { codec: "zero" }, a: { codec: "zero" } }] as const;
    const big = packed(shape("m", { rank: 1024, alpha: 2048, out: 2 ** 24, in: 2 ** 24 }), zero);
    expect(await warningsOf(big)).toEqual(['ZERO_MODULE module "m"', "EXPANSION"]);
  });

  it("are kept to a thousand, however many there are", async () => {
    const zero = [{ components: 4, b: { codec: "zero" }, a: { codec: "zero" } }] as const;
    const modules = Array.from({ length: 1500 }, (_, i) => packed(shape(`m${i}`), zero));
    expect(await warningsOf(...modules)).toHaveLength(1000);
  });

  it("are left out where nobody asks, and do not make a file invalid", async () => {
    const bytes = await fileBytes({
      modules: [packed(shape("m", { multiplier: 0, alpha: 0 }), bands(1, 3))],
      tensors: [],
      sections: [],
    });
    expect(await validate(bytes, { warnings: false })).toMatchObject({ valid: true, warnings: [] });
    expect(await validate(bytes)).toMatchObject({ valid: true, warnings: [{ code: "LQA-W005" }] });
  });

  it("about weights need level values", async () => {
    const module = changed(RAW, ({ codes }) => codes.fill(0));
    const bytes = await fileBytes({ modules: [module], tensors: [], sections: [] });
    expect((await validate(bytes, { level: "integrity" })).warnings).toEqual([]);
    expect((await validate(bytes, { level: "values" })).warnings).toHaveLength(1);
  });

  it("do not hide a fault", async () => {
    const bytes = await fileBytes(smallInput());
    bytes[bytes.length - 70]! ^= 1;
    expect((await validate(bytes)).valid).toBe(false);
  });
});
