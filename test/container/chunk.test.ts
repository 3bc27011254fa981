/** A module's payload is made of planes of exactly the lengths that its record implies, and split into them again. */

import { expect, test } from "vitest";
import { checkPayload, splitPayload } from "../../src/core/container/layout.ts";
import { assemblePayload } from "../../src/core/container/payload.ts";
import {
  type Band,
  isLqaError,
  type ModuleShape,
  type PackedFactors,
  type Planes,
} from "../../src/core/index.ts";

const shape: ModuleShape = {
  name: "q",
  role: "linear",
  out: 3,
  in: 5,
  kernel: [],
  experts: 2,
  rank: 1,
  baseLayout: "out-in",
  multiplier: 1,
  alpha: 1,
  rule: "alpha/r",
};
const bands: Band[] = [
  { components: 1, b: { codec: "sign", group: 0, scale: "f16" }, a: { codec: "raw", element: "f32" } },
];
const none = new Uint8Array(0);
const sign: Planes = { scales: Uint8Array.of(1, 2), zeroPoints: none, codes: Uint8Array.of(5) };
const raw: Planes = {
  scales: none,
  zeroPoints: none,
  codes: Uint8Array.from({ length: 20 }, (_, i) => i + 1),
};
const factors: PackedFactors = { bands, planes: [[{ b: sign, a: raw }], [{ b: sign, a: raw }]] };

test("planes are aligned, with zeros between them, and come back", () => {
  const payload = assemblePayload(shape, factors);
  const expert = [5, 0, 0, 0, ...raw.codes, 1, 2];
  expect([...payload]).toEqual([...expert, 0, 0, 0, 0, 0, 0, ...expert]);
  expect(splitPayload(shape, bands, payload)).toEqual(factors);
});

test("a plane that is too long or too short, and one too many, are mistakes of the caller", () => {
  const withPlanes = (b: Planes): PackedFactors => ({
    bands,
    planes: [[{ b, a: raw }], [{ b: sign, a: raw }]],
  });
  for (const codes of [none, new Uint8Array(2)])
    expect(() => assemblePayload(shape, withPlanes({ ...sign, codes }))).toThrow(/q: codes of b in band 0/);
  expect(() => assemblePayload(shape, withPlanes({ ...sign, zeroPoints: new Uint8Array(1) }))).toThrow(
    RangeError,
  );
});

test("a byte between planes and an unused bit are found where they stand", () => {
  const at = (position: number, value: number): unknown => {
    const payload = assemblePayload(shape, factors);
    payload[position] = value;
    try {
      return checkPayload(shape, bands, payload, 1000);
    } catch (error) {
      return isLqaError(error) && [error.kind, error.where, error.offset];
    }
  };
  expect(at(3, 1)).toEqual(["PADDING_NONZERO", 'padding of module "q"', 1003]);
  expect(at(31, 1)).toEqual(["PADDING_NONZERO", 'padding of module "q"', 1031]);
  expect(at(32, 0x08)).toEqual(["PADDING_NONZERO", 'unused bits of module "q"', 1032]);
});
