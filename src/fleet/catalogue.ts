/**
 * The catalogue of a fleet: its records as rows, for JSON Lines or Parquet, and as a summary.
 *
 * Rows are read a few at a time and passed on as they come. Memory keeps only the content ids of all rows, each with a name, to
 * find duplicates.
 *
 * @module
 */
import { concurrently } from "../node/objects/concurrent.ts";
import type { ReadableStore } from "../node/objects/store.ts";
import { FAILURES, RECORDS } from "./job.ts";
import { type FleetRecord, type ResultRecord, readRecord } from "./records.ts";

/** Number of records that are read concurrently. */
const PLACES = 32;

/** All records of a target: results, then failures, by name. @throws LqaError as the store; IO for an object that is no record */
export async function* readCatalogue(
  store: ReadableStore,
  signal?: AbortSignal,
): AsyncGenerator<FleetRecord> {
  // Skips a record that someone removed after the listing.
  for (const prefix of [RECORDS, FAILURES])
    for await (const record of concurrently(store.list({ prefix, signal }), PLACES, ({ key }) =>
      readRecord(store, key, signal),
    ))
      if (record !== undefined) yield record;
}

/** Results with the same content id: they differ at most in metadata. */
export interface Duplicates {
  readonly contentId: string;
  readonly count: number;
  /** The first few of them. */
  readonly names: readonly string[];
}

/** Number of values from `from` (included) to `to` (excluded). */
export interface Bin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** Summary of a catalogue. */
export interface CatalogueSummary {
  readonly results: number;
  readonly failures: number;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly parameters: number;
  /** Sum over all workers. */
  readonly seconds: number;
  readonly outputSizes: readonly Bin[];
  readonly bits: readonly Bin[];
  readonly errors: readonly Bin[];
  readonly dialects: readonly (readonly [name: string, count: number])[];
  readonly failuresByCode: readonly FailureGroup[];
  /** Results with the largest error. */
  readonly worst: readonly ResultRecord[];
  readonly duplicates: readonly Duplicates[];
  /** Number of results whose content another result already has. */
  readonly duplicated: number;
}

/** Failures with one code. */
export interface FailureGroup {
  readonly code: string;
  readonly kind: string;
  readonly count: number;
  readonly names: readonly string[];
  /** Message of the first one. */
  readonly message: string;
}

const SHOWN = 20;
/** Number of bins per factor of two. */
const PARTS = 4;

/** Collects a summary while rows pass by. */
export interface Summing {
  add(record: FleetRecord): void;
  end(): CatalogueSummary;
}

export function summing(): Summing {
  const total = { results: 0, failures: 0, inputBytes: 0, outputBytes: 0, parameters: 0, seconds: 0 };
  const outputSizes = new Map<number, number>();
  const bits = new Map<number, number>();
  const errors = new Map<number, number>();
  const dialects = new Map<string, number>();
  const codes = new Map<string, { kind: string; count: number; names: string[]; message: string }>();
  const contents = new Map<string, string | { count: number; names: string[] }>();
  let worst: ResultRecord[] = [];
  const into = (bins: Map<number, number>, value: number): void => {
    const bin = value > 0 ? Math.floor(Math.log2(value) * PARTS) : Number.NEGATIVE_INFINITY;
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  };
  return {
    add(record) {
      if (record.state === "failed") {
        total.failures++;
        const { code, kind, message, name } = record;
        const group = codes.get(code) ?? { kind, count: 0, names: [], message };
        group.count++;
        if (group.names.length < SHOWN) group.names.push(name);
        codes.set(code, group);
        return;
      }
      total.results++;
      total.inputBytes += record.inputBytes;
      total.outputBytes += record.outputBytes;
      total.parameters += record.parameters;
      total.seconds += record.seconds;
      into(outputSizes, record.outputBytes);
      into(bits, record.bitsPerParameter);
      into(errors, record.relativeError);
      dialects.set(record.dialect, (dialects.get(record.dialect) ?? 0) + 1);
      if (worst.length < SHOWN || record.relativeError > worst.at(-1)!.relativeError)
        worst = [...worst, record].sort((x, y) => y.relativeError - x.relativeError).slice(0, SHOWN);
      const same = contents.get(record.contentId);
      if (same === undefined) contents.set(record.contentId, record.name);
      else if (typeof same === "string")
        contents.set(record.contentId, { count: 2, names: [same, record.name] });
      else {
        same.count++;
        if (same.names.length < SHOWN) same.names.push(record.name);
      }
    },
    end() {
      const duplicates = [...contents].flatMap(([contentId, same]) =>
        typeof same === "string" ? [] : [{ contentId, ...same }],
      );
      const byCount = (x: { count: number }, y: { count: number }): number => y.count - x.count;
      return {
        ...total,
        outputSizes: binsOf(outputSizes),
        bits: binsOf(bits),
        errors: binsOf(errors),
        dialects: [...dialects].sort(([, x], [, y]) => y - x),
        failuresByCode: [...codes].map(([code, group]) => ({ code, ...group })).sort(byCount),
        worst,
        duplicates: duplicates.sort(byCount),
        duplicated: duplicates.reduce((sum, { count }) => sum + count - 1, 0),
      };
    },
  };
}

/** Bins in ascending order, without gaps. The first bin counts the values that are 0 or not a number. */
function binsOf(counts: ReadonlyMap<number, number>): Bin[] {
  const zero = counts.get(Number.NEGATIVE_INFINITY);
  const finite = [...counts.keys()].filter(Number.isFinite);
  const bins: Bin[] = zero === undefined ? [] : [{ from: 0, to: 0, count: zero }];
  if (finite.length === 0) return bins;
  const [low, high] = [finite.reduce((x, y) => Math.min(x, y)), finite.reduce((x, y) => Math.max(x, y))];
  for (let bin = low; bin <= high; bin++)
    bins.push({ from: 2 ** (bin / PARTS), to: 2 ** ((bin + 1) / PARTS), count: counts.get(bin) ?? 0 });
  return bins;
}
