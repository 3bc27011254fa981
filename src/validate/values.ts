/**
 * The rules about values (spec clauses 8.1, 8.3, 6.8 and 12.4) as findings with a place: what `codecs/check.ts` finds in
 * planes, and the elements of plain tensors.
 *
 * @module
 */
import { checkPlanes, type PlaneReport } from "../codecs/check.ts";
import { badBoolean, nonfiniteElement } from "../codecs/nonfinite.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { type PlaneExtent, planeExtents } from "../container/layout.ts";
import { unorderedIndex } from "../container/tensor-rules.ts";
import type { ModuleRecord, TensorRecord } from "../container/types.ts";
import * as KIND from "../error-catalogue.ts";
import { LqaError } from "../errors.ts";
import { ELEMENT_BYTES, inputLength } from "../model/adapter.ts";

/** What is checked, and who is told. */
export interface ValueOptions {
  /** Also whether codes are in their canonical form. */
  readonly canonical: boolean;
  /** The file declares that it has Inf or NaN. */
  readonly nonfiniteDeclared: boolean;
  /** May throw. */
  readonly report: (error: LqaError) => void;
  /** No error is kept any more: making half a billion of them would take an hour. Asked before each. */
  readonly enough: () => boolean;
  /** Told once for each plane where there were more. */
  readonly omit: () => void;
}

/** Value checks of one file. */
export class ValueChecks {
  readonly options: ValueOptions;
  /** A value that is Inf or NaN was found where that is declared. */
  nonfiniteSeen = false;
  /** The last token index of the piece before, of a tensor that is looked at in pieces. */
  #lastIndex = -1;

  constructor(options: ValueOptions) {
    this.options = options;
  }

  /** All planes of a module whose payload is in memory. */
  module(record: ModuleRecord, { bands, planes }: PackedFactors, payloadOffset: number): void {
    const lengths = { b: record.out, a: inputLength(record) };
    let three: PlaneExtent[] = [];
    const check = (): void => {
      const [first] = three;
      if (first === undefined) return;
      const { expert, band, factor } = first;
      const extents = three;
      const report: PlaneReport = (kind, plane, offset, finding) => {
        const extent = extents.find((one) => one.plane === plane)!;
        return this.plane(record, extent, payloadOffset + extent.offset)(kind, plane, offset, finding);
      };
      const encoding = bands[band]![factor];
      checkPlanes(encoding, planes[expert]![band]![factor], bands[band]!.components, lengths[factor], report);
    };
    for (const extent of planeExtents(record, bands)) {
      const [first] = three;
      if (first?.factor !== extent.factor || first.band !== extent.band || first.expert !== extent.expert) {
        check();
        three = [];
      }
      three.push(extent);
    }
    check();
  }

  /**
   * The receiver of findings in one plane, or in a stretch of it that begins with component `component`.
   *
   * @param start position in the file of what the offsets of the findings count from
   */
  plane(
    record: ModuleRecord,
    { expert, band, factor }: { readonly expert: number; readonly band: number; readonly factor: "b" | "a" },
    start: number,
    component = 0,
  ): PlaneReport {
    const { canonical, nonfiniteDeclared, report, enough, omit } = this.options;
    return (kind, plane, offset, finding) => {
      if (kind === KIND.NONCANONICAL_CODES && !canonical) return false;
      if (kind === KIND.NONFINITE_VALUE && nonfiniteDeclared) {
        this.nonfiniteSeen = true;
        return true;
      }
      if (enough()) {
        omit();
        return true;
      }
      const which = record.experts > 1 ? `expert ${expert}, ` : "";
      const group = finding.group === undefined ? "" : `, group ${finding.group}`;
      report(
        new LqaError(kind, {
          where: `module "${record.name}", ${which}band ${band}, ${factor === "b" ? "B'" : "A'"} ${plane}, component ${component + finding.component}${group}`,
          // A compressed payload has no byte to point at but its chunk's first.
          offset: record.compression === "none" ? start + offset : record.chunk.offset,
          expected: finding.expected,
          actual: finding.actual,
        }),
      );
      return false;
    };
  }

  /** Elements of a plain tensor, from number `first` on. */
  tensor(record: TensorRecord, data: Uint8Array, payloadOffset: number, first = 0): void {
    const { nonfiniteDeclared, report } = this.options;
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
    if (at < 0) return;
    this.nonfiniteSeen = true;
    if (!nonfiniteDeclared)
      report(new LqaError(KIND.NONFINITE_VALUE, { ...place(at), expected: "a finite number" }));
  }

  /** After the last chunk: NONFINITE is set only where it is needed. */
  finish(): void {
    const { nonfiniteDeclared, report } = this.options;
    if (nonfiniteDeclared && !this.nonfiniteSeen)
      report(
        new LqaError(KIND.FEATURE_BITS, {
          where: "compatible features",
          offset: 20,
          expected: "no NONFINITE bit",
          actual: "set",
        }),
      );
  }
}
