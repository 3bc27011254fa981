/**
 * The style sheet of reports: light or dark by the reader's setting, one column on a phone, and a print style. Text has a
 * contrast of at least 4.5 to 1; colour is never the only signal.
 *
 * @module
 */
import { BYTE_KINDS, type ByteKind } from "../byte-map.ts";
import { RD_CURVE_STYLE } from "../rd-curve-svg.ts";

const LIGHT = {
  ground: "#fff",
  panel: "#f6f7f9",
  text: "#1b1f24",
  faint: "#57606a",
  line: "#d5dae0",
  link: "#0a58ca",
  good: "#116329",
  bad: "#b3261e",
  warn: "#7a4f00",
  accent: "#0072b2",
  second: "#c2410c",
};

const DARK = {
  ground: "#14171c",
  panel: "#1d2128",
  text: "#e6e9ed",
  faint: "#a5adb8",
  line: "#363d47",
  link: "#79b8ff",
  good: "#6fdd8b",
  bad: "#ff9a8f",
  warn: "#f0c060",
  accent: "#56b4e9",
  second: "#ff9248",
};

/** Steps of a heat map, from little to much, with the colour of the text on them. */
const HEAT_LIGHT = [
  ["#f1f6fc", "#1b1f24"],
  ["#d9e8f7", "#1b1f24"],
  ["#bad6f0", "#1b1f24"],
  ["#8fbfe6", "#1b1f24"],
  ["#62a3d6", "#0b1220"],
  ["#2f6fae", "#fff"],
  ["#1d5491", "#fff"],
  ["#0c356a", "#fff"],
] as const;
const HEAT_DARK = [
  ["#1a222d", "#e6e9ed"],
  ["#1b3048", "#e6e9ed"],
  ["#1c4064", "#e6e9ed"],
  ["#1f5283", "#fff"],
  ["#2a68a3", "#fff"],
  ["#5fa3da", "#0b1220"],
  ["#93c4ee", "#0b1220"],
  ["#cfe6fb", "#0b1220"],
] as const;

/** Number of steps of a heat map. */
export const HEAT_STEPS = 8;

/** Colours of the kinds of bytes, on a light and on a dark ground. */
const KINDS: Readonly<Record<ByteKind, readonly [light: string, dark: string]>> = {
  "codes of B'": ["#0072b2", "#3f9bd9"],
  "codes of A'": ["#56a5d8", "#85c5ee"],
  scales: ["#e69f00", "#e69f00"],
  "zero points": ["#f2c75c", "#f5d27a"],
  "raw weights": ["#5b7c99", "#8fa9c0"],
  "plain tensors": ["#009e73", "#3fd0a4"],
  sections: ["#b0578d", "#e08fc0"],
  index: ["#3b3b3b", "#d0d0d0"],
  digests: ["#7d8590", "#8b95a1"],
  "prologue and trailer": ["#222", "#fff"],
  checksums: ["#d55e00", "#ff9248"],
  padding: ["#d5dae0", "#363d47"],
};

function variables(
  colors: Readonly<Record<string, string>>,
  heat: typeof HEAT_LIGHT | typeof HEAT_DARK,
  ground: 0 | 1,
): string {
  return [
    ...Object.entries(colors).map(([name, value]) => `--${name}:${value}`),
    ...heat.flatMap(([ground, text], i) => [`--h${i}:${ground}`, `--t${i}:${text}`]),
    ...BYTE_KINDS.map((kind, i) => `--k${i}:${KINDS[kind][ground]}`),
  ].join(";");
}

