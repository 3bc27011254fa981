// One page for each code of the error catalogue: from spec/errors.json, the clauses of the specification, and the cases of the
// conformance suite that must be refused with the code, each with what this library says about it.
import { readFileSync } from "node:fs";
import { validate } from "../dist/core/index.js";

const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url));
/** Files above this are named and not copied. */
const LARGEST = 64 * 1024;
/** Cases of which the validator's words are shown. */
const SHOWN = 25;

/** Pages as [path in the site, text]. `copy` receives the files they link to. */
export async function errorPages(copy) {
  const { classes, errors } = JSON.parse(read("spec/errors.json"));
  const { cases } = JSON.parse(read("conformance/suite/manifest.json"));
  const titles = new Map(
    [...String(read("spec/lqa-v1.md")).matchAll(/^#+ (\d+(?:\.\d+)*) (.*)$/gm)].map(([, clause, title]) => [
      clause,
      title,
    ]),
  );
  const pages = [];
  for (const { code, name, clause, summary, cause, advice } of errors) {
    const { name: kind, exit, meaning } = classes[code[0]];
    const refused = cases.filter(({ expected }) => expected.error?.name === name);
    const rule =
      clause === "-"
        ? "The specification says nothing about it: it is not about an .lqa file."
        : `[Clause ${clause}, ${titles.get(clause)}](/spec/lqa-v1#clause-${clause})`;
    pages.push([
      `errors/LQA-${code}`,
      `# LQA-${code} ${name}

${summary}

| fact | of this error |
|---|---|
| class | ${kind}: ${meaning} |
| exit code of \`lqa\` | ${exit} |
| rule | ${rule} |
| in code | \`isLqaError(error, "${name}")\` |

## Likely cause

${cause}

## What to do

${advice}

## In the conformance suite

${await table(refused, copy)}

[All codes](/docs/errors) · [What the facts of an error mean](/spec/lqa-v1#clause-15.4)
`,
    ]);
  }
  return pages;
}

async function table(refused, copy) {
  if (refused.length === 0) return "No case of the suite is refused with this code.";
  const rows = ["| case | expected | found | at byte | where |", "|---|---|---|---|---|"];
  for (const one of refused.slice(0, SHOWN)) {
    const { findings } = await validate(new Uint8Array(read(`conformance/suite/${one.file}`)), {
      level: one.level,
    });
    const { expected, actual, offset, where } =
      findings.find(({ kind }) => kind === one.expected.error.name) ?? {};
    rows.push(`| ${caseName(one, copy)} | ${[expected, actual, offset, where].map(cell).join(" | ")} |`);
  }
  const rest = refused.slice(SHOWN).map((one) => caseName(one, copy));
  return `${refused.length} ${refused.length === 1 ? "case is" : "cases are"} refused with this code. What this library says of ${rest.length === 0 ? "them" : `the first ${SHOWN}`}:

${rows.join("\n")}
${rest.length === 0 ? "" : `\nThe others: ${rest.join(", ")}.\n`}`;
}

function caseName({ id, file, bytes }, copy) {
  if (bytes > LARGEST) return `\`${id}\``;
  copy(`conformance/suite/${file}`);
  return `[\`${id}\`](/conformance/suite/${file})`;
}

/** A fact as a cell: what files say may hold anything. */
function cell(fact) {
  if (fact === undefined || fact === null) return "";
  const text = String(fact).replace(
    /[\p{C}|`<>{}\\]/gu,
    (one) => `\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`,
  );
  return `\`${text.length > 90 ? `${text.slice(0, 89)}…` : text}\``;
}
