/**
 * Planes of modules of arbitrary bits. Unlike those of files they have ones where nothing is stored, which no reader lets pass
 * and no decoder looks at.
 *
 * @module
 */

import { planeExtents } from "../../src/core/format.ts";
import type { PackedFactors, Planes } from "../../src/core/index.ts";
import type { ResidentModule } from "../../src/serve/index.ts";

/** The planes of a module, as views on its payload. */
export function factorsIn({ shape, bands, payload }: ResidentModule): PackedFactors {
  const none = (): { -readonly [plane in keyof Planes]: Uint8Array } => ({
    scales: new Uint8Array(0),
    zeroPoints: new Uint8Array(0),
    codes: new Uint8Array(0),
  });
  const planes = Array.from({ length: shape.experts }, () => bands.map(() => ({ b: none(), a: none() })));
  for (const { expert, band, factor, plane, offset, length } of planeExtents(shape, bands))
    if (factor !== "mix") planes[expert]![band]![factor][plane] = payload.subarray(offset, offset + length);
  return { bands, planes };
}
