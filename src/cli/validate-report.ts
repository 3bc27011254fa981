/**
 * The result of `lqa validate`: as JSON (`schema/validate.schema.json` describes it), and as findings for SARIF.
 *
 * @module
 */

import type { Validation, Warning } from "../core/validate/validation.ts";
import type { LqaError } from "../errors.ts";
import { type Described, errorJson } from "./report-error.ts";
import type { SarifFinding } from "./sarif.ts";

/** The outcome of one file: it was checked, or it could not be read. */
export type FileOutcome = { readonly path: string } & (
  | { readonly result: Validation; readonly error?: undefined }
  | { readonly error: LqaError; readonly result?: undefined }
);

/**
 * Builds `{valid, files: [{file, valid, findings, …}]}`. `error` says why a file could not be read; the first such error is
 * also at the top level.
 */
export function validateJson(outcomes: readonly FileOutcome[]): object {
  const files = outcomes.map(({ path, result, error }) =>
    error === undefined
      ? {
          file: path,
          valid: result.valid,
          level: result.level,
          findings: result.findings.map(errorJson),
          omitted: result.omitted,
          warnings: result.warnings.map(warningJson),
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

function warningJson({ code, kind, message, advice, where, actual, expected, offset }: Warning): object {
  return {
    code,
    kind,
    message,
    offset: offset ?? null,
    where: where ?? null,
    expected: expected ?? null,
    actual: actual ?? null,
    advice,
  };
}

/** All findings, file by file. A file that could not be read is a finding too. */
export function sarifFindings(outcomes: readonly FileOutcome[]): SarifFinding[] {
  return outcomes.flatMap(({ path, result, error }) => {
    const errors: readonly Described[] = error === undefined ? result.findings : [error];
    return [
      ...errors.map(({ kind, code, message, offset, where }) => ({
        file: path,
        warning: false,
        kind,
        code,
        message,
        offset: offset ?? undefined,
        where: where ?? undefined,
      })),
      ...(result?.warnings ?? []).map(({ kind, code, message, offset, where }) => ({
        file: path,
        warning: true,
        kind,
        code,
        message,
        offset,
        where,
      })),
    ];
  });
}
