/**
 * Opens the parents of `.lqa` files (spec clause 8.9) by their locations (Node only).
 *
 * @module
 */

import type { LqaFile } from "../core/read/lqa-file.ts";
import { openVerified } from "../core/validate/validate.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { readValid, type ValidFile } from "./read-valid.ts";

/**
 * Opens files that may be parents of others, in memory and verified, for the option `parents` of `open` and `decodeFile`.
 *
 * @param locations as in `readLocation`; for a chain, all of them, in any order
 * @throws LqaError as `readLocation`, or the first error of a file
 */
export async function openParents(
  locations: readonly string[],
  options: LocationOptions = {},
): Promise<LqaFile[]> {
  const files: LqaFile[] = [];
  for (const location of locations) {
    const { bytes, ids } = await readValid(location, options);
    files.push(await openVerified(bytes, ids));
  }
  return files;
}

/**
 * Opens a file against which others are encoded.
 *
 * @param locations its location, then those of its own parents
 * @throws LqaError as {@link openParents}; PARENT_MISMATCH if its parent is not among the others
 */
export async function openParent(
  [location, ...others]: readonly [string, ...string[]],
  options: LocationOptions = {},
): Promise<LqaFile> {
  const { bytes, ids }: ValidFile = await readValid(location, options);
  const parents = await openParents(others, options);
  return await openVerified(bytes, ids, parents.length === 0 ? {} : { parents });
}
