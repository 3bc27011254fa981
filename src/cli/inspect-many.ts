/**
 * `lqa inspect` of several files: a line for each, with its step, its size, its error, and which of the others it is a child of. For
 * the files of a training run.
 *
 * @module
 */
import type { HttpOptions } from "../io/http.ts";
import { parameterCount } from "../model/adapter.ts";
import { count, counted, jsonText, percent, printable } from "./format.ts";
import { type Column, table, title } from "./layout.ts";
import { type OpenedFile, openArgument } from "./open-input.ts";
import type { Terminal } from "./terminal.ts";

const COLUMNS: readonly Column[] = [
  { title: "file", narrow: "cut" },
  { title: "step", right: true },
  { title: "bytes", right: true },
  { title: "bits", right: true },
  { title: "error", right: true },
  { title: "parent", narrow: "cut" },
];

/** Digits of a content id that no file has. */
const DIGITS = 12;

/** One file, as `--json` shows it. */
interface Line {
  readonly file: string;
  /** Of training, as META states it. */
  readonly step: number | null;
  readonly bytes: number;
  /** 8 · bytes / weights. */
  readonly bitsPerWeight: number;
  /** As META states it: of ΔW as the encoder measured it. */
  readonly relativeError: number | null;
  readonly contentId: string;
  /** `file`: which of the files it is. */
  readonly parent: { readonly contentId: string; readonly file: string | null } | null;
}

/** Prints the files. @throws LqaError as `openInput` */
export async function inspectMany(
  paths: readonly string[],
  remote: HttpOptions,
  json: boolean,
  terminal: Terminal,
): Promise<void> {
  // One file in memory at a time.
  const read: Line[] = [];
  for (const path of paths) read.push(lineOf(path, await openArgument(path, remote)));
  const names = new Map(read.map(({ contentId, file }) => [contentId, file]));
  const lines = read.map((line) => ({
    ...line,
    parent: line.parent && { ...line.parent, file: names.get(line.parent.contentId) ?? null },
  }));
  if (json) {
    terminal.out(jsonText({ files: lines }));
    return;
  }
  const rows = lines.map(({ file, step, bytes, bitsPerWeight, relativeError, parent }) => [
    printable(file),
    step === null ? "" : count(step),
    count(bytes),
    bitsPerWeight.toFixed(3),
    relativeError === null ? "" : percent(relativeError),
    parent === null ? "" : printable(parent.file ?? `${parent.contentId.slice(0, DIGITS)}, not here`),
  ]);
  const text = [...title(counted(lines.length, "file"), "", terminal), ...table(COLUMNS, rows, terminal)];
  terminal.out(`${text.join("\n")}\n`);
}

/** The line of a file, which does not know the others yet. */
function lineOf(file: string, { prologue, modules, meta, ids, parentId }: OpenedFile): Line {
  const weights = modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const { relative_error: error, step } = meta;
  return {
    file,
    step: typeof step === "number" ? step : null,
    bytes: prologue.fileLength,
    bitsPerWeight: weights === 0 ? 0 : (8 * prologue.fileLength) / weights,
    relativeError: typeof error === "number" ? error : null,
    contentId: ids.contentId,
    parent: parentId === undefined ? null : { contentId: parentId, file: null },
  };
}
