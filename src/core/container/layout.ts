/**
 * Positions in a file. The file stores none of them: each follows from the lengths before it (spec clause 4.2).
 *
 * @module
 */

import { align, CRC_BYTES, crc32, requireZero, viewOf } from "../../common/bytes.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import { firstUnusedBit } from "../codecs/check.ts";
import {
  type Encoding,
  FLOAT_BYTES,
  type Lowered,
  type PlaneSizes,
  type Planes,
  sizesOf,
} from "../codecs/encoding.ts";
import {
  type Band,
  encodingOf,
  type Factor,
  hasStart,
  lowerFactor,
  type PackedBand,
  type PackedFactors,
  vectorLengths,
} from "../codecs/packed.ts";
import { hex32, PROLOGUE_BYTES } from "./prologue.ts";
import type { Extent, ModuleRecord } from "./types.ts";

/** Bytes of the trailer. */
export const TRAILER_BYTES = 64;
/** Bytes of a SHA-256. */
export const DIGEST_BYTES = 32;
/** Stored bytes after which a digest span ends (spec 11.1). */
export const SPAN_BYTES = 32768;

/** Location of one plane in the payload of its chunk. */
export interface PlaneExtent extends Extent {
  readonly expert: number;
  readonly band: number;
  readonly factor: Factor;
  readonly plane: "scales" | "zeroPoints" | "codes";
}

/** Codes come first, so that they have the alignment of the chunk, and are contiguous without padding (spec 7.2). */
const PLANES = ["codes", "zeroPoints", "scales"] as const;
const FACTORS = ["b", "a", "mix"] as const;
/** The factors with bytes if no vector has a start. */
const OWN_FACTORS = ["b", "a"] as const;
const SCALE_BYTES = 2;

/** Each expert's planes start at a multiple of this (spec 7.3), so that all experts have the same layout. */
export const EXPERT_ALIGNMENT = 16;

/** Byte lengths of planes, and the alignment of the plane of codes: the element size for floats, otherwise 1 (spec 7.2). */
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

const NO_PLAN: PlanePlan = { sizes: { scales: 0, zeroPoints: 0, codes: 0 }, unit: 1 };

/**
 * Visits the planes of one expert in stored order: by plane, then factor (B' first), then band (spec 7.2).
 *
 * @returns the bytes of all planes
 */
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

/** Payload bytes of a module. As {@link walkPlanes}, but fast for a million bands, in time that does not grow with experts. */
export function payloadLength(
  shape: Pick<ModuleShape, "out" | "in" | "kernel" | "experts">,
  bands: readonly Band[],
): number {
  const lengths = vectorLengths(shape, bands);
  let codes = 0;
  let zeroPoints = 0;
  let scales = 0;
  for (const factor of hasStart(bands) ? FACTORS : OWN_FACTORS) {
    const length = lengths[factor];
    /** The plan of one component in the last encoding with bytes: cached, as a million bands may alternate with empty ones. */
    let own = NO_PLAN;
    let last: Encoding | undefined;
    for (const band of bands) {
      const { components } = band;
      const encoding = encodingOf(band, factor);
      if (encoding !== last) {
        const lowered = lowerFactor(band, factor);
        if (lowered.kind === "nothing") continue;
        own = planOf(lowered, 1, length);
        last = encoding;
      }
      const { sizes, unit } = own;
      codes = align(codes, unit) + components * sizes.codes;
      zeroPoints += components * sizes.zeroPoints;
      scales += components * sizes.scales;
    }
  }
  const length = align(codes + zeroPoints, SCALE_BYTES) + scales;
  return (shape.experts - 1) * align(length, EXPERT_ALIGNMENT) + length;
}

/**
 * The planes of a module that have bytes, in stored order. A generator, because experts times bands may be a million in a file
 * of a few kilobytes.
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

/** Positions of everything after the index. */
export interface FileLayout {
  readonly chunks: readonly Extent[];
  readonly spans: readonly (readonly [first: number, end: number])[];
  readonly digests: Extent;
  readonly trailer: Extent;
  readonly fileLength: number;
}

/** Lays out a file (spec 4.2, 11.1). @param chunkLengths in file order, CRC-32 included */
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

// Chunks: payload, CRC-32, and the planes inside a module's payload (spec clauses 7.1 to 7.3).

/** Receives a plane that has bytes: its place in the payload, and a view of it. */
export type PlaneVisitor = (extent: PlaneExtent, bytes: Uint8Array) => void;

/**
 * Checks the zeros of a payload: bytes between planes, and unused bits in them.
 *
 * @param base position of the payload in the file, for error offsets
 * @param visit receives each plane after the check of its zeros, so that one walk suffices for other work on planes
 * @throws LqaError PADDING_NONZERO
 */
