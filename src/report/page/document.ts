/**
 * Builds a whole page: one self-contained file without scripts.
 *
 * @module
 */
import { type Html, type HtmlPart, html, raw } from "./html.ts";
import { STYLE } from "./style.ts";

/** The icon of the window, as of the inspector: a page opened from disk would have none. */
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%230072b2'/%3E%3Cpath d='M3 4h2v8H3zM7 7h2v5H7zM11 10h2v2h-2z' fill='%23fff'/%3E%3C/svg%3E";

/** One section of a page. */
export interface ReportSection {
  readonly id: string;
  /** Its entry in the list of sections. */
  readonly title: string;
  readonly content: Html;
}

/** The parts of a page. */
export interface PageParts {
  readonly title: string;
  /** The kind of page, for the title of the window. */
  readonly kind: string;
  /** Target and text of the first link. */
  readonly skip: readonly [href: string, text: string];
  /** The title, and the content below it. */
  readonly head: Html;
  readonly sections: readonly ReportSection[];
  readonly footer: HtmlPart;
}

/** Links to the sections of a page. */
export function sectionLinks(sections: readonly ReportSection[]): Html {
  return html`<nav aria-label="Sections"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>`;
}

/** The page as an HTML document. */
export function documentPage({ title, kind, skip, head, sections, footer }: PageParts): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${title} – ${kind}</title>
<link rel="icon" href="${ICON}">
<style>${raw(STYLE)}</style>
</head>
<body>
<a class="skip" href="${skip[0]}">${skip[1]}</a>
<header>
${head}
${sectionLinks(sections)}
</header>
<main>
${sections.map(({ content }) => content)}</main>
<footer><p>${footer}</p></footer>
</body>
</html>
`.markup;
}
