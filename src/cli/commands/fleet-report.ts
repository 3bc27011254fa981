/**
 * `lqa fleet report`: summarize, draw and export the catalogue of a target.
 *
 * @module
 */
import { type CatalogueSummary, readCatalogue, summing } from "../../fleet/catalogue.ts";
import type { FleetRecord } from "../../fleet/records.ts";
import { drawFleetReport } from "../../fleet/report.ts";
import { writeCatalogue } from "../../fleet/write-catalogue.ts";
import { assertWritable, writeFileAtomic } from "../../node/files/write-file.ts";
import { parseLocation } from "../../node/objects/location.ts";
import { type Arguments, textOption } from "../command.ts";
import { failureTable } from "../failure-table.ts";
import { storesOf } from "../fleet-options.ts";
import { count, counted, jsonText, printable, ratio, size } from "../format.ts";
import { type Fact, facts, more, title } from "../layout.ts";
import type { Terminal } from "../terminal.ts";

/** Maximum number of groups and names in the report; `--json` has more. */
const SHOWN = 10;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [location] = args.positionals;
  const writing = { force: args.values.has("force") };
  parseLocation(location);
  const [html, jsonl, parquet] = ["html", "jsonl", "parquet"].map((name) => textOption(args, name));
  for (const path of [html, jsonl, parquet]) if (path !== undefined) await assertWritable(path, writing);
  const stores = storesOf(args);
  try {
    const store = await stores.open(location);
    const sum = summing();
    let read = 0;
    const rows = async function* (): AsyncGenerator<FleetRecord> {
      for await (const record of readCatalogue(store)) {
        sum.add(record);
        terminal.progress(++read, undefined, record.name);
        yield record;
      }
    };
    // With both files the records are read twice, because they may not fit in memory.
    if (jsonl !== undefined) await writeCatalogue(jsonl, "jsonl", rows(), writing);
    else if (parquet !== undefined) await writeCatalogue(parquet, "parquet", rows(), writing);
    else for await (const _record of rows());
    if (jsonl !== undefined && parquet !== undefined)
      await writeCatalogue(parquet, "parquet", readCatalogue(store), writing);
    terminal.endProgress();
    const summary = sum.end();
    if (html !== undefined)
      await writeFileAtomic(html, new TextEncoder().encode(drawFleetReport(summary, location)), writing);
    if (args.values.has("json")) terminal.out(jsonText({ location, ...summary }));
    else terminal.out(`${lines(location, summary, terminal).join("\n")}\n`);
    return 0;
  } finally {
    await stores.close();
  }
}

function lines(location: string, summary: CatalogueSummary, terminal: Terminal): string[] {
  const { results, failures, inputBytes, outputBytes, failuresByCode, duplicated, duplicates } = summary;
  const sizes =
    results === 0
      ? undefined
      : `${size(inputBytes)} → ${size(outputBytes)}, ${ratio(inputBytes, outputBytes)} smaller`;
  const rows: Fact[] = [
    ["size", sizes],
    [
      "duplicates",
      duplicated === 0 ? undefined : `${count(duplicated)}, of ${counted(duplicates.length, "adapter")}`,
    ],
  ];
  return [
    ...title(
      `${printable(location)}:`,
      `${counted(results, "adapter")} encoded, ${count(failures)} failed`,
      terminal,
    ),
    ...facts(rows, terminal),
    ...failureTable(
      failuresByCode.slice(0, SHOWN).map(({ names, ...group }) => ({ ...group, example: names[0]! })),
      terminal,
    ),
    ...more(failuresByCode.length - SHOWN, "--json"),
  ];
}
