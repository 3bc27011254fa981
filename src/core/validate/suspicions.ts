/**
 * Warns about valid but suspicious records and planes: modules that are zero, constant or saturated, implausible multipliers,
 * more weights than the bytes can carry.
 *
 * It compares planes until they differ, word by word, and counts codes in a sample: less than the checksums even for zeros.
 * It examines only modules that are checked in memory, not those that are scanned (`scan.ts`).
 *
 * @module
 */

import { packedBytes, readElement, unpackCodes } from "../../floats.ts";
import { inputLength, multiplierByRule, parameterCount } from "../../model/adapter.ts";
import { type Encoding, FLOAT_BYTES, type Lowered, type Planes } from "../codecs/encoding.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { lower } from "../codecs/registry.ts";
import type { ContainerIndex, ModuleRecord } from "../container/types.ts";
import type { WarningDetails, WarningName } from "./validation.ts";

/** A warning without its texts. */
export type Suspicion = readonly [kind: WarningName, details: WarningDetails];

/** Plausible bytes of f32 weights for each byte of the file. One bit per weight gives 32. */
const EXPANSION = 512;
/** Up to this many bytes of weights there is no warning: memory is not at risk. */
const EXPANSION_BYTES = 2 ** 28;
/** Largest plausible multiplier. Those in use lie between about 0.1 and 64. */
const MULTIPLIER = 1000;
/** Largest plausible share of codes at the two ends, in a sample of codes of 3 bits and more. */
const SATURATED = 0.9;
/** Codes of each component in the sample, and raw weights of each plane. */
const SAMPLE = 64;
/** Magnitude from which a finite weight is implausible for an adapter. */
const HUGE = 60000;

/** Warnings from records alone. A generator, so that a caller that keeps some need not hold them all. */
export function* suspiciousRecords(index: ContainerIndex, fileLength: number): Generator<Suspicion> {
  let decoded = 0;
  for (const module of index.modules) {
    const where = `module "${module.name}"`;
    const { offset } = module.chunk;
    decoded += 4 * parameterCount(module);
    if (module.multiplier === 0) yield ["MULTIPLIER_ZERO", { where }];
    else if (Math.abs(module.multiplier) > MULTIPLIER || unexplained(module))
      yield [
        "MULTIPLIER_UNUSUAL",
        {
          where,
          expected: `${module.alpha} / ${module.rank}, ${module.alpha} / √${module.rank}, and at most ${MULTIPLIER}`,
          actual: module.multiplier,
        },
      ];
    const most = Math.min(module.out, inputLength(module));
    if (module.rank > most)
      yield ["RANK_ABOVE_SHAPE", { where, offset, expected: `at most ${most}`, actual: module.rank }];
    if (module.parentModule === undefined && module.bands.every(({ b, a }) => isNothing(b) || isNothing(a)))
      yield ["ZERO_MODULE", { where, offset, actual: "codec zero" }];
  }
  if (decoded > EXPANSION_BYTES && decoded > EXPANSION * fileLength)
    yield ["EXPANSION", { actual: `${decoded} bytes of weights in a file of ${fileLength} bytes` }];
}

/** True if a module has an explicit multiplier, and an alpha from which no rule derives it. */
function unexplained({ rule, alpha, rank, multiplier }: ModuleRecord): boolean {
  if (rule !== "explicit" || alpha === 0) return false;
  return (["alpha/r", "alpha/sqrt(r)"] as const).every(
    (one) => multiplierByRule(one, alpha, rank) !== multiplier,
  );
}

