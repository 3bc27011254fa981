/**
 * The parents that a command line names.
 *
 * @module
 */
import type { HttpOptions } from "../core/io/http.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import { openParents } from "../node/open-parents.ts";
import { type Arguments, listOption } from "./command.ts";

/** The files of `--parent`, open. @throws LqaError as `openParents` */
export async function parentsOf(args: Arguments, remote: HttpOptions): Promise<LqaFile[]> {
  return await openParents(listOption(args, "parent"), { remote });
}
