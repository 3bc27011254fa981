/**
 * The section about findings: the findings of the validator grouped by kind, and the differences in modules between file and
 * source.
 *
 * @module
 */

import { WARNINGS, type Warning } from "../../core/index.ts";
import type { LqaError } from "../../errors.ts";
import { count, counted } from "../format.ts";
import type { Inspection } from "../inspection.ts";
import { factList, type Html, type HtmlPart, html, section } from "./html.ts";

/** Maximum number of kinds of findings, and of places for each kind. */
const KINDS = 50;
const PLACES = 10;
/** Maximum number of names listed if source and file differ. */
const NAMES = 20;

/** The section about findings. */
export function findingSection({ validation, source, modules }: Inspection): Html {
  const { findings, omitted, warnings, level, ids } = validation;
  const unread = modules.filter(({ problem }) => problem !== undefined);
  return section(
    "findings",
    "Findings",
    findings.length === 0
      ? level === "structure"
        ? html`<p>The validator checked prologue, index and lengths, and found nothing that breaks the specification (level <code>structure</code>). It did not check the bytes of modules, tensors and sections.</p>`
        : html`<p>The validator checked every byte and found nothing that breaks the specification (level <code>${level}</code>).</p>`
      : undefined,
    kinds(findings).map(([, list]) => finding(list[0]!.summary, list, list[0]!.clause)),
    omitted === 0 ? undefined : html`<p class="faint">… ${counted(omitted, "more finding")} or more.</p>`,
    kinds(warnings).map(([kind, list]) => finding(WARNINGS[kind].summary, list, undefined)),
    unread.length === 0
      ? undefined
      : html`<p>${counted(unread.length, "module")} could not be inspected; the list of modules says why.</p>`,
    source === undefined
      ? undefined
      : [
          names("Only in the source", source.onlyInSource),
          names("Not in the source, or different in shape", source.notInSource),
        ],
    ids === undefined
      ? undefined
      : factList([
          ["File id", html`<code>${ids.fileId}</code>`],
          ["Content id", html`<code>${ids.contentId}</code>`],
        ]),
  );
}

/** Findings by kind, in the order of the first of each. */
function kinds<T extends LqaError | Warning>(list: readonly T[]): [T["kind"], T[]][] {
  const groups = new Map<T["kind"], T[]>();
  for (const one of list) {
    const group = groups.get(one.kind);
    if (group === undefined) groups.set(one.kind, [one]);
    else group.push(one);
  }
  return [...groups].slice(0, KINDS);
}

function finding(summary: string, list: readonly (LqaError | Warning)[], clause: string | undefined): Html {
  const { code, kind, advice } = list[0]!;
  const [style, word] = clause === undefined ? ["warn", "Warning"] : ["bad", "Error"];
  const places = list.map(place).filter((one) => one !== undefined);
  const rule = clause === undefined || clause === "-" ? "" : ` Clause ${clause} of the specification.`;
  return html`<div class="finding ${style === "warn" ? "w" : ""}"><h3><span class="${style}">${word}</span> ${code} ${kind}${list.length > 1 ? `, ${count(list.length)} times` : ""}</h3>
<p>${summary}${rule}</p>
${
  places.length === 0
    ? undefined
    : html`<ul>${places.slice(0, PLACES).map((one) => html`<li>${one}</li>`)}${places.length > PLACES ? html`<li>… ${count(places.length - PLACES)} more; <code>lqa validate --all --json</code> has all</li>` : undefined}</ul>
`
}<p class="faint">${advice}</p></div>
`;
}

/** The place of the finding. Pages with a view of bytes use `data-byte` to find it. */
function place({ where, offset, expected, actual }: LqaError | Warning): Html | undefined {
  const parts: HtmlPart[] = [
    ...(where === undefined ? [] : [where]),
    ...(offset === undefined ? [] : [html`<span data-byte="${offset}">at byte ${count(offset)}</span>`]),
    ...(expected === undefined ? [] : [`expected ${expected}`]),
    ...(actual === undefined ? [] : [`found ${actual}`]),
  ];
  if (parts.length === 0) return undefined;
  return html`${parts.map((part, i) => (i === 0 ? part : html`, ${part}`))}`;
}

function names(title: string, list: readonly string[]): Html | undefined {
  if (list.length === 0) return undefined;
  const more = list.length > NAMES ? html`<li>… ${list.length - NAMES} more</li>` : undefined;
  return html`<h3>${title}</h3><ul>${list.slice(0, NAMES).map((name) => html`<li><code>${name}</code></li>`)}${more}</ul>`;
}
