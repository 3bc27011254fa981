/**
 * Two files of one adapter next to each other: sizes, what the encoders state, and by how much the decoded updates differ, module
 * by module.
 *
 * @module
 */
import {
  decodeModule,
  type LoraModule,
  type LqaFile,
  type ModuleRecord,
  parameterCount,
} from "../../../../src/core/index.ts";
import { compareModules } from "../../../../src/encode/quantize/quality.ts";
import { comparable, shapeOf } from "../../../../src/model/adapter.ts";
import { count, percent, size } from "../../../../src/report/format.ts";
import { type LayerPlace, layerPlaces } from "../../../../src/report/layers.ts";
import type { ReportSection } from "../../../../src/report/page/document.ts";
import { heatMap } from "../../../../src/report/page/heat-map.ts";
import { html, named, section, tableElement } from "../../../../src/report/page/html.ts";
import type { Progress } from "./view.ts";

/** One of the two. */
export interface Side {
  readonly title: string;
  readonly file: LqaFile;
  readonly fileLength: number;
}

/** The update of a module in the second file against that in the first: ‖ΔŴ₁ − ΔŴ₂‖² / ‖ΔŴ₁‖². */
interface Difference extends LayerPlace {
  readonly value: number;
}

interface FileComparison {
  readonly sides: readonly (Side & { readonly parameters: number; readonly stated: number | undefined })[];
  /** Modules that only one file has, or that have other shapes. */
  readonly unpaired: number;
  /** Undefined if the weights were not read. */
  readonly total: number | undefined;
  readonly differences: readonly Difference[];
}

/**
 * Compares two files; one module of each is in memory.
 *
 * @param whole whether to decode the weights
 * @throws LqaError of a damaged module; what reading throws
 */
export async function compareFiles(
  one: Side,
  other: Side,
  whole: boolean,
  progress: Progress,
): Promise<FileComparison> {
  const records = one.file.modules;
  const others = new Map(other.file.modules.map((record) => [record.name, record]));
  const pairs = records.flatMap((record) => {
    const found = others.get(record.name);
    return found !== undefined && comparable(record, found) ? [[record, found] as const] : [];
  });
  const places = layerPlaces(pairs.map(([{ name }]) => name));
  const differences: Difference[] = [];
  let [energy, errorEnergy] = [0, 0];
  for (const [i, [record, found]] of whole ? pairs.entries() : []) {
    progress(i, pairs.length, `Comparing ${record.name}`);
    const own = compareModules(await decoded(one.file, record), await decoded(other.file, found));
    energy += own.energy;
    errorEnergy += own.errorEnergy;
    differences.push({ ...places[i]!, value: own.errorEnergy === 0 ? 0 : own.errorEnergy / own.energy });
  }
  const stated = async ({ file }: Side): Promise<number | undefined> => {
    const error = (await file.meta()).relative_error;
    return typeof error === "number" ? error : undefined;
  };
  const sides = await Promise.all(
    [one, other].map(async (side) => ({
      ...side,
      parameters: side.file.modules.reduce((sum, module) => sum + parameterCount(module), 0),
      stated: await stated(side),
    })),
  );
  return {
    sides,
    unpaired: records.length + others.size - 2 * pairs.length,
    total: whole && pairs.length > 0 ? (errorEnergy === 0 ? 0 : errorEnergy / energy) : undefined,
    differences,
  };
}

async function decoded(file: LqaFile, record: ModuleRecord): Promise<LoraModule> {
  const { b, a } = decodeModule(record, await file.packed(record));
  return { ...shapeOf(record), b: b.data, a: a.data };
}

/** The comparison as a section. */
export function comparisonSection({ sides, unpaired, total, differences }: FileComparison): ReportSection {
  const row = (name: string, text: (side: FileComparison["sides"][number]) => string) => [
    name,
    ...sides.map(text),
  ];
  return {
    id: "two",
    title: "Two files",
    content: section(
      "two",
      "Two files",
      tableElement({
        caption: "The file of this report, and the other",
        head: ["", ...sides.map(({ title }) => named(title))],
        numeric: [1, 2],
        rows: [
          row("size", ({ fileLength }) => `${size(fileLength)}, ${count(fileLength)} bytes`),
          row("bits per weight", ({ fileLength, parameters }) =>
            parameters === 0 ? "–" : ((8 * fileLength) / parameters).toFixed(3),
          ),
          row("energy of ΔW lost, as the encoder states", ({ stated }) =>
            stated === undefined ? "–" : percent(stated),
          ),
          row("modules", ({ file }) => count(file.modules.length)),
        ],
      }),
      unpaired === 0
        ? undefined
        : html`<p>${count(unpaired)} modules are in one file only, or have another shape.</p>`,
      total === undefined
        ? undefined
        : html`<p>The decoded updates differ by ${percent(total)} of the energy of the first.</p>
${heatMap(differences, { caption: "Difference, in percent of the energy of the first", value: ({ value }) => value, text: (share) => percent(share).replace(" %", ""), logarithmic: true })}`,
    ),
  };
}
