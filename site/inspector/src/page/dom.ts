/**
 * What the page does with the document. Markup gets into it in one place, by the one policy that the content-security
 * policy allows; it comes from the worker, whose templates escape.
 *
 * @module
 */

interface Policy {
  createHTML(markup: string): string;
  createScriptURL(address: string): string;
}

const factory = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: Policy): Policy } })
  .trustedTypes;
const same: Policy = { createHTML: (markup) => markup, createScriptURL: (address) => address };
/** Browsers without trusted types take texts. */
export const policy: Policy = factory?.createPolicy("lqa", same) ?? same;

/** An element of the page. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Puts markup of the worker into an element. */
export function setMarkup(element: Element, markup: string): void {
  element.innerHTML = policy.createHTML(markup);
}

/** A new element with properties and children; texts stay texts. */
export function create<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** A name that may be broken behind its separators. */
export function nameElement(name: string): HTMLElement {
  const words = name.split(/(?<=[._/])/).flatMap((word) => [word, document.createElement("wbr")]);
  return create("span", { className: "name" }, ...words);
}
