/**
 * The catalogue of a fleet as one HTML page: sizes, bits, errors, failures, duplicates. No script and no external resources.
 *
 * @module
 */
import { count, counted, duration, percent, ratio, size } from "../report/format.ts";
import { documentPage, type ReportSection } from "../report/page/document.ts";
import { histogram } from "../report/page/histogram.ts";
import { type Html, html, named, section, table } from "../report/page/html.ts";
import { card } from "../report/page/page.ts";
import type { Bin, CatalogueSummary } from "./catalogue.ts";

/** Most rows of a table. */
const ROWS = 100;

/** Draws a catalogue. @returns a complete HTML document */
export function drawFleetReport(summary: CatalogueSummary, title: string): string {
  const sections: readonly (readonly [title: string, id: string, content: Html | undefined])[] = [
    ["Failures", "failures", failures(summary)],
    ["Sizes and errors", "sizes", sizes(summary)],
    ["Largest errors", "worst", worst(summary)],
    ["Duplicates", "duplicates", duplicates(summary)],
    ["Dialects", "dialects", dialects(summary)],
  ];
  const present = sections.flatMap(([name, id, content]): ReportSection[] =>
    content === undefined ? [] : [{ id, title: name, content }],
  );
  return documentPage({
    title,
    kind: "LQA fleet",
    skip: [`#${present[0]?.id ?? ""}`, "To the first section"],
    head: html`<h1>${title}</h1>
${verdict(summary)}
${cards(summary)}`,
    sections: present,
    footer: html`Made by <code>lqa fleet report</code>. The error is ‖ΔW − ΔŴ‖² / ‖ΔW‖².`,
  });
}

function verdict({ results, failures: failed }: CatalogueSummary): Html {
  const done = html`<span class="good">✓ ${counted(results, "adapter")} encoded.</span>`;
  return failed === 0
    ? html`<p class="verdict">${done}</p>`
    : html`<p class="verdict">${done} <span class="bad">✗ ${count(failed)} failed.</span></p>`;
}

function cards({
  results,
  inputBytes,
  outputBytes,
  parameters,
  seconds,
  duplicated,
}: CatalogueSummary): Html | undefined {
  if (results === 0) return undefined;
  return html`<dl class="cards">
${card("Size", size(outputBytes), `of ${size(inputBytes)}: ${ratio(inputBytes, outputBytes)} smaller`)}
${card("Parameters", count(parameters), "of the factors B and A")}
${card("Bits per weight", ((8 * outputBytes) / Math.max(1, parameters)).toFixed(3), "8 · bytes of the files / parameters")}
${card("Time", duration(seconds), `of workers: ${duration(seconds / results)} an adapter`)}
${card("Duplicates", count(duplicated), "with the content of another one")}
</dl>`;
}

function sizes({ outputSizes, bits, errors, results }: CatalogueSummary): Html | undefined {
  if (results === 0) return undefined;
  const note = `of ${counted(results, "adapter")}`;
  return section(
    "sizes",
    "Sizes and errors",
    html`<div class="panels">${drawn("Bytes of a file", note, outputSizes, (value) => size(Math.round(value)))}
${drawn("Bits per weight", note, bits, (value) => value.toFixed(2))}
${drawn("Energy of ΔW lost", note, errors, percent)}</div>`,
  );
}

function drawn(title: string, note: string, bins: readonly Bin[], text: (value: number) => string): Html {
  const bars = bins.map(({ from, to, count: many }) => ({
    name: to === 0 ? "none" : `${text(from)} to ${text(to)}`,
    count: many,
  }));
  return histogram(title, note, bars, [text(bins[0]?.from ?? 0), text(bins.at(-1)?.to ?? 0)]);
}

function failures({ failuresByCode }: CatalogueSummary): Html | undefined {
  if (failuresByCode.length === 0) return undefined;
  return section(
    "failures",
    "Failures",
    table({
      caption: "Adapters that have no result, by error",
      head: ["Code", "Name", "Adapters", "What was said of the first", "First ones"],
      numeric: [2],
      rows: failuresByCode
        .slice(0, ROWS)
        .map(({ code, kind, count: many, message, names }) => [
          code,
          kind,
          count(many),
          message.slice(0, 400),
          names.slice(0, 5).map((name) => html`${named(name)} `),
        ]),
    }),
  );
}

function worst({ worst: rows }: CatalogueSummary): Html | undefined {
  if (rows.length === 0) return undefined;
  return section(
    "worst",
    "Largest errors",
    table({
      caption: "Adapters that lost the largest share of the energy of ΔW",
      head: ["Adapter", "Lost", "Bits per weight", "Bytes"],
      numeric: [1, 2, 3],
      rows: rows.map(({ name, relativeError, bitsPerParameter, outputBytes }) => [
        named(name),
        percent(relativeError),
        bitsPerParameter.toFixed(3),
        count(outputBytes),
      ]),
    }),
  );
}

function duplicates({ duplicates: groups }: CatalogueSummary): Html | undefined {
  if (groups.length === 0) return undefined;
  return section(
    "duplicates",
    "Duplicates",
    table({
      caption: `Adapters with the same content id${groups.length > ROWS ? `: the first ${ROWS} groups of ${count(groups.length)}` : ""}`,
      head: ["Content id", "Adapters", "First ones"],
      numeric: [1],
      rows: groups
        .slice(0, ROWS)
        .map(({ contentId, count: many, names }) => [
          html`<code>${contentId.slice(0, 16)}…</code>`,
          count(many),
          names.slice(0, 5).map((name) => html`${named(name)} `),
        ]),
    }),
  );
}

function dialects({ dialects: list }: CatalogueSummary): Html | undefined {
  if (list.length === 0) return undefined;
  return section(
    "dialects",
    "Dialects",
    table({
      caption: "Adapters by the dialect they were read in",
      head: ["Dialect", "Adapters"],
      numeric: [1],
      rows: list.map(([name, many]) => [name, count(many)]),
    }),
  );
}
