/**
 * Writes the files of an adapter to the requested path (Node only): a directory, or one file if the path has a file
 * extension.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { quotePath } from "./os-error.ts";
import { assertReplaceable, writeDirectoryAtomic } from "./write-directory.ts";
import { assertWritable, type OutputOptions, writeFileAtomic } from "./write-file.ts";

/** Endings of files that hold a whole adapter. */
const SINGLE = /\.(safetensors|gguf|onnx_adapter)$/;

/** Finds out early whether {@link writeOutput} would be refused. @throws LqaError OUTPUT_EXISTS, IO */
export async function assertOutput(path: string, options: OutputOptions): Promise<void> {
  // What the weights will be called is not known yet; the final check knows it.
  const written = { has: (name: string): boolean => SINGLE.test(name) };
  await (SINGLE.test(path) ? assertWritable(path, options) : assertReplaceable(path, options, written));
}

/**
 * Writes files, whole or not at all.
 *
 * @returns sizes by name
 * @throws LqaError USAGE if the path ends like one file and there are several, or like a file of another kind;
 * OUTPUT_EXISTS, IO
 */
export async function writeOutput(
  path: string,
  files: ReadonlyMap<string, Uint8Array>,
  options: OutputOptions,
): Promise<Map<string, number>> {
  const [ending] = SINGLE.exec(path) ?? [];
  if (ending === undefined) await writeDirectoryAtomic(path, files, options);
  else {
    const [[name, bytes]] = [...files] as [[string, Uint8Array]];
    if (files.size > 1 || !name.endsWith(ending)) {
      const actual = [...files.keys()].join(" and ");
      fail(KIND.USAGE, {
        where: quotePath(path),
        expected: "the path of a directory",
        actual: `files ${actual}`,
      });
    }
    await writeFileAtomic(path, bytes, options);
  }
  return new Map([...files].map(([name, contents]) => [name, contents.length]));
}
