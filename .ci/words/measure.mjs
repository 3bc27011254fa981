// Measures how the pages read: words of a page, the length of the middle sentence and of the longest, and the reading grade of
// Flesch and Kincaid. Exit code 1 if the middle sentence of a page for newcomers is too long, or any sentence of the documentation, or
// if the specification is too long; of it, tables and code count too.
// Prose and lists count; code, tables and headings do not. A grade is a guide: technical words have many syllables.
//
//   node .ci/words/measure.mjs [--since COMMIT]      a table; with --since, next to the values at that commit
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const root = join(import.meta.dirname, "../..");
/** Pages that were renamed: the name now, and the name before. */
const RENAMED = { "docs/how-it-works.md": "docs/guide.md" };
/** Written by programs, or history. */
const LEFT_OUT =
  /^(CHANGELOG|docs\/(errors|attacks)|conformance\/(coverage|reader-checks)|test\/.*|bench\/functional\/tables)\.md$/;

/** Pages that a newcomer reads, and the most words of their middle sentence. */
const NEWCOMERS = /^(README|docs\/(how-it-works|features|faq|comparison|guide\/.*))\.md$/;
const MOST_MIDDLE = 20;
/** Pages without a sentence that is longer than this. */
const DOCUMENTATION = /^(README|CONTRIBUTING|SECURITY|docs\/.*)\.md$/;
const MOST_LONGEST = 35;
/** The specification: most words of all of it and of Part 1, tables and code included, and of a sentence. */
const SPECIFICATION = { page: "spec/lqa-v1.md", all: 12000, part1: 4000, sentence: 60 };

const { values } = parseArgs({ options: { since: { type: "string" } } });
const git = (...words) =>
  execFileSync("git", words, { cwd: root, encoding: "utf8", maxBuffer: 2 ** 26, stdio: "pipe" });
const pages = git("ls-files", "--cached", "--others", "--exclude-standard", "*.md")
  .split("\n")
  .filter((page) => page !== "" && existsSync(join(root, page)) && !LEFT_OUT.test(page));

/** Sentences of prose and lists, without markup. */
function sentences(text) {
  const prose = text
    .replace(/^---\n[\s\S]*?\n---\n/, "")
    .replace(/<!--[\s\S]*?-->|^(```|~~~)[\s\S]*?^\1|^\|.*$|^#.*$|^ {4,}.*$|<[^>]+>/gm, "\n\n")
    .replace(/!\[([^\]]*)\]\([^)]*\)/g, "\n\n$1\n\n")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/`[^`\n]*`/g, "code")
    .replace(/[*_]/g, "");
  return prose
    .split(/\n\s*\n|^\s*(?:[-+]|\d+\.)\s+|\s·\s/m)
    .flatMap((part) => part.replace(/\s+/g, " ").split(/(?<=[.!?:;])\s+(?=["“(]?[A-Z0-9])|(?<=[.!?])\s+/))
    .map((sentence) => sentence.match(/[\p{L}\p{N}][\p{L}\p{N}'’.,×%/-]*/gu) ?? [])
    .filter((words) => words.length > 1);
}

const syllables = (word) =>
  Math.max(
    1,
    (
      word
        .toLowerCase()
        .replace(/e$/, "")
        .match(/[aeiouy]+/g) ?? []
    ).length,
  );

/** Words, middle and longest sentence, and grade of a page; undefined without prose. */
function measure(text) {
  const all = sentences(text);
  if (all.length === 0) return undefined;
  const lengths = all.map(({ length }) => length).sort((x, y) => x - y);
  const words = all.flat();
  const sounds = words.reduce((sum, word) => sum + syllables(word), 0);
  return {
    words: words.length,
    middle: lengths[lengths.length >> 1],
    longest: lengths.at(-1),
    sentence: all.find(({ length }) => length === lengths.at(-1)).join(" "),
    grade: 0.39 * (words.length / all.length) + 11.8 * (sounds / words.length) - 15.59,
  };
}

/** Everything between spaces that has a letter or a digit: also numbers, names and bytes in tables and code, but not lines of tables. */
const countAll = (text) => text.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;

/** What is too long in the specification: a text for each. */
function tooLong(text, longest) {
  const part1 = /^# Part 1: [\s\S]*?(?=^# Part 2: )/m.exec(text)[0];
  return [
    ["the document", countAll(text), SPECIFICATION.all],
    ["Part 1", countAll(part1), SPECIFICATION.part1],
    ["a sentence", longest, SPECIFICATION.sentence],
  ].flatMap(([what, found, most]) => {
    console.error(`${SPECIFICATION.page}: ${what} has ${found} words of ${most}`);
    return found > most ? [`${what} has ${found} words; ${most} are enough`] : [];
  });
}

function before(page) {
  try {
    return measure(git("show", `${values.since}:${RENAMED[page] ?? page}`));
  } catch {
    return undefined;
  }
}

const cells = (found) =>
  found === undefined
    ? ["–", "–", "–", "–"]
    : [found.words, found.middle, found.longest, found.grade.toFixed(1)];
const row = (list) => console.log(`| ${list.join(" | ")} |`);
const head = ["words", "middle sentence", "longest", "grade"];
row(["page", ...(values.since === undefined ? head : head.flatMap((name) => [`${name} before`, name]))]);
row(["---", ...Array((values.since === undefined ? 1 : 2) * head.length).fill("--:")]);
for (const page of pages) {
  const now = measure(readFileSync(join(root, page), "utf8"));
  if (now === undefined) continue;
  const [was, is] = [values.since === undefined ? [] : cells(before(page)), cells(now)];
  row([`\`${page}\``, ...(values.since === undefined ? is : is.flatMap((value, i) => [was[i], value]))]);
  const complain = (text) => {
    console.error(`${page}: ${text}`);
    process.exitCode = 1;
  };
  if (NEWCOMERS.test(page) && now.middle > MOST_MIDDLE)
    complain(`the middle sentence has ${now.middle} words; ${MOST_MIDDLE} are enough`);
  if (page === SPECIFICATION.page)
    for (const text of tooLong(readFileSync(join(root, page), "utf8"), now.longest)) complain(text);
  if (DOCUMENTATION.test(page) && now.longest > MOST_LONGEST)
    complain(`a sentence has ${now.longest} words; ${MOST_LONGEST} are enough: ${now.sentence}`);
}
