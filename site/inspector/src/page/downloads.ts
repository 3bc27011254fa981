/**
 * Files that are handed out.
 *
 * @module
 */
import { size } from "../../../../src/report/format.ts";
import type { Download } from "../protocol.ts";
import { create } from "./dom.ts";

const addresses = new Map<Element, string[]>();

/** Links that save files, put into an element. */
export function offer(place: Element, downloads: readonly Download[]): void {
  const own = downloads.map(({ blob }) => URL.createObjectURL(blob));
  addresses.set(place, own);
  const links = downloads.map(({ name, blob }, i) =>
    create(
      "a",
      { className: "button", href: own[i]!, download: name },
      `Save ${name}`,
      create("small", { textContent: ` ${size(blob.size)}` }),
    ),
  );
  place.append(create("p", { className: "buttons" }, ...links));
}

/** Empties an element, and gives up the files offered in it with their memory. */
export function empty(place: Element): void {
  for (const address of addresses.get(place) ?? []) URL.revokeObjectURL(address);
  addresses.delete(place);
  place.replaceChildren();
}
