/**
 * `lqa validate`: check files against every rule of the specification.
 *
 * Each file is read once and in bounded memory, whatever its size. A file that cannot be read does not stop the others. The
 * exit code is the most severe one, in the order 2 (I/O), 4 (limit), 3 (unsupported), 1 (invalid), 0. Warnings do not change
 * it.
 *
 * @module
 */

import type { LqaFile } from "../../core/read/lqa-file.ts";
import { type BaseModel, compareWithBase } from "../../core/validate/base.ts";
import { MOST_FINDINGS } from "../../core/validate/run.ts";
import { validate } from "../../core/validate/validate.ts";
import {
  type Validation,
  type ValidationLevel,
  type Warning,
  warning,
} from "../../core/validate/validation.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../../errors.ts";
import type { LimitSet } from "../../limits.ts";
import type { LocationOptions } from "../../node/adapter-source.ts";
import {
  type CatalogueRow,
  catalogueRow,
  parquetPackage,
  unreadRow,
  writeCatalogue,
} from "../../node/catalogue.ts";
import { assertWritable } from "../../node/files/write-file.ts";
import { explainNotLqa } from "../../node/not-lqa.ts";
import { concurrently } from "../../node/objects/concurrent.ts";
import { isStored } from "../../node/objects/location.ts";
import { openParents } from "../../node/open-parents.ts";
import { isRemote } from "../../node/remote/location.ts";
import { type Arguments, listOption, numberOption, textOption } from "../command.ts";
import { riskWarning, sourceRisks } from "../config-risks.ts";
import { count, counted, jsonText, printable, size } from "../format.ts";
import { dumpRange, hexDump } from "../hex-dump.ts";
import { inputsOf, type NamedInput, type OpenedInput } from "../inputs.ts";
import { hanging, more, title, verdict } from "../layout.ts";
import { remoteOptions, STANDARD_INPUT } from "../open-input.ts";
import { errorLines, worstExitCode } from "../report-error.ts";
import { sarifLog } from "../sarif.ts";
import type { Terminal } from "../terminal.ts";
import { type FileOutcome, sarifFindings, validateJson } from "../validate-report.ts";

/** Maximum number of findings of one file in the report; `--json` has all of them. */
const SHOWN = 20;

interface Settings {
  readonly level: ValidationLevel;
  readonly limits: LimitSet;
  readonly all: boolean;
  readonly warnings: boolean;
  readonly budgetBytes: number | undefined;
  readonly parents: readonly LqaFile[] | undefined;
  readonly base: (BaseModel & { readonly location: string; readonly options: LocationOptions }) | undefined;
}

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [json, sarif] = [args.values.has("json"), args.values.has("sarif")];
  if (json && sarif) fail(KIND.USAGE, { actual: "--json and --sarif", expected: "one of them" });
  const base = textOption(args, "base");
  const remote = remoteOptions(args);
  const settings: Settings = {
    level: (textOption(args, "level") ?? "values") as ValidationLevel,
    limits: (textOption(args, "limits") ?? "core") as LimitSet,
    all: args.values.has("all"),
    warnings: !args.values.has("no-warnings"),
    budgetBytes: numberOption(args, "budget"),
    parents: args.values.has("parent")
      ? await openParents(listOption(args, "parent"), { remote })
      : undefined,
    base: base === undefined ? undefined : await openedBase(base, { remote }),
  };
  const [catalogue, options] = [textOption(args, "catalogue"), { force: args.values.has("force") }];
  if (catalogue !== undefined) {
    await parquetPackage();
    await assertWritable(catalogue, options);
  }
  const outcomes: FileOutcome[] = [];
  const rows: CatalogueRow[] = [];
  const inputs = await inputsOf(args.positionals, remote);
  // Storage answers slowly and many at a time; files of this machine are better read one after the other.
  const places = args.positionals.some(isStored) ? 8 : 1;
  const looks = concurrently(inputs, places, (input) => check(input, settings, !json && !sarif, terminal));
  for await (const { outcome, dumps, row } of looks) {
    outcomes.push(outcome);
    if (catalogue !== undefined) rows.push(row);
    if (!json && !sarif) print(outcome, dumps, terminal);
  }
  if (catalogue !== undefined) await writeCatalogue(catalogue, rows, options);
  if (outcomes.length > 1 && !json && !sarif)
    terminal.out(`${title("total:", totals(outcomes), terminal).join("\n")}\n`);
  if (json) terminal.out(jsonText(validateJson(outcomes)));
  if (sarif) {
    const completed = outcomes.every(({ error }) => error === undefined);
    terminal.out(jsonText(sarifLog(sarifFindings(outcomes), completed)));
  }
  return worstExitCode(outcomes.map(exitCodeOf));
}

/** Files by verdict, and the bytes of those that were read. */
function totals(outcomes: readonly FileOutcome[]): string {
  const counts = { valid: 0, invalid: 0, unread: 0 };
  let bytes = 0;
  for (const outcome of outcomes) {
    counts[wordOf(outcome)]++;
    bytes += outcome.result?.bytes ?? 0;
  }
  const words = Object.entries(counts).filter(([word, files]) => files > 0 || word === "valid");
  return `${counted(outcomes.length, "file")} (${size(bytes)}), ${words.map(([word, files]) => `${count(files)} ${word}`).join(", ")}`;
}

function wordOf({ result, error }: FileOutcome): "valid" | "invalid" | "unread" {
  return error !== undefined ? "unread" : result.valid ? "valid" : "invalid";
}

/** A hex dump of the bytes around each finding. */
type Dumps = ReadonlyMap<LqaError, readonly string[]>;

