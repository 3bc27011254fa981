// The address of the repository, from its one place: "repository" in package.json. Undefined until it has one.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** `https://github.com/OWNER/NAME`, without `git+` and `.git`. */
export function repositoryAddress() {
  const { repository } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"));
  return /^git\+(https:\/\/.+)\.git$/.exec(repository?.url ?? "")?.[1];
}