export function checkPayload(
  shape: ModuleShape,
  bands: PackedFactors["bands"],
  payload: Uint8Array,
  base: number,
  visit?: PlaneVisitor,
): void {
  const lengths = vectorLengths(shape, bands);
  let at = 0;
  for (const extent of planeExtents(shape, bands)) {
    const { band, factor, plane, offset, length } = extent;
    if (offset > at)
      requireZero(payload.subarray(at, offset), base + at, `padding of module "${shape.name}"`);
    const bytes = payload.subarray(offset, offset + length);
    const unused = firstUnusedBit(lowerFactor(bands[band]!, factor), plane, bytes, lengths[factor]);
    if (unused >= 0)
      fail(KIND.PADDING_NONZERO, {
        where: `unused bits of module "${shape.name}"`,
        offset: base + offset + unused,
        expected: 0,
        actual: bytes[unused],
      });
    visit?.(extent, bytes);
    at = offset + length;
  }
}

/** Shared by all planes, bands and experts without bytes. */
const NO_BYTES = new Uint8Array(0);
const NO_PLANES: Planes = { scales: NO_BYTES, zeroPoints: NO_BYTES, codes: NO_BYTES };
const NO_BAND: PackedBand = { b: NO_PLANES, a: NO_PLANES };
/** A field that is added to an object later takes longer than decoding a plane. */
const NO_STARTED_BAND: PackedBand = { ...NO_BAND, mix: NO_PLANES };

/** The planes of a module, as views on its raw payload. `checkPayload` and `read/chunks.ts` check them. */
export function splitPayload(
  shape: ModuleShape & Pick<ModuleRecord, "start" | "parentId">,
  bands: PackedFactors["bands"],
  payload: Uint8Array,
): PackedFactors {
  const { factors, take } = planeTaker(shape, bands);
  for (const extent of planeExtents(shape, bands))
    take(extent, payload.subarray(extent.offset, extent.offset + extent.length));
  return factors;
}

/** Packed factors without planes, and `take`, which adds a plane to them. */
export function planeTaker(
  { experts, start, parentId }: Pick<ModuleShape, "experts"> & Pick<ModuleRecord, "start" | "parentId">,
  bands: PackedFactors["bands"],
): { readonly factors: PackedFactors; readonly take: PlaneVisitor } {
  const none: readonly PackedBand[] = bands.map(({ a }) => (a.mix === undefined ? NO_BAND : NO_STARTED_BAND));
  const planes = new Array<readonly PackedBand[]>(experts).fill(none);
  const take: PlaneVisitor = ({ expert, band, factor, plane }, bytes) => {
    // An expert, a band and a factor are begun by the first of their planes that comes.
    if (planes[expert] === none) planes[expert] = none.slice();
    const own = planes[expert] as PackedBand[];
    const two = (own[band] === none[band] ? { ...none[band] } : own[band]) as {
      -readonly [F in Factor]: Planes;
    };
    own[band] = two;
    const three = two[factor] === NO_PLANES ? { ...NO_PLANES } : two[factor];
    two[factor] = three;
    (three as { scales: Uint8Array; zeroPoints: Uint8Array; codes: Uint8Array })[plane] = bytes;
  };
  const factors = { bands, planes, ...(start && { start }), ...(parentId && { parent: parentId }) };
  return { factors, take };
}

/** The CRC-32 that ends a chunk. */
export function chunkCrc(stored: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(CRC_BYTES);
  viewOf(bytes).setUint32(0, crc32(stored), true);
  return bytes;
}

/**
 * Checks the CRC-32 of a chunk and returns its stored payload, a view.
 *
 * @param chunk payload and CRC-32
 * @param base position of the chunk in the file
 * @throws LqaError CHUNK_CRC
 */
export function openChunk(chunk: Uint8Array, base: number, where: string): Uint8Array {
  const stored = chunk.subarray(0, chunk.length - CRC_BYTES);
  checkChunkCrc(crc32(stored), chunk.subarray(stored.length), base + stored.length, where);
  return stored;
}

/**
 * Compares the CRC-32 of a payload with the stored one.
 *
 * @param expected the computed CRC-32
 * @param stored the four bytes at the end of the chunk
 * @param offset position of `stored` in the file
 * @returns true
 * @throws LqaError CHUNK_CRC
 */
export function checkChunkCrc(expected: number, stored: Uint8Array, offset: number, where: string): true {
  const found = viewOf(stored).getUint32(0, true);
  if (found !== expected)
    fail(KIND.CHUNK_CRC, { where, offset, expected: hex32(expected), actual: hex32(found) });
  return true;
}
