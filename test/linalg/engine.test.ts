import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DenseEngine, type DenseMatrix, padded, stripIndex } from "../../src/encode/linalg/engine.ts";
import { denseKernelEngine } from "../../src/encode/linalg/kernels/dense-kernel.ts";
import { densePlainEngine } from "../../src/encode/linalg/plain-engine.ts";
import { applyQ, qrOf } from "../../src/encode/linalg/qr.ts";
import { uniform } from "./matrices.ts";

const plain = densePlainEngine();
/** Nothing here is so large that the kernel may pass it on. */
const never = (): never => {
  throw new Error("fallback");
};
const kernel = denseKernelEngine({
  factor: never,
  subtract: never,
  times: never,
  gram: never,
  rotateAll: never,
})!;

/** Numbers with zeros of both signs, float32 denormals and magnitudes from 1e-38 to 1e+38 among them. */
function numbers(count: number, seed: number, kind: number): Float64Array {
  const next = uniform(seed);
  return Float64Array.from({ length: count }, () => {
    const x = 2 * next() - 1;
    const pick = next();
    if (kind === 0) return x;
    if (kind === 1) return pick < 0.5 ? 0 : pick < 0.6 ? -0 : x;
    if (kind === 2) return x * 10 ** Math.round(76 * next() - 38);
    if (kind === 3) return Math.round(x * 5) * 2 ** -149;
    return pick < 0.01 ? Number.NaN : pick < 0.02 ? Number.NEGATIVE_INFINITY : x;
  });
}

function matrix(rows: number, columns: number, layout: number, seed: number, kind: number): DenseMatrix {
  const values = numbers(rows * columns, seed, kind);
  if (layout === 0) return { rows, columns, order: "columns", values };
  return { rows, columns, order: layout === 1 ? "columns" : "rows", values: new Float32Array(values) };
}

/** Bit patterns; all NaN alike, because WebAssembly does not say which. */
function bits(values: Float64Array): BigUint64Array {
  const canonical = values.map((x) => (Number.isNaN(x) ? Number.NaN : x));
  return new BigUint64Array(canonical.buffer);
}

function expectSame(run: (engine: DenseEngine) => Readonly<Record<string, Float64Array>>): void {
  const [expected, found] = [run(plain), run(kernel)];
  for (const name of Object.keys(expected)) {
    const [a, b] = [bits(expected[name]!), bits(found[name]!)];
    expect(b.length).toBe(a.length);
    const at = a.findIndex((pattern, i) => pattern !== b[i]);
    if (at >= 0) expect.fail(`${name}[${at}]: plain ${expected[name]![at]}, kernel ${found[name]![at]}`);
  }
}

const layouts = fc.constantFrom(0, 1, 2);
const finite = fc.constantFrom(0, 1, 2, 3);
const kinds = fc.constantFrom(0, 1, 2, 3, 4);

describe("the dense engines", () => {
  it("are two here", () => expect(kernel).toBeDefined());

  it("factor to the same bits, and give the same Q · C", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 150 }),
        fc.integer({ min: 1, max: 40 }),
        layouts,
        finite,
        fc.nat(),
        (rows, columns, layout, kind, seed) => {
          const x = matrix(rows, columns, layout, seed, kind);
          expectSame((engine) => ({ ...engine.factor(x) }));
          const k = Math.min(rows, columns);
          const count = 1 + (seed % k);
          const c = numbers(k * count, seed + 1, kind);
          expectSame((engine) => ({ product: applyQ(qrOf(x, engine), c, count, engine) }));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("multiply to the same bits", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 150 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 20 }),
        layouts,
        finite,
        fc.nat(),
        (rows, columns, count, layout, kind, seed) => {
          const x = matrix(rows, columns, layout, seed, kind);
          const w = numbers(padded(columns) * padded(count), seed + 1, kind);
          expectSame((engine) => ({ product: engine.times(x, w, count) }));
        },
      ),
      { numRuns: 200 },
    );
  });

  it("give the same Gram matrices", () => {
    const part = fc.tuple(fc.integer({ min: 1, max: 20 }), layouts, kinds, fc.nat());
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.array(part, { minLength: 1, maxLength: 3 }),
        (rows, parts) => {
          const list = parts.map(([columns, layout, kind, seed]) =>
            matrix(rows, columns, layout, seed, kind),
          );
          expectSame((engine) => ({ gram: engine.gram(list) }));
        },
      ),
      { numRuns: 200 },
    );
  });

  it("rotate to the same bits, sweep after sweep", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), kinds, fc.nat(), (k, kind, seed) => {
        expectSame((engine) => {
          const [x, rotations] = [numbers(k * k, seed, kind), numbers(k * k, seed + 1, 0)];
          const rotated = [0, 1, 2].map(() => Number(engine.rotateAll(x, rotations, k)));
          return { x, rotations, rotated: new Float64Array(rotated) };
        });
      }),
      { numRuns: 300 },
    );
  });

  it("agree at every rank from 1 to 36 and at the size of a layer", () => {
    for (let columns = 1; columns <= 36; columns++) {
      for (const rows of [columns, 131]) {
        const x = matrix(rows, columns, columns % 3, columns, 0);
        expectSame((engine) => ({ ...engine.factor(x), gram: engine.gram([x, x]) }));
      }
    }
    const x = matrix(4096, 16, 2, 1, 0);
    expectSame((engine) => ({ ...engine.factor(x), gram: engine.gram([x]) }));
  });

  it("leave nothing behind between matrices of different sizes", () => {
    const small = matrix(7, 3, 1, 3, 0);
    const before = kernel.factor(small);
    kernel.factor(matrix(700, 30, 0, 4, 4));
    expect(kernel.factor(small)).toEqual(before);
    // 80 MB: the memory is let go of afterwards.
    const large = matrix(300_000, 16, 1, 5, 0);
    expect(kernel.gram([large, small].slice(0, 1)).length).toBe(256);
    kernel.factor(large);
    expect(kernel.factor(small)).toEqual(before);
  });

  it("keep reflectors in strips of 16 columns, padded to a multiple of 4", () => {
    expect([0, 1, 4, 5, 16].map(padded)).toEqual([0, 4, 4, 8, 16]);
    const seen = new Set<number>();
    for (let c = 0; c < 21; c++) for (let i = 0; i < 9; i++) seen.add(stripIndex(9, 21, i, c));
    expect(seen.size).toBe(9 * 21);
    expect(Math.max(...seen)).toBeLessThan(9 * padded(21));
  });
});
