/**
 * Factors on their way through a kernel's memory: how a factor is cut so that the kernel's memory stays bounded: rounds of slices whose planes are staged together, and
 * tiles of each round that are decoded and delivered together.
 *
 * @module
 */

import { type Encoding, groupCount, type Lowered, type Planes, sizesOf } from "../encoding.ts";
import { lower } from "../registry.ts";

/** All components of all parts of a factor: where its weights go, and how. */
export interface FactorJob {
  readonly parts: readonly Part[];
  /** Weights of each vector. */
  readonly length: number;
  /** `component`: weight i of component c is number c · length + i; `weight`: number i · components + c. */
  readonly order: "component" | "weight";
  /** An f32 number that weights are multiplied by: rounded to binary32 again, before they may be rounded to binary16. */
  readonly multiplier: number;
  /** Whether weights are added to what the target holds, of binary32, before the multiplication. Default: they replace it. */
  readonly add?: boolean | undefined;
}

/** Slices that are staged together. In order `component` there is one. */
export interface Round {
  readonly slices: readonly { readonly part: LoweredPart; readonly slice: Slice; readonly staged: Staged }[];
  /** Weights of each vector. */
  readonly from: number;
  readonly count: number;
  /** Number of the first component among those of all parts. */
  readonly component: number;
  readonly components: number;
  /** Weights of each vector in a tile. */
  readonly step: number;
  /** The first byte behind what is staged: where the tile begins, component after component. */
  readonly tile: number;
  /** Bytes from one vector of the tile to the next. */
  readonly apart: number;
  /** In order `weight`: where the tile goes when it is turned; it is where it is otherwise. */
  readonly turned: number;
  /** Where a tile is converted to, or what is added to it. */
  readonly converted: number;
  /** The first byte behind the tile. */
  readonly end: number;
}

/** A tile: large enough that copying it is worth a call, small enough to stay in the second cache. */
const TILE_BYTES = 2 ** 17;
/** Planes of more bytes are staged in slices. */
const STAGE_BYTES = 2 ** 20;
/** Rotated vectors and thousands of components take more. Above this the plain decoder has to do. */
const MOST_BYTES = 2 ** 26;
/** A tile of the kernel. */
const KERNEL_TILE = 1024;
/** The shortest rotated vector it takes: eight columns of 64. */
const LEAST_ROTATED = 512;

/**
 * The rounds of a job, staged from byte `base` on.
 *
 * @param elementBytes of the element type of a tile
 * @returns `undefined` if the plain decoder has to do it: rotated vectors that are too short or too long, or too many
 *   components for a slice
 */
export function roundsOf(job: FactorJob, elementBytes: number, base: number): Round[] | undefined {
  const { length, order } = job;
  const parts = job.parts.map(({ encoding, planes, components }) => ({
    lowered: lower(encoding),
    planes,
    components,
  }));
  if (length < LEAST_ROTATED && parts.some(({ lowered }) => lowered.rotated)) return undefined;
  const rounds = order === "component" ? byComponents() : byWeights();
  return rounds.every(({ end }) => end <= MOST_BYTES) ? rounds : undefined;

  function byComponents(): Round[] {
    const found: Round[] = [];
    let component = 0;
    for (const part of parts) {
      const each = planeBytes(part, length);
      // Short vectors share a tile, long ones are staged in slices.
      const together = part.lowered.rotated
        ? 1
        : Math.max(1, Math.floor(Math.min(TILE_BYTES / (elementBytes * length), STAGE_BYTES / each)));
      const most = sliceWeights([part], each, length);
      for (let first = 0; first < part.components; first += together) {
        const components = Math.min(together, part.components - first);
        for (let from = 0; from < length; from += most) {
          const slice = { first, components, from, count: Math.min(most, length - from) };
          const step = components > 1 ? length : TILE_BYTES / elementBytes;
          found.push(round([part], [slice], component + first, step));
        }
      }
      component += part.components;
    }
    return found;
  }

  function byWeights(): Round[] {
    const found: Round[] = [];
    const components = parts.reduce((sum, part) => sum + part.components, 0);
    const each = parts.reduce((sum, part) => sum + part.components * planeBytes(part, length), 0);
    const most = sliceWeights(parts, each, length);
    const fitting = Math.floor(TILE_BYTES / (components * elementBytes));
    const step = Math.max(KERNEL_TILE, fitting - (fitting % KERNEL_TILE));
    for (let from = 0; from < length; from += most) {
      const count = Math.min(most, length - from);
      const slices = parts.map((part) => ({ first: 0, components: part.components, from, count }));
      found.push(round(parts, slices, 0, step));
    }
    return found;
  }

  function round(
    of: readonly LoweredPart[],
    slices: readonly Slice[],
    component: number,
    most: number,
  ): Round {
    const { from, count } = slices[0]!;
    let tile = base;
    const staged = slices.map((slice, i) => {
      const place = placeSlice(of[i]!.lowered, length, slice, tile);
      tile = place.end;
      return { part: of[i]!, slice, staged: place };
    });
    const components = slices.reduce((sum, slice) => sum + slice.components, 0);
    const step = Math.min(most, count);
    const bytes = elementBytes * step;
    // Rows that are turned are kept apart in the cache; the others follow each other like their targets.
    const apart = order === "component" ? bytes : align(bytes + 1);
    const turned = order === "component" ? tile : align(tile + components * apart);
    const converted = align(turned + components * bytes);
    const more = job.add === true ? bytes : job.multiplier === 1 ? 0 : 2 * step;
    const end = converted + (more === 0 ? 0 : align(more * components));
    return { slices: staged, from, count, component, components, step, tile, apart, turned, converted, end };
  }
}

/** The next line of the cache, and some bytes more. */
function align(at: number): number {
  return (at + 127) & ~63;
}

/** Bytes of the planes of one vector. */
function planeBytes({ lowered }: LoweredPart, length: number): number {
  const { codes, scales, zeroPoints } = sizesOf(lowered, 1, length);
  return codes + scales + zeroPoints;
}

/** Weights of each vector in a slice, of parts whose planes take `bytes` for all weights. */
function sliceWeights(parts: readonly LoweredPart[], bytes: number, length: number): number {
  if (bytes <= STAGE_BYTES || parts.some(({ lowered }) => lowered.rotated)) return length;
  const unit = Math.max(...parts.map(({ lowered }) => sliceUnit(lowered)));
  return unit * Math.max(1, Math.floor((STAGE_BYTES * length) / bytes / unit));
}

// Planes on their way into a kernel's memory: which bytes of a plane hold weights `from` … `from + count − 1` of some
// components, and where they go.
//
// The kernel reads 16 bytes at a time, so it may read some bytes behind a plane, and reads the byte before a trellis'
// codes; a margin around each plane makes that harmless. Where a slice may begin depends on the encoding: with a byte
// of its codes, with a group, and with a byte of its zero points ({@link sliceUnit}).

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
