// Checks the words of what people read: spelling of pages (cspell), and the phrases of words.yml in pages (textlint) and in the
// comments and texts of sources (sources.mjs). Installs the tools once, from the lock file of this folder:
//
//   node .ci/words/check.mjs
//
// Exit code 1 if something was found. A new name goes into spelling.txt.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const here = import.meta.dirname;
const root = join(here, "../..");
const SOURCES = ["src", "test", "bench", "conformance", "examples", "fuzz", "integrations", "site"];
const FOLDERS = ["docs", "spec", "conformance", "integrations", "bench", "fuzz", "examples"];
/** Frozen, history, or written by programs: their spelling is checked, their phrases stay. */
const SPELLING_ONLY =
  /^(spec\/.*|CHANGELOG|docs\/(errors|attacks)|conformance\/(coverage|reader-checks))\.md$/;

/** Files below folders that are part of the project: not what was installed or written by programs. */
function files(folders, ending) {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map((name) => `${folder}/${name}`),
    )
    .filter(
      (name) =>
        ending.test(name) && !/\/(node_modules|\.[^/]+|build|dist|gathered|generated|results)\//.test(name),
    );
}
const pages = [
  ...["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"],
  ...files(FOLDERS, /\.md$/),
];

function run(command, ...words) {
  const { status, error } = spawnSync(command, words, { cwd: root, stdio: "inherit" });
  if (error) throw error;
  return status;
}
const tool = (name) => join(here, "node_modules/.bin", name);

if (
  !existsSync(tool("textlint")) &&
  run("npm", "ci", "--no-progress", "--ignore-scripts", "--prefix", here) !== 0
)
  process.exit(1);
const phrases = run(
  tool("textlint"),
  ...["--config", join(here, "textlintrc.json")],
  ...pages.filter((page) => !SPELLING_ONLY.test(page)),
);
const spelling = run(
  tool("cspell"),
  "--config",
  join(here, "cspell.json"),
  "--no-progress",
  "--no-summary",
  ...pages,
);
// Imported here, since its library was installed above.
const { checkSources } = await import("./sources.mjs");
const found = checkSources(root, files(SOURCES, /(?<!\.wasm|\.d)\.(ts|mjs)$/));
process.exit(phrases || spelling || found > 0 ? 1 : 0);
