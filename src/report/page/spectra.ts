/**
 * The section about singular values: for each projection, over all layers, as falling curves and as a table.
 *
 * @module
 */
import type { InspectedModule } from "../inspection.ts";
import { folded, type Html, html, named, section, tableElement } from "./html.ts";

const PANELS = 12;
const POINTS = 64;
/** Lowest decibels of the drawing; smaller values are raised to it. */
const FLOOR = -40;
const PLOT = { left: 38, right: 252, top: 8, bottom: 128 };

/** Values by component, in decibels of the largest singular value of the same module. */
interface Spread {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

interface Panel {
  readonly projection: string;
  readonly layers: number;
  readonly decoded: readonly Spread[];
  readonly source: readonly Spread[];
}

/** The values of a module to draw. */
export type SpectrumModule = Pick<InspectedModule, "projection" | "parameters" | "singularValues" | "loss">;

/**
 * The section about singular values; nothing if no module has any.
 *
 * @param what the name of the update
 */
export function spectraSection(modules: readonly SpectrumModule[], what = "ΔŴ"): Html | undefined {
  const panels = panelsOf(modules);
  if (panels.length === 0) return undefined;
  const withSource = panels.some(({ source }) => source.length > 0);
  const shown = panels.slice(0, PANELS);
  const components = Math.max(...shown.map(({ decoded }) => decoded.length));
  return section(
    "spectra",
    "Singular values",
    html`<p>Strength of the components of ${what} in decibels below the strongest component of ${withSource ? "the same module in the source" : "the same module"}: the line is the median of all layers, the shaded area reaches from the weakest to the strongest. Below −${-FLOOR} dB a component is practically zero.</p>
<p><span class="key"></span>${what === "ΔŴ" ? "this file" : "this adapter"}${withSource ? html`<span class="key two"></span>the source` : undefined}</p>
<div class="grid">${shown.map(draw)}</div>
${panels.length > PANELS ? html`<p class="faint">${panels.length - PANELS} more projections are not drawn.</p>` : undefined}`,
    folded(
      "The medians as a table",
      tableElement({
        caption: "Median singular value by component, in decibels of the strongest",
        head: [
          "projection",
          ...Array.from({ length: Math.min(components, POINTS) }, (_, i) => String(i + 1)),
        ],
        numeric: Array.from({ length: components }, (_, i) => i + 1),
        rows: shown.map(({ projection, decoded }) => [
          named(projection),
          ...decoded.slice(0, POINTS).map(({ median }) => (median <= FLOOR ? "–" : median.toFixed(1))),
        ]),
      }),
    ),
  );
}

function panelsOf(modules: readonly SpectrumModule[]): Panel[] {
  const groups = new Map<string, SpectrumModule[]>();
  for (const module of modules) {
    if (module.singularValues === undefined) continue;
    const group = groups.get(module.projection);
    if (group === undefined) groups.set(module.projection, [module]);
    else group.push(module);
  }
  const weights = (group: readonly SpectrumModule[]): number =>
    group.reduce((sum, { parameters }) => sum + parameters, 0);
  return [...groups]
    .map(([projection, group]) => ({ projection, group, size: weights(group) }))
    .sort((x, y) => y.size - x.size)
    .map(({ projection, group }) => ({
      projection,
      layers: group.length,
      decoded: spreads(group.map((one) => relative(one.singularValues!, strongest(one)))),
      source: spreads(
        group.flatMap(({ loss }) =>
          loss === undefined ? [] : [relative(loss.singularValues, loss.singularValues[0]!)],
        ),
      ),
    }));
}

function strongest({ loss, singularValues }: SpectrumModule): number {
  return loss?.singularValues[0] || singularValues![0]!;
}

/** In decibels, not below the floor. */
function relative(values: Float64Array, strongest: number): number[] {
  return Array.from(values, (value) =>
    value > 0 ? Math.max(FLOOR, 20 * Math.log10(value / strongest)) : FLOOR,
  );
}

function spreads(curves: readonly (readonly number[])[]): Spread[] {
  const length = curves.reduce((most, curve) => Math.max(most, curve.length), 0);
  return Array.from({ length }, (_, i) => {
    const values = curves.flatMap((curve) => (i < curve.length ? [curve[i]!] : [])).sort((x, y) => x - y);
    return { low: values[0]!, median: values[values.length >> 1]!, high: values.at(-1)! };
  });
}

function draw({ projection, layers, decoded, source }: Panel): Html {
  const count = Math.max(decoded.length, source.length);
  // A rank of a thousand has more points than the plot has room for.
  const every = Math.ceil(count / POINTS);
  const x = (i: number): number => PLOT.left + ((PLOT.right - PLOT.left) * i) / Math.max(1, count - 1);
  // Some space at the top: a refitted component can be stronger than the original.
  const y = (db: number): number => PLOT.top + ((PLOT.bottom - PLOT.top) * (2 - db)) / (2 - FLOOR);
  const points = (list: readonly Spread[], key: keyof Spread): string[] =>
    list.flatMap((one, i) =>
      i % every === 0 || i === list.length - 1 ? [`${x(i).toFixed(1)} ${y(one[key]).toFixed(1)}`] : [],
    );
  const area = [...points(decoded, "high"), ...points(decoded, "low").reverse()];
  const ticks = [0, -10, -20, -30, -40].map(
    (db) =>
      html`<path class="rule" d="M${PLOT.left} ${y(db).toFixed(1)}H${PLOT.right}"/><text class="dim" x="${PLOT.left - 5}" y="${(y(db) + 4).toFixed(1)}" text-anchor="end">${String(db).replace("-", "−")}</text>`,
  );
  const last = decoded.at(-1)!;
  const told = `${projection}: component ${count} has a median of ${last.median.toFixed(1)} dB`;
  return html`<figure><svg viewBox="0 0 260 150" width="320" role="img" aria-label="${told}">
${ticks}<path class="area" d="M${area.join("L")}Z"/>
${source.length === 0 ? undefined : html`<path class="other" d="M${points(source, "median").join("L")}"/>`}<path class="curve" d="M${points(decoded, "median").join("L")}"/>
${count === 1 ? html`<circle class="bars" cx="${x(0)}" cy="${y(last.median).toFixed(1)}" r="3"/>` : undefined}<text class="dim" x="${PLOT.left}" y="144">1</text><text class="dim" x="${PLOT.right}" y="144" text-anchor="end">${count}</text><text class="dim" x="${(PLOT.left + PLOT.right) / 2}" y="144" text-anchor="middle">component</text>
</svg><figcaption>${projection} <span class="faint">${layers} ×</span></figcaption></figure>
`;
}