/** The style sheet. Drawn pages have no other styles, and no style attributes. */
export const STYLE: string = `
:root{color-scheme:light dark;${variables(LIGHT, HEAT_LIGHT, 0)}}
@media(prefers-color-scheme:dark){:root{${variables(DARK, HEAT_DARK, 1)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;-webkit-text-size-adjust:100%}
header,main,footer{max-width:1080px;margin:0 auto;padding:0 20px}
header{padding-top:28px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:0 0 8px;padding-top:4px}
h3{font-size:1rem;margin:18px 0 4px}
section{margin:34px 0;border-top:1px solid var(--line);padding-top:14px}
p,li{max-width:72ch;overflow-wrap:anywhere}
p{margin:6px 0 10px}
a{color:var(--link)}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em;overflow-wrap:anywhere}
.faint,footer{color:var(--faint)}
.of{color:var(--faint);margin:0 0 6px;overflow-wrap:anywhere}
.verdict{font-weight:600;margin:4px 0 14px}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;padding:0;margin:14px 0 0}
.skip{position:absolute;left:-9999px}.skip:focus{left:8px;top:8px;background:var(--ground);padding:4px 8px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:14px 0 0;padding:0}
.cards div{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:10px 12px;min-width:0}
.cards dt{color:var(--faint);font-size:.85rem}.cards dd{margin:0;font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}
.cards dd small{display:block;font-size:.8rem;font-weight:400;color:var(--faint);line-height:1.35}
.facts{margin:8px 0}.facts div{display:grid;grid-template-columns:minmax(110px,190px) 1fr;gap:12px;padding:4px 0;border-bottom:1px solid var(--line)}
.facts dt{color:var(--faint)}.facts dd{margin:0;overflow-wrap:anywhere;min-width:0}
.scroll{overflow-x:auto;margin:8px 0 14px}
table{border-collapse:collapse;font-size:.88rem}
caption{text-align:left;color:var(--faint);padding:0 0 4px}
th,td{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--faint);font-weight:600;white-space:nowrap}
tbody th{font-weight:400}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td .name,tbody th>.name{min-width:13em}.heat .name{min-width:0;font-family:inherit;font-size:inherit}
.name{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em;overflow-wrap:anywhere;display:inline-block}
.heat td,.heat thead th{text-align:center;padding:3px 6px;border:1px solid var(--ground);font-variant-numeric:tabular-nums;white-space:nowrap}
.heat thead th{overflow-wrap:anywhere;font-weight:400;color:var(--text)}
.heat tbody th{white-space:nowrap;position:sticky;left:0;background:var(--ground);padding-right:10px;max-width:46vw;overflow:hidden;text-overflow:ellipsis}
${Array.from({ length: HEAT_STEPS }, (_, i) => `.h${i}{background:var(--h${i});color:var(--t${i})}`).join("")}
.maps{display:flex;flex-wrap:wrap;gap:8px 44px}.maps>div{flex:0 1 auto;max-width:100%;min-width:0}.maps p{max-width:30ch;min-height:6em}.maps p.scale{min-height:0}
.none{color:var(--faint)}
.scale{display:flex;flex-wrap:wrap;align-items:center;gap:2px 8px;font-size:.85rem;color:var(--faint);margin:0 0 6px}
.scale span.steps{display:inline-flex;border:1px solid var(--line)}.scale i{width:20px;height:12px;display:inline-block}
.swatch{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:7px;border:1px solid var(--line)}
${BYTE_KINDS.map((_, i) => `.k${i}{background:var(--k${i});fill:var(--k${i})}`).join("")}
svg.bar{height:9px;margin-top:6px;min-width:110px;width:26vw;max-width:320px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(250px,1fr));gap:14px;margin:10px 0}
figure{margin:0;min-width:0}figcaption{font-size:.88rem;overflow-wrap:anywhere}
svg{display:block;max-width:100%;height:auto}.scroll .lqa-curve{max-width:none}
svg .ink{fill:var(--text)}svg .dim{fill:var(--faint)}svg text{font-size:11px}
svg .rule{stroke:var(--line);stroke-width:1;fill:none}
svg .area{fill:var(--accent);opacity:.22}
svg .curve{fill:none;stroke:var(--accent);stroke-width:2}
svg .other{fill:none;stroke:var(--second);stroke-width:1.6;stroke-dasharray:4 3}
svg .bars{fill:var(--accent)}
${RD_CURVE_STYLE}
.key{display:inline-block;width:22px;height:0;border-top:2px solid var(--accent);vertical-align:middle;margin:0 6px 0 0}
.key.two{border-top:2px dashed var(--second);margin-left:14px}
.finding{border-left:4px solid var(--bad);padding:2px 0 2px 12px;margin:10px 0}.finding.w{border-color:var(--warn)}
.finding p{margin:2px 0}.finding h3{margin-top:6px}.finding ul{margin:4px 0;padding-left:20px}
details{margin:8px 0}summary{cursor:pointer;color:var(--link)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:10px;font-size:.85rem}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
footer{padding:10px 20px 40px;font-size:.88rem}
@media(max-width:600px){body{font-size:16px}header,main,footer{padding-left:14px;padding-right:14px}.facts div{grid-template-columns:1fr;gap:0}.cards{grid-template-columns:1fr 1fr}.heat tbody th{white-space:normal;min-width:7em}.totals th:last-child,.totals td:last-child{display:none}}
@media print{nav,.skip{display:none}section{break-inside:avoid-page}}
`;
