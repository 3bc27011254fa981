/**
 * Two files of one adapter, for tests that push and fetch them.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeFile } from "../../src/node/index.ts";
import { writePeftDirectory } from "./peft.ts";

/** A PEFT directory, two encodings of it that differ, and the bytes of the first. */
export interface PackedFiles {
  readonly peft: string;
  readonly path: string;
  readonly other: string;
  readonly bytes: Buffer;
}

/** Writes `peft/`, `my-adapter.lqa` and `other.lqa` into a folder. */
export async function writePacked(folder: string): Promise<PackedFiles> {
  const peft = writePeftDirectory(join(folder, "peft"));
  const [path, other] = [join(folder, "my-adapter.lqa"), join(folder, "other.lqa")];
  await encodeFile(peft, path, { bits: 4 });
  await encodeFile(peft, other, { bits: 6 });
  return { peft, path, other, bytes: readFileSync(path) };
}
