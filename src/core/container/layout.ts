/**
 * Positions. None is stored: each follows from the lengths before it (spec clause 4.2).
 *
 * @module
 */

import type { ModuleShape } from "../../model/adapter.ts";
import { type Encoding, FLOAT_BYTES, type PlaneSizes } from "../codecs/encoding.ts";
import { type Lowered, sizesOf } from "../codecs/lowered.ts";
import { type Band, encodingOf, type Factor, lowerFactor, vectorLengths } from "../codecs/packed.ts";
import { lower } from "../codecs/registry.ts";
import { align } from "./bytes.ts";
import { PROLOGUE_BYTES } from "./prologue.ts";
import type { Extent } from "./types.ts";

export const TRAILER_BYTES = 64;
export const DIGEST_BYTES = 32;
/** Stored bytes after which a digest span is closed (spec 11.1). */
export const SPAN_BYTES = 32768;

/** Location of one plane in the payload of its chunk. */
export interface PlaneExtent extends Extent {
  readonly expert: number;
  readonly band: number;
  readonly factor: Factor;
  readonly plane: "scales" | "zeroPoints" | "codes";
}

/** Codes first: so they are aligned as the chunk is, and follow each other without padding (spec 7.2). */
const PLANES = ["codes", "zeroPoints", "scales"] as const;
const FACTORS = ["b", "a", "mix"] as const;
const SCALE_BYTES = 2;

/** Each expert's planes start at a multiple of this (spec 7.3), so that all experts have one layout. */
export const EXPERT_ALIGNMENT = 16;

/** Byte lengths of planes, and what the plane of codes is aligned to: floats stand on their own size (spec 7.2). */
interface PlanePlan {
  readonly sizes: PlaneSizes;
  readonly unit: number;
}

function planOf(lowered: Lowered, components: number, length: number): PlanePlan {
  const { element } = lowered;
  return {
    sizes: sizesOf(lowered, components, length),
    unit: element === undefined ? 1 : FLOAT_BYTES[element],
  };
}

/** The planes of one expert in stored order: plane, factor (B' first), band (spec 7.2). Returns their length. */
export function walkPlanes(
  shape: Pick<ModuleShape, "out" | "in" | "kernel">,
  bands: readonly Band[],
  visit: (extent: Omit<PlaneExtent, "expert">) => void,
): number {
  const lengths = vectorLengths(shape, bands);
  const plansOf = (factor: Factor): PlanePlan[] =>
    bands.map((band) => planOf(lowerFactor(band, factor), band.components, lengths[factor]));
  const plans = { b: plansOf("b"), a: plansOf("a"), mix: plansOf("mix") };
  let offset = 0;
  for (const plane of PLANES) {
    if (plane === "scales") offset = align(offset, SCALE_BYTES);
    for (const factor of FACTORS)
      plans[factor].forEach(({ sizes, unit }, band) => {
        const length = sizes[plane];
        if (plane === "codes") offset = align(offset, unit);
        visit({ band, factor, plane, offset, length });
        offset += length;
      });
  }
  return offset;
}

/** Payload bytes of a module: as {@link walkPlanes}, for a million bands, and in time that experts do not multiply. */
export function payloadLength(
  shape: Pick<ModuleShape, "out" | "in" | "kernel" | "experts">,
  bands: readonly Band[],
): number {
  const lengths = vectorLengths(shape, bands);
  let codes = 0;
  let zeroPoints = 0;
  let scales = 0;
  for (const factor of FACTORS) {
    /** Of one component. Bands of few bytes, of which there may be a million, take turns with bands of none. */
    let own: PlanePlan | undefined;
    let last: Encoding | undefined;
    for (const band of bands) {
      const { components } = band;
      const encoding = encodingOf(band, factor);
      if (encoding !== last) {
        if (lower(encoding).kind === "nothing") continue;
        own = planOf(lowerFactor(band, factor), 1, lengths[factor]);
        last = encoding;
      }
      const { sizes, unit } = own!;
      codes = align(codes, unit) + components * sizes.codes;
      zeroPoints += components * sizes.zeroPoints;
      scales += components * sizes.scales;
    }
  }
  const length = align(codes + zeroPoints, SCALE_BYTES) + scales;
  return (shape.experts - 1) * align(length, EXPERT_ALIGNMENT) + length;
}

/**
 * The planes of a module that have bytes, in stored order, one after the other: experts times bands are up to a million
 * in a file of a few kilobytes, so that nobody lists them all.
 */
export function* planeExtents(shape: ModuleShape, bands: readonly Band[]): Generator<PlaneExtent> {
  const own: Omit<PlaneExtent, "expert">[] = [];
  const stride = align(
    walkPlanes(shape, bands, (extent) => void (extent.length > 0 && own.push(extent))),
    EXPERT_ALIGNMENT,
  );
  if (own.length === 0) return;
  // Field by field: spreading an object and then replacing a field of it takes longer than decoding the plane.
  for (let expert = 0; expert < shape.experts; expert++)
    for (const { band, factor, plane, offset, length } of own)
      yield { expert, band, factor, plane, offset: expert * stride + offset, length };
}

/** Everything after the index, from its length, the chunk lengths in order, and the chunk alignment. */
export interface FileLayout {
  readonly chunks: readonly Extent[];
  readonly spans: readonly (readonly [first: number, end: number])[];
  readonly digests: Extent;
  readonly trailer: Extent;
  readonly fileLength: number;
}

/** Lays out a file (spec 4.2, 11.1). */
export function layOut(indexLength: number, chunkLengths: readonly number[], alignment: number): FileLayout {
  let offset = align(PROLOGUE_BYTES + indexLength, alignment);
  const chunks = chunkLengths.map((length) => {
    const chunk = { offset, length };
    offset = align(offset + length, alignment);
    return chunk;
  });
  const spans: [number, number][] = [];
  let first = 0;
  let bytes = 0;
  chunkLengths.forEach((length, i) => {
    bytes += align(length, alignment);
    if (bytes >= SPAN_BYTES || i === chunkLengths.length - 1) {
      spans.push([first, i + 1]);
      first = i + 1;
      bytes = 0;
    }
  });
  const digests = { offset, length: DIGEST_BYTES * (1 + spans.length) };
  const trailer = { offset: offset + digests.length, length: TRAILER_BYTES };
  return { chunks, spans, digests, trailer, fileLength: trailer.offset + TRAILER_BYTES };
}
