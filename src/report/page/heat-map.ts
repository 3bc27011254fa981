/**
 * A heat map of modules, with layers down and projections across: a table whose cells show a number and a colour.
 *
 * @module
 */
import { type LayerPlace, naturalOrder, shortLabels } from "../layers.ts";
import { type Html, html, named, scrolled } from "./html.ts";
import { HEAT_STEPS } from "./style.ts";

/** The data of a map. */
export interface HeatMap<T extends LayerPlace> {
  readonly caption: string;
  /** Undefined if unknown. */
  readonly value: (module: T) => number | undefined;
  readonly text: (value: number) => string;
  /** If true, steps are equal ratios; otherwise equal differences. */
  readonly logarithmic?: boolean;
}

/** Larger maps are unreadable; the table of modules has the rest. */
const MOST_LAYERS = 200;
const MOST_PROJECTIONS = 40;

/** Draws a map. */
export function heatMap<T extends LayerPlace>(
  modules: readonly T[],
  { caption, value, text, logarithmic }: HeatMap<T>,
): Html {
  const layers = [...new Set(modules.map(({ layer }) => layer))].sort(naturalOrder);
  const projections = [...new Set(modules.map(({ projection }) => projection))];
  const cells = new Map(modules.map((module) => [`${module.layer}\n${module.projection}`, module]));
  const known = modules.map(value).filter((one): one is number => one !== undefined && Number.isFinite(one));
  const steps = stepsOf(known, logarithmic === true);
  const shownLayers = layers.slice(0, MOST_LAYERS);
  const shownProjections = projections.slice(0, MOST_PROJECTIONS);
  const rows = shortLabels(shownLayers).map((label, row) => {
    const layer = shownLayers[row]!;
    const columns = shownProjections.map((projection) => {
      const module = cells.get(`${layer}\n${projection}`);
      if (module === undefined) return html`<td></td>`;
      const found = value(module);
      if (found === undefined || !Number.isFinite(found)) return html`<td class="none">–</td>`;
      return html`<td class="h${steps.of(found)}">${text(found)}</td>`;
    });
    return html`<tr><th scope="row" title="${layer}">${label === "" ? "(no layer)" : named(label)}</th>${columns}</tr>
`;
  });
  const left = [
    ...(layers.length > MOST_LAYERS ? [`${layers.length - MOST_LAYERS} more layers`] : []),
    ...(projections.length > MOST_PROJECTIONS
      ? [`${projections.length - MOST_PROJECTIONS} more projections`]
      : []),
  ];
  const head = shortLabels(shownProjections).map(
    (label, i) => html`<th scope="col" title="${shownProjections[i]!}">${label}</th>`,
  );
  return html`${legend(steps, text)}${scrolled(
    caption,
    html`<table class="heat"><caption>${caption}</caption>
<thead><tr><th scope="col">layer</th>${head}</tr></thead>
<tbody>
${rows}</tbody></table>`,
  )}${left.length === 0 ? undefined : html`<p class="faint">Not shown: ${left.join(", ")}.</p>`}`;
}

function extremes(values: readonly number[]): [number, number] {
  return [values.reduce((x, y) => Math.min(x, y)), values.reduce((x, y) => Math.max(x, y))];
}

/** The steps of a map: `low` is where the first begins, `high` where the last ends, and `of` gives the step of a value. */
interface Steps {
  readonly low: number;
  readonly high: number;
  readonly logarithmic: boolean;
  /** Whether there are values that a logarithmic scale has no place for; they get the lowest step. */
  readonly zeros: boolean;
  readonly of: (value: number) => number;
}

/** The steps span the smallest to the largest value that has a place on the scale. */
function stepsOf(values: readonly number[], logarithmic: boolean): Steps {
  const placed = logarithmic ? values.filter((value) => value > 0) : values;
  const [low, high] = placed.length === 0 ? [0, 0] : extremes(placed);
  const scaled = (value: number): number => (logarithmic ? Math.log(value) : value);
  const [begin, end] = [scaled(low), scaled(high)];
  return {
    low,
    high,
    logarithmic,
    zeros: placed.length < values.length,
    of(value) {
      const at = scaled(value);
      if (!(at > begin) || !(end > begin)) return 0;
      return Math.min(HEAT_STEPS - 1, Math.floor(((at - begin) / (end - begin)) * HEAT_STEPS));
    },
  };
}

/** The legend: the colours between the lowest and the highest value, and whether steps are ratios or differences. */
function legend({ low, high, logarithmic, zeros }: Steps, text: (value: number) => string): Html | undefined {
  if (high === low)
    return low === 0
      ? undefined
      : html`<p class="scale">all ${text(low)}</p>
`;
  const colours = Array.from({ length: HEAT_STEPS }, (_, i) => html`<i class="h${i}"></i>`);
  const spread = logarithmic ? "steps of equal ratio" : "steps of equal size";
  return html`<p class="scale"><span>${text(low)}</span><span class="steps" aria-hidden="true">${colours}</span><span>${text(high)}</span><span>${spread}${zeros ? ", 0 as the lowest" : ""}</span></p>
`;
}
