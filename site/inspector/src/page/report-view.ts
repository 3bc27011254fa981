/**
 * The report, whose places in the file lead to their bytes.
 *
 * @module
 */
import type { Opened } from "../protocol.ts";
import { byId, create, setMarkup } from "./dom.ts";

const place = byId("report");
const head = byId("head");
const links = byId("report-links");

/** Shows a report. What was unfolded stays so. */
export function showReport({ view }: Opened, onByte: (offset: number) => void): void {
  const summaries = (): HTMLElement[] => [...place.querySelectorAll<HTMLElement>("details > summary")];
  const unfolded = new Set(
    summaries()
      .filter(({ parentElement }) => (parentElement as HTMLDetailsElement).open)
      .map(({ textContent }) => textContent),
  );
  setMarkup(head, view.head);
  setMarkup(place, view.sections.map(({ markup }) => markup).join(""));
  for (const summary of summaries())
    if (unfolded.has(summary.textContent)) (summary.parentElement as HTMLDetailsElement).open = true;
  const items = view.sections.map(({ id, title }) =>
    create("li", {}, create("a", { href: `#${id}`, textContent: title })),
  );
  links.replaceChildren(create("nav", { ariaLabel: "Sections" }, create("ul", {}, ...items)));
  for (const spot of place.querySelectorAll("span[data-byte]")) {
    const button = create("button", {
      type: "button",
      className: "link",
      textContent: spot.textContent ?? "",
    });
    button.onclick = () => onByte(Number(spot.getAttribute("data-byte")));
    spot.replaceChildren(button);
  }
  for (const cell of place.querySelectorAll<SVGElement>("rect[data-byte]"))
    cell.onclick = () => onByte(Number(cell.getAttribute("data-byte")));
}
