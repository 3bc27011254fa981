/**
 * Encodes many adapters to one place, a directory or a location in object storage (Node only).
 *
 * Each file is whole or absent, so an interrupted run can be resumed: a file that is there and whole is kept. A failed adapter
 * is reported and does not stop the others. Several processes may write to one place, each its share or all the same one. If
 * another process finishes an adapter first, this one keeps the other's file, which has the same bytes.
 *
 * @module
 */
import { validate } from "../core/validate/validate.ts";
import type { QuantizeOptions } from "../encode/quantize/profile.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../errors.ts";
import { type BaseDigests, baseDigests } from "./base-digest.ts";
import {
  type EncodedFile,
  type EncodeFileControls,
  type EncodeFileOptions,
  encodeFrom,
  parentOf,
} from "./encode-file.ts";
import { type OutputFolder, openOutputFolder } from "./files/output-folder.ts";
import { leaveSignals } from "./files/temporary.ts";
import { outputExists } from "./files/write-file.ts";
import { findSources, type ManySource } from "./many-sources.ts";
import { isStored } from "./objects/location.ts";
import { BUCKET, REGION } from "./objects/s3-errors.ts";
import { inShard, type Shard } from "./shard.ts";
import { suitableWorkers, withWorkers } from "./workers/pool.ts";

/** The outcome for one adapter. `left`: not begun, because `stop` aborted. */
export type EncodedItem = { readonly input: string; readonly output: string } & (
  | { readonly state: "encoded"; readonly result: EncodedFile }
  | { readonly state: "kept"; readonly outputBytes: number }
  | { readonly state: "failed"; readonly error: LqaError }
  | { readonly state: "left" }
);

/** Options of {@link encodeMany}. */
export type EncodeManyOptions = QuantizeOptions &
  Omit<EncodeFileControls, "onProgress" | "executor" | "scaleIfMissing"> & {
    /** Encodes one share of the adapters and leaves the others to other processes. Default: all. */
    readonly shard?: Shard | undefined;
    /** When it aborts, no other adapter is begun, and those in progress are finished. */
    readonly stop?: AbortSignal | undefined;
    /** Called after each adapter. */
    readonly onProgress?: ((done: number, total: number, item: EncodedItem) => void) | undefined;
  };

/** Number of adapters in progress where files come from, or go to, a server: the next one is fetched while one is encoded. */
const LANES = 3;

/**
 * Encodes adapters, in the order of their names. Without `workers` it uses two threads per adapter, and at most one per core.
 *
 * @param inputs locations of adapters, directories to search, patterns with `*`, `?` and `**`, or `s3://bucket/prefix`
 * @param to directory for the files, made if it is absent, or `s3://bucket/prefix`. An adapter in a directory, pattern or
 * bucket keeps its path below it
 * @throws LqaError NOT_FOUND if there is nothing to encode (an empty share is no error); IO; MISSING_PACKAGE without the
 * package of object storage; errors of object storage that every adapter would have. Errors of single adapters are in their
 * items.
 */
