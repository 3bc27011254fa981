/**
 * The sections about modules: maps of all modules, the worst ones, and the list.
 *
 * @module
 */

import { bandsText } from "../../core/rooms.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import { count, counted, decibels, percent } from "../format.ts";
import type { InspectedModule, SourceFindings } from "../inspection.ts";
import { type LayerPlace, naturalOrder } from "../layers.ts";
import { type HeatMap, heatMap } from "./heat-map.ts";
import type { Hints } from "./hints.ts";
import { folded, type Html, html, named, section, tableElement } from "./html.ts";

const WORST = 12;
/** Maximum number of rows in the list of modules. */
const LISTED = 2000;
/** Share of the energy that the components counted in the map of ranks hold. */
const HELD = 0.9;

/** The explanation of {@link RANK_MAP}. */
export const RANK_EXPLANATION: string = `How many components hold ${100 * HELD} % of the energy of the adapter's ΔW. Few of many: a steep spectrum, which costs few bits.`;
/** The map of effective ranks. */
export const RANK_MAP: HeatMap<LayerPlace & Pick<InspectedModule, "singularValues">> = {
  caption: "Components",
  value: effectiveRank,
  text: (rank) => String(rank),
};

/** Maps of error, bits and spectrum, side by side if there is room. */
export function mapSection(
  modules: readonly InspectedModule[],
  source: SourceFindings | undefined,
  hints: Hints,
): Html | undefined {
  if (modules.length === 0) return undefined;
  const maps: (readonly [title: string, explanation: string, map: HeatMap<InspectedModule>])[] = [
    [
      "Bits",
      "On disk, for each weight of the factors: codes, scales, zero points and the checksum of the chunk.",
      { caption: "Bits per weight", value: ({ bits }) => bits, text: (bits) => bits.toFixed(2) },
    ],
    ["Effective rank", RANK_EXPLANATION, RANK_MAP],
  ];
  if (source !== undefined)
    maps.unshift([
      "Error",
      "‖ΔW − ΔŴ‖² / ‖ΔW‖², measured between the decoded weights and the source.",
      {
        caption: "Error, in percent of ‖ΔW‖²",
        value: ({ loss }) => loss?.relativeError,
        text: (share) => percent(share).replace(" %", ""),
        logarithmic: true,
      },
    ]);
  return section(
    "maps",
    "Layer by layer",
    source === undefined
      ? html`<p>The error of each module is unknown: it is measured against the source adapter. ${hints.source}</p>`
      : undefined,
    html`<div class="maps">${maps
      .filter(([, , { value }]) => modules.some((module) => value(module) !== undefined))
      .map(
        ([title, explanation, map]) => html`<div><h3>${title}</h3>
<p class="faint">${explanation}</p>
${heatMap(modules, map)}</div>
`,
      )}</div>`,
  );
}

/** Number of components that hold most of the energy; undefined if there is no energy. */
export function effectiveRank({
  singularValues,
}: Pick<InspectedModule, "singularValues">): number | undefined {
  if (singularValues === undefined) return undefined;
  const energy = singularValues.reduce((sum, value) => sum + value * value, 0);
  if (energy === 0) return undefined;
  let held = 0;
  for (const [i, value] of singularValues.entries()) {
    held += value * value;
    if (held >= HELD * energy) return i + 1;
  }
  return singularValues.length;
}

/** The modules that contribute most to the error; nothing without a source. */
export function worstSection(modules: readonly InspectedModule[]): Html | undefined {
  const known = modules.filter(({ loss }) => loss !== undefined && loss.errorEnergy > 0);
  if (known.length === 0) return undefined;
  const all = known.reduce((sum, { loss }) => sum + loss!.errorEnergy, 0);
  const rows = known
    .sort((x, y) => y.loss!.errorEnergy - x.loss!.errorEnergy)
    .slice(0, WORST)
    .map(({ name, loss, rank, bits, bands }) => [
      named(name),
      percent(loss!.errorEnergy / all),
      percent(loss!.relativeError),
      decibels(-10 * Math.log10(loss!.relativeError)),
      String(rank),
      bits.toFixed(2),
      bandsText(bands),
    ]);
  return section(
    "worst",
    "Worst modules",
    html`<p>The modules that contribute most to the total error. A weak module can lose a large share of its energy and matter little.</p>`,
    tableElement({
      caption: "Modules by their part of the total error",
      head: ["module", "of the error", "lost", "SNR", "rank", "bits", "bands"],
      numeric: [1, 2, 3, 4, 5],
      rows,
    }),
  );
}

/** Such as `768 × 3072`, `64 × 32, kernel 3 × 3`. */
export function shapeText(module: ModuleShape): string {
  const { out, kernel, experts } = module;
  return [
    `${out} × ${module.in}`,
    ...(kernel.length > 0 ? [`kernel ${kernel.join(" × ")}`] : []),
    ...(experts > 1 ? [counted(experts, "expert")] : []),
  ].join(", ");
}

/** Modules in natural order: layer 2 before layer 10. */
export function inOrder<T extends { readonly name: string }>(modules: readonly T[]): T[] {
  return [...modules].sort((x, y) => naturalOrder(x.name, y.name));
}

/** The section with the list of modules. */
export function listSection(modules: readonly InspectedModule[]): Html | undefined {
  if (modules.length === 0) return undefined;
  const rows = inOrder(modules)
    .slice(0, LISTED)
    .map((module) => {
      const { name, rank, multiplier, bytes, bits, bands, loss, problem } = module;
      return [
        named(name),
        shapeText(module),
        String(rank),
        String(Number(multiplier.toPrecision(6))),
        count(bytes),
        bits.toFixed(2),
        String(effectiveRank(module) ?? "–"),
        loss === undefined ? "–" : percent(loss.relativeError),
        problem === undefined ? bandsText(bands) : html`<span class="bad">${problem}</span>`,
      ];
    });
  const list = tableElement({
    caption: counted(modules.length, "module"),
    head: ["module", "out × in", "rank", "multiplier", "bytes", "bits", "90 % rank", "lost", "bands"],
    numeric: [2, 3, 4, 5, 6, 7],
    rows,
  });
  const more =
    modules.length > LISTED
      ? html`<p class="faint">${count(modules.length - LISTED)} more: <code>lqa inspect --modules --json</code> has all.</p>`
      : undefined;
  return section(
    "modules",
    "All modules",
    folded(`List ${counted(modules.length, "module")}`, html`${list}${more}`),
  );
}
