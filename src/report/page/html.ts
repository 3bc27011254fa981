/**
 * HTML building blocks that the sections of a report share. Values of type {@link Html} are markup and go into the page
 * unchanged; every other text is escaped.
 *
 * @module
 */
import { escaped } from "../markup.ts";

/** Markup. Only {@link html} and {@link raw} make it. */
export interface Html {
  readonly markup: string;
}

/** Values that a template accepts: texts and numbers are escaped, lists are joined, undefined becomes nothing. */
export type HtmlPart = Html | string | number | undefined | readonly HtmlPart[];

/** Builds markup from a template: its own text is used unchanged, inserted values are escaped. */
export function html(pieces: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  return raw(pieces.reduce((text, piece, i) => text + markupOf(parts[i - 1]) + piece));
}

/** Marks a text as markup. */
export function raw(markup: string): Html {
  return { markup };
}

function markupOf(part: HtmlPart): string {
  if (part === undefined) return "";
  if (typeof part === "string" || typeof part === "number") return escaped(String(part));
  return "markup" in part ? part.markup : part.map(markupOf).join("");
}

/** A name that may break after its separators. */
export function named(name: string): Html {
  return html`<span class="name">${name.split(/(?<=[._/])/).map((word) => html`${word}<wbr>`)}</span>`;
}

/** A section with its heading. */
export function section(id: string, title: string, ...content: readonly HtmlPart[]): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${content}
</section>
`;
}

/** A table. The first cell of each row names the row. */
export interface Table {
  readonly caption: string;
  readonly head: readonly HtmlPart[];
  readonly rows: readonly (readonly HtmlPart[])[];
  /** Columns of numbers, by number. */
  readonly numeric?: readonly number[];
}

/** A table that scrolls sideways if it is too wide, by keyboard too. */
export function tableElement({ caption, head, rows, numeric = [] }: Table): Html {
  const style = (i: number): Html => raw(numeric.includes(i) ? ' class="num"' : "");
  const body = rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row"${style(0)}>${first}</th>${rest.map((cell, i) => html`<td${style(i + 1)}>${cell}</td>`)}</tr>
`,
  );
  return scrolled(
    caption,
    html`<table><caption>${caption}</caption>
<thead><tr>${head.map((cell, i) => html`<th scope="col"${style(i)}>${cell}</th>`)}</tr></thead>
<tbody>
${body}</tbody></table>`,
  );
}

/** A box with a scroll bar for wide content, which the keyboard can reach. */
export function scrolled(name: string, content: Html): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${name}">${content}</div>
`;
}

/** Collapsed content. */
export function folded(summary: string, content: HtmlPart): Html {
  return html`<details><summary>${summary}</summary>
${content}</details>
`;
}

/** Names and values. */
export function factList(list: readonly (readonly [name: string, value: HtmlPart])[]): Html {
  return html`<dl class="facts">${list.map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>
`,
  )}</dl>
`;
}
