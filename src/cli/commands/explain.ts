/**
 * `lqa explain`: explain an error code or print a clause of the specification. It reads both from the package's own `spec/`,
 * which has the same relative path from `src/cli/commands` and from `dist/cli/commands`.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import * as KIND from "../../error-catalogue.ts";
import { LqaError } from "../../errors.ts";
import type { Arguments } from "../command.ts";
import { jsonText } from "../format.ts";
import { facts, type Paper, table, textWidth, wrap } from "../layout.ts";
import { nearest } from "../suggest.ts";
import type { Terminal } from "../terminal.ts";

interface CatalogueEntry {
  readonly code: string;
  readonly name: string;
  readonly clause: string;
  readonly summary: string;
  readonly cause: string;
  readonly advice: string;
}

interface Catalogue {
  readonly classes: Readonly<Record<string, { name: string; exit: number; meaning: string }>>;
  readonly errors: readonly CatalogueEntry[];
}

interface Clause {
  readonly number: string;
  readonly title: string;
  /** Markdown source, as in the specification. */
  readonly text: string;
}

/** @throws LqaError USAGE if there is no such code and no such clause */
export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const word = args.positionals[0]!;
  const specification = await read("lqa-v1.md");
  const json = args.values.has("json");
  const clause = /^\d+(\.\d+)*$/.test(word) ? findClause(specification, word) : undefined;
  if (clause !== undefined) {
    terminal.out(json ? jsonText(clause) : `${clauseText(clause, terminal)}\n`);
    return 0;
  }
  const { classes, errors } = JSON.parse(await read("errors.json")) as Catalogue;
  const asked = word.toUpperCase().replace(/^LQA-/, "");
  const entry = errors.find(({ code, name }) => code === asked || name === asked);
  if (entry === undefined) throw unknown(word, asked, errors);
  const { code, name: kind, summary, cause, advice } = entry;
  const { name, exit, meaning } = classes[code[0]!]!;
  const rule = findClause(specification, entry.clause);
  if (json) {
    const facts = { code: `LQA-${code}`, kind, class: name, exitCode: exit, summary, cause, advice };
    terminal.out(jsonText({ ...facts, clause: rule ?? null }));
    return 0;
  }
  const { colors, width: room } = terminal;
  const lines = [
    `${colors.red(`LQA-${code}`)} ${kind}`,
    ...facts(
      [
        ["meaning", summary],
        ["class", `${name}: ${meaning}`],
        ["exit code", String(exit)],
        ["likely cause", cause],
        ["what to do", advice],
      ],
      { colors, room },
    ),
    ...(rule === undefined ? [] : ["", clauseText(rule, terminal)]),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}

const read = (name: string): Promise<string> =>
  readFile(new URL(`../../../spec/${name}`, import.meta.url), "utf8");

/** A clause with its subclauses, wherever they stand in the specification, or undefined. */
function findClause(specification: string, number: string): Clause | undefined {
  const parts = specification.replace(/<!--.*?-->\n/g, "").split(/^(?=#+ )/m);
  const own = parts.flatMap((part) => {
    const [line, found, title] = /^#+ (\d+(?:\.\d+)*) (.*)\n/.exec(part) ?? [];
    const wanted = found === number || found?.startsWith(`${number}.`);
    return wanted ? [{ line: line!, number: found!, title: title!, part }] : [];
  });
  const clause = own.find((one) => one.number === number);
  if (clause === undefined) return undefined;
  const below = own.filter((one) => one !== clause).map(({ part }) => part);
  const text = [clause.part.slice(clause.line.length), ...below].join("");
  return { number, title: clause.title, text: text.trim() };
}

/** Wraps paragraphs, lays tables out, and leaves code unchanged. */
function clauseText({ number, title, text }: Clause, { colors, width: room }: Terminal): string {
  const blocks = text.match(/^```[\s\S]*?^```$|(?:^\|.*\n?)+|^.*$/gm)!;
  const lines = blocks.flatMap((block) => {
    if (block.startsWith("|")) return tableLines(block, { colors, room });
    const whole = block.startsWith("```") ? block.split("\n") : wrap(block, room - 2);
    return whole.map((line) => (line === "" ? "" : `  ${line}`));
  });
  return [colors.bold(`Clause ${number}, ${title}`), ...lines].join("\n");
}

/** Lays out a Markdown table for the terminal; the last column wraps. A wider table becomes facts, row by row. */
function tableLines(block: string, paper: Paper): string[] {
  const [titles, marks, ...rows] = block
    .trim()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const columns = titles!.map((title, i) => ({
    title,
    right: marks![i]!.endsWith(":"),
    ...(i === titles!.length - 1 ? { narrow: "wrap" as const } : {}),
  }));
  const lines = table(columns, rows, paper);
  if (lines.every((line) => textWidth(line) <= paper.room)) return lines;
  return rows.flatMap((row, place) => [
    ...(place === 0 ? [] : [""]),
    ...facts(
      row.map((cell, i) => [titles![i]!, cell === "" ? undefined : cell]),
      paper,
    ),
  ]);
}

function unknown(word: string, asked: string, errors: readonly CatalogueEntry[]): LqaError {
  const codes = errors.flatMap(({ code, name }) => [code, name]);
  const meant = /^[\d.]+$/.test(word) ? undefined : nearest(asked, codes);
  return new LqaError(KIND.USAGE, {
    actual: JSON.stringify(word),
    expected: "a code such as LQA-M012, its name, or the number of a clause",
    where: "lqa explain",
    advice: meant === undefined ? "docs/errors.md lists all codes." : `Did you mean ${meant}?`,
  });
}
