/**
 * Formats findings as SARIF 2.1.0, the input format of code-scanning services.
 *
 * There is one run, one rule for each error code that occurs, and one result for each finding. Byte ranges are regions of a
 * binary artifact (byteOffset, SARIF 3.30.9); modules and tensors are logical locations.
 *
 * @module
 */

import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import { WARNINGS, type WarningName } from "../core/validate/validation.ts";
import * as ERRORS from "../error-catalogue.ts";
import type { ErrorName } from "../errors.ts";
import { VERSION } from "../version.ts";
import { STANDARD_INPUT } from "./open-input.ts";

/** A finding or a warning in one file. */
export interface SarifFinding {
  readonly file: string;
  readonly warning: boolean;
  readonly kind: ErrorName | WarningName;
  readonly code: string;
  readonly message: string;
  readonly offset?: number | undefined;
  readonly where?: string | undefined;
}

/** A SARIF log. @param completed false if a file could not be read */
export function sarifLog(findings: readonly SarifFinding[], completed: boolean): object {
  const kinds = [...new Map(findings.map((finding) => [finding.code, finding])).values()].sort((x, y) =>
    x.code < y.code ? -1 : 1,
  );
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: { name: "lqa", semanticVersion: VERSION, rules: kinds.map(ruleOf) },
        },
        columnKind: "utf16CodeUnits",
        invocations: [{ executionSuccessful: completed }],
        results: findings.map((finding) => resultOf(finding, kinds)),
      },
    ],
  };
}

function ruleOf({ kind, code, warning }: SarifFinding): object {
  // biome-ignore lint/performance/noDynamicNamespaceImportAccess: the rules of a log are those of its findings
  const entry = warning ? { ...WARNINGS[kind as WarningName], clause: "-" } : ERRORS[kind as ErrorName];
  return {
    id: code,
    name: kind,
    shortDescription: { text: entry.summary },
    help: { text: entry.advice },
    defaultConfiguration: { level: warning ? "warning" : "error" },
    ...(entry.clause === "-" ? {} : { properties: { clause: entry.clause } }),
  };
}

function resultOf(finding: SarifFinding, kinds: readonly SarifFinding[]): object {
  const { file, code, message, offset, where, warning } = finding;
  return {
    ruleId: code,
    ruleIndex: kinds.findIndex((one) => one.code === code),
    level: warning ? "warning" : "error",
    message: { text: message },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(file) },
          ...(offset === undefined ? {} : { region: { byteOffset: offset } }),
        },
        ...(where === undefined ? {} : { logicalLocations: [{ fullyQualifiedName: where }] }),
      },
    ],
  };
}

/** Relative paths stay relative, so that a service finds them in its checkout. */
function uriOf(file: string): string {
  if (file === STANDARD_INPUT) return "stdin";
  if (/^https?:\/\//i.test(file)) return file;
  if (isAbsolute(file)) return pathToFileURL(file).href;
  return file.split("\\").join("/").split("/").map(encodeURIComponent).join("/");
}
