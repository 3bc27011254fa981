/** Calibrating and tuning an encoding with a start: what was trained belongs to one encoding, whatever it stores of A. */
import { describe, expect, it } from "vitest";
import { readCalibration } from "../../src/adapters/index.ts";
import { open, validate } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { f32Bytes } from "../helpers/gguf.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { componentsOf } from "../quantize/components.ts";
import { RANK, SEED, trained } from "./trained.ts";

const adapter = trained(0.05);

type Tensors = Record<string, { readonly shape: readonly number[]; readonly values: ArrayLike<number> }>;

function calibration(tensors: Tensors, contentId?: string) {
  const file = writeSafetensors(
    new Map(
      Object.entries(tensors).map(([name, { shape, values }]) => [
        name,
        { element: "F32" as const, shape, data: f32Bytes([...Array.from(values)]) },
      ]),
    ),
    contentId === undefined ? {} : { metadata: new Map([["content_id", contentId]]) },
  );
  return readCalibration(file, adapter.modules);
}

/** Components and trained tensors of all modules: gains of `gain`, and the modules' own vectors, each entry by up to `change` of it elsewhere. */
function tensorsOf(gain: number, change = 0): { components: Tensors; tuned: Tensors } {
  let at = 0;
  const trained = (x: number): number => x * (1 + change * Math.sin(at++));
  const [components, tuned]: [Tensors, Tensors] = [{}, {}];
  for (const module of adapter.modules) {
    const own = componentsOf(module);
    const { name, out, in: n, multiplier } = module;
    const values = own.flatMap(({ strength }) => [strength * Math.abs(multiplier), 1, 1, 1]);
    components[`${name}.components`] = { shape: [RANK, 4], values };
    tuned[`${name}.gains`] = { shape: [RANK], values: Array(RANK).fill(gain) };
    tuned[`${name}.tuned_b`] = { shape: [RANK, out], values: own.flatMap(({ b }) => b.map(trained)) };
    tuned[`${name}.tuned_a`] = { shape: [RANK, n], values: own.flatMap(({ a }) => a.map(trained)) };
  }
  return { components, tuned };
}

const { components, tuned } = tensorsOf(1);
const started = (bytes: Uint8Array): boolean => (bytes[12]! & 32) !== 0;

describe.each([
  ["with a start", SEED, true],
  ["without one", "none", false],
] as const)("an encoding %s", (_, start, has) => {
  it.each([{ bits: 1 }, { bits: 2 }, { maxError: 0.02 }, { maxBytes: 3000 }])(
    "is calibrated and tuned at the same bytes, for %o",
    async (goal) => {
      const options = { ...goal, start };
      const plain = await encodeAdapter(adapter, { ...options, calibration: calibration(components) });
      expect(started(plain.bytes)).toBe(has);
      const { contentId } = await (await open(plain.bytes)).verify();
      const given = calibration({ ...components, ...tuned }, contentId);
      const { bytes, report } = await encodeAdapter(adapter, { ...options, calibration: given });
      expect(bytes.length).toBe(plain.bytes.length);
      expect(started(bytes)).toBe(has);
      expect((await validate(bytes, { level: "canonical" })).error).toBeUndefined();
      // The module's own vectors, coded alike, except that the noise of the codes differs.
      expect(report.relativeError).toBeLessThan(1.2 * plain.report.relativeError + 1e-6);
      const other = calibration({ ...components, ...tuned }, "0".repeat(64));
      await expect(encodeAdapter(adapter, { ...options, calibration: other })).rejects.toThrow(
        /trained for this encoding/,
      );
    },
  );

  it.each([{ bits: 1 }, { maxError: 0.3 }, { maxError: 0.05 }, { maxBytes: 3000 }])(
    "is the encoding that was tuned, however far training moved its vectors, for %o",
    async (goal) => {
      const options = { ...goal, start };
      const plain = await encodeAdapter(adapter, { ...options, calibration: calibration(components) });
      const { contentId } = await (await open(plain.bytes)).verify();
      const far = calibration({ ...components, ...tensorsOf(0.97, 0.2).tuned }, contentId);
      const { bytes, report } = await encodeAdapter(adapter, { ...options, calibration: far });
      expect(bytes.length).toBe(plain.bytes.length);
      expect(report.relativeError).not.toBe(plain.report.relativeError);
    },
  );
});

it("is the encoding that was tuned, though another start would now lose less", async () => {
  const untuned = { bits: 1, start: "none", calibration: calibration(components) } as const;
  const plain = await encodeAdapter(adapter, untuned);
  const { contentId } = await (await open(plain.bytes)).verify();
  const given = calibration({ ...components, ...tuned }, contentId);
  const { bytes } = await encodeAdapter(adapter, { bits: 1, start: SEED, calibration: given });
  expect(started(bytes)).toBe(false);
});