async function check(
  input: NamedInput,
  settings: Settings,
  withDumps: boolean,
  terminal: Terminal,
): Promise<{ outcome: FileOutcome; dumps: Dumps; row: CatalogueRow }> {
  const path = input.name;
  let opened: OpenedInput | undefined;
  try {
    opened = await input.open();
    const checked = await withRisks(await validate(opened.input, settings), settings);
    const result = await explained(path, await withBase(checked, settings));
    return {
      // The outcomes are kept until the end. Indexes are not: they would need many times the memory of the files.
      outcome: { path, result: { ...result, index: undefined, meta: undefined, origin: undefined } },
      dumps: withDumps ? await dumpsOf(result, opened, terminal) : new Map(),
      row: catalogueRow(path, result),
    };
  } catch (error) {
    const told = await explainNotLqa(path, error);
    if (!isLqaError(told)) throw told;
    return { outcome: { path, error: told }, dumps: new Map(), row: unreadRow(path, told) };
  } finally {
    await opened?.close();
  }
}

/** The same findings, with the actual kind of the file if it is not an `.lqa` file. */
async function explained(path: string, result: Validation): Promise<Validation> {
  const [first, ...rest] = result.findings;
  if (first === undefined || isRemote(path) || isStored(path) || path === STANDARD_INPUT) return result;
  const told = (await explainNotLqa(path, first)) as LqaError;
  return told === first ? result : { ...result, error: told, findings: [told, ...rest] };
}

/** Adds a warning for each field of the source's configuration that is a risk for who loads it after decoding. */
async function withRisks(result: Validation, { warnings }: Settings): Promise<Validation> {
  if (!warnings || !result.valid || result.index === undefined) return result;
  const risks = await sourceRisks(result.origin, result.index);
  return { ...result, warnings: [...result.warnings, ...risks.map(riskWarning)] };
}

async function openedBase(location: string, options: LocationOptions): Promise<Settings["base"]> {
  const { readBaseModel } = await import("../base-model.ts");
  return { ...(await readBaseModel(location, options)), location, options };
}

async function withBase(result: Validation, { base, all, warnings }: Settings): Promise<Validation> {
  if (base === undefined || result.index === undefined || (!all && !result.valid)) return result;
  const room = all ? MOST_FINDINGS - result.findings.length : 1;
  const compared = compareWithBase(result.index, base, room);
  const digest = compared.findings.length === 0 ? await compareDigest(result, base) : {};
  const findings = [...result.findings, ...compared.findings, ...(digest.findings ?? [])];
  return {
    ...result,
    valid: findings.length === 0,
    error: findings[0],
    findings,
    omitted: result.omitted + (all ? compared.omitted : 0),
    warnings: warnings ? [...result.warnings, ...compared.warnings, ...(digest.warnings ?? [])] : [],
  };
}

/** Compares the base digest in META, if there is one, with the weights of the model, whose shapes fit. */
async function compareDigest(
  { meta = {}, index }: Validation,
  base: NonNullable<Settings["base"]>,
): Promise<{ readonly findings?: LqaError[]; readonly warnings?: Warning[] }> {
  if (meta.base_digest === undefined || index === undefined) return {};
  if (base.kind === "config") return { warnings: [warning("BASE_WEIGHTS_UNREAD")] };
  const { checkBaseDigest } = await import("../../node/base-digest.ts");
  try {
    await checkBaseDigest(meta, index.modules, base.location, base.options);
    return {};
  } catch (error) {
    // An error in the model's files says nothing about this file.
    if (!isLqaError(error, "BASE_WEIGHTS") && !isLqaError(error, "META_ENCODING")) throw error;
    return { findings: [error] };
  }
}

async function dumpsOf({ findings }: Validation, input: OpenedInput, terminal: Terminal): Promise<Dumps> {
  const dumps = new Map<LqaError, readonly string[]>();
  for (const finding of findings.slice(0, SHOWN)) {
    if (finding.offset === undefined) continue;
    const { begin, end } = dumpRange(finding.offset);
    const bytes = await input.again(begin, end);
    if (bytes !== undefined)
      dumps.set(finding, hexDump(bytes, begin, finding.offset, terminal.errors.colors));
  }
  return dumps;
}

function exitCodeOf({ result, error }: FileOutcome): number {
  return error === undefined
    ? worstExitCode(result.findings.map(({ exitCode }) => exitCode))
    : error.exitCode;
}

function print(outcome: FileOutcome, dumps: Dumps, terminal: Terminal): void {
  const { path, result, error } = outcome;
  const word = wordOf(outcome);
  const content =
    result?.valid === true
      ? [
          size(result.bytes),
          counted(result.modules ?? 0, "module"),
          counted(result.tensors ?? 0, "plain tensor"),
        ]
      : [];
  terminal.out(`${verdict(word, printable(path), content.join(", "), terminal)}\n`);
  const findings = error === undefined ? result.findings : [error];
  const warnings = result?.warnings ?? [];
  const lines = [
    ...findings
      .slice(0, SHOWN)
      .flatMap((finding) => [
        ...errorLines(finding, terminal.errors),
        ...(dumps.get(finding) ?? []).map((line) => `  ${line}`),
      ]),
    ...more(findings.length - Math.min(SHOWN, findings.length) + (result?.omitted ?? 0), "--json"),
    ...warnings.slice(0, SHOWN).flatMap(({ message }) => {
      const label = `lqa: ${terminal.errors.colors.yellow("warning")} `;
      return hanging(label, printable(message), terminal.errors.room);
    }),
    ...more(warnings.length - SHOWN, "--json"),
  ];
  if (lines.length > 0) terminal.err(`${lines.join("\n")}\n`);
}
