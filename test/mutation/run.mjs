// npm run mutation: removes, one after the other, every check and every other part of the reader (src/core/container,
// src/core/codecs, src/common) and asks the conformance suite and the tests whether they notice. Writes coverage/mutation/report.md,
// which is not committed: its numbers hold only for the sources they were measured on.
//
//   (cd test/mutation && npm ci)
//   node test/mutation/run.mjs [GROUP...]          groups of groups.mjs, all by default; one takes minutes
//   node test/mutation/run.mjs --report            only the report
//
// Results are stored in coverage/mutation: only mutants of lines that have changed, or that changed tests reach, are tried
// again. The report holds the groups whose files have not changed since they were measured, and names the others.
// LQA_MUTATION_JOBS is the number of processes (default 1).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { KINDS as EQUIVALENT, reasonOf } from "./equivalent.mjs";
import { groups } from "./groups.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const packages = join(import.meta.dirname, "node_modules");
const stryker = join(packages, "@stryker-mutator/core/bin/stryker.js");
const [onlyReport, named] = [
  process.argv.includes("--report"),
  process.argv.slice(2).filter((a) => a !== "--report"),
];
const unknown = named.filter((name) => groups[name] === undefined);
if (unknown.length > 0) {
  console.error(`expected groups of ${Object.keys(groups).join(", ")}; found ${unknown.join(", ")}`);
  process.exit(2);
}
if (!existsSync(stryker)) {
  console.error("StrykerJS is not installed: (cd test/mutation && npm ci)");
  process.exit(2);
}
const wanted = named.length > 0 ? named : Object.keys(groups);
for (const group of onlyReport ? [] : wanted) {
  const { status } = spawnSync(process.execPath, [stryker, "run", "test/mutation/stryker.mjs"], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, LQA_MUTATION_ROOT: root, LQA_MUTATION_GROUP: group },
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** What is known of a group: { date, files }; undefined if it was not measured, or its sources have changed since. */
function measured(group) {
  const path = join(root, "coverage/mutation", `${group}.json`);
  if (!existsSync(path)) return undefined;
  const { files } = JSON.parse(readFileSync(path, "utf8"));
  const current = ([name, { source }]) => readFileSync(join(root, name), "utf8") === source;
  return Object.entries(files).every(current)
    ? { date: statSync(path).mtime.toISOString().slice(0, 10), files }
    : undefined;
}

const version = (path) => JSON.parse(readFileSync(join(path, "package.json"), "utf8")).version;
const all = Object.keys(groups).map((group) => [group, measured(group)]);
const known = all.filter(([, found]) => found !== undefined);
const rest = all.filter(([, found]) => found === undefined).map(([group]) => group);
const rows = [];
const alive = [];
for (const [, { date, files }] of known)
  for (const [name, { mutants, source }] of Object.entries(files).sort()) {
    const lines = source.split("\n");
    const row = { name, date, killed: 0, endless: 0, alive: 0, ignored: 0 };
    for (const { status, location, mutatorName, replacement = "" } of mutants) {
      if (status === "Ignored") row.ignored++;
      else if (status === "Timeout") row.endless++;
      else if (status === "Killed") row.killed++;
      else {
        row.alive++;
        const { line } = location.start;
        const about = { name, line, text: lines[line - 1].trim(), mutatorName, replacement, status };
        alive.push({ ...about, reason: reasonOf(about) });
      }
    }
    rows.push(row);
  }

const KINDS = ["killed", "endless", "alive"];
const mutantsOf = (row) => KINDS.reduce((sum, kind) => sum + row[kind], 0);
const share = (row) =>
  mutantsOf(row) === 0 ? "" : `${((100 * (mutantsOf(row) - row.alive)) / mutantsOf(row)).toFixed(1)} %`;
const line = (row) =>
  `| ${[row.name, mutantsOf(row), ...KINDS.map((kind) => row[kind]), share(row), row.date].join(" | ")} |`;
const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
const total = {
  name: "**all of these**",
  date: "",
  ...Object.fromEntries(KINDS.map((kind) => [kind, sum(kind)])),
};
const cut = (text, most) => (text.length > most ? `${text.slice(0, most)} …` : text);
const code = (text) =>
  `\`${cut(text.replace(/\s+/g, " "), 90).replaceAll("|", "\\|").replaceAll("`", "'")}\``;
const listOf = (chosen) =>
  alive
    .filter(chosen)
    .map(
      ({ name, line, text, mutatorName, replacement, status }) =>
        `- ${name.slice("src/".length)} ${line}, ${mutatorName}: ${code(text)} → ${code(replacement === "" ? "nothing" : replacement)}${status === "NoCoverage" ? ", not reached" : ""}`,
    )
    .join("\n");

const text = `# Mutation report

_Written by \`npm run mutation\`. Do not edit._

Each mutant is the reader with one thing changed: a condition that is always true or never, a comparison off by one, a block, call
or operand left out. It is noticed if a case of the conformance suite or a test then fails (which of the two is not told apart: what
killed others before is tried first), or if it runs without end. What only the reader of an error message would notice is not
mutated (${sum("ignored")} places: \`test/mutation/ignore-messages.mjs\`). Cases that push a file in pieces, the tables of single bytes, and
tests that take a second or more are not run: they cost most of the time.

Of those that are alive, ${alive.filter(({ reason }) => reason).length} are known to be no different from the original (\`test/mutation/equivalent.mjs\`); nobody has sorted the
other ${alive.filter(({ reason }) => !reason).length}. All of them count. Of the cases that only happen to reach a mutant 150 are run, spread over the suite: a mutant that none of
them notices may be noticed by another one.

StrykerJS ${version(join(packages, "@stryker-mutator/core"))}, TypeScript ${version(join(root, "node_modules/typescript"))}, Node ${process.versions.node}, ${cpus()[0].model}.

| file | mutants | killed | endless | alive | noticed | measured |
| --- | --- | --- | --- | --- | --- | --- |
${rows.map(line).join("\n")}
${line(total)}

Not measured: ${rest.length === 0 ? "" : `the ${rest.length === 1 ? "group" : "groups"} ${rest.join(", ")} of \`test/mutation/groups.mjs\`; `}the encoder's search (\`src/encode/quantize/viterbi\`), the kernels (\`src/*/kernels\`), generated files, and
all other folders of \`src/\`.

## Mutants that are alive

${EQUIVALENT.map(({ reason }) => [reason, listOf((one) => one.reason === reason)])
  .filter(([, list]) => list !== "")
  .map(([reason, list]) => `### No different: ${reason}\n\n${list}\n`)
  .join("\n")}
### Not sorted

${listOf(({ reason }) => reason === undefined)}
`;
const report = join(root, "coverage/mutation/report.md");
mkdirSync(dirname(report), { recursive: true });
writeFileSync(report, text);
console.log(`${line(total)}\n${report}`);
