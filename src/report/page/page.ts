/**
 * Renders an inspection as one HTML page: no script, font, image or URL; a policy in its head forbids all of them.
 *
 * It is a pure function: the same inspection gives the same page. Names and metadata come from files; templates escape them.
 *
 * @module
 */
import type { MetaMap } from "../../core/index.ts";
import type { Comparison } from "../compare.ts";
import { count, counted, decibels, percent, size } from "../format.ts";
import type { Inspection } from "../inspection.ts";
import { byteSection } from "./byte-section.ts";
import { codeSection } from "./code-section.ts";
import { curveSection } from "./curve-section.ts";
import { documentPage, type ReportSection } from "./document.ts";
import { findingSection } from "./findings.ts";
import { glossary } from "./glossary.ts";
import { COMMAND_HINTS, type Hints } from "./hints.ts";
import { factList, folded, type Html, html, section } from "./html.ts";
import { listSection, mapSection, worstSection } from "./module-tables.ts";
import { spectraSection } from "./spectra.ts";

/** Inputs of a report in addition to the inspection. */
export interface ReportContext {
  /** Usually the name of the file. */
  readonly title: string;
  /** Other methods on the same source, from `compareAdapter`. */
  readonly comparison?: Comparison | undefined;
}

/** Maximum number of metadata keys. */
const KEYS = 200;
/** Maximum length of a metadata value in characters; the JSON of `lqa inspect` has all of it. */
const VALUE = 4000;

/** A report in pieces: its header, and its sections in order. */
export interface ReportParts {
  readonly head: Html;
  readonly sections: readonly ReportSection[];
}

/** The pieces of a report, for pages with more content around it. They need {@link STYLE}. */
export function reportParts(
  inspection: Inspection,
  { title, comparison }: ReportContext,
  hints: Hints,
): ReportParts {
  const { modules, source, byteMap, fileLength } = inspection;
  const sections: (readonly [title: string, id: string, content: Html | undefined])[] = [
    ["Findings", "findings", findingSection(inspection)],
    ["Bytes", "bytes", byteMap && byteSection(byteMap, fileLength)],
    ["Layers", "maps", mapSection(modules, source, hints)],
    ["Worst modules", "worst", worstSection(modules)],
    [
      "Rate and distortion",
      "curve",
      modules.length === 0 ? undefined : curveSection(source, comparison, hints),
    ],
    ["Singular values", "spectra", spectraSection(modules)],
    ["Codes", "codes", codeSection(inspection.codes)],
    ["Modules", "modules", listSection(modules)],
    ["Metadata", "metadata", metadataSection(inspection)],
  ];
  return {
    head: html`<h1>${title}</h1>
${subtitle(inspection)}
${verdict(inspection)}
${cards(inspection)}`,
    sections: sections.flatMap(([name, id, content]) =>
      content === undefined ? [] : [{ id, title: name, content }],
    ),
  };
}

/** Draws a report. @returns a whole HTML document */
export function drawReport(inspection: Inspection, context: ReportContext): string {
  return documentPage({
    ...reportParts(inspection, context, COMMAND_HINTS),
    title: context.title,
    kind: "LQA report",
    skip: ["#findings", "To the findings"],
    footer: html`Made by <code>lqa inspect --html</code>. ΔW = multiplier · B · A is the update that the adapter adds to a layer; ΔŴ is the update decoded from this file.`,
  });
}

/** The base model and the creator, from the metadata. */
function subtitle({ meta, origin }: Inspection): Html | undefined {
  const { base_model: base, encoder } = meta ?? {};
  const parts = [
    ...(typeof base === "string" ? [`an adapter of ${base}`] : []),
    ...(origin === undefined ? [] : [`from ${origin.dialect}`]),
    ...(typeof encoder === "string" ? [encoder] : []),
  ];
  return parts.length === 0 ? undefined : html`<p class="of">${parts.join(" · ").slice(0, 400)}</p>`;
}

