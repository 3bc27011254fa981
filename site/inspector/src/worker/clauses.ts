/**
 * The clauses of the specification, to be read next to the bytes they describe. The text comes with the page.
 *
 * @module
 */

import { CLAUSES } from "virtual:clauses";
import { html } from "../../../../src/report/page/html.ts";

/** A clause as the specification has it. */
export function clauseMarkup(number: string): string {
  const found = CLAUSES[number];
  return found ?? html`<p>The specification has no clause ${number}.</p>`.markup;
}
