/**
 * Packed factors whose A' has a start, as packed factors that have none: A' decoded, and stored as raw binary32.
 *
 * For what applies packed factors and knows no starts: they give the same numbers, and take four bytes per weight of A'.
 *
 * @module
 */
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import { inputLength, type ModuleShape } from "../../../model/adapter.ts";
import { storeFloats } from "../floats.ts";
import { type Band, hasStart, type PackedFactors } from "../packed.ts";
import { decodeStarted } from "./decode.ts";

const RAW = { codec: "raw", element: "f32" } as const;
const NO_BYTES = new Uint8Array(0);

function materializedBands(bands: readonly Band[]): readonly Band[] {
  return hasStart(bands) ? bands.map(({ components, b }) => ({ components, b, a: RAW })) : bands;
}

/** Packed factors without a start. Bands of one plan may become alike. */
export function materialize(shape: ModuleShape, factors: PackedFactors): PackedFactors {
  const { bands, planes, start } = factors;
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

/**
 * For what applies payloads: they hold no draws, so a payload with a start would be other weights.
 *
 * @throws LqaError UNSUPPORTED_FEATURE
 */
export function assertMaterialized({ name }: ModuleShape, bands: readonly Band[]): void {
  if (hasStart(bands))
    fail(KIND.UNSUPPORTED_FEATURE, {
      where: `module "${name}"`,
      expected: "a payload whose A' has no start",
      advice: "Take the packed factors of the module instead of its payload.",
    });
}
