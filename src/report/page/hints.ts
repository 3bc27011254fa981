/**
 * Hints on how to see more in a report. They differ between the command and pages.
 *
 * @module
 */
import { type Html, html } from "./html.ts";

/** The hints, as sentences. */
export interface Hints {
  /** How to show the source adapter. */
  readonly source: Html;
  /** How to measure other methods. */
  readonly comparison: Html;
}

/** For the report of `lqa inspect --html`. */
export const COMMAND_HINTS: Hints = {
  source: html`<code>lqa inspect file.lqa --html report.html --source my-adapter/</code> shows them, and <code>--compare</code> adds other methods.`,
  comparison: html`<code>--compare</code> does that.`,
};
