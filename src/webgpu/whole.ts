/**
 * A module with a parent as one without (spec clause 8.9): both factors decoded, and stored as raw binary32. For the device, which
 * knows no parents.
 *
 * @module
 */
import type { Planes } from "../core/codecs/encoding.ts";
import { storeFloats } from "../core/codecs/floats.ts";
import type { PackedFactors } from "../core/codecs/packed.ts";
import { loadStartDecoder } from "../core/codecs/start/loaded.ts";
import { assemblePayload } from "../core/container/payload.ts";
import { decodeModule } from "../core/read/decode.ts";
import type { ModuleShape } from "../model/adapter.ts";
import type { ResidentModule } from "../serve/resident-module.ts";

const RAW = { codec: "raw", element: "f32" } as const;
const NO_BYTES = new Uint8Array(0);

/** Bands and payload of the whole module. @throws LqaError PARENT_MISSING */
export async function wholeModule(
  shape: ModuleShape,
  factors: PackedFactors,
): Promise<Pick<ResidentModule, "bands" | "payload">> {
  // A parent may have a start.
  await loadStartDecoder();
  const { b, a } = decodeModule(shape, factors, { layout: "component" });
  const planes = ({ data }: { readonly data: Float32Array }, expert: number): Planes => {
    const each = data.length / shape.experts;
    const own = data.subarray(expert * each, (expert + 1) * each);
    return { codes: storeFloats(own), scales: NO_BYTES, zeroPoints: NO_BYTES };
  };
  const bands = [{ components: shape.rank, b: RAW, a: RAW }];
  const experts = Array.from({ length: shape.experts }, (_, e) => [{ b: planes(b, e), a: planes(a, e) }]);
  return { bands, payload: assemblePayload(shape, { bands, planes: experts }) };
}
