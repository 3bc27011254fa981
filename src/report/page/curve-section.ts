/**
 * The section about rate and distortion: the file on the curve of its source, with the bound, and with other methods if they
 * were measured.
 *
 * @module
 */
import type { Comparison } from "../compare.ts";
import { comparisonCurve } from "../compare.ts";
import { decibels, percent } from "../format.ts";
import type { SourceFindings } from "../inspection.ts";
import { drawRdCurveInPage } from "../rd-curve-svg.ts";
import type { Hints } from "./hints.ts";
import { folded, type Html, html, raw, scrolled, section, tableElement } from "./html.ts";

/** The section about rate and distortion; without a source it says how to provide one. */
export function curveSection(
  source: SourceFindings | undefined,
  comparison: Comparison | undefined,
  hints: Hints,
): Html {
  if (source === undefined)
    return section(
      "curve",
      "Rate and distortion",
      html`<p>Unknown: bound and error are computed from the source adapter. ${hints.source}</p>`,
    );
  const { relativeError, bits, bound, aboveBoundDb } = source;
  const title = "Energy of ΔW lost against bits per weight";
  const others =
    comparison === undefined
      ? { title, rd: [], bound: source.boundCurve, methods: [] }
      : comparisonCurve(comparison, title);
  const file = { label: "this file", family: "file" as const, bits, relativeError };
  const lossless =
    relativeError === 0 ? "This file loses nothing, so it has no place on a logarithmic axis." : undefined;
  return section(
    "curve",
    "Rate and distortion",
    html`<p>At ${bits.toFixed(3)} bits per weight this file loses ${percent(relativeError)} of the energy of ΔW. No code for Gaussian components of these strengths could lose less than ${percent(bound)}${aboveBoundDb === undefined ? "" : ` (${decibels(aboveBoundDb)} below)`}. ${lossless}</p>
${comparison === undefined ? html`<p class="faint">Other methods are not drawn: measuring them means encoding them. ${hints.comparison}</p>` : undefined}`,
    scrolled(title, raw(drawRdCurveInPage({ ...others, methods: [...others.methods, file] }))),
    comparison === undefined
      ? undefined
      : folded(
          "The methods as a table",
          tableElement({
            caption: "Methods on the source, encoded and measured",
            head: ["method", "bits on disk", "bits counted", "lost", "above the bound"],
            numeric: [1, 2, 3, 4],
            rows: [
              ["this file", bits.toFixed(3), "", percent(relativeError), decibels(aboveBoundDb ?? null)],
              ...comparison.rows.flatMap(({ method, measured }) =>
                measured === undefined
                  ? []
                  : [
                      [
                        method,
                        measured.bitsPerParameter.toFixed(3),
                        measured.averageBits.toFixed(3),
                        percent(measured.relativeError),
                        decibels(measured.aboveBoundDb ?? null),
                      ],
                    ],
              ),
            ],
          }),
        ),
  );
}
