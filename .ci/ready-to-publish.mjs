// Run by `npm publish` (prepublishOnly): what has to be true of a release, and what `--provenance` asks for. Prints what is
// not, and ends with code 1.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const read = (name) => readFileSync(join(root, name), "utf8");
const { version, repository, publishConfig } = JSON.parse(read("package.json"));
const git = (...words) => execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim();
const problems = [];
const demand = (condition, problem) => void (condition || problems.push(problem));

demand(
  /^git\+https:\/\/.+\.git$/.test(repository?.url ?? ""),
  'package.json: "repository": {"type": "git", "url": "git+https://….git"} is missing; provenance names the repository that built the package',
);
demand(publishConfig?.provenance === true, 'package.json: "publishConfig": {"provenance": true} is missing');
demand(
  process.env.CI !== undefined,
  "not in CI: provenance is signed by the service that builds the package",
);
demand(
  new RegExp(`^## \\[${version.replaceAll(".", "\\.")}\\] - \\d{4}-\\d\\d-\\d\\d$`, "m").test(
    read("CHANGELOG.md"),
  ),
  `CHANGELOG.md: no section "## [${version}] - date"`,
);
demand(
  existsSync(join(root, "conformance/frozen.json")),
  "conformance/frozen.json is missing: node conformance/freeze.mjs freezes format 1.0, of which the first release is the last candidate",
);
demand(git("status", "--porcelain") === "", "the tree has changes that are not committed");
demand(
  git("tag", "--points-at", "HEAD").split("\n").includes(`v${version}`),
  `the commit has no tag v${version}`,
);

for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
