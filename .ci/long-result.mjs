// The last result of .ci/long: `--write COMMIT PASSED FAILED SECONDS` writes .ci/long.json; without it, says what that file holds.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const file = join(import.meta.dirname, "long.json");
const [option, commit, ...numbers] = process.argv.slice(2);
const last = () => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined);

/** Whether .ci/long passed on the files of this commit; what changed since may be its result alone. */
export function passedOnThisCommit() {
  const { commit, failed } = last() ?? {};
  if (failed !== 0) return false;
  const changed = execFileSync("git", ["diff", "--name-only", commit, "HEAD"], { encoding: "utf8" }).trim();
  return changed === "" || changed === ".ci/long.json";
}

if (option === "--write") {
  const [passed, failed, seconds] = numbers.map(Number);
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(file, `${JSON.stringify({ commit, date, passed, failed, seconds }, undefined, 2)}\n`);
} else if (process.argv[1] === import.meta.filename) {
  const { commit, date, passed, failed, seconds } = last() ?? {};
  console.log(
    commit === undefined
      ? ".ci/long did not run yet"
      : `${date}, ${commit.slice(0, 8)}: ${passed} passed, ${failed} failed, ${Math.round(seconds / 60)} minutes`,
  );
}
