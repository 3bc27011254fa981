/**
 * Writes the catalogue to a file: one JSON object per line, or Parquet with the same columns.
 *
 * @module
 */
import { fillFileAtomic, type OutputOptions } from "../node/files/write-file.ts";
import { writePieces } from "../node/files/write-pieces.ts";
import { optional } from "../node/remote/optional.ts";
import type { FleetRecord } from "./records.ts";

/** Columns, in order, with the type of their values. A field that a record lacks is null. */
export const COLUMNS = {
  name: "text",
  state: "text",
  job: "text",
  source: "text",
  dialect: "text",
  inputBytes: "integer",
  outputBytes: "integer",
  parameters: "integer",
  modules: "integer",
  averageBits: "number",
  bitsPerParameter: "number",
  relativeError: "number",
  contentId: "text",
  fileId: "text",
  sha256: "text",
  seconds: "number",
  code: "text",
  kind: "text",
  message: "text",
  advice: "text",
} as const;

/** Rows per row group of Parquet. Memory holds one group. */
const GROUP = 20_000;

/** Approximate number of characters of JSON Lines per write. */
const PIECE = 65536;

/** Writes rows as JSON Lines. */
async function jsonLines(rows: AsyncIterable<FleetRecord>, path: string, fresh: boolean): Promise<void> {
  const encoder = new TextEncoder();
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    let text = "";
    for await (const row of rows) {
      const cells = Object.keys(COLUMNS).map((name) => [name, cell(row, name)]);
      text += `${JSON.stringify(Object.fromEntries(cells))}\n`;
      if (text.length < PIECE) continue;
      yield encoder.encode(text);
      text = "";
    }
    yield encoder.encode(text);
  };
  await writePieces(path, pieces(), fresh);
}

/** Writes rows as Parquet, group by group. */
async function parquet(rows: AsyncIterable<FleetRecord>, path: string): Promise<void> {
  const { ParquetWriter, fileWriter } = await optional(
    ["hyparquet-writer"],
    () => import("hyparquet-writer"),
  );
  const names = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];
  const types = { text: "BYTE_ARRAY", integer: "INT64", number: "DOUBLE" } as const;
  const writer = new ParquetWriter({
    writer: fileWriter(path),
    schema: [
      { name: "catalogue", num_children: names.length },
      ...names.map((name) => ({
        name,
        type: types[COLUMNS[name]],
        repetition_type: "OPTIONAL" as const,
        ...(COLUMNS[name] === "text" && { converted_type: "UTF8" as const }),
      })),
    ],
  });
  let group: FleetRecord[] = [];
  const flush = async (): Promise<void> => {
    if (group.length === 0) return;
    const columnData = names.map((name) => ({
      name,
      data: group.map((row) => {
        const value = cell(row, name);
        return COLUMNS[name] === "integer" && typeof value === "number" ? BigInt(value) : value;
      }),
    }));
    await writer.write({ columnData, rowGroupSize: GROUP });
    group = [];
  };
  for await (const row of rows) {
    group.push(row);
    if (group.length === GROUP) await flush();
  }
  await flush();
  await writer.finish();
}

/** File formats of a catalogue. */
export type CatalogueFormat = "jsonl" | "parquet";

const FORMATS = { jsonl: jsonLines, parquet } as const;

/**
 * Writes the catalogue, whole or not at all.
 *
 * @throws LqaError OUTPUT_EXISTS, IO; MISSING_PACKAGE for Parquet without `hyparquet-writer`; what `rows` throws
 */
export async function writeCatalogue(
  path: string,
  format: CatalogueFormat,
  rows: AsyncIterable<FleetRecord>,
  options: OutputOptions = {},
): Promise<void> {
  await fillFileAtomic(path, (to, fresh) => FORMATS[format](rows, to, fresh), options);
}

function cell(row: FleetRecord, name: string): string | number | null {
  return (row as unknown as Readonly<Record<string, string | number>>)[name] ?? null;
}
