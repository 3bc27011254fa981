/**
 * The rate-distortion curve of an adapter as an SVG: bits per weight on disk against the energy of ΔW lost, in decibels.
 *
 * It is a pure function from numbers to text: no fonts, scripts or other files, the same text for the same numbers. The
 * drawing works alone or inside a page: every class begins with `lqa-`, and nothing has an id. It follows the reader's light
 * or dark scheme, and tells families apart by shape as well as by colour. `<desc>` lists the numbers, but of the bound only its
 * ends. Names come from files, so `markup.ts` escapes them.
 *
 * @module
 */
import { labelPlaces } from "./label-places.ts";
import { escaped } from "./markup.ts";

/** A point of a curve. Points that lose nothing have no place on a logarithmic axis and are left out. */
export interface RdPoint {
  /** Bits per weight. */
  readonly bits: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖². */
  readonly relativeError: number;
}

/** A method that has one point and not a curve. */
export interface RdMethod extends RdPoint {
  readonly label: string;
  readonly family: "file" | "rtn" | "sign";
}

/** The data to draw. */
export interface RdCurve {
  readonly title: string;
  readonly rd: readonly RdPoint[];
  /** The Gaussian rate-distortion bound. */
  readonly bound: readonly RdPoint[];
  readonly methods: readonly RdMethod[];
}

const WIDTH = 800;
const HEIGHT = 500;
/** The plot itself. */
const PLOT = { left: 70, right: 780, top: 88, bottom: 440 };
/** Decibels by which a point may lie above the highest tick without a further step of the axis. */
const HAIR = 0.5;
const FAMILIES = {
  file: "this file",
  rd: "rd",
  bound: "Gaussian bound",
  rtn: "RTN",
  sign: "sign",
} as const;

/** Okabe and Ito's colours, which colour-blind readers can tell apart; lighter ones on a dark background. */
export const RD_CURVE_STYLE: string = [
  ".lqa-curve{font-family:system-ui,sans-serif;font-size:12px}",
  ".lqa-ground{fill:#fff}",
  ".lqa-curve text{fill:#222}",
  ".lqa-curve .lqa-faint{fill:#666}",
  ".lqa-title{font-size:15px;font-weight:600}",
  ".lqa-grid{stroke:#8884;stroke-width:1}",
  ".lqa-leader{stroke:#888;stroke-width:.7}",
  ".lqa-line{fill:none;stroke-width:2.2;stroke-linejoin:round}",
  ".lqa-bound{fill:#777;stroke:#777}",
  "path.lqa-bound{stroke-dasharray:5 4;stroke-width:1.6}",
  ".lqa-rd{fill:#0072b2;stroke:#0072b2}",
  ".lqa-file{fill:#111}",
  ".lqa-rtn{fill:#009e73}",
  ".lqa-sign{fill:#b0578d}",
  // The rules above would fill the lines.
  ".lqa-curve path.lqa-line{fill:none}",
  "@media(prefers-color-scheme:dark){.lqa-ground{fill:#16181d}.lqa-curve text{fill:#e6e6e6}.lqa-curve .lqa-faint{fill:#aaa}.lqa-bound{fill:#aaa;stroke:#aaa}.lqa-rd{fill:#56b4e9;stroke:#56b4e9}.lqa-file{fill:#fff}.lqa-rtn{fill:#3fd0a4}.lqa-sign{fill:#e08fc0}}",
].join("");

/** Draws a curve. @returns an SVG document */
export function drawRdCurve(curve: RdCurve): string {
  return drawCurve(curve, `<style>${RD_CURVE_STYLE}</style>`);
}

/** Draws a curve for a page that already has {@link RD_CURVE_STYLE}. @returns an SVG element */
export function drawRdCurveInPage(curve: RdCurve): string {
  return drawCurve(curve);
}

