// The matrix of readers and case folders as one page without scripts.
import { countOf, described, faultsOf, LEGEND, ranOf, rowsOf, skipsOf, wrongOf } from "./report.mjs";

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
body { margin: 2em auto; padding: 0 1em; max-width: 80em }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15em .7em; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap }
thead th { vertical-align: bottom }
tbody th { text-align: left; font-weight: 400 }
tbody tr:last-child > * { font-weight: 700 }
.good { background: #2a22 } .bad { background: #d22; color: #fff }
code { font-size: .93em }
.failed { color: #c11 } .passed { color: #182 }
@media (prefers-color-scheme: dark) { .failed { color: #f77 } .passed { color: #6c6 } }
`;

/** `about`: { suite, date, machine }, each a text. */
export function htmlReport(columns, { suite = "", date = "", machine = "" } = {}) {
  const ran = ranOf(columns);
  const count = countOf(ran.flatMap(({ results }) => results));
  const wrong = wrongOf(count);
  const head = ran.map(({ label }) => `<th>${label.split(", ").map(escaped).join("<br>")}</th>`);
  const row = ([name, cases, cells]) => {
    const columns = cells.map(({ text, kind = "" }) => `<td class="${kind}">${escaped(text)}</td>`);
    return `<tr><th>${escaped(name)}</th><td>${cases}</td>${columns.join("")}</tr>`;
  };
  const list = (title, items) =>
    items.length === 0
      ? ""
      : `<h2>${title}</h2>\n<ul>\n${items.map((item) => `<li>${item}</li>`).join("\n")}\n</ul>`;
  const faults = faultsOf(columns).map(({ label, status, detail, ids }) => {
    const all = ids.map((id) => `<code>${escaped(id)}</code>`).join(", ");
    const shown = ids.length > 3 ? `<details><summary>${ids.length} cases</summary>${all}</details>` : all;
    return `${escaped(label)}: ${escaped(status)}: ${escaped(detail)}: ${shown}`;
  });
  const skips = skipsOf(columns).map(
    ([label, cases, reason]) =>
      `${escaped(label)}: ${cases === undefined ? "" : `${cases} cases: `}${escaped(reason)}`,
  );
  const readers = ran.map(
    ({ label, about, seconds = 0 }) =>
      `${escaped(label)}: ${escaped(described(about) || "unknown")}, ${seconds.toFixed(1)} s`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>LQA conformance: ${wrong === 0 ? "all as expected" : `${wrong} not as expected`}</title>
<style>${STYLE}</style>
<h1>LQA conformance</h1>
<p>${escaped(suite)}<br>${escaped(date)}, ${escaped(machine)}</p>
<p><strong class="${wrong === 0 ? "passed" : "failed"}">${count.passed} passed, ${wrong} failed</strong>, ${count.skipped} skipped</p>
<div class="scroll">
<table>
<thead><tr><th></th><th>cases</th>${head.join("")}</tr></thead>
<tbody>
${rowsOf(columns).map(row).join("\n")}
</tbody>
</table>
</div>
<p>${escaped(LEGEND)}</p>
${list("Not as expected", faults)}
${list("Skipped", skips)}
${list("Readers", readers)}
</html>
`;
}
