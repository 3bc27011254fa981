/**
 * Writes the files of an adapter to a path (Node only): a directory, or one file if the path has the extension of a file of
 * weights.
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

/** Extensions of files that hold a whole adapter. */
const SINGLE = /\.(safetensors|gguf|onnx_adapter)$/;

/** Fails early if {@link writeOutput} would refuse the path. @throws LqaError OUTPUT_EXISTS, IO */
export async function assertOutput(path: string, options: OutputOptions): Promise<void> {
  // The names of the weights are not known yet; the final check uses them.
  const written = { has: (name: string): boolean => SINGLE.test(name) };
  await (SINGLE.test(path) ? assertWritable(path, options) : assertReplaceable(path, options, written));
}

/**
 * Writes files atomically. Memory holds only the piece that is being written.
 *
 * @returns sizes in bytes, by name
 * @throws LqaError USAGE if the path names one file and there are several, or a file of another kind;
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
    // A write to a device or pipe cannot be undone: make all pieces first.
    const fill = (to: string, fresh: boolean): Promise<number> =>
      writePieces(to, fresh ? content.pieces() : [joinContent(content)], fresh);
    await fillFileAtomic(path, fill, options);
  }
  return new Map([...files].map(([name, contents]) => [name, contents.length]));
}

/** Writes files into a new directory, as {@link writeOutput}. @throws LqaError OUTPUT_EXISTS, IO; what a piece throws */
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
