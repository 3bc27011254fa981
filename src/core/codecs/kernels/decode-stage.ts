/**
 * Planes on their way into a kernel's memory: which bytes of a plane hold weights `from` … `from + count − 1` of some
 * components, and where they go.
 *
 * The kernel reads 16 bytes at a time, so it may read some bytes behind a plane, and reads the byte before a trellis'
 * codes; a margin around each plane makes that harmless. Where a slice may begin depends on the encoding: with a byte
 * of its codes, with a group, and with a byte of its zero points ({@link sliceUnit}).
 *
 * @module
 */
import { type Encoding, groupCount, type Planes } from "../encoding.ts";
import { type Lowered, sizesOf } from "../lowered.ts";

/** One factor's share of a band: planes of `components` components with one encoding. */
export interface Part {
  readonly encoding: Encoding;
  readonly planes: Planes;
  readonly components: number;
}

/** A part as the kernel takes it. */
export interface LoweredPart extends Omit<Part, "encoding"> {
  readonly lowered: Lowered;
}

/** A slice of consecutive components and weights of a part. */
export interface Slice {
  readonly first: number;
  readonly components: number;
  readonly from: number;
  readonly count: number;
}

/** A slice in the kernel's memory, as `decode` of decode.as wants it. */
export interface Staged {
  /** What of the planes is there. */
  readonly shares: Shares;
  readonly codes: number;
  readonly codesStride: number;
  readonly scales: number;
  readonly scaleStride: number;
  readonly zeros: number;
  readonly zeroStride: number;
  /** For rotated vectors: a whole vector in bytes, and where their integers go. */
  readonly small: number;
  readonly integers: number;
  /** The first byte behind all that. */
  readonly end: number;
}

const MARGIN = 64;

/** Largest group, times the zero points of 1 bit in a byte. */
const ZERO_POINT_UNIT = 8 * 1024;
const UNIT = 1024;

/** Slices of a part begin at multiples of this many weights. */
export function sliceUnit({ zeroBits }: Lowered): number {
  return zeroBits > 0 ? ZERO_POINT_UNIT : UNIT;
}

/** Bytes [begin, end) of one component's share of each plane. */
export interface Shares {
  readonly codes: readonly [number, number];
  readonly scales: readonly [number, number];
  readonly zeros: readonly [number, number];
}

function sharesOf(lowered: Lowered, length: number, from: number, count: number): Shares {
  const { group, scale, zeroBits, bits, weights } = lowered;
  const whole = sizesOf(lowered, 1, length);
  const end = from + count;
  const groups = group === 0 ? ([0, 1] as const) : ([from / group, groupCount(group, end)] as const);
  const scaleBytes = scale === undefined ? 0 : 2;
  const rate = bits / weights;
  return {
    codes: [(from * rate) / 8, end === length ? whole.codes : (end * rate) / 8],
    scales: [groups[0] * scaleBytes, groups[1] * scaleBytes],
    zeros: [(groups[0] * zeroBits) / 8, Math.ceil((groups[1] * zeroBits) / 8)],
  };
}

/** Where a slice goes if it is staged at byte `at`. */
export function placeSlice(lowered: Lowered, length: number, slice: Slice, at: number): Staged {
  const shares = sharesOf(lowered, length, slice.from, slice.count);
  const { components } = slice;
  const take = (bytes: number): number => {
    const place = at + MARGIN;
    at = (place + bytes + MARGIN + 15) & ~15;
    return place;
  };
  const before = history(lowered, slice);
  const codesStride = extent(shares.codes) + before;
  const scaleStride = extent(shares.scales);
  const zeroStride = extent(shares.zeros);
  return {
    shares,
    codes: take(components * codesStride) + before,
    codesStride,
    scales: take(components * scaleStride),
    scaleStride,
    zeros: take(components * zeroStride),
    zeroStride,
    small: lowered.rotated ? take(length) : 0,
    integers: lowered.rotated ? take(2 * components * length) : 0,
    end: at,
  };
}

function extent([begin, end]: readonly [number, number]): number {
  return end - begin;
}

/** Bytes of codes needed before a slice's own: a window continues from the previous one. */
function history({ kind }: Lowered, { from }: Slice): number {
  return kind === "windows" && from > 0 ? 1 : 0;
}

/** Copies a slice of a part's planes to where {@link placeSlice} said. */
export function copySlice(
  part: LoweredPart,
  length: number,
  slice: Slice,
  to: Staged,
  memory: Uint8Array,
): void {
  const { lowered, planes } = part;
  const { shares } = to;
  const whole = sizesOf(lowered, 1, length);
  const before = history(lowered, slice);
  copy(planes.codes, whole.codes, shares.codes, before, to.codes, to.codesStride);
  copy(planes.scales, whole.scales, shares.scales, 0, to.scales, to.scaleStride);
  copy(planes.zeroPoints, whole.zeroPoints, shares.zeros, 0, to.zeros, to.zeroStride);

  function copy(
    plane: Uint8Array,
    each: number,
    [begin, end]: readonly [number, number],
    extra: number,
    at: number,
    stride: number,
  ): void {
    if (end - begin === each) {
      memory.set(plane.subarray(slice.first * each, (slice.first + slice.components) * each), at);
      return;
    }
    for (let c = 0; c < slice.components; c++) {
      const base = (slice.first + c) * each;
      memory.set(plane.subarray(base + begin - extra, base + end), at + c * stride - extra);
    }
  }
}