export async function encodeMany(
  inputs: readonly string[],
  to: string,
  options: EncodeManyOptions = {},
): Promise<EncodedItem[]> {
  const { onProgress, workers, shard, stop, ...rest } = options;
  const isChosen = inShard(shard);
  const stored = [...inputs, to].some(isStored);
  const stores = stored ? (await import("./objects/open-store.ts")).createStores() : undefined;
  const bases = rest.base === undefined ? undefined : baseDigests(rest.base, rest.remote);
  // Signals must not remove what adapters in progress still need.
  const listenAgain = stop === undefined ? undefined : leaveSignals();
  try {
    const found = await findSources(inputs, stores, rest);
    if (found.size === 0)
      fail(KIND.NOT_FOUND, { where: inputs.slice(0, 4).join(", "), expected: "adapters", actual: "none" });
    const chosen = [...found].filter(([, { name }]) => isChosen(name));
    const target =
      stores !== undefined && isStored(to)
        ? (await import("./objects/output-bucket.ts")).openOutputBucket(await stores.open(to))
        : openOutputFolder(to);
    const items: EncodedItem[] = chosen.map(([input, { name }]) => ({
      input,
      output: target.pathOf(`${name}.lqa`),
      state: "left",
    }));
    const taken = new Map<string, string>();
    const parent = await parentOf(rest.parent, rest);
    // One pool for all adapters, whose size is unknown: as if each had a million parameters.
    await withWorkers(workers ?? suitableWorkers(1e6 * chosen.length), async (executor) => {
      const how = { ...rest, scaleIfMissing: true, executor, parent };
      let [next, done, ended] = [0, 0, false];
      const lane = async (): Promise<void> => {
        while (next < chosen.length && !ended && stop?.aborted !== true) {
          const at = next++;
          const [input, source] = chosen[at]!;
          const file = `${source.name}.lqa`;
          const other = taken.get(file);
          taken.set(file, input);
          const outcome = await attempt(source, { target, file, other, bases }, how);
          items[at] = { input, output: target.pathOf(file), ...outcome };
          onProgress?.(++done, chosen.length, items[at]);
        }
      };
      const lanes = Array.from({ length: stored ? LANES : 1 }, () =>
        lane().catch((error) => {
          ended = true;
          throw error;
        }),
      );
      for (const settled of await Promise.allSettled(lanes))
        if (settled.status === "rejected") throw settled.reason;
    });
    return items;
  } finally {
    listenAgain?.();
    await bases?.close();
    await stores?.close();
  }
}

type Outcome =
  | { state: "encoded"; result: EncodedFile }
  | { state: "kept"; outputBytes: number }
  | { state: "failed"; error: LqaError };

interface Place {
  readonly target: OutputFolder;
  readonly file: string;
  /** Another input whose output has the same name. */
  readonly other: string | undefined;
  readonly bases: BaseDigests | undefined;
}

async function attempt(
  source: ManySource,
  { target, file, other, bases }: Place,
  options: EncodeFileOptions,
): Promise<Outcome> {
  const output = target.pathOf(file);
  try {
    if (other !== undefined) {
      fail(KIND.OUTPUT_EXISTS, {
        where: output,
        actual: `the output of ${other}`,
        advice: "Rename one of the adapters.",
      });
    }
    const there = options.force === true ? undefined : await earlier(target, file);
    if (there?.whole === true) return { state: "kept", outputBytes: there.bytes };
    const how = { ...options, force: options.force === true || there !== undefined };
    await target.check(file, how);
    const result = await source.read((open) =>
      encodeFrom(open, (bytes) => target.write(file, bytes, how), how, bases),
    );
    return { state: "encoded", result };
  } catch (error) {
    if (!isLqaError(error) || concernsAll(error)) throw error;
    // Another process has encoded it in the meantime.
    if (other === undefined && isLqaError(error, "OUTPUT_EXISTS")) {
      const there = await earlier(target, file).catch(() => undefined);
      if (there?.whole === true) return { state: "kept", outputBytes: there.bytes };
    }
    return { state: "failed", error };
  }
}

/**
 * The file of an earlier run, if there is one, and whether all of its checksums fit. A damaged one is encoded again.
 *
 * @throws LqaError OUTPUT_EXISTS for something else than an `.lqa` file, which is not replaced
 */
async function earlier(
  target: OutputFolder,
  file: string,
): Promise<{ readonly whole: boolean; readonly bytes: number } | undefined> {
  const found = await target.open(file);
  if (found === undefined) return undefined;
  try {
    const { valid, error, bytes } = await validate(found.input, {
      level: "integrity",
      warnings: false,
    });
    if (error?.kind === "BAD_MAGIC") throw outputExists(target.pathOf(file), "not an .lqa file");
    // What this version does not support, or finds too large, may be whole.
    return { whole: valid || error?.exitCode !== 1, bytes };
  } finally {
    await found.close();
  }
}

/** Whether no other adapter could be encoded either. */
function concernsAll({ kind, where, expected }: LqaError): boolean {
  if (kind === "ABORTED" || kind === "MISSING_PACKAGE") return true;
  if (kind === "ACCESS_DENIED") return isStored(where ?? "");
  return expected === BUCKET || expected === REGION;
}
