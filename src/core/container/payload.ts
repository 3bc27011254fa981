/**
 * Assembles the payload of a module from planes (spec clauses 7.2 and 7.3). `layout.ts` splits and checks payloads.
 *
 * @module
 */

import type { ModuleShape } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { payloadLength, planeExtents } from "./layout.ts";

/**
 * The payload of a module: its planes in stored order, padded with zeros.
 *
 * @param payload array to write to: zeros, of the length of the payload
 * @throws RangeError for planes that do not fit the shape or the bands
 */
export function assemblePayload(
  shape: ModuleShape,
  factors: PackedFactors,
  payload: Uint8Array = new Uint8Array(payloadLength(shape, factors.bands)),
): Uint8Array {
  let placed = 0;
  for (const { expert, band, factor, plane, offset, length } of planeExtents(shape, factors.bands)) {
    const bytes = factors.planes[expert]![band]![factor]?.[plane];
    if (bytes?.length !== length)
      throw new RangeError(
        `${shape.name}: ${plane} of ${factor} in band ${band} has ${bytes?.length} bytes, not ${length}`,
      );
    payload.set(bytes, offset);
    placed += length;
  }
  const given = packedBytesOf(factors);
  if (given !== placed) throw new RangeError(`${shape.name}: planes of ${given} bytes, not ${placed}`);
  return payload;
}

function packedBytesOf({ planes }: PackedFactors): number {
  let bytes = 0;
  for (const bands of planes)
    for (const { b, a, mix } of bands)
      for (const { scales, zeroPoints, codes } of mix === undefined ? [b, a] : [b, a, mix])
        bytes += scales.length + zeroPoints.length + codes.length;
  return bytes;
}
