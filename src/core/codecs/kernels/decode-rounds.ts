/**
 * Splits the work on a factor so that a kernel's memory stays bounded: into rounds of slices, whose planes are staged together,
 * and each round into tiles, which are decoded and copied to the target together.
 *
 * @module
 */

import { type Encoding, groupCount, type Lowered, type Planes, sizesOf } from "../encoding.ts";
import { lower } from "../registry.ts";

/** A whole factor to decode: its parts, and how to write their weights. */
export interface FactorJob {
  readonly parts: readonly FactorPart[];
  /** Weights of each vector. */
  readonly length: number;
  /** `component`: weight i of component c is number c · length + i; `weight`: number i · components + c. */
  readonly order: "component" | "weight";
  /** An f32 number that multiplies weights. The product rounds to binary32, before it may round to binary16. */
  readonly multiplier: number;
  /** Whether weights add to the values of the target, in binary32, before the multiplication. Default: they replace them. */
  readonly add?: boolean | undefined;
}

/** Slices that are staged together. In order `component` a round has one slice. */
export interface Round {
  readonly slices: readonly { readonly part: LoweredPart; readonly slice: Slice; readonly staged: Staged }[];
  /** First weight of each vector. */
  readonly from: number;
  /** Number of weights of each vector. */
  readonly count: number;
  /** Number of the first component among those of all parts. */
  readonly component: number;
  readonly components: number;
  /** Weights of each vector in a tile. */
  readonly step: number;
  /** Where the tile begins, component after component: the first byte behind the staged planes. */
  readonly tile: number;
  /** Bytes from one vector of the tile to the next. */
  readonly apart: number;
  /** In order `weight`: where the transposed tile begins. In order `component`: the same as `tile`. */
  readonly turned: number;
  /** Where the converted tile begins, or the values to add to the tile. */
  readonly converted: number;
  /** The first byte behind all of these. */
  readonly end: number;
}

/** Bytes of a tile: large enough that a copy is worth its call, small enough to stay in the second cache. */
const TILE_BYTES = 2 ** 17;
/** Most bytes of planes in a slice; longer vectors are cut. */
const STAGE_BYTES = 2 ** 20;
/** Most bytes of a kernel's memory. Jobs that need more (rotated vectors, thousands of components) go to the plain decoder. */
const MOST_BYTES = 2 ** 26;
/** Weights of a vector in one call of `tile` in tile.as. */
const KERNEL_TILE = 1024;
/** Length of the shortest rotated vector that the kernel takes: eight columns of 64. */
const LEAST_ROTATED = 512;

/**
 * The rounds of a job, staged from byte `base` on.
 *
 * @param elementBytes bytes of a weight in a tile, 4 or 2
 * @returns undefined if the job is for the plain decoder: rotated vectors are too short or too long, or a slice has too many
 *   components
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
      // Short vectors share a tile; long ones are cut into slices.
      const together = part.lowered.rotated
        ? 1
        : Math.max(1, Math.floor(Math.min(TILE_BYTES / (elementBytes * length), STAGE_BYTES / each)));
      const most = sliceWeights([part], each, length);
      for (let first = 0; first < part.components; first += together) {
        const components = Math.min(together, part.components - first);
        for (let from = 0; from < length; from += most) {
          const slice = { first, components, from, count: Math.min(most, length - from) };
          const step = components > 1 ? length : TILE_BYTES / elementBytes;
          found.push(layRound(job, elementBytes, base, [part], [slice], component + first, step));
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
      found.push(layRound(job, elementBytes, base, parts, slices, 0, step));
    }
    return found;
  }
}

/**
 * A round, laid out in memory from byte `base` on.
 *
 * @param most weights of each vector in a tile at most
 */
function layRound(
  { order, length, add, multiplier }: FactorJob,
  elementBytes: number,
  base: number,
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
  // Rows to transpose begin in different sets of the cache; other rows are contiguous like their targets.
  const apart = order === "component" ? bytes : align(bytes + 1);
  const turned = order === "component" ? tile : align(tile + components * apart);
  const converted = align(turned + components * bytes);
  const more = add === true ? bytes : multiplier === 1 ? 0 : 2 * step;
  const end = converted + (more === 0 ? 0 : align(more * components));
  return { slices: staged, from, count, component, components, step, tile, apart, turned, converted, end };
}

/** The start of a cache line, at least 64 bytes on. */
function align(at: number): number {
  return (at + 127) & ~63;
}

/** Bytes of the planes of one vector. */
function planeBytes({ lowered }: LoweredPart, length: number): number {
  const { codes, scales, zeroPoints } = sizesOf(lowered, 1, length);
  return codes + scales + zeroPoints;
}

/** Number of weights of each vector in a slice, for parts whose planes take `bytes` for all weights. */
function sliceWeights(parts: readonly LoweredPart[], bytes: number, length: number): number {
  if (bytes <= STAGE_BYTES || parts.some(({ lowered }) => lowered.rotated)) return length;
  const unit = Math.max(...parts.map(({ lowered }) => sliceUnit(lowered)));
  return unit * Math.max(1, Math.floor((STAGE_BYTES * length) / bytes / unit));
}

// Staging: the bytes of a plane that hold weights `from` … `from + count − 1` of some components, and their places in a
// kernel's memory.
//
// The kernel reads 16 bytes at a time, so it may read some bytes behind a plane. It also reads the byte before the codes of a
// trellis. A margin around each plane makes that harmless. A slice must begin with a byte of its codes, with a group, and
// with a byte of its zero points ({@link sliceUnit}).

/** One factor's share of a band: planes of `components` components with one encoding. */
export interface FactorPart {
  readonly encoding: Encoding;
  readonly planes: Planes;
  readonly components: number;
}

/** A part with its lowered encoding. */
export interface LoweredPart extends Omit<FactorPart, "encoding"> {
  readonly lowered: Lowered;
}

/** A slice of consecutive components and weights of a part. */
export interface Slice {
  readonly first: number;
  readonly components: number;
  readonly from: number;
  readonly count: number;
}

/** Places of a slice in the kernel's memory, in bytes, for `decode` of decode.as. */
export interface Staged {
  /** The part of each plane that is staged. */
  readonly shares: Shares;
  readonly codes: number;
  readonly codesStride: number;
  readonly scales: number;
  readonly scaleStride: number;
  readonly zeros: number;
  readonly zeroStride: number;
  /** For rotated vectors: where a vector is expanded to bytes. */
  readonly small: number;
  /** For rotated vectors: where their integers of 16 bits begin. */
  readonly integers: number;
  /** The first byte behind all of these. */
  readonly end: number;
}

const MARGIN = 64;

/** The largest group, times the zero points of 1 bit in a byte. */
const ZERO_POINT_UNIT = 8 * 1024;
/** The largest group. */
const UNIT = 1024;

/** Slices of a part begin at multiples of this many weights. */
export function sliceUnit({ zeroBits }: Lowered): number {
  return zeroBits > 0 ? ZERO_POINT_UNIT : UNIT;
}

/** Bytes [begin, end) of each plane, within the row of one component. */
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

/** Places of a slice that is staged from byte `at` on. */
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

/** Bytes of codes that a slice needs before its own: a window continues from the previous one. */
function history({ kind }: Lowered, { from }: Slice): number {
  return kind === "windows" && from > 0 ? 1 : 0;
}

/** Copies a slice of a part's planes to the places from {@link placeSlice}. */
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
