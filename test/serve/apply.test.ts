import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { materialize } from "../../src/core/codecs/start/materialize.ts";
import {
  decodeModule,
  type ErrorName,
  encodingLabel,
  inputLength,
  isLqaError,
  open,
} from "../../src/core/index.ts";
import { rowsOf } from "../../src/serve/activations.ts";
import { applyRowsPlainly } from "../../src/serve/apply.ts";
import { type Activations, applyPacked, type ResidentModule, residentModule } from "../../src/serve/index.ts";
import { ApplyKernel } from "../../src/serve/kernels/apply-kernel.ts";
import { f16ToNumber, numberToF16 } from "../helpers/floats.ts";
import { sample, thorough } from "../helpers/thorough.ts";
import { eachKind, relatives, suite } from "../parent/children.ts";
import { anyModule, everyEncoding, factorsOf, Random, shapeOfModule, waves } from "./modules.ts";

const kernel = ApplyKernel.make()!;
const CASES = thorough ? 400 : 100;

function bitsOf(values: Float32Array | Uint16Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}

function halves(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, numberToF16);
}

/** Kernel and plain path on the same rows. */
function compare(
  module: ResidentModule,
  expert: number,
  x: Activations,
  y: Activations,
  list?: number[],
  invariant = false,
): void {
  const [byKernel, plainly] = [y.slice(), y.slice()] as [Activations, Activations];
  const rows = rowsOf(module.shape, x, byKernel, list, invariant);
  expect(kernel.apply(module, expert, rows)).toBe(rows.list.length);
  applyRowsPlainly(module, expert, rowsOf(module.shape, x, plainly, list, invariant), 0);
  const label = module.bands.map((band) => [band.components, encodingLabel(band.b), encodingLabel(band.a)]);
  if (bitsOf(byKernel as Float32Array) === bitsOf(plainly as Float32Array)) return;
  const at = Array.from(byKernel).findIndex((value, i) => !Object.is(value, plainly[i]));
  // NaN has any payload.
  if (at < 0) return;
  expect.fail(
    `${JSON.stringify(label)} ${module.shape.out}×${module.shape.in}: element ${at} is ${byKernel[at]}, not ${plainly[at]}`,
  );
}

