/**
 * The section about codes: how often each one is used, by encoding.
 *
 * @module
 */
import type { CodeCounts } from "../code-counts.ts";
import { count } from "../format.ts";
import { histogram } from "./histogram.ts";
import { folded, type Html, html, section, tableElement } from "./html.ts";

const PANELS = 16;

/** The section about codes; nothing if no weight is coded. */
export function codeSection(codes: readonly CodeCounts[]): Html | undefined {
  if (codes.length === 0) return undefined;
  const shown = codes.slice(0, PANELS);
  return section(
    "codes",
    "Codes",
    html`<p>How often each code occurs, by encoding. Affine codes and signs are counted as they are stored; trellis codes by the integers of their table, eight per bar. An entropy near the bits spent means that no bits are wasted; many affine codes at both ends mean clipped weights.</p>
<div class="grid">${shown.map(draw)}</div>
${codes.length > PANELS ? html`<p class="faint">${codes.length - PANELS} more encodings are not drawn.</p>` : undefined}`,
    folded(
      "The counts as a table",
      tableElement({
        caption: "Codes by encoding",
        head: ["encoding", "components", "codes", "counts, from the lowest code to the highest"],
        numeric: [1, 2],
        rows: shown.map(({ encoding, components, counts }) => [
          encoding,
          count(components),
          count(counts.reduce((sum, one) => sum + one, 0)),
          counts.map(count).join(" · "),
        ]),
      }),
    ),
  );
}

function draw({ encoding, kind, components, counts }: CodeCounts): Html {
  const total = counts.reduce((sum, one) => sum + one, 0);
  const bars = counts.map((value, i) => ({
    count: value,
    name:
      kind === "signs"
        ? ["−", "+"][i]!
        : kind === "codes"
          ? `code ${i}`
          : `integers from ${8 * i - 128} to ${8 * i - 121}`,
  }));
  const [first, last] =
    kind === "signs" ? ["−", "+"] : kind === "codes" ? ["0", String(counts.length - 1)] : ["−128", "127"];
  const entropy = counts.reduce(
    (sum, one) => (one === 0 ? sum : sum - (one / total) * Math.log2(one / total)),
    0,
  );
  const bits = Math.log2(counts.length);
  const note =
    kind === "windows" ? "" : `, entropy ${entropy.toFixed(2)} of ${bits} ${bits === 1 ? "bit" : "bits"}`;
  return histogram(encoding, `${count(components)} components${note}`, bars, [first, last]);
}
