// The matrix of readers and case folders, as text and as JSON. Columns are { label, about, unavailable, results: [{ id, group,
// status, detail }], seconds }.

const STATUSES = ["passed", "failed", "crash", "timeout", "skipped"];

/** Most ids that are shown of cases that failed in the same way. */
const SHOWN = 3;

/** Numbers of each status, for all cases or those of one group. */
export const countOf = (results, group) => {
  const count = Object.fromEntries(STATUSES.map((status) => [status, 0]));
  for (const result of results) if (group === undefined || result.group === group) count[result.status]++;
  return count;
};

export const wrongOf = (count) => count.failed + count.crash + count.timeout;

/** What the cells mean. */
export const LEGEND =
  "ok: all passed; 40 −13: 40 passed, 13 skipped; −13: all skipped; ✗ 2: 2 not as expected";

/** A cell: { text, kind }, kind being good, bad or nothing. */
function cellOf(count, { numbers = false } = {}) {
  const wrong = wrongOf(count);
  const { passed, skipped } = count;
  if (wrong > 0) return { text: `✗ ${wrong}`, kind: "bad" };
  if (passed === 0) return { text: skipped === 0 ? "" : `−${skipped}` };
  if (skipped > 0) return { text: `${passed} −${skipped}`, kind: "good" };
  return { text: numbers ? `${passed}` : "ok", kind: "good" };
}

export const ranOf = (columns) => columns.filter(({ unavailable }) => unavailable === undefined);

/** Rows of the matrix: [name, cases, cells]; the last one sums up. */
export function rowsOf(columns) {
  const ran = ranOf(columns);
  const found = [...new Set(ran.flatMap(({ results }) => results.map(({ group }) => group)))];
  // Folders of one folder together, all in the order of the suite.
  const top = (group) => group.split("/")[0];
  const groups = [...new Set(found.map(top))].flatMap((name) => found.filter((group) => top(group) === name));
  const row = (name, group) => {
    const counts = ran.map(({ results }) => countOf(results, group));
    const cases = Math.max(
      0,
      ...counts.map((count) => STATUSES.reduce((sum, status) => sum + count[status], 0)),
    );
    return [name, cases, counts.map((count) => cellOf(count, { numbers: group === undefined }))];
  };
  return [...groups.map((group) => row(group, group)), row("all")];
}

/** Skipped cases by reason, whole readers last: [[reader, cases or undefined, reason], …]. */
export function skipsOf(columns) {
  const some = ranOf(columns).flatMap(({ label, results }) => {
    const counts = new Map();
    for (const { status, detail } of results)
      if (status === "skipped") counts.set(detail, (counts.get(detail) ?? 0) + 1);
    return [...counts].map(([reason, count]) => [label, count, reason]);
  });
  const whole = columns.filter(({ unavailable }) => unavailable !== undefined);
  return [...some, ...whole.map(({ label, unavailable }) => [label, undefined, unavailable])];
}

/** What was not as expected: { label, status, detail, ids }, one for each reader and detail. */
export function faultsOf(columns) {
  const faults = new Map();
  for (const { label, results } of ranOf(columns)) {
    for (const { id, status, detail } of results) {
      if (status === "passed" || status === "skipped") continue;
      const key = JSON.stringify([label, status, detail]);
      if (!faults.has(key)) faults.set(key, { label, status, detail, ids: [] });
      faults.get(key).ids.push(id);
    }
  }
  return [...faults.values()];
}

/** "lqa 0.1.0, Node 20.20.2", or of an encoder "/usr/bin/node, workers: 1, 2". */
export const described = ({ name, version, language, workers } = {}) => {
  const threads = workers === undefined ? undefined : `workers: ${workers.join(", ")}`;
  return [[name, version].filter(Boolean).join(" "), language, threads].filter(Boolean).join(", ");
};

export function textReport(columns, { most = 40 } = {}) {
  const ran = ranOf(columns);
  const lines = [];
  // "lqa, Node 20" takes two lines at the head of its column.
  const heads = ran.map(({ title, label }) => (title ?? label).split(", "));
  const depth = Math.max(1, ...heads.map((words) => words.length));
  const rows = rowsOf(columns);
  // A column of ones says nothing.
  const counts = rows.slice(0, -1).some(([, cases]) => cases > 1);
  const numbers = (text) => (counts ? [text] : []);
  const table = Array.from({ length: depth }, (_, i) => [
    "",
    ...numbers(i === depth - 1 ? "cases" : ""),
    ...heads.map((words) => words[i - depth + words.length] ?? ""),
  ]);
  for (const [name, cases, cells] of rows)
    table.push([name, ...numbers(`${cases}`), ...cells.map(({ text }) => text)]);
  table.push(["seconds", ...numbers(""), ...ran.map(({ seconds = 0 }) => seconds.toFixed(1))]);
  const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)));
  for (const row of table)
    lines.push(
      row.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join("  "),
    );
  lines.push("", LEGEND, "");
  for (const { label, about } of ran) lines.push(`${label}: ${described(about) || "unknown"}`);
  lines.push("");
  for (const [label, count, reason] of skipsOf(columns))
    lines.push(`skipped: ${label}: ${count === undefined ? "" : `${count} cases: `}${reason}`);
  const faults = faultsOf(columns);
  for (const { label, status, detail, ids } of faults.slice(0, most)) {
    const more = ids.length > SHOWN ? ` and ${ids.length - SHOWN} more` : "";
    lines.push(`${status}: ${label}: ${ids.slice(0, SHOWN).join(", ")}${more}: ${detail}`);
  }
  if (faults.length > most) lines.push(`… and ${faults.length - most} more; --json FILE has them all`);
  return `${lines.join("\n")}\n`;
}

/** `about`: members that stand before the readers. */
export function jsonReport(columns, about = {}) {
  const readers = columns.map(({ label, about, unavailable, results, seconds }) => ({
    label,
    ...(unavailable === undefined
      ? { about, seconds, count: countOf(results), results: results.map(({ group: _, ...result }) => result) }
      : { unavailable }),
  }));
  return `${JSON.stringify({ format: "lqa-conformance-report", version: 1, ...about, readers }, null, 1)}\n`;
}
