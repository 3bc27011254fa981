/**
 * The report of what was opened, in the pieces that `lqa inspect --html` has: at first from index and metadata alone, then
 * with every byte checked and every module decomposed.
 *
 * @module
 */
import { compareAdapter, inspectSource, parameterCount } from "../../../../src/index.ts";
import { inspectAdapter } from "../../../../src/report/adapter-inspection.ts";
import { adapterParts } from "../../../../src/report/page/adapter-parts.ts";
import type { Hints } from "../../../../src/report/page/hints.ts";
import { html } from "../../../../src/report/page/html.ts";
import { type ReportParts, reportParts } from "../../../../src/report/page/page.ts";
import type { Opened, ViewMarkup } from "../protocol.ts";
import type { Document } from "./document.ts";

/** Told of progress. */
export type Progress = (done: number, total: number, what: string) => void;

const HINTS: Hints = {
  source: html`Choose or drop both together, the <code>.lqa</code> file and the adapter, to see them.`,
  comparison: html`“Measure other methods” above does that.`,
};

/** How much is looked at. */
export interface Depth {
  /** Every byte checked, every module decomposed. */
  readonly whole: boolean;
  /** Other methods encoded and measured as well. */
  readonly compare: boolean;
}

/** Describes what was opened. @throws LqaError of class X, what reading throws */
export async function describe(document: Document, depth: Depth, progress: Progress): Promise<Opened> {
  const { lqa, adapter } = document;
  const parameters = (lqa?.file?.modules ?? adapter?.adapter.modules ?? []).reduce(
    (sum, module) => sum + parameterCount(module),
    0,
  );
  const common = { withSource: lqa !== undefined && adapter !== undefined, parameters };
  if (lqa === undefined) {
    const inspection = await inspectAdapter(adapter!.adapter, {
      weights: depth.whole,
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
    };
  }
  const source = depth.whole ? adapter?.adapter : undefined;
  const inspection = await inspectSource(watched(document, depth, progress), {
    source,
    weights: depth.whole,
    level: depth.whole ? "values" : "structure",
    onProgress: (done, total, name) => progress(done, total, `Decomposing ${name}`),
  });
  const comparison =
    depth.compare && source !== undefined
      ? await compareAdapter(source, { onProgress: progress })
      : undefined;
  return {
    ...common,
    kind: "lqa",
    title: lqa.title,
    bytes: inspection.fileLength,
    remote: lqa.remote,
    usable: lqa.file !== undefined && (!depth.whole || inspection.validation.valid),
    dialect: inspection.origin?.dialect,
    view: markupOf(reportParts(inspection, { title: lqa.title, comparison }, HINTS)),
  };
}

/** The source of a file, whose reading is told as progress of the validator, which reads from the first byte to the last. */
function watched(
  { lqa }: Document,
  { whole }: Depth,
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
