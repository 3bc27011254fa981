/**
 * Writes the files of an adapter to the requested path (Node only): a directory, or one file if the path has a file
 * extension.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { type FileContent, joinContent } from "../../model/content.ts";
import { quotePath } from "./os-error.ts";
import { assertReplaceable, fillDirectoryAtomic } from "./write-directory.ts";
import { assertWritable, fillFileAtomic, type OutputOptions } from "./write-file.ts";
import { writePieces } from "./write-pieces.ts";

/** Endings of files that hold a whole adapter. */
const SINGLE = /\.(safetensors|gguf|onnx_adapter)$/;

/** Finds out early whether {@link writeOutput} would be refused. @throws LqaError OUTPUT_EXISTS, IO */
export async function assertOutput(path: string, options: OutputOptions): Promise<void> {
  // What the weights will be called is not known yet; the final check knows it.
  const written = { has: (name: string): boolean => SINGLE.test(name) };
  await (SINGLE.test(path) ? assertWritable(path, options) : assertReplaceable(path, options, written));
}

/**
 * Writes files, whole or not at all. What is in memory is the piece that is being written.
 *
 * @returns sizes by name
 * @throws LqaError USAGE if the path ends like one file and there are several, or like a file of another kind;
 * OUTPUT_EXISTS, IO; what a piece throws
 */
export async function writeOutput(
  path: string,
  files: ReadonlyMap<string, FileContent>,
  options: OutputOptions,
): Promise<Map<string, number>> {
  const [ending] = SINGLE.exec(path) ?? [];
  if (ending === undefined) await writeContents(path, files, options);
  else {
    const [[name, content]] = [...files] as [[string, FileContent]];
    if (files.size > 1 || !name.endsWith(ending)) {
      const actual = [...files.keys()].join(" and ");
      fail(KIND.USAGE, {
        where: quotePath(path),
        expected: "the path of a directory",
        actual: `files ${actual}`,
      });
    }
    // A device or a pipe keeps what it was given: it gets nothing before all pieces are made.
    const fill = (to: string, fresh: boolean): Promise<number> =>
      writePieces(to, fresh ? content.pieces() : [joinContent(content)], fresh);
    await fillFileAtomic(path, fill, options);
  }
  return new Map([...files].map(([name, contents]) => [name, contents.length]));
}

/** Writes files into a new directory, as {@link writeOutput} does. @throws LqaError OUTPUT_EXISTS, IO; what a piece throws */
export async function writeContents(
  path: string,
  files: ReadonlyMap<string, FileContent>,
  options: OutputOptions,
): Promise<void> {
  await fillDirectoryAtomic(
    path,
    async (folder) => {
      for (const [name, content] of files) await folder.write(name, content.pieces());
    },
    options,
    files,
  );
}
