// What a release needs, each with what is missing and what to do: `npm run release:check`. With --publish, which `npm publish`
// runs (prepublishOnly), also what is true only in the workflow, on the tagged commit; then only what is missing is printed. Ends
// with code 1 if anything is missing.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { passedOnThisCommit } from "./long-result.mjs";
import { repositoryAddress } from "./repository-address.mjs";

const root = join(import.meta.dirname, "..");
const publishing = process.argv.includes("--publish");
const read = (name) => readFileSync(join(root, name), "utf8");
const git = (...words) => execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim();
const { version, publishConfig } = JSON.parse(read("package.json"));

const VERSIONS = [
  ["package-lock.json", () => JSON.parse(read("package-lock.json")).version],
  ["jsr.json", () => JSON.parse(read("jsr.json")).version],
  ["src/version.ts", () => /"(\d+\.\d+\.\d+[^"]*)"/.exec(read("src/version.ts"))?.[1]],
  [
    "integrations/python/pyproject.toml",
    () => /^version = "(.+)"$/m.exec(read("integrations/python/pyproject.toml"))?.[1],
  ],
];
const others = VERSIONS.filter(([, of]) => of() !== version).map(([file]) => file);
const dated = new RegExp(`^## \\[${version.replaceAll(".", "\\.")}\\] - \\d{4}-\\d\\d-\\d\\d$`, "m");

/** Name, whether it is true, and what to do if not. */
const checks = [
  [
    "address of the repository",
    repositoryAddress() !== undefined,
    'add "repository": {"type": "git", "url": "git+https://….git"} to package.json: npm, PyPI and the site read it from there, and provenance names it',
  ],
  [
    "provenance",
    publishConfig?.provenance === true,
    'add "publishConfig": {"provenance": true} to package.json',
  ],
  ["one version", others.length === 0, `write ${version} into ${others.join(", ")}`],
  [
    "date of the release",
    dated.test(read("CHANGELOG.md")),
    `CHANGELOG.md: write the heading "## [${version}] - date"`,
  ],
  [
    "frozen format",
    existsSync(join(root, "conformance/frozen.json")),
    "conformance/frozen.json is missing: node conformance/freeze.mjs freezes the clauses and cases of format 1.0",
  ],
  [
    "README without “not on npm yet”",
    !read("README.md").includes("is not on npm or PyPI yet"),
    "README.md: say how to install the released packages",
  ],
  ["long checks", passedOnThisCommit(), "run .ci/long on this commit, and commit .ci/long.json"],
  ["no changes", git("status", "--porcelain") === "", "commit or remove the changes in the tree"],
  [
    "tag",
    git("tag", "--points-at", "HEAD").split("\n").includes(`v${version}`),
    `tag the commit: git tag --sign v${version}`,
  ],
];
if (publishing) {
  checks.push([
    "CI",
    process.env.CI !== undefined,
    "publish from the workflow: the service that builds signs provenance",
  ]);
}

const missing = checks.filter(([, ok]) => !ok);
if (publishing) {
  for (const [name, , cure] of missing) console.error(`${name}: ${cure}`);
} else {
  for (const [name, ok, cure] of checks) console.log(ok ? `ok       ${name}` : `missing  ${name}: ${cure}`);
  console.log(
    missing.length > 0
      ? `\n${missing.length} of ${checks.length} missing.`
      : "\nNothing missing that a program can see.",
  );
  console.log("A person checks accounts and trusted publishing: docs/releasing.md, “What the owner does”.");
}
process.exit(missing.length > 0 ? 1 : 0);
