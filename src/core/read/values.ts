/**
 * The rules about values (spec clauses 8.1, 8.3, 6.8 and 12.4) as findings with a place: what `codecs/check.ts` finds in
 * planes, and the elements of plain tensors.
 *
 * Readers run these checks on every chunk before they return it, and throw the first finding ({@link readerValues}). A
 * validator chooses: it may skip them, collect all findings, or also check the canonical form of codes.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { LqaError } from "../../errors.ts";
import { ELEMENT_BYTES } from "../../model/adapter.ts";
import { checkPlane, type PlaneReport, type usedGroups } from "../codecs/check.ts";
import { badBoolean, nonfiniteElement } from "../codecs/nonfinite.ts";
import { FACTOR_NAMES, type Factor, lowerFactor, vectorLengths } from "../codecs/packed.ts";
import { type PlaneExtent, planeExtents } from "../container/layout.ts";
import { unorderedIndex } from "../container/tensor-rules.ts";
import type { ModuleRecord, TensorRecord } from "../container/types.ts";

/** What is checked, and who receives the findings. */
export interface ValueOptions {
  /** Checks that codes are in their canonical form; absent if that is not required. */
  readonly canonical?: typeof usedGroups | undefined;
  /** May throw. */
  readonly report: (error: LqaError) => void;
  /** True once no more errors are kept: half a billion of them would take an hour. Called before each. */
  readonly enough: () => boolean;
  /** Called once for each plane that had more findings than are kept. */
  readonly omit: () => void;
}

/** The checks of a reader: the first value that breaks a rule is thrown. */
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
  /** The last token index of the piece before, of a tensor that is looked at in pieces. */
  #lastIndex = -1;

  constructor(options: ValueOptions) {
    this.options = options;
  }

  /**
   * All planes of a module, plane by plane in stored order: one comparison for each scale, eight raw weights at a time.
   *
   * @param payload not compressed; its padding has been checked (`checkPayload`)
   * @param payloadOffset position of the payload in the file
   */
  module(record: ModuleRecord, payload: Uint8Array, payloadOffset: number): void {
    const { canonical } = this.options;
    const lengths = vectorLengths(record, record.bands);
    /** For the canonical form: codes and zero points of the expert, which are stored before the scales. */
    const packed: Record<Factor, { codes: Uint8Array; zeroPoints: Uint8Array }[]> = {
      b: [],
      a: [],
      mix: [],
    };
    let current: PlaneExtent | undefined;
    // One for all planes: there are more of them than of findings.
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
   * The receiver of findings in one plane, or in a stretch of it that begins with component `component`.
   *
   * @param start position in the file of what the offsets of the findings count from
   */
  plane(
    record: ModuleRecord,
    { expert, band, factor }: { readonly expert: number; readonly band: number; readonly factor: Factor },
    start: number,
    component = 0,
  ): PlaneReport {
    const { report, enough, omit } = this.options;
    return (kind, plane, offset, finding) => {
      if (enough()) {
        omit();
        return true;
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

  /** Elements of a plain tensor, from number `first` on. */
  tensor(record: TensorRecord, data: Uint8Array, payloadOffset: number, first = 0): void {
    const { report } = this.options;
    const place = (element: number): { where: string; offset: number } => ({
      where: `tensor "${record.name}", element ${first + element}`,
      offset:
        payloadOffset +
        (record.compression === "none" ? (first + element) * ELEMENT_BYTES[record.element] : 0),
    });
    const boolean = badBoolean(record.element, data);
    if (boolean >= 0)
      report(
        new LqaError(KIND.TENSOR_RECORD, { ...place(boolean), expected: "0 or 1", actual: data[boolean] }),
      );
    if (record.role === "token-indices") {
      const { at, last } = unorderedIndex(data, first === 0 ? -1 : this.#lastIndex);
      this.#lastIndex = last;
      if (at >= 0)
        report(new LqaError(KIND.TENSOR_RECORD, { ...place(at), expected: `an index above ${last}` }));
    }
    const at = nonfiniteElement(record.element, data);
    if (at >= 0) report(new LqaError(KIND.NONFINITE_VALUE, { ...place(at), expected: "a finite number" }));
  }
}
