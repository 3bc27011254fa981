/**
 * Turns the chunk of a module into its planes, after every check of step 4 of clause 15.2. Readers that go straight to a chunk use
 * this file; tensors and sections are in `other-chunks.ts`, and reading in file order is in `verify.ts`.
 *
 * Every function takes exactly the bytes of the chunk, and returns views on them.
 *
 * @module
 */

import { type ErrorName, LqaError } from "../../errors.ts";
import type { usedGroups } from "../codecs/canonical.ts";
import { checkPlane, type PlaneReport } from "../codecs/check.ts";
import {
  FACTOR_NAMES,
  type Factor,
  lowerFactor,
  type PackedFactors,
  vectorLengths,
} from "../codecs/packed.ts";
import {
  checkPayload,
  openChunk,
  type PlaneExtent,
  type PlaneVisitor,
  planeExtents,
  planeTaker,
  splitPayload,
} from "../container/layout.ts";
import type { ChunkRecord, ModuleRecord } from "../container/types.ts";

/** A view on the bytes of a chunk. @param bytes the whole file */
export function chunkOf(bytes: Uint8Array, { chunk }: ChunkRecord): Uint8Array {
  return bytes.subarray(chunk.offset, chunk.offset + chunk.length);
}

/**
 * Runs every check of a module's payload in one walk over its planes. Errors of padding come before errors of values, so it
 * walks over a payload with an error of values a second time.
 *
 * @param payload has passed its CRC-32
 * @param values checks the values; undefined: no check
 * @param visit receives each plane; do not use the planes before this function returns
 * @throws LqaError PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE
 */
export function checkModule(
  record: ModuleRecord,
  payload: Uint8Array,
  values: ValueChecks | undefined,
  visit?: PlaneVisitor,
): void {
  const { bands, chunk } = record;
  const lengths = vectorLengths(record, bands);
  // The canonical form depends on several planes.
  let report = values?.options.canonical !== undefined;
  const find = (): true => {
    report = true;
    return true;
  };
  checkPayload(record, bands, payload, chunk.offset, (extent, bytes) => {
    const { band, factor, plane } = extent;
    if (!report && values !== undefined)
      checkPlane(lowerFactor(bands[band]!, factor), plane, bytes, lengths[factor], find);
    visit?.(extent, bytes);
  });
  if (report) values?.module(record, payload, chunk.offset);
}

/**
 * The payload of a module, without splitting it into planes.
 *
 * @param values undefined for a chunk that has passed its checks before
 * @throws LqaError CHUNK_CRC, PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE
 */
export function modulePayload(
  chunk: Uint8Array,
  record: ModuleRecord,
  values: ValueChecks | undefined,
): Uint8Array {
  if (values === undefined) return chunk.subarray(0, record.payload);
  const payload = openChunk(chunk, record.chunk.offset, `module "${record.name}"`);
  checkModule(record, payload, values);
  return payload;
}

/**
 * The packed factors of a module, as views on the chunk.
 *
 * @param values undefined for a chunk that has passed its checks before
 * @throws LqaError CHUNK_CRC, PADDING_NONZERO, SCALE_VALUE, NONFINITE_VALUE
 */
export function moduleFactors(
  chunk: Uint8Array,
  record: ModuleRecord,
  values: ValueChecks | undefined,
): PackedFactors {
  if (values === undefined) return splitPayload(record, record.bands, chunk.subarray(0, record.payload));
  const payload = openChunk(chunk, record.chunk.offset, `module "${record.name}"`);
  const { factors, take } = planeTaker(record, record.bands);
  checkModule(record, payload, values, take);
  return factors;
}

// Checks of values (spec clauses 8.1, 8.3 and 12.4): the findings of `codecs/check.ts` in planes, with their place.
//
// Readers run these checks on every chunk before they return it, and throw the first finding ({@link readerValues}). A
// validator chooses: it may skip them, collect all findings, or also check the canonical form of codes.

/** Which values to check, and functions that receive the findings. */
export interface ValueOptions {
  /** If given, checks that codes are in their canonical form. */
  readonly canonical?: typeof usedGroups | undefined;
  /** Receives each finding. May throw. */
  readonly report: (error: LqaError) => void;
  /**
   * True if the receiver keeps no more findings of this kind: half a billion of them would take an hour. Called before each. Codes that
   * are not canonical are counted for themselves, because only a valid file has them: they hide no error behind them.
   */
  readonly enough: (kind: ErrorName) => boolean;
  /** Called for what the receiver does not keep: once for each plane, and for each group whose codes are not canonical. */
  readonly omit: () => void;
}

/** The checks of a reader: they throw at the first value that breaks a rule. */
export function readerValues(): ValueChecks {
  return new ValueChecks({
    report: (error) => {
      throw error;
    },
    enough: () => false,
    omit: () => {},
  });
}

const NO_PLANES = { codes: new Uint8Array(0), zeroPoints: new Uint8Array(0) };

/** Value checks of one file. */
export class ValueChecks {
  readonly options: ValueOptions;

  constructor(options: ValueOptions) {
    this.options = options;
  }

  /**
   * Checks all planes of a module in stored order: one comparison for each scale, eight raw weights at a time.
   *
   * @param payload not compressed; its padding has passed `checkPayload`
   * @param payloadOffset position of the payload in the file
   */
  module(record: ModuleRecord, payload: Uint8Array, payloadOffset: number): void {
    const { canonical } = this.options;
    const lengths = vectorLengths(record, record.bands);
    /** For the canonical form: codes and zero points of the expert by band, which precede the scales in the file. */
    const packed: Record<Factor, { codes: Uint8Array; zeroPoints: Uint8Array }[]> = {
      b: [],
      a: [],
      mix: [],
    };
    let current: PlaneExtent | undefined;
    // One function for all planes: most planes have no finding.
    const report: PlaneReport = (kind, plane, offset, finding) =>
      this.plane(record, current!, payloadOffset + current!.offset)(kind, plane, offset, finding);
    for (const extent of planeExtents(record, record.bands)) {
      const { band, factor, plane, offset } = extent;
      const bytes = payload.subarray(offset, offset + extent.length);
      current = extent;
      const length = lengths[factor];
      const lowered = lowerFactor(record.bands[band]!, factor);
      if (plane === "scales" || lowered.kind === "floats") {
        const used = canonical?.(lowered, packed[factor][band] ?? NO_PLANES, length);
        checkPlane(lowered, plane, bytes, length, report, used);
      } else if (canonical !== undefined) {
        packed[factor][band] ??= { ...NO_PLANES };
        packed[factor][band][plane] = bytes;
      }
    }
  }

  /**
   * The receiver of findings in one plane, or in the part of it that begins with component `component`.
   *
   * @param start position in the file from which the offsets of findings count
   */
  plane(
    record: ModuleRecord,
    { expert, band, factor }: { readonly expert: number; readonly band: number; readonly factor: Factor },
    start: number,
    component = 0,
  ): PlaneReport {
    const { report, enough, omit } = this.options;
    return (kind, plane, offset, finding) => {
      if (enough(kind.kind)) {
        omit();
        return kind.kind !== "NONCANONICAL_CODES";
      }
      const which = record.experts > 1 ? `expert ${expert}, ` : "";
      const group = finding.group === undefined ? "" : `, group ${finding.group}`;
      report(
        new LqaError(kind, {
          where: `module "${record.name}", ${which}band ${band}, ${FACTOR_NAMES[factor]} ${plane}, component ${component + finding.component}${group}`,
          offset: start + offset,
          expected: finding.expected,
          actual: finding.actual,
        }),
      );
      return false;
    };
  }
}
