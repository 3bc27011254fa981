/**
 * `lqa inspect --html`: writes the report of a file, valid or not.
 *
 * @module
 */
import { basename, resolve } from "node:path";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type Adapter, parameterCount } from "../model/adapter.ts";
import { assertWritable, writeFileAtomic } from "../node/files/write-file.ts";
import { openParents } from "../node/open-parents.ts";
import { isRemote, shownLocation } from "../node/remote/location.ts";
import { suitableWorkers, withWorkers } from "../node/workers/pool.ts";
import { type Comparison, compareAdapter } from "../report/compare.ts";
import { inspectLqa } from "../report/inspection.ts";
import { drawReport } from "../report/page/page.ts";
import { type Arguments, listOption, textOption } from "./command.ts";
import { printable } from "./format.ts";
import { openAdapter } from "./open-adapter.ts";
import { readInput, remoteOptions, STANDARD_INPUT } from "./open-input.ts";
import { sourceSettings } from "./source-options.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Writes the report of the file at `path`.
 *
 * @returns the bytes of the file
 * @throws LqaError the first error of the file, after its report was written
 */
export async function writeReport(
  path: string,
  html: string,
  args: Arguments,
  terminal: Terminal,
): Promise<Uint8Array> {
  const writing = { force: args.values.has("force") };
  await assertWritable(html, writing);
  const from = textOption(args, "source");
  if (from === undefined && args.values.has("compare"))
    fail(KIND.USAGE, { where: "lqa inspect", expected: "--source, which is encoded", actual: "--compare" });
  const remote = remoteOptions(args);
  const parents = await openParents(listOption(args, "parent"), { remote });
  const source =
    from === undefined ? undefined : await openAdapter(from, sourceSettings(args), remote, parents);
  const bytes = await readInput(path, remote);
  const comparison =
    source !== undefined && args.values.has("compare") ? await compared(source, terminal) : undefined;
  const inspection = await inspectLqa(bytes, { source, parents, onProgress: terminal.progress });
  terminal.endProgress();
  const page = drawReport(inspection, { title: titleOf(path), comparison });
  await writeFileAtomic(html, new TextEncoder().encode(page), writing);
  const { error } = inspection.validation;
  if (error === undefined) return bytes;
  terminal.err(`The report is in ${printable(html)}.\n`);
  throw error;
}

function titleOf(path: string): string {
  if (path === STANDARD_INPUT) return "standard input";
  return isRemote(path) ? shownLocation(path) : basename(resolve(path));
}

async function compared(source: Adapter, terminal: Terminal): Promise<Comparison> {
  const parameters = source.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  return await withWorkers(suitableWorkers(parameters), (executor) =>
    compareAdapter(source, { executor, onProgress: terminal.progress }),
  );
}
