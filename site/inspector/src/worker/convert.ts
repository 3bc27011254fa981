/**
 * Encoding an adapter, and writing an adapter in a dialect: what the command line's `encode`, `decode` and `convert` do, for
 * files that are handed to the visitor.
 *
 * @module
 */
import { zipSync } from "fflate";
import { type DialectName, writeAdapter } from "../../../../src/adapters/index.ts";
import { type Adapter, open } from "../../../../src/core/index.ts";
import {
  type EncodeOptions,
  type EncodeReport,
  encodeAdapter,
  type QualityName,
} from "../../../../src/encode/index.ts";
import * as KIND from "../../../../src/error-catalogue.ts";
import { fail } from "../../../../src/errors.ts";
import { count, counted, decibels, percent, ratio, size } from "../../../../src/report/format.ts";
import { factList, type Html, html } from "../../../../src/report/page/html.ts";
import type { Download, EncodeChoice, Made, WriteChoice } from "../protocol.ts";
import type { Document, OpenAdapter } from "./document.ts";
import { executorFor } from "./pool.ts";
import type { Progress } from "./view.ts";

/** Most bytes of an `.lqa` file that is decoded whole. */
const MOST = 2 ** 30;

/** What a form says, as options. @throws LqaError USAGE for a number that is none */
export function encodeOptions({ goal, value, tensors }: EncodeChoice): EncodeOptions {
  if (goal === "quality") return { tensors, quality: value as QualityName };
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number))
    fail(KIND.USAGE, {
      where: goal === "bits" ? "bits per weight" : "largest error",
      expected: "a number",
      actual: JSON.stringify(value),
    });
  return goal === "bits" ? { tensors, bits: number } : { tensors, maxError: number / 100 };
}

/** What files that are made are called: as what they are made of, without its ending. */
function stemOf(title: string): string {
  const name = title
    .replace(/^.*\//, "")
    .replace(/\.(lqa|safetensors|bin|pt|pth|ckpt|npz|gguf|onnx_adapter)$/, "");
  return name.replace(/[^\w.-]+/g, "_") || "adapter";
}

/** Encodes. What is handed out has been read back: every checksum was checked. @throws LqaError as `encodeAdapter` */
export async function encode(
  { adapter, title, bytes: before }: OpenAdapter,
  choice: EncodeChoice,
  progress: Progress,
): Promise<Made> {
  const started = performance.now();
  const executor = executorFor(adapter);
  const { bytes, report } = await encodeAdapter(adapter, {
    ...encodeOptions(choice),
    ...(executor !== undefined && { executor }),
    onProgress: progress,
  });
  const { fileId } = await (await open(bytes)).verify();
  const name = `${stemOf(title)}.lqa`;
  const seconds = (performance.now() - started) / 1000;
  return {
    markup: encoded(report, before, bytes.length, fileId, seconds).markup,
    downloads: [download(name, bytes)],
  };
}

/** What should happen to the answers, in words. */
const OUTLOOKS = {
  same: "very likely the same",
  try: "may change a little: try it on your task",
  changes: "expect changes: more bits, or a higher quality, help",
} as const;

function encoded(report: EncodeReport, before: number, after: number, fileId: string, seconds: number): Html {
  return html`${factList([
    ["Size", `${size(after)}, ${ratio(before, after)} smaller than its source of ${size(before)}`],
    ["Bits per weight", report.bitsPerParameter.toFixed(3)],
    ["Energy of ΔW lost", `${percent(report.relativeError)} (SNR ${decibels(report.snrDb)})`],
    [
      "Answers",
      report.outlook === undefined ? undefined : `${OUTLOOKS[report.outlook]} (a guess from the weights)`,
    ],
    ["Modules", counted(report.modules.length, "module")],
    ["File id", html`<code>${fileId}</code>`],
    ["Time", `${seconds.toFixed(1)} s`],
  ])}${report.weakModules > 0 ? html`<p class="warn">${counted(report.weakModules, "module")} lost over half of their energy, ${count(report.droppedModules)} of them everything. More bits, or a higher quality, help.</p>` : undefined}`;
}

/** Writes an adapter in a dialect. @throws LqaError as `writeAdapter`; the first error of an `.lqa` file */
export async function write(
  document: Document,
  { to, factors }: WriteChoice,
  progress: Progress,
): Promise<Made> {
  const { lqa } = document;
  const adapter = lqa === undefined ? document.adapter!.adapter : await whole(lqa, progress);
  const notes: string[] = [];
  const files = writeAdapter(adapter, {
    factors,
    to: to === "" ? undefined : (to as DialectName),
    onNote: (note) => void notes.push(note),
  });
  const downloads = [...files].map(([name, bytes]) => download(name, bytes));
  if (files.size > 1) {
    const stem = stemOf(lqa?.title ?? document.adapter!.title);
    downloads.unshift(
      download(`${stem}.zip`, zipSync(Object.fromEntries(files), { level: 0, mtime: "1980-01-01" })),
    );
  }
  const different = [...new Set(notes)].slice(0, 10);
  return {
    markup:
      html`<p>${counted(adapter.modules.length, "module")} and ${counted(adapter.tensors.length, "plain tensor")} in ${counted(files.size, "file")}, ${count([...files.values()].reduce((sum, { length }) => sum + length, 0))} bytes.</p>
${different.length === 0 ? undefined : html`<ul>${different.map((note) => html`<li>${note}</li>`)}</ul>`}`
        .markup,
    downloads,
  };
}

/** The adapter of a valid file: what is written is never the decoding of a broken one. */
async function whole(
  { source, fileLength }: NonNullable<Document["lqa"]>,
  progress: Progress,
): Promise<Adapter> {
  if (fileLength > MOST)
    fail(KIND.BUDGET, { where: "this page", expected: `at most ${MOST} bytes`, actual: fileLength });
  progress(0, 1, "Reading the file");
  const bytes = await source.read(0, fileLength);
  const file = await open(bytes);
  return await file.adapter({ onProgress: (done, total) => progress(done, total, "Decoding") });
}

function download(name: string, bytes: Uint8Array): Download {
  return { name, blob: new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/octet-stream" }) };
}