describe("the apply kernel", () => {
  it("gives the bits of the plain path for every encoding, at every tail", () => {
    const random = new Random(1);
    let round = 0;
    for (const group of [0, 16, 128, 1024])
      for (const scale of ["f16", "bf16"] as const)
        for (const encoding of everyEncoding(group, scale)) {
          round++;
          const [out, input] = [1 + ((7 * round) % 150), 1 + ((11 * round) % 170)];
          const bands = [{ components: 1 + (round % 9), b: encoding, a: encoding }];
          const shape = shapeOfModule(out, input, bands[0]!.components);
          const module = residentModule(shape, factorsOf(random, shape, bands));
          const rows = 1 + (round % 5);
          compare(module, 0, random.floats(rows * input), random.floats(rows * out));
        }
  });

  it("does so for arbitrary bands, lengths, experts, rows and types", () => {
    const random = new Random(2);
    for (let i = 0; i < CASES; i++) {
      const long = i % 10 === 0;
      const [out, input] = [1 + random.below(long ? 3000 : 300), 1 + random.below(long ? 3000 : 300)];
      const module = anyModule(random, out, input, { experts: 1 + (random.byte() % 3) });
      const rows = random.pick([1, 1, 2, 3, 4, 5, 7, 16]);
      const x = random.floats(rows * input);
      const y = random.floats(rows * out);
      const some = Array.from({ length: rows }, (_, row) => rows - 1 - row).filter(() => random.byte() < 200);
      compare(
        module,
        random.below(module.shape.experts),
        random.byte() < 128 ? x : halves(x),
        random.byte() < 128 ? y : halves(y),
        random.byte() < 128 ? undefined : some,
        random.byte() < 64,
      );
    }
  });

  it("does so for raw binary16 of every kind of number, in one row and in several", () => {
    const random = new Random(12);
    const other = { codec: "raw", element: "bf16" } as const;
    const encoding = { codec: "raw", element: "f16" } as const;
    // Where 0x3c00 is put between normal numbers nothing changes.
    for (const rare of [0x3c00, 0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0xfbff, 0x7c00, 0xfc00])
      for (const components of [1, 2, 3, 4, 7, 16, 21]) {
        const [out, input] = [1 + random.below(2500), 1 + random.below(2500)];
        const bands = [
          { components, b: encoding, a: encoding },
          { components: 1, b: other, a: encoding },
        ];
        const shape = shapeOfModule(out, input, components + 1);
        const factors = factorsOf(random, shape, bands);
        // In one component of each factor.
        const length = { a: input, b: out };
        for (const factor of ["a", "b"] as const) {
          const at = 2 * random.below(components * length[factor]);
          factors.planes[0]![0]![factor].codes.set([rare & 255, rare >> 8], at);
        }
        const module = residentModule(shape, factors);
        for (const rows of [1, 3]) compare(module, 0, random.floats(rows * input), random.floats(rows * out));
      }
  });

  it("takes more rows than it stages at once", () => {
    const random = new Random(3);
    const module = anyModule(random, 40, 70);
    compare(module, 0, random.floats(150 * 70), random.floats(150 * 40));
  });

  it("leaves scales that are not finite to the plain path, which the result does not show", () => {
    const random = new Random(4);
    const encoding = { codec: "sign", group: 0, scale: "f16" } as const;
    const shape = shapeOfModule(20, 20, 2);
    const factors = factorsOf(random, shape, [{ components: 2, b: encoding, a: encoding }]);
    factors.planes[0]![0]!.b.scales.set([0, 0x7c]);
    const module = residentModule(shape, factors);
    const [x, y] = [random.floats(40), new Float32Array(40)];
    expect(kernel.apply(module, 0, rowsOf(shape, x, y.slice()))).toBe(0);
    const expected = y.slice();
    applyRowsPlainly(module, 0, rowsOf(shape, x, expected), 0);
    applyPacked(module, x, y);
    expect(y).toEqual(expected);
    expect(Math.abs(y[0]!)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("applyPacked", () => {
  it("is multiplier · B · A · x of the decoded factors", () => {
    const random = new Random(5);
    for (let i = 0; i < 60; i++) {
      const [out, input] = [1 + random.below(200), 1 + random.below(700)];
      const module = anyModule(random, out, input, { experts: 2 });
      const { shape } = module;
      const factors = factorsOf(random, shape, module.bands);
      const {
        b: { data: b },
        a: { data: a },
      } = decodeModule(shape, factors);
      const x = random.floats(input);
      const y = new Float32Array(out);
      applyPacked(residentModule(shape, factors), x, y, { expert: 1 });
      let size = 0;
      const h = Array.from({ length: shape.rank }, (_, c) => {
        let sum = 0;
        for (let k = 0; k < input; k++) sum += a[(shape.rank + c) * input + k]! * x[k]!;
        return sum * shape.multiplier;
      });
      const expected = Float64Array.from(y, (_, o) => {
        let sum = 0;
        for (let c = 0; c < shape.rank; c++) sum += b[(out + o) * shape.rank + c]! * h[c]!;
        return sum;
      });
      for (const value of expected) size = Math.max(size, Math.abs(value));
      for (let o = 0; o < out; o++) expect(Math.abs(y[o]! - expected[o]!)).toBeLessThanOrEqual(1e-4 * size);
    }
  });

  it("gives a row the same bits alone and among others, in any order, if batchInvariant", () => {
    const random = new Random(6);
    for (let i = 0; i < 20; i++) {
      const module = anyModule(random, 600, 700);
      const rows = 9;
      const [x, base] = [random.floats(rows * 700), random.floats(rows * 600)];
      const together = base.slice();
      applyPacked(module, x, together, { batchInvariant: true });
      const alone = base.slice();
      for (let r = rows - 1; r >= 0; r--) applyPacked(module, x, alone, { rows: [r], batchInvariant: true });
      expect(bitsOf(alone)).toBe(bitsOf(together));
    }
  });

  it("touches only listed rows, and adds to what is there", () => {
    const random = new Random(7);
    const module = anyModule(random, 30, 50);
    const x = random.floats(4 * 50);
    const y = new Float32Array(4 * 30).fill(1);
    applyPacked(module, x, y, { rows: [2] });
    expect(Array.from(y.subarray(0, 60)).every((value) => value === 1)).toBe(true);
    expect(Array.from(y.subarray(90)).every((value) => value === 1)).toBe(true);
  });

  it("widens and rounds halves once", () => {
    const random = new Random(8);
    const module = anyModule(random, 33, 65);
    const x = halves(random.floats(65));
    const y = halves(random.floats(33));
    const wide = Float32Array.from(y, f16ToNumber);
    applyPacked(module, Float32Array.from(x, f16ToNumber), wide);
    applyPacked(module, x, y);
    expect(Array.from(y)).toEqual(Array.from(wide, numberToF16));
  });

  const refused = (run: () => void, kind: ErrorName): void => {
    let error: unknown;
    try {
      run();
    } catch (caught) {
      error = caught;
    }
    expect(isLqaError(error, kind)).toBe(true);
  };

  it("refuses what does not fit before it touches y", () => {
    const random = new Random(9);
    const module = anyModule(random, 8, 6, { experts: 3 });
    const y = new Float32Array(16);
    const x = new Float32Array(12).fill(1);
    for (const run of [
      () => applyPacked(module, new Float32Array(13), y, { expert: 0 }),
      () => applyPacked(module, new Float32Array(6), y, { expert: 0 }),
      () => applyPacked(module, x, new Float32Array(17), { expert: 0 }),
      () => applyPacked(module, x, y),
      () => applyPacked(module, x, y, { expert: 3 }),
      () => applyPacked(module, x, y, { expert: 0.5 }),
      () => applyPacked(module, x, y, { expert: 0, rows: [0, 2] }),
      () => applyPacked(module, x, y, { expert: 0, rows: [-1] }),
      () => applyPacked(module, x, y, { expert: 0, rows: [1, 1] }),
      () => applyPacked(module, new Float64Array(12) as unknown as Float32Array, y, { expert: 0 }),
    ])
      refused(run, "ACTIVATION_SHAPE");
    expect(y.every((value) => value === 0)).toBe(true);
  });

  it("refuses embeddings, and takes a convolution's unfolded input", () => {
    const random = new Random(10);
    const zero = [{ components: 1, b: { codec: "zero" }, a: { codec: "zero" } }] as const;
    const embedding = shapeOfModule(8, 6, 1, { role: "embedding", baseLayout: "in-out" });
    refused(() => residentModule(embedding, factorsOf(random, embedding, zero)), "CANNOT_APPLY");
    const convolution = anyModule(random, 8, 6, { role: "conv2d", kernel: [3, 3] });
    compare(convolution, 0, random.floats(2 * 54), random.floats(16));
  });

  it("refuses a payload of another length", () => {
    const module = anyModule(new Random(11), 8, 6);
    const cut = { ...module, payload: module.payload.subarray(1) };
    expect(() => applyPacked(cut, new Float32Array(6), new Float32Array(8))).toThrow(RangeError);
  });
});

describe("a module of a file", async () => {
  const starts = new URL("../../conformance/suite/valid/start/", import.meta.url);
  const started = readdirSync(starts)
    .filter((name) => name.endsWith(".lqa"))
    .map(
      (name) => [`with a start: ${name}`, new Uint8Array(readFileSync(new URL(name, starts))), []] as const,
    );
  const children = eachKind(await relatives());

  it.each<readonly [string, Uint8Array, readonly Uint8Array[]]>(sample([...started, ...children], 3))(
    "is applied to the same bits by kernel and by plain code: %s",
    async (_, bytes, parents) => {
      const file = await open(bytes, { parents: [...parents] });
      for (const record of file.modules) {
        if (record.role === "embedding") continue;
        const module = residentModule(record, await file.packed(record));
        // The plain code takes seconds for many rows of a long vector.
        for (const rows of thorough || record.in < 2 ** 16 ? [1, 2, 5, 70] : [1, 5])
          for (let expert = 0; expert < record.experts; expert++)
            for (const invariant of [false, true]) {
              const x = waves(rows * inputLength(record));
              const [fast, plain] = [waves(rows * record.out), waves(rows * record.out)];
              applyPacked(module, x, fast, { expert, batchInvariant: invariant });
              applyRowsPlainly(module, expert, rowsOf(module.shape, x, plain, undefined, invariant), 0);
              expect(fast).toEqual(plain);
            }
      }
    },
  );

  it.each<readonly [string, Uint8Array, readonly Uint8Array[]]>([
    ...children,
    ["zeros of either sign", suite("zeros-of-either-sign"), [suite("root-zeros-of-either-sign")]],
  ])("is the same without a parent, decoded, for what knows none: %s", async (_, bytes, parents) => {
    const file = await open(bytes, { parents: [...parents] });
    for (const record of file.modules) {
      const factors = await file.packed(record);
      const whole = materialize(record, factors);
      expect(whole.parent).toBeUndefined();
      expect(decodeModule(record, whole)).toEqual(decodeModule(record, factors));
    }
  });
});
