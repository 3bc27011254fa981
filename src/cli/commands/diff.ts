/**
 * `lqa diff`: compare two adapters. Each is an `.lqa` file or an adapter in any dialect.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { openParents } from "../../node/open-parents.ts";
import { type AdapterDiff, diffAdapters, type FieldChange } from "../../report/diff.ts";
import { type Arguments, listOption } from "../command.ts";
import { counted, jsonText, jsonValue, percent, printable } from "../format.ts";
import { type Column, more, table, title } from "../layout.ts";
import { openAdapter } from "../open-adapter.ts";
import { remoteOptions, STANDARD_INPUT } from "../open-input.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";

/** Maximum number of lines of one kind in the report; `--json` has all of them. */
const SHOWN = 20;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  if (args.positionals.length !== 2)
    fail(KIND.USAGE, {
      actual:
        args.positionals.length === 1
          ? "only one adapter is given"
          : `${args.positionals.length} adapters are given`,
      expected: "two adapters",
      where: "lqa diff",
    });
  const [x, y] = args.positionals as [string, string];
  if (x === STANDARD_INPUT && y === STANDARD_INPUT)
    fail(KIND.USAGE, { actual: "- is given twice", expected: "standard input once", where: "lqa diff" });
  const settings = { ...sourceSettings(args), scaleIfMissing: true };
  const remote = remoteOptions(args);
  const parents = await openParents(listOption(args, "parent"), { remote });
  const [a, b] = [
    await openAdapter(x, settings, remote, parents),
    await openAdapter(y, settings, remote, parents),
  ];
  const diff = diffAdapters(a, b);
  if (args.values.has("json"))
    terminal.out(
      jsonText({ a: a.facts, b: b.facts, ...diff, relativeError: diff.relativeError ?? null }, jsonValue),
    );
  else terminal.out(`${report(x, y, diff, terminal).join("\n")}\n`);
  return args.values.has("exit-code") && !diff.identical ? 1 : 0;
}

function report(x: string, y: string, diff: AdapterDiff, terminal: Terminal): string[] {
  const { modules, tensors, metadata } = diff;
  const lines = title(`${printable(x)} → ${printable(y)}`, "", terminal);
  if (diff.identical) return [...lines, "The adapters are the same."];
  const some = (name: string, columns: readonly Column[], rows: readonly (readonly string[])[]): void => {
    if (rows.length === 0) return;
    lines.push("", ...title(name, "", terminal), ...table(columns, rows.slice(0, SHOWN), terminal));
    lines.push(...more(rows.length - SHOWN, "--json"));
  };
  const names = (list: readonly string[]): string[][] => list.map((name) => [printable(name)]);
  some("modules only in the first", NAMES, names(modules.onlyA));
  some("modules only in the second", NAMES, names(modules.onlyB));
  some(
    `modules that differ: ${modules.changed.length}, equal: ${modules.equal}`,
    CHANGES,
    byError(modules.changed).map(({ name, fields, relativeError }) => [
      printable(name),
      relativeError === undefined ? "different shape" : `error ${percent(relativeError)}`,
      fields.map(fieldText).join(", "),
    ]),
  );
  some("plain tensors only in the first", NAMES, names(tensors.onlyA));
  some("plain tensors only in the second", NAMES, names(tensors.onlyB));
  some(
    `plain tensors that differ: ${tensors.changed.length}, equal: ${tensors.equal}`,
    CHANGES,
    tensors.changed.map(({ name, role, fields, bytes }) => [
      `${printable(name)} (${role})`,
      bytes === undefined ? "" : counted(bytes, "different byte"),
      fields.map(fieldText).join(", "),
    ]),
  );
  some(
    "metadata",
    [{ narrow: "cut" }, { narrow: "wrap" }],
    metadata.map((change) => [printable(change.field), changeText(change)]),
  );
  return diff.relativeError === undefined
    ? lines
    : [...lines, "", `error of all modules: ${percent(diff.relativeError)} of ‖ΔW‖²`];
}

const NAMES: readonly Column[] = [{ narrow: "cut" }];
const CHANGES: readonly Column[] = [{ narrow: "cut" }, {}, { narrow: "wrap" }];

/** Sorts by error, largest first; modules with different shapes come before all others. */
function byError(modules: AdapterDiff["modules"]["changed"]): AdapterDiff["modules"]["changed"] {
  const size = ({ relativeError }: (typeof modules)[number]): number =>
    relativeError ?? Number.POSITIVE_INFINITY;
  return [...modules].sort((x, y) => (size(y) === size(x) ? 0 : size(y) - size(x)));
}

function fieldText(change: FieldChange): string {
  return `${printable(change.field)} ${changeText(change)}`;
}

function changeText({ a, b }: FieldChange): string {
  return printable(`${valueText(a)} → ${valueText(b)}`);
}

function valueText(value: FieldChange["a"]): string {
  if (value === undefined) return "–";
  if (value instanceof Uint8Array) return counted(value.length, "byte");
  const text = typeof value === "string" ? value : JSON.stringify(value, jsonValue);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
