/**
 * Packed factors whose A' has a start, as packed factors that have none: A' decoded, and stored as raw binary32.
 *
 * For what applies packed factors and knows no starts: they give the same numbers, and take four bytes per weight of A'.
 *
 * @module
 */
import { inputLength, type ModuleShape } from "../../../model/adapter.ts";
import { storeFloats } from "../floats.ts";
import { type Band, hasStart, type PackedFactors } from "../packed.ts";
import { decodeStarted } from "./decode-started.ts";

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
