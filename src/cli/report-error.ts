/**
 * Errors as people and programs read them.
 *
 * For people, on stderr: what is wrong, what was expected and found, where, what to do. For programs (`--json`), on
 * stdout: `{"error": {…}}` with the same facts under stable keys. A defect of this program is said to be one.
 *
 * @module
 */
import { isLqaError, type LqaError } from "../errors.ts";
import { jsonText, printable } from "./format.ts";
import type { Terminal } from "./terminal.ts";

/** An error as `--json` shows it. Facts that are not known are null. */
export interface ErrorJson {
  readonly code: string;
  readonly kind: string;
  readonly class: string | null;
  readonly message: string;
  readonly offset: number | null;
  readonly where: string | null;
  readonly expected: string | number | null;
  readonly actual: string | number | null;
  readonly clause: string | null;
  readonly advice: string;
}

/** Exit code for a defect of this program (EX_SOFTWARE of sysexits.h), apart from everything a file can cause. */
export const EXIT_INTERNAL = 70;

/** Exit codes from harmless to worst: what a caller can least rely on comes last. */
const SEVERITY = [0, 1, 3, 4, 2];

/** The exit code of a command on many files: the worst of theirs, 0 if there are none. */
export function worstExitCode(codes: readonly number[]): number {
  return codes.reduce((worst, code) => (SEVERITY.indexOf(code) > SEVERITY.indexOf(worst) ? code : worst), 0);
}

/** The part of an error that is shown: LqaError has it, and so have the findings of the validator. */
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

/** The JSON form of an error. */
export function errorJson(error: Described): ErrorJson {
  return {
    code: error.code,
    kind: error.kind,
    class: error.class,
    message: error.message,
    offset: error.offset ?? null,
    where: error.where ?? null,
    expected: error.expected ?? null,
    actual: error.actual ?? null,
    clause: error.clause === "-" ? null : error.clause,
    advice: error.advice,
  };
}

/** The lines that tell a person about an error. */
export function errorLines(error: Described, colors: Terminal["colors"]): string[] {
  const facts: (readonly [string, string | number | null | undefined])[] = [
    ["found", error.actual],
    ["expected", error.expected],
    ["where", error.where],
    ["at byte", error.offset],
    ["rule", error.clause === "-" ? undefined : `specification, clause ${error.clause}`],
    ["what to do", error.advice],
  ];
  const lines = [`${colors.red(error.code)} ${error.kind}: ${error.summary}`];
  for (const [label, value] of facts) {
    if (value !== undefined && value !== null) {
      lines.push(`  ${colors.dim(label.padEnd(10))}  ${printable(String(value))}`);
    }
  }
  return lines;
}

/** Tells about whatever a command threw. Returns the exit code. */
export function reportError(error: unknown, json: boolean, terminal: Terminal): number {
  terminal.endProgress();
  if (!isLqaError(error)) return reportDefect(error, json, terminal);
  if (json) terminal.out(jsonText({ error: errorJson(error) }));
  else terminal.err(`lqa: ${[...errorLines(error, terminal.errorColors), ...more(error)].join("\n")}\n`);
  showStack(error, terminal);
  return error.exitCode;
}

/** Where more is said, unless the operating system or the command line is all there is to it. */
function more({ class: letter, code }: LqaError): string[] {
  return letter === "X" ? [] : [`  more        lqa explain ${code}`];
}

function reportDefect(error: unknown, json: boolean, terminal: Terminal): number {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const advice = "This is a bug in lqa, sorry. Please report it with what --verbose shows in addition.";
  if (json) {
    const empty = { class: null, offset: null, where: null, expected: null, actual: null, clause: null };
    const body = { code: "LQA-INTERNAL", kind: "INTERNAL", ...empty, message: text, advice };
    terminal.out(jsonText({ error: body }));
  } else {
    terminal.err(`lqa: internal error: ${printable(text.split("\n")[0]!)}. ${advice}\n`);
  }
  showStack(error, terminal);
  return EXIT_INTERNAL;
}

function showStack(error: unknown, terminal: Terminal): void {
  if (process.env.LQA_DEBUG !== "1" && !terminal.verbose) return;
  for (let at = error; at instanceof Error; at = at.cause)
    terminal.err(`${(at.stack ?? at.message).split("\n").map(printable).join("\n")}\n`);
}
