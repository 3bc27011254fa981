/**
 * What somebody who looks at a report can do to see more: it depends on where they look at it.
 *
 * @module
 */
import { type Html, html } from "./html.ts";

/** Sentences. */
export interface Hints {
  /** How to show the adapter that the file was made from. */
  readonly source: Html;
  /** How to have other methods measured. */
  readonly comparison: Html;
}

/** For the report of `lqa inspect --html`. */
export const COMMAND_HINTS: Hints = {
  source: html`<code>lqa inspect file.lqa --html report.html --source my-adapter/</code> shows them, and <code>--compare</code> adds LoRAQuant and the other methods.`,
  comparison: html`<code>--compare</code> does that.`,
};
