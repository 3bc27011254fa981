/**
 * The report of what was opened, in the pieces that `lqa inspect --html` has: at first from index and metadata alone, then
 * with every byte checked and every module decomposed.
 *
 * @module
 */

import { parameterCount } from "../../../../src/core/index.ts";
import { compareAdapter, drawReport, inspectLqa } from "../../../../src/report/index.ts";
import type { ReportSection } from "../../../../src/report/page/document.ts";
import type { Hints } from "../../../../src/report/page/hints.ts";
import { html } from "../../../../src/report/page/html.ts";
import { type ReportParts, reportParts, sound } from "../../../../src/report/page/page.ts";
import { inspectAdapter } from "../adapter-inspection.ts";
import { adapterParts } from "../adapter-parts.ts";
import type { InspectChoice, Opened, ViewMarkup } from "../protocol.ts";
import type { Document } from "./document.ts";
import { modelCard } from "./model-card.ts";
import { compareFiles, comparisonSection } from "./two-files.ts";

/** Called with the progress. */
export type Progress = (done: number, total: number, what: string) => void;

const HINTS: Hints = {
  source: html`Choose or drop both together, the <code>.lqa</code> file and the adapter, to see them.`,
  comparison: html`“Measure other methods” above does that.`,
};

/**
 * Describes what was opened.
 *
 * @param depth how far it is looked into; undefined: index and metadata, or the header of the weights, are enough
 * @throws LqaError of class X, what reading throws
 */
export async function describe(
  document: Document,
  depth: InspectChoice | undefined,
  progress: Progress,
): Promise<Opened> {
  const whole = depth !== undefined;
  const { lqa, adapter } = document;
  const parameters = (lqa?.file?.modules ?? adapter?.adapter.modules ?? []).reduce(
    (sum, module) => sum + parameterCount(module),
    0,
  );
  const common = { withSource: lqa !== undefined && adapter !== undefined, parameters };
  if (lqa === undefined) {
    const inspection = await inspectAdapter(adapter!.adapter, {
      weights: whole,
      onProgress: progress,
    });
    return {
      ...common,
      kind: "adapter",
      title: adapter!.title,
      bytes: adapter!.bytes,
      remote: adapter!.fetched !== undefined,
      usable: true,
      dialect: adapter!.adapter.origin?.dialect,
      view: markupOf(adapterParts(inspection, adapter!)),
      report: undefined,
      card: undefined,
    };
  }
  const source = whole ? adapter?.adapter : undefined;
  const inspection = await inspectLqa(watched(document, whole, progress), {
    source,
    weights: whole,
    level: depth?.level ?? "structure",
    onProgress: (done, total, name) => progress(done, total, `Decomposing ${name}`),
  });
  const comparison =
    depth?.compare === true && source !== undefined
      ? await compareAdapter(source, { onProgress: progress })
      : undefined;
  const other = await otherFile(document, whole, progress);
  const context = { title: lqa.title, comparison };
  return {
    ...common,
    kind: "lqa",
    title: lqa.title,
    bytes: inspection.fileLength,
    remote: lqa.remote,
    usable: lqa.file !== undefined && sound(inspection),
    dialect: inspection.origin?.dialect,
    view: markupOf(withOther(reportParts(inspection, context, HINTS), other)),
    card: whole && sound(inspection) ? modelCard(inspection, lqa.title) : undefined,
    report: whole
      ? {
          name: `${lqa.title.replace(/^.*\//, "")}.html`,
          blob: new Blob([drawReport(inspection, context)], { type: "text/html" }),
        }
      : undefined,
  };
}

/** The comparison with the second file, if there is one that can be read. */
async function otherFile(
  { lqa, other }: Document,
  whole: boolean,
  progress: Progress,
): Promise<ReportSection | undefined> {
  if (other?.file === undefined || lqa?.file === undefined) return undefined;
  const sides = [lqa, other].map(({ title, file, fileLength }) => ({ title, file: file!, fileLength }));
  return comparisonSection(await compareFiles(sides[0]!, sides[1]!, whole, progress));
}

function withOther({ head, sections }: ReportParts, other: ReportSection | undefined): ReportParts {
  return { head, sections: other === undefined ? sections : [other, ...sections] };
}

/** The source of a file that reports reads as progress of the validator, which reads from the first byte to the last. */
function watched(
  { lqa }: Document,
  whole: boolean,
  progress: Progress,
): NonNullable<Document["lqa"]>["source"] {
  const { source, fileLength } = lqa!;
  let furthest = 0;
  return {
    get size() {
      return source.size;
    },
    async read(offset, length, signal) {
      const bytes = await source.read(offset, length, signal);
      if (whole && offset + bytes.length > furthest) {
        furthest = offset + bytes.length;
        progress(furthest, fileLength, "Checking every byte");
      }
      return bytes;
    },
  };
}

function markupOf({ head, sections }: ReportParts): ViewMarkup {
  return {
    head: head.markup,
    sections: sections.map(({ id, title, content }) => ({ id, title, markup: content.markup })),
  };
}