/** Warnings about the planes of a module. */
export function suspiciousPlanes(record: ModuleRecord, { bands, planes }: PackedFactors): Suspicion[] {
  // The module stores nothing, as its record says: do not walk over its experts, of which there may be many.
  if (bands.every(({ b, a }) => isNothing(b) && isNothing(a))) return [];
  const found: Suspicion[] = [];
  const where = `module "${record.name}"`;
  const { offset } = record.chunk;
  const lengths = { b: record.out, a: inputLength(record) };
  const zero = { b: true, a: true };
  const constant = { b: true, a: true };
  const ends = { b: { codes: 0, seen: 0 }, a: { codes: 0, seen: 0 } };
  for (const expert of planes)
    bands.forEach((band, i) => {
      for (const factor of ["b", "a"] as const) {
        const lowered = lower(band[factor]);
        const plane = expert[i]![factor];
        // With a start or a parent, the planes alone are not the factor.
        const started = band[factor].mix !== undefined || record.parentModule !== undefined;
        zero[factor] &&= !started && isZero(lowered, plane);
        constant[factor] &&= !started && isConstant(lowered, plane, lengths[factor]);
        const { kind, bits } = lowered;
        if (kind !== "codes" || bits < 3) continue;
        const last = 2 ** bits - 1;
        for (const code of sampleCodes(plane.codes, bits, lengths[factor])) {
          ends[factor].seen++;
          if (code === 0 || code === last) ends[factor].codes++;
        }
      }
    });
  const declared = bands.every(({ b, a }) => isNothing(b) || isNothing(a));
  for (const factor of ["b", "a"] as const) {
    const place = `${where}, ${factor === "b" ? "B'" : "A'"}`;
    const { codes, seen } = ends[factor];
    if (zero[factor]) {
      if (!declared) found.push(["ZERO_MODULE", { where: place, offset }]);
    } else if (constant[factor]) found.push(["CONSTANT_FACTOR", { where: place, offset }]);
    else if (seen >= 64 && codes > SATURATED * seen)
      found.push([
        "SATURATED_CODES",
        {
          where: place,
          offset,
          expected: `at most ${100 * SATURATED} % of the codes`,
          actual: `${((100 * codes) / seen).toFixed(1)} %`,
        },
      ]);
  }
  const huge = hugeWeight(bands, planes);
  if (huge !== undefined) found.push(["SATURATED_WEIGHTS", { where, offset, actual: huge }]);
  return found;
}

function isNothing(encoding: Encoding): boolean {
  return lower(encoding).kind === "nothing" && encoding.mix === undefined;
}

function isZero({ kind }: Lowered, planes: Planes): boolean {
  const bytes = kind === "floats" ? planes.codes : planes.scales;
  return (bytes[0] ?? 0) === 0 && allSame(bytes, 1);
}

/** True if scales, zero points and a sample of the codes show the same number for all weights. */
function isConstant(
  { kind, element, bits, scale }: Lowered,
  { scales, zeroPoints, codes }: Planes,
  length: number,
): boolean {
  if (kind === "nothing" || kind === "windows") return false;
  // A single weight is not suspicious.
  if (element !== undefined)
    return codes.length > FLOAT_BYTES[element] && allSame(codes, FLOAT_BYTES[element]);
  if (length < 2 || !allSame(scales, FLOAT_BYTES[scale!]) || !allSame(zeroPoints, 1)) return false;
  let first: number | undefined;
  for (const code of sampleCodes(codes, bits, length)) if (code !== (first ??= code)) return false;
  return true;
}

/** The first codes of each component. */
function* sampleCodes(codes: Uint8Array, bits: number, length: number): Generator<number> {
  const row = packedBytes(length, bits);
  const sample = new Uint8Array(Math.min(SAMPLE, length));
  for (let at = 0; at < codes.length; at += row) {
    unpackCodes(codes, at, sample.length, bits, sample, 0);
    yield* sample;
  }
}

/** True if every `size` bytes equal the first `size`, a divisor of 8. Words, because zeros are compared to their end. */
function allSame(bytes: Uint8Array, size: number): boolean {
  const same = (from: number, end: number): boolean => {
    for (let i = from; i < end; i++) if (bytes[i] !== bytes[i - size]) return false;
    return true;
  };
  if (bytes.byteOffset % 4 !== 0 || bytes.length < 8) return same(size, bytes.length);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  if (!same(size, 8)) return false;
  for (let i = 2; i < words.length; i++) if (words[i] !== words[i - 2]) return false;
  return same(4 * words.length, bytes.length);
}

/** A finite raw weight near the largest of f16 or above, among the first of each plane; undefined if there is none. */
function hugeWeight(bands: PackedFactors["bands"], planes: PackedFactors["planes"]): number | undefined {
  for (const expert of planes)
    for (const [i, band] of bands.entries())
      for (const factor of ["b", "a"] as const) {
        const { element } = lower(band[factor]);
        if (element === undefined) continue;
        const { codes } = expert[i]![factor];
        const count = Math.min(SAMPLE, codes.length / FLOAT_BYTES[element]);
        for (let n = 0; n < count; n++) {
          const value = readElement(codes, element, n);
          if (Number.isFinite(value) && Math.abs(value) >= HUGE) return value;
        }
      }
  return undefined;
}
