/**
 * Checks all results of a fleet: each file against the specification and against its record. Writes nothing.
 *
 * @module
 */

import { validate } from "../core/validate/validate.ts";
import type { ValidationLevel } from "../core/validate/validation.ts";
import * as KIND from "../error-catalogue.ts";
import { isLqaError, LqaError } from "../errors.ts";
import { concurrently } from "../node/objects/concurrent.ts";
import { type ObjectInfo, OWN_PREFIX, objectSource, type ReadableStore } from "../node/objects/store.ts";
import { type FleetFailure, failureOf } from "./failure.ts";
import { RECORDS, recordKey } from "./job.ts";
import { readRecord } from "./records.ts";

/** How thorough to check, and how. */
export interface VerifyOptions {
  /** As in `lqa validate`; `structure` reads only the beginnings of files. Default `values`. */
  readonly level?: ValidationLevel | undefined;
  /** Number of files checked concurrently. Default 8. */
  readonly concurrency?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, key: string) => void) | undefined;
}

/** A defect of one file. */
export interface VerifyFinding {
  readonly key: string;
  readonly failure: FleetFailure;
  readonly exitCode: number;
}

/** The result of {@link verifyFleet}. */
export interface Verification {
  readonly files: number;
  readonly bytes: number;
  readonly valid: number;
  /** Files without a record: they do not belong to this fleet, or a worker was killed just before it wrote the record. */
  readonly unrecorded: number;
  /** Records without a file; each is a finding. */
  readonly missing: number;
  readonly findings: readonly VerifyFinding[];
  /** Number of findings that `findings` omits. */
  readonly omitted: number;
}

const MOST_FINDINGS = 1000;

/** Validates every `.lqa` file of a store. @throws LqaError what the store throws */
export async function verifyFleet(store: ReadableStore, options: VerifyOptions = {}): Promise<Verification> {
  const { level = "values", concurrency = 8, signal, onProgress } = options;
  const counts = { files: 0, bytes: 0, valid: 0, unrecorded: 0, missing: 0, omitted: 0 };
  const findings: VerifyFinding[] = [];
  const found = (key: string, error: LqaError): void => {
    if (findings.length < MOST_FINDINGS)
      findings.push({ key, failure: failureOf(error), exitCode: error.exitCode });
    else counts.omitted++;
  };
  const look = async (
    info: ObjectInfo,
  ): Promise<{ info: ObjectInfo; error?: LqaError; recorded: boolean }> => {
    try {
      const record = await readRecord(store, recordKey(info.key.replace(/\.lqa$/, "")), signal);
      const result = await validate(objectSource(store, info), { level, warnings: false, signal });
      const recorded = record?.state === "done";
      const error = result.error ?? (recorded ? difference(info, result.ids, record) : undefined);
      return { info, recorded, ...(error !== undefined && { error }) };
    } catch (error) {
      if (!isLqaError(error) || isLqaError(error, "ABORTED") || isLqaError(error, "ACCESS_DENIED"))
        throw error;
      return { info, error, recorded: true };
    }
  };
  let recorded = 0;
  for await (const { info, error, recorded: known } of concurrently(
    results(store, signal),
    concurrency,
    look,
  )) {
    counts.files++;
    counts.bytes += info.size;
    if (known) recorded++;
    else counts.unrecorded++;
    if (error === undefined) counts.valid++;
    else found(info.key, error);
    onProgress?.(counts.files, info.key);
  }
  let records = 0;
  for await (const _record of store.list({ prefix: RECORDS, signal })) records++;
  if (records > recorded) await findMissing();
  return { ...counts, findings };

  /** With more records than recorded files: checks the file of each record. */
  async function findMissing(): Promise<void> {
    const head = async ({ key }: ObjectInfo): Promise<[string, boolean]> => {
      const result = `${key.slice(RECORDS.length).replace(/\.json$/, "")}.lqa`;
      return [result, (await store.head(result, signal)) !== undefined];
    };
    for await (const [key, there] of concurrently(
      store.list({ prefix: RECORDS, signal }),
      4 * concurrency,
      head,
    )) {
      if (there) continue;
      counts.missing++;
      const advice = "Submit the source again: a worker then encodes the adapter.";
      found(
        key,
        new LqaError(KIND.NOT_FOUND, {
          where: key,
          expected: "a file, as its record says",
          actual: "none",
          advice,
        }),
      );
    }
  }
}

async function* results(store: ReadableStore, signal: AbortSignal | undefined): AsyncGenerator<ObjectInfo> {
  for await (const info of store.list({ signal }))
    if (info.key.endsWith(".lqa") && !info.key.startsWith(OWN_PREFIX)) yield info;
}

/** The error for a valid file that is not the one of its record; undefined if it is. */
function difference(
  { key, size }: ObjectInfo,
  ids: { readonly fileId: string } | undefined,
  record: { readonly outputBytes: number; readonly fileId: string },
): LqaError | undefined {
  const advice = "Something else replaced the file; remove it and submit the source again.";
  if (size !== record.outputBytes)
    return new LqaError(KIND.REMOTE_CHANGED, {
      where: key,
      expected: `${record.outputBytes} bytes`,
      actual: size,
      advice,
    });
  if (ids !== undefined && ids.fileId !== record.fileId)
    return new LqaError(KIND.REMOTE_CHANGED, {
      where: key,
      expected: `file id ${record.fileId}`,
      actual: ids.fileId,
      advice,
    });
  return undefined;
}
