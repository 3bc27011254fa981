/**
 * Opens the `.lqa` file that a command reads: standard input (`-`) or a location (a path, a URL, `hf://…`). For
 * `inspect`, it fetches only the parts of a remote file that the command shows.
 *
 * @module
 */
import { basename, resolve } from "node:path";
import { concat } from "../common/bytes.ts";
import { open } from "../core/read/file.ts";
import type { LqaFile, VouchedBy } from "../core/read/lqa-file.ts";
import type { VerifiedIds } from "../core/read/verify.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { HttpOptions } from "../io/http.ts";
import { piecesOf } from "../io/pieces.ts";
import type { MetaValue, Origin } from "../model/adapter.ts";
import { MAX_WHOLE_FILE } from "../node/files/file.ts";
import { explainNotLqa } from "../node/not-lqa.ts";
import { readLocation, readValid } from "../node/read-valid.ts";
import { isRemote, nameOfLocation } from "../node/remote/location.ts";
import { type Arguments, numberOption, STANDARD_STREAM } from "./command.ts";

/** The parts of a file that a command shows. */
export interface OpenedFile
  extends Pick<LqaFile, "prologue" | "index" | "modules" | "tensors" | "sections" | "parentId"> {
  readonly meta: { readonly [key: string]: MetaValue };
  readonly origin: Origin | undefined;
  readonly ids: VerifiedIds;
  /** Who says that it is the file that was meant: see `LqaFile`. */
  readonly vouchedBy: VouchedBy;
  /** Whether the ids were computed from every byte rather than read from the file. */
  readonly verified: boolean;
}

/** The argument that means standard input. */
export const STANDARD_INPUT: string = STANDARD_STREAM;

/** The bytes at a location, or of standard input. @throws LqaError as `readLocation` */
export async function readInput(location: string, remote: HttpOptions): Promise<Uint8Array> {
  if (location !== STANDARD_INPUT) {
    try {
      return await readLocation(location, { remote });
    } catch (error) {
      throw isRemote(location) ? error : await explainNotLqa(location, error);
    }
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of piecesOf(process.stdin)) {
    length += piece.length;
    if (length > MAX_WHOLE_FILE)
      fail(KIND.BUDGET, {
        where: "standard input",
        expected: `at most ${MAX_WHOLE_FILE} bytes`,
        actual: "more",
      });
    pieces.push(piece);
  }
  return concat(pieces);
}

/** The name of the file or folder at a location, from which the names of outputs and titles derive. */
export function nameOf(location: string): string {
  return isRemote(location) ? nameOfLocation(location) : basename(resolve(location));
}

/** The HTTP options of the command line. */
export function remoteOptions(args: Arguments): HttpOptions {
  const seconds = numberOption(args, "timeout");
  return { deadlineMs: seconds === undefined ? undefined : 1000 * seconds };
}

/** Opens the file that an argument names. */
export async function openArgument(path: string, remote: HttpOptions): Promise<OpenedFile> {
  if (!isRemote(path)) return await openWhole(path === STANDARD_INPUT ? await readInput(path, remote) : path);
  const { openRemoteFile } = await import("../node/remote/remote-file.ts");
  const source = await openRemoteFile(path, remote);
  try {
    const file = await open(source);
    return { ...(await shown(file)), ids: await file.storedIds(), verified: false };
  } finally {
    await source.close();
  }
}

/** Opens and verifies a file, at a path or in memory. @throws LqaError as `readValid` */
export async function openWhole(source: string | Uint8Array): Promise<OpenedFile> {
  const { bytes, ids } = await readValid(source, { level: "integrity" });
  return { ...(await shown(await open(bytes))), ids, verified: true };
}

async function shown(file: LqaFile): Promise<Omit<OpenedFile, "ids" | "verified">> {
  const { prologue, index, modules, tensors, sections, parentId, vouchedBy } = file;
  return {
    vouchedBy,
    parentId,
    prologue,
    index,
    modules,
    tensors,
    sections,
    meta: await file.meta(),
    origin: await file.origin(),
  };
}
