/**
 * Packed factors whose A' has a start, or that are added to a parent's, as packed factors without: what that concerns decoded, and
 * stored as raw binary32.
 *
 * For what applies packed factors and knows neither: they give the same numbers, and take four bytes per weight.
 *
 * @module
 */
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import { inputLength, type ModuleShape } from "../../../model/adapter.ts";
import { decodePlanes } from "../decode.ts";
import type { Planes } from "../encoding.ts";
import { storeFloats } from "../floats.ts";
import { type Band, hasStart, type PackedFactors } from "../packed.ts";
import { decodeStarted } from "./decode-started.ts";

const RAW = { codec: "raw", element: "f32" } as const;
const NO_BYTES = new Uint8Array(0);

function materializedBands(bands: readonly Band[]): readonly Band[] {
  return hasStart(bands) ? bands.map(({ components, b }) => ({ components, b, a: RAW })) : bands;
}

/** Packed factors without a start and without a parent. Bands of one plan may become alike. @throws LqaError PARENT_MISSING */
export function materialize(shape: ModuleShape, factors: PackedFactors): PackedFactors {
  const { bands, planes, start, parent } = factors;
  if (parent !== undefined) return wholeFactors(shape, factors);
  if (start === undefined || !hasStart(bands)) return { bands, planes };
  const { rank, experts } = shape;
  const length = inputLength(shape);
  const a = new Float32Array(experts * rank * length);
  decodeStarted(factors, start, length, a);
  const bytes = storeFloats(a);
  let from = 0;
  const decoded = planes.map((own) =>
    own.map(({ b }, i) => {
      const codes = bytes.subarray(from, (from += 4 * bands[i]!.components * length));
      return { b, a: { codes, scales: NO_BYTES, zeroPoints: NO_BYTES } };
    }),
  );
  return { bands: materializedBands(bands), planes: decoded };
}

/** Both factors, of one band. */
function wholeFactors(shape: ModuleShape, factors: PackedFactors): PackedFactors {
  const { rank, experts, out } = shape;
  const n = inputLength(shape);
  const b = new Float32Array(experts * rank * out);
  const a = new Float32Array(experts * rank * n);
  addGeneration(shape, factors, b, a);
  const part = (values: Float32Array, e: number): Planes => {
    const each = values.length / experts;
    return {
      codes: storeFloats(values.subarray(e * each, (e + 1) * each)),
      scales: NO_BYTES,
      zeroPoints: NO_BYTES,
    };
  };
  return {
    bands: [{ components: rank, b: RAW, a: RAW }],
    planes: Array.from({ length: experts }, (_, e) => [{ b: part(b, e), a: part(a, e) }]),
  };
}

/** Adds a generation to its parents, the oldest first, each sum rounded to binary32. */
function addGeneration(shape: ModuleShape, factors: PackedFactors, b: Float32Array, a: Float32Array): void {
  const { parent } = factors;
  if (typeof parent === "string")
    fail(KIND.PARENT_MISSING, {
      where: `module "${shape.name}"`,
      expected: `the file with content id ${parent}`,
      actual: "none",
    });
  if (parent !== undefined) addGeneration(shape, parent, b, a);
  const { bands, planes } = materialize(
    { ...shape, rank: rankOf(factors) },
    { ...factors, parent: undefined },
  );
  for (const [e, own] of planes.entries()) {
    let component = 0;
    for (const [i, { components, ...encodings }] of bands.entries()) {
      for (const [factor, target, length] of [
        ["b", b, shape.out],
        ["a", a, inputLength(shape)],
      ] as const) {
        const values = new Float32Array(components * length);
        const at = { offset: 0, componentStride: length, weightStride: 1 };
        decodePlanes(encodings[factor], own[i]![factor], components, length, values, at);
        const from = (e * shape.rank + component) * length;
        // Not added to 0, which would lose the sign of a zero.
        if (parent === undefined) target.set(values, from);
        else for (let k = 0; k < values.length; k++) target[from + k]! += values[k]!;
      }
      component += components;
    }
  }
}

function rankOf({ bands }: PackedFactors): number {
  return bands.reduce((sum, { components }) => sum + components, 0);
}
