// What the release of a format version freezes, and whether it still holds: the text of each normative clause of the specification,
// the files that belong to it, every case of the suite with its file and result, and the files of conformance/gold/v1.0/.
//
//   node conformance/freeze.mjs --check   Exit code 1, and a line for each, if one of them has changed or is missing.
//   node conformance/freeze.mjs           Freezes what is not frozen yet: part of a release (docs/releasing.md).
//
// Until the first release there is no conformance/frozen.json: the text is a release candidate, and anything may change. From then
// on a vector never changes. A clause changes only with an entry in spec/errata.json: what changed, why, and the SHA-256 of the
// new text, which --check prints. New clauses and new cases are free.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FROZEN = "conformance/frozen.json";
const ERRATA = "spec/errata.json";
const GOLD = "conformance/gold/v1.0";
const SUITE = "conformance/suite";
const SPECIFICATION = "spec/lqa-v1.md";
/** Normative parts of the specification in files of their own. */
const COMPANIONS = [
  "spec/application.md",
  "schema/lqa.fbs",
  "spec/text-dictionary.txt",
  "spec/trellis-tables.json",
];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Clauses of a specification by number: their texts. What precedes the first one belongs to none. */
export function clausesOf(text) {
  return new Map(
    text.split(/^(?=#{2,4} )/m).flatMap((part) => {
      const number = /^#{2,4} ([0-9][0-9.]*) /.exec(part)?.[1];
      return number === undefined ? [] : [[number, part]];
    }),
  );
}

/** All that is frozen, as it is under `root` now: name to SHA-256. */
function state(root) {
  const read = (path) => readFileSync(join(root, path));
  const clauses = {};
  for (const [name, text] of clausesOf(read(SPECIFICATION).toString()))
    clauses[name] = sha256(text.trimEnd());
  for (const path of COMPANIONS) clauses[path] = sha256(read(path));

  const cases = {};
  const manifest = JSON.parse(read(`${SUITE}/manifest.json`));
  for (const { note: _, clauses: __, ...one } of [...manifest.cases, ...manifest.mutations]) {
    // What is said of a case may be said better; what it asks, and each file of it, may not change.
    const hash = createHash("sha256").update(JSON.stringify(one));
    for (const file of [one.file, one.base, one.table, one.repaired, one.table && `${one.id}.lqa`])
      if (file !== undefined && existsSync(join(root, SUITE, file))) hash.update(read(`${SUITE}/${file}`));
    cases[one.id] = hash.digest("hex");
  }
  const files = {};
  for (const entry of readdirSync(join(root, GOLD), { recursive: true, withFileTypes: true }))
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name)
        .slice(root.length)
        .replaceAll("\\", "/")
        .replace(/^\//, "");
      files[path] = sha256(read(path));
    }
  files["spec/example.lqa"] = sha256(read("spec/example.lqa"));
  return { clauses, cases, files };
}

/**
 * What of version 1.0 no longer holds under `root`, the repository's folder: a line each.
 *
 * @returns an empty array if all of it does, or if nothing is frozen yet
 */
export function broken(root) {
  if (!existsSync(join(root, FROZEN))) return [];
  const frozen = JSON.parse(readFileSync(join(root, FROZEN), "utf8"));
  const errata = JSON.parse(readFileSync(join(root, ERRATA), "utf8"));
  const now = state(root);
  const problems = [];
  for (const [clause, hash] of Object.entries(frozen.clauses)) {
    const allowed = errata.filter((one) => one.clause === clause).at(-1)?.sha256 ?? hash;
    if (now.clauses[clause] === allowed) continue;
    const found = now.clauses[clause];
    problems.push(
      found === undefined
        ? `${clause}: it is frozen, and is gone`
        : `${clause}: it is frozen, and was changed; undo that, or add to ${ERRATA} what changed, why, and "sha256": "${found}"`,
    );
  }
  for (const part of ["cases", "files"])
    for (const [name, hash] of Object.entries(frozen[part]))
      if (now[part][name] !== hash)
        problems.push(
          `${name}: a vector of 1.0 ${now[part][name] === undefined ? "is gone" : "was changed"}; it has to stay as it was`,
        );
  return problems;
}

/** Adds to what is frozen under `root` all that is not frozen yet. */
export function freeze(root) {
  const path = join(root, FROZEN);
  const frozen = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  const now = state(root);
  for (const part of ["clauses", "cases", "files"]) frozen[part] = { ...now[part], ...frozen[part] };
  writeFileSync(path, `${JSON.stringify(frozen, null, 1)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  if (process.argv[2] === "--check") {
    const problems = broken(root);
    for (const problem of problems) console.error(problem);
    const candidate = !existsSync(join(root, FROZEN));
    const found = problems.length === 0 ? "as it was frozen" : `${problems.length} changes`;
    console.log(candidate ? "version 1.0: a release candidate, nothing is frozen" : `version 1.0: ${found}`);
    process.exitCode = problems.length === 0 ? 0 : 1;
  } else {
    freeze(root);
  }
}
