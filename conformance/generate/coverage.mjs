// coverage.md: which clauses of the specification have files that keep them and files that break them, and how often each
// error occurs. What has too little fails the generator.
import { readFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(`../../spec/${path}`, import.meta.url), "utf8");

/** Clauses whose MUSTs a file cannot show, each with the reason. */
const ELSEWHERE = {
  2.1: "says what the words mean",
  2.2: "sums up what other clauses ask of readers and writers",
  2.4: "is about decoders, not about what a file may hold: conformance/run --decoder",
  2.3: "every case: an answer is a document, an error or an omission",
  9.5: "is about a base model",
  10.6: "is about a base model: test/cli/base-digest.test.ts; a file that has the key is valid/section/meta-base-digest",
  10.5: "is about editors, not about what a file may hold",
  15.1: "the exit code of every case is compared with it",
  17: "what readers do with names; the names are in valid/name/paths and valid/name/properties",
};
/** Clauses that no single file breaks. */
const POSITIVE_ONLY = {
  8.7: "a decoder that breaks it gives other hashes",
  12.1: "files that are not canonical have to be accepted: canonical/accepted",
  14.1: "only a device reader may refuse limits/above-device: test/conformance/device.test.ts",
  13.2: "what HTTP adds (status, Content-Range, entity tags) is in test/io/http.test.ts",
};
/** Errors that neither a file nor a file with a base model of the suite can cause. */
const ELSEWHERE_ERRORS = {
  PARENT_MISSING: "is about weights that cannot be had: valid/parent/child-without-its-parent",
  BASE_WEIGHTS: "is about the digest of a base model's weights",
};
const LEAST = 3;

/** The checks of clause 15.2 in their order, each with its step. */
export const CHECKS = JSON.parse(read("checks.json")).flatMap(({ step, checks }) =>
  checks.map((check, i) => ({ ...check, number: `${step}.${i + 1}`, errors: [check.error].flat() })),
);

/** Whether a case with this error can be one that fails at this check. */
function failsAt({ errors, cases = ["*"] }, { id, expected }) {
  if (!errors.includes(expected.error.name)) return false;
  const name = id.replace(/^invalid\//, "");
  return cases.some((glob) =>
    new RegExp(`^${glob.replace(/[.\\/]/g, "\\$&").replaceAll("*", ".*")}$`).test(name),
  );
}

/** Rows of the table of checks, each with the number of cases; what has none is missing. */
function checkRows(cases, missing) {
  const refused = cases.filter(
    ({ expected, operation }) => !expected.valid && operation === undefined && expected.error.class !== "B",
  );
  for (const c of refused)
    if (!CHECKS.some((check) => failsAt(check, c))) missing.push(`${c.id} fails at no check of checks.json`);
  return CHECKS.map((check) => {
    const own = refused.filter((c) => failsAt(check, c));
    if (own.length === 0) missing.push(`check ${check.id} has no case`);
    const names = check.errors.map((name) => `\`${name}\``).join(", ");
    return `| ${check.number} | ${check.id} | ${names} | ${own.length} | \`${own[0]?.id}\` |`;
  });
}

/** [{ number, title, musts }] of the specification, in order. */
export function clauses() {
  const found = [];
  for (const line of read("lqa-v1.md").split("\n")) {
    const heading = /^#{2,4} (\d+(?:\.\d+)*) (.*)$/.exec(line);
    if (heading) found.push({ number: heading[1], title: heading[2].replace(/`/g, ""), musts: 0 });
    else if (found.length > 0) found.at(-1).musts += (line.match(/\bMUST\b/g) ?? []).length;
  }
  return found;
}

/** The text of coverage.md, and what is missing. */
export function coverage(cases) {
  const missing = [];
  const numbers = clauses();
  const known = new Set(numbers.map(({ number }) => number));
  const good = new Map();
  const bad = new Map();
  const errors = new Map();
  for (const { id, clauses: own, expected } of cases) {
    for (const clause of own) {
      if (!known.has(clause)) missing.push(`${id}: there is no clause ${clause}`);
      const map = expected.valid ? good : bad;
      map.set(clause, [...(map.get(clause) ?? []), id]);
    }
    if (!expected.valid) errors.set(expected.error.name, (errors.get(expected.error.name) ?? 0) + 1);
  }
  const example = (list = []) => (list.length === 0 ? "" : `\`${list[0]}\``);
  const rows = numbers.map(({ number, title, musts }) => {
    const [keeps, breaks] = [good.get(number) ?? [], bad.get(number) ?? []];
    if (musts > 0 && !(number in ELSEWHERE)) {
      if (keeps.length === 0)
        missing.push(`clause ${number} (${title}) has ${musts} MUST and no file that keeps it`);
      if (breaks.length === 0 && !(number in POSITIVE_ONLY))
        missing.push(`clause ${number} (${title}) has ${musts} MUST and no file that breaks it`);
    }
    const note = ELSEWHERE[number] ?? (breaks.length === 0 ? (POSITIVE_ONLY[number] ?? "") : "");
    return `| ${number} | ${title} | ${musts || ""} | ${keeps.length || ""} | ${breaks.length || ""} | ${note || [example(keeps), example(breaks)].filter(Boolean).join(", ")} |`;
  });
  const catalogue = JSON.parse(read("errors.json"));
  const ofFormat = catalogue.errors.filter(({ code, clause }) => clause !== "-" && !"XS".includes(code[0]));
  const codes = ofFormat.map(({ code, name }) => {
    const count = errors.get(name) ?? 0;
    if (count < LEAST && !(name in ELSEWHERE_ERRORS))
      missing.push(`${name} occurs ${count} times, not ${LEAST}`);
    return `| LQA-${code} | \`${name}\` | ${ELSEWHERE_ERRORS[name] ?? count} |`;
  });
  const rowsOfChecks = checkRows(cases, missing);
  const valid = cases.filter(({ expected }) => expected.valid).length;
  const text = `# Coverage

_Generated by \`generate.mjs\`. Do not edit._

${cases.length} cases: ${valid} files or readings of files that are accepted, ${cases.length - valid} that are refused; and three tables of mutations.

## Clauses

MUST: how often the word occurs in the clause, MUST NOT included. Kept, broken: cases that name the clause and are accepted, or
refused for breaking it. A clause with a MUST has both, or says why not; the generator fails otherwise.

| clause | title | MUST | kept | broken | for example |
| --- | --- | --- | --- | --- | --- |
${rows.join("\n")}

## Checks

The rows of the table in clause 15.2, and the cases that can be the first to fail there.

| row | check | error | cases | for example |
| --- | --- | --- | --- | --- |
${rowsOfChecks.join("\n")}

## Errors

Each error that a file can have is the first one of at least ${LEAST} cases.

| code | name | cases |
| --- | --- | --- |
${codes.join("\n")}
`;
  return { text, missing };
}
