/**
 * Patterns among the file arguments, for shells and scripts that do not expand them: `*` and `?` inside a name, `**` for
 * any number of directories. A path that exists is never a pattern.
 *
 * @module
 */
import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join, sep } from "node:path";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { quotePath } from "./os-error.ts";

const WILD = /[*?]/;
const SEPARATOR = sep === "\\" ? /[\\/]/ : "/";

/** True if the word is a pattern and not an existing path. */
export async function isPattern(word: string): Promise<boolean> {
  return WILD.test(word) && !(await exists(word));
}

/** The directories at the beginning of a pattern, up to the first part with a wildcard. */
export function patternRoot(word: string): string {
  const parts = word.split(SEPARATOR);
  const fixed = parts.slice(
    0,
    parts.findIndex((part) => WILD.test(part)),
  );
  return fixed.join(sep) || (fixed.length > 0 ? sep : ".");
}

/**
 * Expands a pattern, sorted by name; a word that is not a pattern expands to itself.
 *
 * @param what `files`, or `all` to include directories
 * @throws LqaError NOT_FOUND if a pattern matches nothing
 */
export async function expandPattern(word: string, what: "files" | "all" = "files"): Promise<string[]> {
  if (!(await isPattern(word))) return [word];
  const parts = word.split(SEPARATOR);
  const absolute = parts[0] === "";
  let places = [absolute ? sep : ""];
  for (const [i, part] of (absolute ? parts.slice(1) : parts).entries()) {
    const last = i === parts.length - (absolute ? 2 : 1);
    const next: string[] = [];
    for (const place of places) next.push(...(await step(place, part, last, what)));
    places = [...new Set(next)];
  }
  if (places.length === 0)
    return fail(KIND.NOT_FOUND, {
      where: quotePath(word),
      actual: `no ${what === "files" ? "file" : "path"} of this pattern`,
    });
  return places;
}

/** The paths to which one part of a pattern leads from a directory. */
async function step(place: string, part: string, last: boolean, what: "files" | "all"): Promise<string[]> {
  if (part === "") return [place];
  if (part === "**") {
    const below = await directoriesBelow(place);
    return last ? (await Promise.all(below.map((one) => step(one, "*", true, what)))).flat() : below;
  }
  if (!WILD.test(part)) {
    const path = join(place, part);
    return (await exists(path)) ? [path] : [];
  }
  const source = part
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  const pattern = new RegExp(`^${source}$`, "s");
  const found = (await entriesOf(place)).filter(
    (entry) =>
      pattern.test(entry.name) &&
      (!entry.name.startsWith(".") || part.startsWith(".")) &&
      (last ? what === "all" || !entry.isDirectory() : entry.isDirectory()),
  );
  return found.map((entry) => join(place, entry.name)).sort();
}

/** The directory and all directories below it. Does not follow links to directories, which may form cycles. */
async function directoriesBelow(place: string): Promise<string[]> {
  const found = [place];
  for (let i = 0; i < found.length; i++)
    for (const entry of await entriesOf(found[i]!))
      if (entry.isDirectory() && !entry.name.startsWith(".")) found.push(join(found[i]!, entry.name));
  return found;
}

/** The entries of a directory; empty if it cannot be listed. */
export async function entriesOf(place: string): Promise<Dirent[]> {
  try {
    return await readdir(place === "" ? "." : place, { withFileTypes: true });
  } catch {
    return [];
  }
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}
