/**
 * An adapter that is not encoded yet, in the pieces that the report of a file has.
 *
 * @module
 */

import { count, counted, size } from "../../../src/report/format.ts";
import { heatMap } from "../../../src/report/page/heat-map.ts";
import {
  factList,
  folded,
  type Html,
  html,
  named,
  section,
  tableElement,
} from "../../../src/report/page/html.ts";
import {
  effectiveRank,
  inOrder,
  RANK_EXPLANATION,
  RANK_MAP,
  shapeText,
} from "../../../src/report/page/module-tables.ts";
import { card, type ReportParts, valueText } from "../../../src/report/page/page.ts";
import { spectraSection } from "../../../src/report/page/spectra.ts";
import type { AdapterInspection } from "./adapter-inspection.ts";

/** Rows of a table; a page of more helps nobody. */
const LISTED = 2000;

/** Inputs in addition to the inspection. */
export interface AdapterContext {
  readonly title: string;
  /** Bytes of its files. */
  readonly bytes: number;
  /** What reading it decided, and what is not part of the maths: sentences. */
  readonly notes: readonly string[];
}

/** The pieces of a report on an adapter. They need the style sheet of reports. */
export function adapterParts(
  inspection: AdapterInspection,
  { title, bytes, notes }: AdapterContext,
): ReportParts {
  const { modules } = inspection;
  const { tensors, origin, meta } = inspection.adapter;
  const base = meta.base_model;
  const parameters = modules.reduce((sum, module) => sum + module.parameters, 0);
  const sections: (readonly [id: string, title: string, content: Html | undefined])[] = [
    ["notes", "Notes", notesSection(notes)],
    ["maps", "Layers", mapSection(inspection)],
    ["spectra", "Singular values", spectraSection(modules, "ΔW")],
    ["modules", "Modules", moduleSection(inspection)],
    ["tensors", "Plain tensors", tensorSection(inspection)],
    ["metadata", "Metadata", metadataSection(inspection)],
  ];
  const of = typeof base === "string" ? `an adapter of ${base} · ` : "";
  return {
    head: html`<h1>${title}</h1>
<p class="of">${`${of}read as ${origin?.dialect ?? "an adapter"}`.slice(0, 400)}</p>
<dl class="cards">
${card("Size", size(bytes), `${count(bytes)} bytes`)}
${card("Modules", count(modules.length), ranks(inspection))}
${card("Parameters", count(parameters), "of the factors B and A")}
${tensors.length === 0 ? undefined : card("Plain tensors", count(tensors.length), size(tensors.reduce((sum, { data }) => sum + data.length, 0)))}
</dl>`,
    sections: sections.flatMap(([id, name, content]) =>
      content === undefined ? [] : [{ id, title: name, content }],
    ),
  };
}

function ranks({ modules }: AdapterInspection): string {
  if (modules.length === 0) return "none";
  const all = modules.map(({ rank }) => rank);
  const [low, high] = [all.reduce((x, y) => Math.min(x, y)), all.reduce((x, y) => Math.max(x, y))];
  return `rank ${low === high ? low : `${low} to ${high}`}`;
}

function notesSection(notes: readonly string[]): Html | undefined {
  if (notes.length === 0) return undefined;
  return section("notes", "Notes", html`<ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`);
}

function mapSection({ modules }: AdapterInspection): Html | undefined {
  if (!modules.some((module) => effectiveRank(module) !== undefined)) return undefined;
  return section(
    "maps",
    "Layer by layer",
    html`<h3>Effective rank</h3>
<p class="faint">${RANK_EXPLANATION}</p>
${heatMap(modules, RANK_MAP)}`,
  );
}

function moduleSection({ modules }: AdapterInspection): Html | undefined {
  if (modules.length === 0) return undefined;
  const rows = inOrder(modules)
    .slice(0, LISTED)
    .map((module) => [
      named(module.name),
      module.role,
      shapeText(module),
      String(module.rank),
      String(Number(module.multiplier.toPrecision(6))),
      count(module.parameters),
      module.problem === undefined
        ? String(effectiveRank(module) ?? "–")
        : html`<span class="bad">${module.problem}</span>`,
    ]);
  return section(
    "modules",
    "All modules",
    folded(
      `List ${counted(modules.length, "module")}`,
      tableElement({
        caption: counted(modules.length, "module"),
        head: ["module", "role", "out × in", "rank", "multiplier", "parameters", "90 % rank"],
        numeric: [3, 4, 5],
        rows,
      }),
    ),
    modules.length > LISTED ? html`<p class="faint">${count(modules.length - LISTED)} more.</p>` : undefined,
  );
}

function tensorSection({ adapter: { tensors } }: AdapterInspection): Html | undefined {
  if (tensors.length === 0) return undefined;
  const rows = tensors
    .slice(0, LISTED)
    .map(({ name, role, element, shape, data }) => [
      named(name),
      role,
      element,
      shape.join(" × "),
      count(data.length),
    ]);
  return section(
    "tensors",
    "Plain tensors",
    html`<p>Tensors that are no factors. They are stored as they are.</p>`,
    tableElement({
      caption: counted(tensors.length, "plain tensor"),
      head: ["tensor", "role", "type", "shape", "bytes"],
      numeric: [4],
      rows,
    }),
  );
}

function metadataSection({ adapter: { meta, origin } }: AdapterInspection): Html | undefined {
  const rows = Object.entries(meta).map(([name, value]) => [name, valueText(value)] as const);
  if (rows.length === 0 && origin === undefined) return undefined;
  return section(
    "metadata",
    "Metadata",
    rows.length === 0 ? undefined : factList(rows),
    origin === undefined
      ? undefined
      : folded(`How ${origin.dialect} names things`, html`<pre>${valueText(origin)}</pre>`),
  );
}
