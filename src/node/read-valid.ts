/**
 * An `.lqa` file in memory whose every byte has passed the validator (Node only), for what needs all of it at once.
 *
 * A large file is validated while it is read, before it is given any memory: a gigabyte from a stranger costs one only if
 * it is a valid file.
 *
 * @module
 */

import { ADAPTER_BUDGET, assertAdapter } from "../core/read/budget.ts";
import type { DecodedFactors } from "../core/read/decode.ts";
import { type LqaFile, openLqa } from "../core/read/open.ts";
import type { VerifiedIds } from "../core/read/verify.ts";
import { type ValidationLevel, validate, validateReader } from "../core/validate/validate.ts";
import { type Adapter, lazyModule, shapeOf } from "../model/adapter.ts";
import { openFileReader, readWholeFile } from "./files/file.ts";
import { explainNotLqa } from "./not-lqa.ts";

/** From here on a file is read twice. */
const LARGE = 2 ** 26;

/** A valid file. */
export interface ValidFile {
  readonly bytes: Uint8Array;
  readonly ids: VerifiedIds;
}

/**
 * Reads a file by its path, or takes its bytes.
 *
 * @param level `integrity` or more; default `values`
 * @throws LqaError the first error of the file; NOT_FOUND, IO, BUDGET, ABORTED as `readWholeFile`
 */
export async function readValid(
  input: string | Uint8Array,
  { level, signal }: { readonly level?: ValidationLevel; readonly signal?: AbortSignal | undefined } = {},
): Promise<ValidFile> {
  const how = { level, warnings: false } as const;
  try {
    if (typeof input === "string") await refuseLarge(input, how);
    const bytes = typeof input === "string" ? await readWholeFile(input, signal) : input;
    const { error, ids } = await validate(bytes, how);
    if (error !== undefined) throw error;
    if (ids === undefined) throw new TypeError("a file was validated without its ids");
    return { bytes, ids };
  } catch (error) {
    throw typeof input === "string" ? await explainNotLqa(input, error) : error;
  }
}

/** A valid file, open, and the adapter in it. */
export interface ValidAdapter extends ValidFile {
  readonly file: LqaFile;
  readonly adapter: Adapter;
}

/**
 * The adapter of a file that has passed the validator. A module is decoded when its factors are asked for, and those of
 * the last one are held: what the index alone makes a caller refuse costs no decoding.
 *
 * @throws LqaError as {@link readValid}, values included; BUDGET for an adapter that would cost too much
 */
export async function readValidAdapter(
  input: string | Uint8Array,
  how: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ValidAdapter> {
  const valid = await readValid(input, how);
  const file = await openLqa(valid.bytes);
  assertAdapter(file.modules);
  type ModuleRecord = LqaFile["modules"][number];
  let held: { readonly record: ModuleRecord; readonly factors: DecodedFactors } | undefined;
  const factorsOf = (record: ModuleRecord): DecodedFactors => {
    if (held?.record !== record)
      held = { record, factors: file.decodeModule(record, { budgetBytes: ADAPTER_BUDGET }) };
    return held.factors;
  };
  const modules = file.modules.map((record) =>
    lazyModule(
      shapeOf(record),
      () => factorsOf(record).b as Float32Array,
      () => factorsOf(record).a as Float32Array,
    ),
  );
  const tensors = file.tensors.map((record) => file.tensor(record));
  return { ...valid, file, adapter: { modules, tensors, meta: file.meta, origin: await file.origin() } };
}

async function refuseLarge(path: string, how: Parameters<typeof validateReader>[1]): Promise<void> {
  const reader = await openFileReader(path);
  try {
    if (reader.size === undefined || reader.size < LARGE) return;
    const { error } = await validateReader(reader, how);
    if (error !== undefined) throw error;
  } finally {
    await reader.close();
  }
}
