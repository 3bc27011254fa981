/**
 * The rules about values (spec clauses 8.1, 8.3, 6.8 and 12.4) as findings with a place: what `codecs/check.ts` finds in
 * planes, and the elements of plain tensors.
 *
 * @module
 */
import { checkPlanes, type PlaneReport } from "../codecs/check.ts";
import { badBoolean, nonfiniteElement } from "../codecs/nonfinite.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { planeExtents } from "../container/layout.ts";
import type { ModuleRecord, TensorRecord } from "../container/types.ts";
import * as KIND from "../error-catalogue.ts";
import { LqaError } from "../errors.ts";
import { ELEMENT_BYTES, inputLength } from "../model/adapter.ts";

/** What is checked, and who is told. */
export interface ValueOptions {
  /** Also whether codes are in their canonical form. */
  readonly canonical: boolean;
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

  constructor(options: ValueOptions) {
    this.options = options;
  }

  /** All planes of a module whose payload is in memory. */
  module(record: ModuleRecord, { bands, planes }: PackedFactors, payloadOffset: number): void {
    const lengths = { b: record.out, a: inputLength(record) };
    for (const extent of planeExtents(record, bands)) {
      const { expert, band, factor, plane, offset } = extent;
      const { components, [factor]: encoding } = bands[band]!;
      if (plane !== "scales" && encoding.codec !== "raw") continue;
      const own = planes[expert]![band]![factor];
      const report = this.plane(record, extent, payloadOffset + offset);
      checkPlanes(encoding, own, components, lengths[factor], report);
    }
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
    const { canonical, report, enough, omit } = this.options;
    return (kind, plane, offset, finding) => {
      if (kind === KIND.NONCANONICAL_CODES && !canonical) return false;
      if (enough()) {
        omit();
        return true;
      }
      const which = record.experts > 1 ? `expert ${expert}, ` : "";
      const group = finding.group === undefined ? "" : `, group ${finding.group}`;
      report(
        new LqaError(kind, {
          where: `module "${record.name}", ${which}band ${band}, ${factor === "b" ? "B'" : "A'"} ${plane}, component ${component + finding.component}${group}`,
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
    const at = nonfiniteElement(record.element, data);
    if (at >= 0) report(new LqaError(KIND.NONFINITE_VALUE, { ...place(at), expected: "a finite number" }));
  }
}
