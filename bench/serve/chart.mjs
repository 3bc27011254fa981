/**
 * Lines over two logarithmic axes as an SVG, in the manner of `src/report/rd-curve-svg.ts`: it stands alone, follows the
 * reader's light or dark scheme, tells series apart by dashes as well as by colour, and says its numbers in `<desc>`.
 */
const [WIDTH, HEIGHT] = [720, 420];
const PLOT = { left: 84, right: 690, bottom: 360 };
/** Of the first line of the legend, and from one line to the next. */
const LEGEND = { top: 46, line: 18 };
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#b0578d"];
const DARK = ["#56b4e9", "#ff9248", "#3fd0a4", "#e08fc0"];
const DASHES = ["", "7 4", "2 4", "10 3 2 3"];

/** @param series { label, points: [x, y][] }[]; `limit`: a horizontal line { label, y } */
export function drawChart({ title, x, y, series, limit, format = String }) {
  const legend = placeLegend(series);
  const top = legend.at(-1).y + 24;
  const all = series.flatMap(({ points }) => points);
  const ys = [...all.map((point) => point[1]), ...(limit ? [limit.y] : [])];
  const across = scale(
    all.map((point) => point[0]),
    PLOT.left,
    PLOT.right,
  );
  const up = scale(ys, PLOT.bottom, top);
  const style = [
    ".lqa-chart{font-family:system-ui,sans-serif;font-size:12px}.lqa-ground{fill:#fff}.lqa-chart text{fill:#222}",
    ".lqa-grid{stroke:#8884}.lqa-limit{stroke:#888;stroke-dasharray:3 3}.lqa-line{fill:none;stroke-width:2.2}",
    ...COLOURS.map((c, i) => `.lqa-s${i}{stroke:${c};fill:${c}}`),
    `@media(prefers-color-scheme:dark){.lqa-ground{fill:#16181d}.lqa-chart text{fill:#e6e6e6}${DARK.map((c, i) => `.lqa-s${i}{stroke:${c};fill:${c}}`).join("")}}`,
    ".lqa-chart path.lqa-line{fill:none}",
  ].join("");
  const parts = [
    `<rect class="lqa-ground" width="${WIDTH}" height="${HEIGHT}"/>`,
    text(PLOT.left, 24, title, "font-weight='600'"),
  ];
  legend.forEach(({ left, y, label }, i) => {
    parts.push(
      `<path class="lqa-line lqa-s${i}" stroke-dasharray="${DASHES[i]}" d="M${left} ${y}h26"/>`,
      text(left + 32, y + 4, label),
    );
  });
  for (const value of across.ticks)
    parts.push(
      line(across.at(value), top, across.at(value), PLOT.bottom, "lqa-grid"),
      text(across.at(value), PLOT.bottom + 18, value.toLocaleString("en"), 'text-anchor="middle"'),
    );
  for (const value of up.ticks)
    parts.push(
      line(PLOT.left, up.at(value), PLOT.right, up.at(value), "lqa-grid"),
      text(PLOT.left - 8, up.at(value) + 4, format(value), 'text-anchor="end"'),
    );
  parts.push(
    text((PLOT.left + PLOT.right) / 2, HEIGHT - 18, x, 'text-anchor="middle"'),
    text(8, top - 20, y),
  );
  if (limit !== undefined)
    parts.push(
      line(PLOT.left, up.at(limit.y), PLOT.right, up.at(limit.y), "lqa-limit"),
      text(PLOT.left + 6, up.at(limit.y) - 5, limit.label),
    );
  series.forEach(({ points }, i) => {
    const places = points.map(([px, py]) => `${n(across.at(px))} ${n(up.at(py))}`);
    parts.push(`<path class="lqa-line lqa-s${i}" stroke-dasharray="${DASHES[i]}" d="M${places.join("L")}"/>`);
    for (const [px, py] of points)
      parts.push(
        `<circle class="lqa-s${i}" cx="${n(across.at(px))}" cy="${n(up.at(py))}" r="3.5"><title>${xmlText(`${px}: ${format(py)}`)}</title></circle>`,
      );
  });
  const said = series.map(
    ({ label, points }) => `${label}: ${points.map(([px, py]) => `${px}: ${format(py)}`).join(", ")}`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="lqa-chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">`,
    `<title>${xmlText(title)}</title>`,
    `<desc>${xmlText(`${y} by ${x}. ${said.join("; ")}`)}</desc>`,
    `<style>${style}</style>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

/** Where the entry of each series stands: in as many lines as they need. */
function placeLegend(series) {
  let [left, y] = [PLOT.left, LEGEND.top];
  return series.map(({ label }) => {
    const width = 52 + 7 * label.length;
    if (left > PLOT.left && left + width > WIDTH) [left, y] = [PLOT.left, y + LEGEND.line];
    const entry = { left, y, label };
    left += width;
    return entry;
  });
}

/** Whole powers of ten around the values. */
function scale(values, from, to) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return { ticks, at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) };
}

const n = (value) => Number(value.toFixed(1));
const xmlText = (words) => words.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const text = (x, y, words, more = "") => `<text x="${n(x)}" y="${n(y)}" ${more}>${xmlText(words)}</text>`;
const line = (x1, y1, x2, y2, c) =>
  `<line class="${c}" x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}"/>`;
