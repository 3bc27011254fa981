/**
 * `lqa validate`: every rule of the specification, file by file.
 *
 * A file that cannot be read does not keep the others from being checked. The exit code is the worst of all, in the order
 * 2 (I/O), 4 (limit), 3 (unsupported), 1 (invalid), 0: what a caller can least rely on comes first.
 *
 * @module
 */

import { isLqaError, type LqaError } from "../../errors.ts";
import { type ValidateOptions, type Validation, validateLqa } from "../../node.ts";
import { type Arguments, textOption } from "../command.ts";
import { counted, printable, size } from "../format.ts";
import { readInput } from "../open-input.ts";
import { errorJson, errorLines } from "../report-error.ts";
import type { Terminal } from "../terminal.ts";

/** Exit codes from harmless to worst. */
const SEVERITY = [0, 1, 3, 4, 2];

type Outcome = { readonly path: string } & (
  | { readonly result: Validation; readonly error?: undefined }
  | { readonly error: LqaError; readonly result?: undefined }
);

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const level = textOption(args, "level") as ValidateOptions["level"];
  const json = args.values.has("json");
  const outcomes: Outcome[] = [];
  for (const path of args.positionals) {
    const outcome = await check(path, level);
    outcomes.push(outcome);
    if (!json) print(outcome, terminal);
  }
  if (json) terminal.out(`${JSON.stringify(validateJson(outcomes), null, 2)}\n`);
  const codes = outcomes.map(exitCodeOf);
  return codes.reduce((worst, code) => (SEVERITY.indexOf(code) > SEVERITY.indexOf(worst) ? code : worst), 0);
}

async function check(path: string, level: ValidateOptions["level"]): Promise<Outcome> {
  try {
    const bytes = await readInput(path);
    return { path, result: await validateLqa(bytes, level === undefined ? {} : { level }) };
  } catch (error) {
    if (!isLqaError(error)) throw error;
    return { path, error };
  }
}

function exitCodeOf({ result, error }: Outcome): number {
  return (error ?? result?.error)?.exitCode ?? 0;
}

/**
 * `{valid, files: [{file, valid, findings, …}]}`. `findings` holds the file's first error, if there is one; `error` says why
 * a file could not be read, and the first of these stands on top as well.
 */
function validateJson(outcomes: readonly Outcome[]): object {
  const files = outcomes.map(({ path, result, error }) =>
    error === undefined
      ? {
          file: path,
          valid: result.valid,
          level: result.level,
          findings: result.error === undefined ? [] : [errorJson(result.error)],
          bytes: result.bytes,
          modules: result.modules ?? null,
          tensors: result.tensors ?? null,
          fileId: result.ids?.fileId ?? null,
          contentId: result.ids?.contentId ?? null,
        }
      : { file: path, valid: false, findings: [], error: errorJson(error) },
  );
  const failed = outcomes.find(({ error }) => error !== undefined)?.error;
  const valid = files.every((file) => file.valid);
  return failed === undefined ? { valid, files } : { valid, error: errorJson(failed), files };
}

function print({ path, result, error }: Outcome, terminal: Terminal): void {
  const name = printable(path);
  const problem = error ?? result?.error;
  if (problem === undefined && result !== undefined) {
    const { bytes, modules = 0, tensors = 0 } = result;
    const facts = [size(bytes), counted(modules, "module"), counted(tensors, "plain tensor")];
    terminal.out(`${terminal.colors.green("valid")}    ${name}  ${facts.join(", ")}\n`);
    return;
  }
  const verdict = error === undefined ? "invalid" : "unread ";
  terminal.out(`${terminal.colors.red(verdict)}  ${name}\n`);
  if (problem !== undefined) terminal.err(`lqa: ${errorLines(problem, terminal.errorColors).join("\n")}\n`);
}
