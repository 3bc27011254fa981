/**
 * `lqa compare`: encode one adapter with every method and print a table and a curve.
 *
 * @module
 */
import { readAdapter } from "../../adapters/read-write.ts";
import { parameterCount } from "../../model/adapter.ts";
import { readSourceFiles } from "../../node/adapter-source.ts";
import { assertWritable, writeFileAtomic } from "../../node/files/write-file.ts";
import { suitableWorkers, withWorkers } from "../../node/workers/pool.ts";
import {
  type ComparedMethod,
  type CompareOptions,
  type Comparison,
  compareAdapter,
  comparisonCurve,
} from "../../report/compare.ts";
import { drawRdCurve } from "../../report/rd-curve-svg.ts";

import { type Arguments, numberOption, textOption } from "../command.ts";
import { count, counted, decibels, duration, jsonText, percent, printable } from "../format.ts";
import { type Column, type Fact, facts, note, type Paper, table, textRoom, title, wrap } from "../layout.ts";
import { nameOf, remoteOptions } from "../open-input.ts";
import { sourceSettings } from "../source-options.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [input] = args.positionals;
  const svg = textOption(args, "svg");
  const writing = { force: args.values.has("force") };
  if (svg !== undefined) await assertWritable(svg, writing);
  const adapter = readAdapter(await readSourceFiles(input, { remote: remoteOptions(args) }), {
    ...sourceSettings(args),
    lazy: true,
  });
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const workers = numberOption(args, "workers") ?? suitableWorkers(parameters);
  const comparison = await withWorkers(workers, (executor) =>
    compareAdapter(adapter, { ...chosen(args), executor, onProgress: terminal.progress }),
  );
  terminal.endProgress();
  if (svg !== undefined) {
    const drawing = drawRdCurve(comparisonCurve(comparison, nameOf(input)));
    await writeFileAtomic(svg, new TextEncoder().encode(drawing), writing);
  }
  // As in `encode`: a drawing on stdout is not followed by a report.
  const print = svg !== undefined && /^\/dev\/(stdout|fd\/1)$/.test(svg) ? terminal.err : terminal.out;
  if (args.values.has("json")) {
    print(jsonText({ ...comparison, svg: svg ?? null }, jsonNumber));
    return 0;
  }
  const modules = counted(adapter.modules.length, "module");
  const lines = [
    ...title(`${printable(input)}:`, `${count(parameters)} parameters in ${modules}`, terminal),
    ...figures(comparison, terminal),
    "",
    ...wrap(matchText(comparison), textRoom(terminal)),
    ...(svg === undefined ? [] : [`The curve is in ${printable(svg)}.`]),
    "",
    ...facts(MEANINGS, terminal),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}

/** The requested options. The command table has checked the words; the library checks the numbers. */
function chosen(args: Arguments): CompareOptions {
  const bits = textOption(args, "bits")?.split(",").map(Number);
  const floor = numberOption(args, "floor");
  return {
    ...(bits === undefined ? {} : { bits }),
    ...(floor === undefined ? {} : { floor }),
  };
}

/** What the columns mean. */
const MEANINGS: readonly Fact[] = [
  ["on disk", "bits per weight of the whole file, without plain tensors"],
  ["lost", "share of the energy of ΔW that the decoded file does not have"],
  ["SNR", "energy of ΔW over the energy of the error, in decibels"],
  ["above bound", "distance to the Gaussian rate-distortion bound at the bits on disk"],
  ["counted", "bits per weight of codes, scales and zero points, as papers count"],
  ["gain", "strength of the decoded ΔW along the original; below 1 the adapter is weaker"],
  ["at gain 1", "energy lost if each module were rescaled to gain 1"],
];

/** A narrow terminal first omits the columns that only matter next to the figures of papers. */
const COLUMNS: readonly Column[] = [
  { title: "method", narrow: "cut" },
  { title: "on disk", right: true },
  { title: "lost", right: true },
  { title: "SNR", right: true },
  { title: "above bound", right: true },
  { title: "bytes", right: true },
  { title: "time", right: true },
  { title: "counted", right: true, narrow: "omit" },
  { title: "gain", right: true, narrow: "omit" },
  { title: "at gain 1", right: true, narrow: "omit" },
];

function figures({ rows, floor }: Comparison, paper: Paper): string[] {
  const cells = rows.map(({ method, measured }) =>
    measured === undefined
      ? [method, ...COLUMNS.slice(1).map(() => "–")]
      : [
          method,
          measured.bitsPerParameter.toFixed(3),
          percent(measured.relativeError),
          decibels(measured.snrDb),
          decibels(measured.aboveBoundDb ?? null),
          count(measured.outputBytes),
          duration(measured.seconds),
          measured.averageBits.toFixed(3),
          measured.gain.toFixed(3),
          percent(measured.restoredError),
        ],
  );
  const unmet = rows.filter(({ measured }) => measured === undefined);
  return [
    ...table(COLUMNS, cells, paper),
    ...unmet.flatMap((row) => note("note", `${row.method}: ${unmetText(row, floor)}.`, paper)),
  ];
}

/** Explains why a row has no figures, and which setting would have some. */
function unmetText({ leastBits }: ComparedMethod, floor: number): string {
  return `needs at least ${leastBits === undefined ? "more" : leastBits.toFixed(3)} bits at floor ${floor}`;
}

function matchText({ match, floor }: Comparison): string {
  if (match === undefined) return "rtn 3 has no error, so there is nothing for rd to match.";
  const { method, relativeError, bits, rdBits, rdRelativeError } = match;
  // A floor can cost more bits than the error goal needs; then the table shows the cost of the floor.
  const lost = rdRelativeError < relativeError * 0.97 ? `, losing ${percent(rdRelativeError)},` : "";
  return `rd --fit least-squares reaches the error of ${method} (${percent(relativeError)} lost) at ${rdBits.toFixed(3)} bits on disk${lost} instead of ${bits.toFixed(3)} (floor ${floor}).`;
}

/** JSON has no Infinity and no undefined; both become null. */
function jsonNumber(_key: string, value: unknown): unknown {
  return value === undefined || (typeof value === "number" && !Number.isFinite(value)) ? null : value;
}
