/**
 * Prints errors for people and programs.
 *
 * For people, on stderr: what is wrong, what was expected and found, where, and what to do. For programs (`--json`), on
 * stdout: `{"error": {…}}` with the same facts under stable keys. A bug in this program is reported as one.
 *
 * @module
 */
import { isLqaError, type LqaError } from "../errors.ts";
import { jsonText, printable } from "./format.ts";
import { type Fact, facts, hanging, type Paper, textRoom } from "./layout.ts";
import { inWords, mistake } from "./mistake.ts";
import type { Terminal } from "./terminal.ts";

/** An error in the output of `--json`. Unknown facts are null. */
export interface ErrorJson {
  readonly code: string;
  readonly kind: string;
  readonly class: string | null;
  readonly message: string;
  /** What happened, in one sentence; `message` has the other facts too. */
  readonly summary: string;
  readonly offset: number | null;
  readonly where: string | null;
  readonly expected: string | number | null;
  readonly actual: string | number | null;
  readonly clause: string | null;
  readonly advice: string;
}

/** Exit code for a bug in this program (EX_SOFTWARE of sysexits.h), distinct from every code that a file can cause. */
export const EXIT_INTERNAL = 70;

/** Exit codes by severity, the most severe last. */
const SEVERITY = [0, 1, 3, 4, 2];

/** The exit code of a command on many files: the most severe one, or 0 if there are no files. */
export function worstExitCode(codes: readonly number[]): number {
  return codes.reduce((worst, code) => (SEVERITY.indexOf(code) > SEVERITY.indexOf(worst) ? code : worst), 0);
}

/** The facts of an error that are printed. LqaError and the findings of the validator have them. */
export type Described = Pick<
  LqaError,
  "code" | "kind" | "class" | "clause" | "summary" | "advice" | "message"
> & {
  readonly expected?: string | number | null | undefined;
  readonly actual?: string | number | null | undefined;
  readonly offset?: number | null | undefined;
  readonly where?: string | null | undefined;
  readonly cause?: unknown;
};

/** Converts an error to its JSON form. */
export function errorJson(error: Described): ErrorJson {
  return {
    code: error.code,
    kind: error.kind,
    class: error.class,
    message: error.message,
    summary: error.summary,
    offset: error.offset ?? null,
    where: error.where ?? null,
    expected: error.expected ?? null,
    actual: error.actual ?? null,
    clause: error.clause === "-" ? null : error.clause,
    advice: error.advice,
  };
}

/** Formats an error as lines for people. */
export function errorLines(error: Described, paper: Paper, more: readonly Fact[] = []): string[] {
  const text = (value: string | number | null | undefined): string | undefined =>
    value === undefined || value === null ? undefined : printable(String(value));
  const own = mistake(error);
  const expected = own && error.expected ? inWords(String(error.expected)) : error.expected;
  const rows: Fact[] = [
    ["found", own === undefined ? text(error.actual) : undefined],
    ["expected", own?.mistake.endsWith(` has no ${expected}`) ? undefined : text(expected)],
    ["where", text(own === undefined ? error.where : own.where)],
    ["at byte", text(error.offset)],
    ["rule", error.clause === "-" ? undefined : `specification, clause ${error.clause}`],
    ["what to do", text(error.advice)],
    ...more,
  ];
  return [
    ...hanging(
      "lqa: ",
      `${own === undefined ? error.summary.replace(/\.$/, "") : printable(own.mistake)} (${paper.colors.red(error.code)} ${error.kind})`,
      textRoom(paper),
    ),
    ...facts(rows, paper),
  ];
}

/** Reports what a command threw. Returns the exit code. */
export function reportError(error: unknown, json: boolean, terminal: Terminal): number {
  terminal.endProgress();
  if (!isLqaError(error)) return reportDefect(error, json, terminal);
  if (json) terminal.out(jsonText({ error: errorJson(error) }));
  else terminal.err(`${errorLines(error, terminal.errors, more(error)).join("\n")}\n`);
  showStack(error, terminal);
  return error.exitCode;
}

/** Points to more information, unless the error comes from the operating system or the command line. */
function more({ class: letter, code }: LqaError): Fact[] {
  return letter === "X" ? [] : [["more", `lqa explain ${code}`]];
}

function reportDefect(error: unknown, json: boolean, terminal: Terminal): number {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const advice = "This is a bug in lqa, sorry. Please report it with what --verbose shows in addition.";
  if (json) {
    const empty = { class: null, offset: null, where: null, expected: null, actual: null, clause: null };
    const body = { code: "LQA-INTERNAL", kind: "INTERNAL", ...empty, message: text, advice };
    terminal.out(jsonText({ error: body }));
  } else {
    const sentence = `internal error: ${printable(text.split("\n")[0]!)}. ${advice}`;
    terminal.err(`${hanging("lqa: ", sentence, textRoom(terminal.errors)).join("\n")}\n`);
  }
  showStack(error, terminal);
  return EXIT_INTERNAL;
}

function showStack(error: unknown, terminal: Terminal): void {
  if (process.env.LQA_DEBUG !== "1" && !terminal.verbose) return;
  for (let at = error; at instanceof Error; at = at.cause)
    terminal.err(`${(at.stack ?? at.message).split("\n").map(printable).join("\n")}\n`);
}