function drawCurve({ title, rd, bound, methods }: RdCurve, ...style: readonly string[]): string {
  const drawn = {
    rd: [...rd].filter(hasPlace).sort((x, y) => x.bits - y.bits),
    bound: [...bound].filter(hasPlace).sort((x, y) => x.bits - y.bits),
    methods: methods.filter(hasPlace),
  };
  const all = [...drawn.rd, ...drawn.bound, ...drawn.methods];
  const losses = all.map(decibels);
  const x = axis(0, Math.max(1, ...all.map(({ bits }) => bits)), 0.5, PLOT.left, PLOT.right);
  // A point that is less than HAIR above 0 dB is drawn just above the plot.
  const worst = Math.max(0, Math.max(0, ...losses) - HAIR);
  const y = axis(Math.min(-5, ...losses), worst, 5, PLOT.bottom, PLOT.top);
  const at = (point: RdPoint): Place => ({ x: x.at(point.bits), y: y.at(decibels(point)) });

  const places = drawn.methods.map(at);
  const occupied = [...places, ...along(drawn.rd.map(at)), ...along(drawn.bound.map(at))];
  const labels = labelPlaces(
    drawn.methods.map(({ label }, i) => ({ ...places[i]!, label })),
    { plot: PLOT, occupied },
  );
  const parts = [
    `<rect class="lqa-ground" width="${WIDTH}" height="${HEIGHT}"/>`,
    text(PLOT.left, 26, title, 'class="lqa-title"'),
    ...legend(drawn),
    ...x.ticks.flatMap((value) => [
      line(x.at(value), PLOT.top, x.at(value), PLOT.bottom, "lqa-grid"),
      text(x.at(value), PLOT.bottom + 18, number(value), 'class="lqa-faint" text-anchor="middle"'),
    ]),
    ...y.ticks.flatMap((value) => [
      line(PLOT.left, y.at(value), PLOT.right, y.at(value), "lqa-grid"),
      text(PLOT.left - 8, y.at(value) + 4, `${number(value)} dB`, 'class="lqa-faint" text-anchor="end"'),
    ]),
    text((PLOT.left + PLOT.right) / 2, HEIGHT - 18, "bits per weight, on disk", 'text-anchor="middle"'),
    text(PLOT.left - 62, PLOT.top - 14, "energy of ΔW lost"),
    path(drawn.bound.map(at), "lqa-line lqa-bound"),
    path(drawn.rd.map(at), "lqa-line lqa-rd"),
    ...drawn.rd.map((point) => mark("rd", at(point), describe(FAMILIES.rd, point))),
    ...labels.flatMap(({ leader: end }, i) => (end === undefined ? [] : [leader(places[i]!, end)])),
    ...drawn.methods.map((method, i) => mark(method.family, places[i]!, describe(method.label, method))),
    ...labels.map(({ x: left, y: base, anchor }, i) =>
      text(left, base, drawn.methods[i]!.label, `text-anchor="${anchor}"`),
    ),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="lqa-curve" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<desc>${escaped(summary(drawn))}</desc>`,
    ...style,
    ...parts,
    "</svg>\n",
  ].join("\n");
}

/** A position in the drawing. */
interface Place {
  readonly x: number;
  readonly y: number;
}

interface Axis {
  readonly ticks: readonly number[];
  at(value: number): number;
}

/** An axis from `low` to `high`, both rounded outwards to a multiple of `unit`, with at most ten ticks. */
function axis(low: number, high: number, unit: number, from: number, to: number): Axis {
  const [first, last] = [Math.floor(low / unit) * unit, Math.ceil(high / unit) * unit];
  const steps = [1, 2, 4, 10, 20, 40, 100].map((times) => times * unit);
  const step = steps.find((s) => (last - first) / s <= 10) ?? last - first;
  const ticks: number[] = [];
  for (let value = Math.ceil(first / step) * step; value <= last; value += step) ticks.push(value);
  return { ticks, at: (value) => from + ((value - first) / (last - first)) * (to - from) };
}

function hasPlace({ bits, relativeError }: RdPoint): boolean {
  return Number.isFinite(bits) && relativeError > 0 && Number.isFinite(relativeError);
}

function decibels({ relativeError }: RdPoint): number {
  return 10 * Math.log10(relativeError);
}

function legend(drawn: Pick<RdCurve, "rd" | "bound" | "methods">): string[] {
  const shown = (Object.keys(FAMILIES) as (keyof typeof FAMILIES)[]).filter((family) =>
    family === "rd" || family === "bound"
      ? drawn[family].length > 0
      : drawn.methods.some((method) => method.family === family),
  );
  const parts: string[] = [];
  let left = PLOT.left;
  for (const family of shown) {
    const [y, label] = [46, FAMILIES[family]];
    if (family === "rd" || family === "bound")
      parts.push(`<path class="lqa-line lqa-${family}" d="M${left} ${y}h24"/>`);
    if (family !== "bound") parts.push(mark(family, { x: left + 12, y }));
    parts.push(text(left + 30, y + 4, label));
    left += 46 + 7.2 * label.length;
  }
  return parts;
}

/** A family's mark: star, circle, triangle or diamond. */
function mark(family: Exclude<keyof typeof FAMILIES, "bound">, { x, y }: Place, title?: string): string {
  const shapes = {
    file: "m0 -8l2.4 5.2l5.6 .6l-4.2 3.8l1.2 5.6l-5 -2.9l-5 2.9l1.2 -5.6l-4.2 -3.8l5.6 -.6z",
    rd: "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    rtn: "m0 -5.5l5.5 9.5h-11z",
    sign: "m0 -6l6 6l-6 6l-6 -6z",
  };
  const inside = title === undefined ? "/>" : `><title>${escaped(title)}</title></path>`;
  return `<path class="lqa-${family}" d="M${coordinate(x)} ${coordinate(y)}${shapes[family]}"${inside}`;
}

function path(places: readonly Place[], classes: string): string {
  const steps = places.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${coordinate(x)} ${coordinate(y)}`);
  return `<path class="${classes}" d="${steps.join("")}"/>`;
}