function verdict({ validation: { valid, level, findings, omitted, warnings } }: Inspection): Html {
  const suspicious = warnings.length === 0 ? "" : ` ${counted(warnings.length, "warning")}.`;
  if (valid)
    return html`<p class="verdict"><span class="good">${level === "structure" ? "✓ Prologue, index and lengths are valid." : "✓ Valid."}</span>${suspicious}</p>`;
  const more = omitted > 0 ? "more than " : "";
  return html`<p class="verdict"><span class="bad">✗ Not valid:</span> ${more}${counted(findings.length, "finding")}.${suspicious}</p>`;
}

/** Whether the contents can be what the writer meant: the file opens, and no finding is worse than that it is not canonical. */
export function sound({ validation: { findings }, version }: Inspection): boolean {
  return version !== undefined && findings.every(({ class: kind }) => kind === "C");
}

function cards(inspection: Inspection): Html | undefined {
  const { fileLength, modules, source, meta, tensors, version } = inspection;
  if (!sound(inspection))
    return html`<dl class="cards">${card("Size", size(fileLength), `${count(fileLength)} bytes`)}</dl>
<p class="faint">This file is damaged: its other figures say nothing about the adapter.</p>`;
  const parameters = modules.reduce((sum, module) => sum + module.parameters, 0);
  const ranks = modules.map(({ rank }) => rank);
  const [low, high] = [
    ranks.reduce((x, y) => Math.min(x, y), 4096),
    ranks.reduce((x, y) => Math.max(x, y), 0),
  ];
  const stated = meta?.relative_error;
  return html`<dl class="cards">
${card("Size", size(fileLength), `${count(fileLength)} bytes, LQA ${version}`)}
${parameters === 0 ? undefined : card("Bits per weight", ((8 * fileLength) / parameters).toFixed(3), "8 · bytes of the file / parameters")}
${
  source !== undefined
    ? card("Energy of ΔW lost", percent(source.relativeError), "measured against the source")
    : typeof stated === "number"
      ? card("Energy of ΔW lost", percent(stated), "as written by the encoder; not measured")
      : undefined
}
${source?.aboveBoundDb === undefined ? undefined : card("Above the bound", decibels(source.aboveBoundDb), "of Gaussian components, at these bits")}
${modules.length === 0 ? undefined : card("Modules", count(modules.length), `rank ${low === high ? low : `${low} to ${high}`}`)}
${parameters === 0 ? undefined : card("Parameters", count(parameters), "of the factors B and A")}
${tensors.length === 0 ? undefined : card("Plain tensors", count(tensors.length), size(tensors.reduce((sum, { chunk }) => sum + chunk.length, 0)))}
</dl>
${glossary()}`;
}

/** A figure with its name and a note. */
export function card(name: string, value: string, note: string): Html {
  return html`<div><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>`;
}

function metadataSection({ meta, origin, sections, version }: Inspection): Html | undefined {
  if (version === undefined) return undefined;
  const entries = Object.entries(meta ?? {});
  const rows = entries.slice(0, KEYS).map(([name, value]) => [name, valueText(value)] as const);
  return section(
    "metadata",
    "Metadata",
    meta === undefined
      ? html`<p class="bad">The metadata cannot be read; see the findings.</p>`
      : rows.length === 0
        ? html`<p>None.</p>`
        : factList(rows),
    entries.length <= KEYS
      ? undefined
      : html`<p class="faint">… ${count(entries.length - KEYS)} more; <code>lqa inspect --json</code> has them.</p>`,
    origin === undefined
      ? undefined
      : folded(`Names used by the source (${origin.dialect})`, html`<pre>${valueText(origin)}</pre>`),
    factList(sections.map(({ type, chunk }) => [`Section ${type}`, size(chunk.length)] as const)),
  );
}

/** A metadata value, shortened if it is long. */
export function valueText(value: MetaMap[string]): string {
  const text = typeof value === "string" ? value : JSON.stringify(value, hexadecimal, 1);
  return text.length > VALUE
    ? `${text.slice(0, VALUE)}… (${count(text.length - VALUE)} more characters)`
    : text;
}

/** Converts byte strings, which JSON lacks. */
function hexadecimal(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array
    ? Array.from(value.subarray(0, 1024), (byte) => byte.toString(16).padStart(2, "0")).join("")
    : value;
}
