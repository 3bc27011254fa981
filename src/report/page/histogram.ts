/**
 * Draws a histogram as bars, with the counts as text.
 *
 * @module
 */
import { count } from "../format.ts";
import { type Html, html } from "./html.ts";

/** One bar. */
export interface Bar {
  /** What the bar counts. */
  readonly name: string;
  readonly count: number;
}

const PLOT = { left: 8, right: 252, top: 8, bottom: 118 };

/** Draws bars. @param ends labels below the first and the last bar */
export function histogram(
  title: string,
  note: string,
  bars: readonly Bar[],
  [first, last]: readonly [first: string, last: string],
): Html {
  const most = bars.reduce((largest, bar) => Math.max(largest, bar.count), 1);
  const width = (PLOT.right - PLOT.left) / bars.length;
  const drawn = bars.map((bar, i) => {
    const height = ((PLOT.bottom - PLOT.top) * bar.count) / most;
    return html`<rect class="bars" x="${(PLOT.left + i * width + width * 0.06).toFixed(2)}" y="${(PLOT.bottom - height).toFixed(1)}" width="${(width * 0.88).toFixed(2)}" height="${height.toFixed(1)}"><title>${bar.name}: ${count(bar.count)}</title></rect>`;
  });
  return html`<figure><svg viewBox="0 0 260 140" width="320" role="img" aria-label="Histogram of ${title}">
${drawn}<path class="rule" d="M${PLOT.left} ${PLOT.bottom}H${PLOT.right}"/><text class="dim" x="${PLOT.left}" y="134">${first}</text><text class="dim" x="${PLOT.right}" y="134" text-anchor="end">${last}</text>
</svg><figcaption>${title} <span class="faint">${note}</span></figcaption></figure>
`;
}
