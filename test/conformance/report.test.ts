/**
 * The report of the conformance runner: what a person sees of readers that pass, skip, fail, do not build or are not there.
 */
import { describe, expect, it } from "vitest";
// The runner is plain JavaScript, without types.
// @ts-expect-error
import { jsonReport, rowsOf, textReport } from "../../conformance/runner/report.mjs";
// @ts-expect-error
import { htmlReport } from "../../conformance/runner/report-html.mjs";

const result = (id: string, status: string, detail?: string) => ({
  id,
  group: id.split("/").slice(0, 2).join("/"),
  status,
  ...(detail === undefined ? {} : { detail }),
});
const ids = ["valid/a/1", "valid/a/2", "range/a/1", "valid/b/1", "valid/b/2", "valid/b/3", "valid/b/4"];
const columns = [
  {
    label: "lqa, Node 20",
    about: { name: "lqa", version: "0.1.0", language: "Node 20.20.2" },
    seconds: 1.25,
    results: ids.map((id) => result(id, "passed")),
  },
  {
    label: "C <fast>",
    about: { name: "lqa-read" },
    seconds: 0.01,
    results: ids.map((id) =>
      id.startsWith("valid/b")
        ? result(id, "failed", "expected valid, found <BAD>")
        : result(id, id.startsWith("range") || id.endsWith("2") ? "skipped" : "passed", "no operation range"),
    ),
  },
  { label: "Rust", results: [result("build", "failed", "does not build: no crates")] },
  { label: "Bun", unavailable: "bun is not here" },
];

describe("the report", () => {
  it("is a matrix of readers and folders, those of one top folder together", () => {
    const rows: [string, number, { text: string }[]][] = rowsOf(columns);
    expect(rows.map(([name, cases, cells]) => [name, cases, ...cells.map(({ text }) => text)])).toEqual([
      ["valid/a", 2, "ok", "1 −1", ""],
      ["valid/b", 4, "ok", "✗ 4", ""],
      ["range/a", 1, "ok", "−1", ""],
      ["build", 1, "", "", "✗ 1"],
      ["all", 7, "7", "✗ 4", "✗ 1"],
    ]);
  });

  it("says in text who read, and why anything was skipped or failed, once for each reason", () => {
    const lines: string[] = textReport(columns).split("\n");
    expect(lines[0]).toMatch(/^ +lqa +$/);
    expect(lines[1]).toMatch(/^ +cases +Node 20 +C <fast> +Rust$/);
    expect(lines).toContain("lqa, Node 20: lqa 0.1.0, Node 20.20.2");
    expect(lines).toContain("skipped: C <fast>: 2 cases: no operation range");
    expect(lines).toContain("skipped: Bun: bun is not here");
    expect(lines).toContain("failed: Rust: build: does not build: no crates");
    expect(lines).toContain(
      "failed: C <fast>: valid/b/1, valid/b/2, valid/b/3 and 1 more: expected valid, found <BAD>",
    );
    expect(textReport(columns, { most: 1 })).toMatch(/and 1 more; --json/);
  });

  it("says the same as a page, in which nothing of a reader is markup", () => {
    const page: string = htmlReport(columns, { suite: "a suite", date: "today", machine: "here" });
    expect(page).not.toMatch(/<(fast|BAD)>/);
    expect(page).toContain("<th>lqa<br>Node 20</th>");
    expect(page).toContain('<td class="bad">✗ 4</td>');
    expect(page).toContain("<summary>4 cases</summary>");
    expect(page).toContain("<li>Bun: bun is not here</li>");
    expect(page).toContain('<strong class="failed">8 passed, 5 failed</strong>, 2 skipped');
  });

  it("says everything as JSON", () => {
    const { suite, readers } = JSON.parse(jsonReport(columns, { suite: "a suite" }));
    expect(suite).toBe("a suite");
    expect(readers.map(({ label, count }: { label: string; count?: object }) => [label, count])).toEqual([
      ["lqa, Node 20", { passed: 7, failed: 0, crash: 0, timeout: 0, skipped: 0 }],
      ["C <fast>", { passed: 1, failed: 4, crash: 0, timeout: 0, skipped: 2 }],
      ["Rust", { passed: 0, failed: 1, crash: 0, timeout: 0, skipped: 0 }],
      ["Bun", undefined],
    ]);
    expect(readers[1].results).toHaveLength(7);
  });
});
