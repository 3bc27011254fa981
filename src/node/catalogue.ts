/**
 * A catalogue of `.lqa` files: a Parquet file with a row for each, from what a validation found (Node only).
 *
 * @module
 */
import type { Validation } from "../core/validate/validation.ts";
import type { LqaError } from "../errors.ts";
import { parameterCount } from "../model/adapter.ts";
import { fillFileAtomic, type OutputOptions } from "./files/write-file.ts";
import { optional } from "./remote/optional.ts";

/** Columns, in order, with the type of their values. What is not known of a file is null. */
export const CATALOGUE_COLUMNS = {
  file: "text",
  /** `valid`, `invalid`, or `unread` if the file could not be read. */
  state: "text",
  bytes: "integer",
  modules: "integer",
  tensors: "integer",
  parameters: "integer",
  bitsPerParameter: "number",
  /** What the encoder measured, from META. */
  relativeError: "number",
  baseModel: "text",
  encoder: "text",
  contentId: "text",
  fileId: "text",
  parentId: "text",
  /** The first error. */
  code: "text",
  message: "text",
} as const;

/** A row: the value of each column that is known. */
export type CatalogueRow = Readonly<Partial<Record<keyof typeof CATALOGUE_COLUMNS, string | number>>>;

/** Rows per row group of Parquet. */
const GROUP = 20_000;

/** The row of a file that was validated. Parameters are known from level `structure` on, META and ids from `integrity` on. */
export function catalogueRow(file: string, result: Validation): CatalogueRow {
  const { valid, bytes, modules, tensors, index, meta, ids, error } = result;
  const parameters = index?.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const { relative_error: relativeError, base_model: baseModel, encoder } = meta ?? {};
  return {
    file,
    state: valid ? "valid" : "invalid",
    bytes,
    ...(modules !== undefined && { modules }),
    ...(tensors !== undefined && { tensors }),
    ...(parameters !== undefined && { parameters }),
    ...(parameters !== undefined && parameters > 0 && { bitsPerParameter: (8 * bytes) / parameters }),
    ...(typeof relativeError === "number" && { relativeError }),
    ...(typeof baseModel === "string" && { baseModel }),
    ...(typeof encoder === "string" && { encoder }),
    ...(ids !== undefined && { fileId: ids.fileId, contentId: ids.contentId }),
    ...(index?.parentId !== undefined && { parentId: index.parentId }),
    ...(error !== undefined && { code: error.code, message: error.message }),
  };
}

/** The row of a file that could not be read. */
export function unreadRow(file: string, { code, message }: LqaError): CatalogueRow {
  return { file, state: "unread", code, message };
}

/**
 * Writes a catalogue, whole or not at all.
 *
 * @throws LqaError OUTPUT_EXISTS, IO; MISSING_PACKAGE without `hyparquet-writer`
 */
export async function writeCatalogue(
  path: string,
  rows: readonly CatalogueRow[],
  options: OutputOptions = {},
): Promise<void> {
  const { ParquetWriter, fileWriter } = await parquetPackage();
  const names = Object.keys(CATALOGUE_COLUMNS) as (keyof typeof CATALOGUE_COLUMNS)[];
  const types = { text: "BYTE_ARRAY", integer: "INT64", number: "DOUBLE" } as const;
  const write = async (to: string): Promise<void> => {
    const writer = new ParquetWriter({
      writer: fileWriter(to),
      schema: [
        { name: "catalogue", num_children: names.length },
        ...names.map((name) => ({
          name,
          type: types[CATALOGUE_COLUMNS[name]],
          repetition_type: "OPTIONAL" as const,
          ...(CATALOGUE_COLUMNS[name] === "text" && { converted_type: "UTF8" as const }),
        })),
      ],
    });
    for (let at = 0; at < rows.length; at += GROUP) {
      const group = rows.slice(at, at + GROUP);
      await writer.write({
        columnData: names.map((name) => ({ name, data: group.map((row) => cell(row, name)) })),
        rowGroupSize: GROUP,
      });
    }
    await writer.finish();
  };
  await fillFileAtomic(path, write, options);
}

/** @throws LqaError MISSING_PACKAGE: before work whose result could not be written */
export async function parquetPackage(): Promise<typeof import("hyparquet-writer")> {
  return await optional(["hyparquet-writer"], () => import("hyparquet-writer"));
}

function cell(row: CatalogueRow, name: keyof typeof CATALOGUE_COLUMNS): string | number | bigint | null {
  const value = row[name] ?? null;
  return CATALOGUE_COLUMNS[name] === "integer" && typeof value === "number" ? BigInt(value) : value;
}
