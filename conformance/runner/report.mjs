// The matrix as text, JSON and HTML.

const STATUSES = ["passed", "failed", "crash", "timeout", "skipped"];

/** Numbers of each status, for all cases or those of one group. */
export const countOf = (results, group) => {
  const count = Object.fromEntries(STATUSES.map((status) => [status, 0]));
  for (const result of results) if (group === undefined || result.group === group) count[result.status]++;
  return count;
};
const bad = (count) => count.failed + count.crash + count.timeout;
const cell = (count) => {
  const total = STATUSES.reduce((sum, status) => sum + count[status], 0);
  if (total === count.skipped) return total === 0 ? "" : "skipped";
  const text = bad(count) === 0 ? `${count.passed}` : `${count.passed} of ${total - count.skipped}`;
  return `${text}${bad(count) > 0 ? " ✗" : ""}${count.skipped > 0 ? ` (−${count.skipped})` : ""}`;
};
const groupsOf = (columns) => [
  ...new Set(columns.flatMap(({ results }) => results.map(({ group }) => group))),
];

/** Skipped cases by reason: [reason, number]. */
const reasons = (results) => {
  const counts = new Map();
  for (const { status, detail } of results)
    if (status === "skipped") counts.set(detail, (counts.get(detail) ?? 0) + 1);
  return [...counts];
};

/** Columns: [{ label, about, unavailable, results: [{ id, group, status, detail }], seconds }]. */
export function textReport(columns, { most = 20 } = {}) {
  const ran = columns.filter(({ unavailable }) => unavailable === undefined);
  const lines = [];
  const table = [
    ["cases", ...ran.map(({ label }) => label)],
    ...groupsOf(ran).map((group) => [group, ...ran.map(({ results }) => cell(countOf(results, group)))]),
    ["all", ...ran.map(({ results }) => cell(countOf(results)))],
    ["seconds", ...ran.map(({ seconds }) => seconds.toFixed(1))],
  ];
  const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)));
  for (const row of table)
    lines.push(
      row.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join("  "),
    );
  for (const { label, results } of ran) {
    for (const [reason, count] of reasons(results))
      lines.push(`skipped: ${label}: ${count} cases: ${reason}`);
    const wrong = results.filter(({ status }) => !["passed", "skipped"].includes(status));
    for (const { id, status, detail } of wrong.slice(0, most))
      lines.push(`${status}: ${label}: ${id}: ${detail}`);
    if (wrong.length > most) lines.push(`… and ${wrong.length - most} more of ${label}`);
  }
  for (const { label, unavailable } of columns)
    if (unavailable !== undefined) lines.push(`skipped: ${label}: ${unavailable}`);
  return `${lines.join("\n")}\n`;
}

export function jsonReport(columns) {
  const readers = columns.map(({ label, about, unavailable, results, seconds }) => ({
    label,
    ...(unavailable === undefined
      ? { about, seconds, count: countOf(results), results: results.map(({ group: _, ...result }) => result) }
      : { unavailable }),
  }));
  return `${JSON.stringify({ format: "lqa-conformance-report", version: 1, readers }, null, 1)}\n`;
}

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

export function htmlReport(columns) {
  const ran = columns.filter(({ unavailable }) => unavailable === undefined);
  const row = (name, cells, tag = "td") =>
    `<tr><th>${escaped(name)}</th>${cells.map((c) => `<${tag} ${c.kind ? `class="${c.kind}"` : ""}>${escaped(c.text)}</${tag}>`).join("")}</tr>`;
  const counted = (count) => {
    const text = cell(count);
    return { text, kind: bad(count) > 0 ? "bad" : count.passed > 0 ? "good" : "" };
  };
  const rows = [
    row(
      "",
      ran.map(({ label, about }) => ({ text: `${label}${about?.language ? ` (${about.language})` : ""}` })),
      "th",
    ),
    ...groupsOf(ran).map((group) =>
      row(
        group,
        ran.map(({ results }) => counted(countOf(results, group))),
      ),
    ),
    row(
      "all",
      ran.map(({ results }) => counted(countOf(results))),
    ),
  ];
  const list = (title, items) =>
    items.length === 0
      ? ""
      : `<h2>${title}</h2><ul>${items.map((item) => `<li>${escaped(item)}</li>`).join("")}</ul>`;
  const wrong = ran.flatMap(({ label, results }) =>
    results
      .filter(({ status }) => !["passed", "skipped"].includes(status))
      .map(({ id, status, detail }) => `${label}: ${id}: ${status}: ${detail}`),
  );
  const skips = [
    ...ran.flatMap(({ label, results }) =>
      reasons(results).map(([reason, count]) => `${label}: ${count} cases: ${reason}`),
    ),
    ...columns.filter((c) => c.unavailable !== undefined).map((c) => `${c.label}: ${c.unavailable}`),
  ];
  return `<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>.lqa conformance</title>
<style>
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }
table { border-collapse: collapse } th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #8884 }
th:first-child { text-align: left; font-weight: 400 } .good { background: #2a24 } .bad { background: #d228 }
</style>
<h1>.lqa conformance</h1>
<table>
${rows.join("\n")}
</table>
${list("Not as expected", wrong)}
${list("Skipped", skips)}
`;
}