/** Points on a path, so close to each other that no label fits between them. */
function along(places: readonly Place[]): Place[] {
  return places.flatMap((from, i) => {
    const to = places[i + 1];
    if (to === undefined) return [from];
    const parts = Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 12);
    return Array.from({ length: parts }, (_, k) => ({
      x: from.x + ((to.x - from.x) * k) / parts,
      y: from.y + ((to.y - from.y) * k) / parts,
    }));
  });
}

function leader(from: Place, to: Place): string {
  return line(from.x, from.y, to.x, to.y, "lqa-leader");
}

function line(x1: number, y1: number, x2: number, y2: number, classes: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map(coordinate);
  return `<line class="${classes}" x1="${a}" y1="${b}" x2="${c}" y2="${d}"/>`;
}

function text(x: number, y: number, words: string, attributes = ""): string {
  const space = attributes === "" ? "" : ` ${attributes}`;
  return `<text x="${coordinate(x)}" y="${coordinate(y)}"${space}>${escaped(words)}</text>`;
}

function describe(label: string, point: RdPoint): string {
  return `${label}: ${point.bits.toFixed(3)} bits, ${number(Number(decibels(point).toFixed(2)))} dB`;
}

function summary(drawn: Pick<RdCurve, "rd" | "bound" | "methods">): string {
  return [
    "Energy of ΔW lost in decibels against bits per weight on disk, lower and further left is better.",
    ...[...drawn.rd.map((point) => describe(FAMILIES.rd, point))],
    ...drawn.methods.map((method) => describe(method.label, method)),
    ...[drawn.bound.at(0), drawn.bound.at(-1)].map((p) =>
      p === undefined ? "" : describe(FAMILIES.bound, p),
    ),
  ]
    .filter((sentence) => sentence !== "")
    .join("\n");
}

/** `−12.5`, with a real minus sign. */
function number(value: number): string {
  return String(value).replace("-", "−");
}

function coordinate(value: number): string {
  return String(Number(value.toFixed(1)));
}
