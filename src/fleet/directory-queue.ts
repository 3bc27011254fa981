/**
 * A queue in a directory, for the processes of one machine.
 *
 * A job is a file; it is taken, given back and failed by renaming, which the system does whole. Who has a job is said by the
 * directory it is in, and a job of a process that has ended goes back: no clock decides. `waiting/ID.N.json` has been with N
 * workers that ended.
 *
 * @module
 */
import { appendFile, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isLqaError } from "../errors.ts";
import { osError, systemCode } from "../io/os-error.ts";
import { writeFileAtomic } from "../io/write-file.ts";
import { pause } from "./concurrent.ts";
import { type FleetFailure, type FleetJob, failureOf, lost, parseJob } from "./job.ts";
import { isAlive, thisProcess } from "./process-id.ts";
import {
  ATTEMPTS,
  type DeadJob,
  FIRST_PAUSE,
  MOST_LOST,
  POLL,
  type Process,
  type QueueCounts,
  type WorkOptions,
  type WorkQueue,
} from "./queue.ts";
import { OWN_PREFIX } from "./store.ts";

/** A line of the list of what was done: milliseconds since 1970, and its end. */
const LINE = 14;

const idOf = (file: string): string => file.slice(0, file.indexOf("."));

/** The queue below a directory: that of the target of the jobs, usually. */
export async function directoryQueue(location: string): Promise<WorkQueue> {
  const root = join(resolve(location), OWN_PREFIX, "queue");
  const place = (state: string, ...more: string[]): string => join(root, state, ...more);
  const own = place("active", thisProcess());
  try {
    for (const state of ["waiting", "active", "failed", "done", "tmp"])
      await mkdir(place(state), { recursive: true });
  } catch (error) {
    throw osError(error, root, "write");
  }

  /** Gives back what processes had that have ended. */
  async function recover({ onLost }: Pick<WorkOptions, "onLost"> = {}): Promise<void> {
    for (const owner of await names(place("active"))) {
      if (isAlive(owner)) continue;
      for (const file of await names(place("active", owner))) {
        const times = Number(/\.(\d+)\.json$/.exec(file)?.[1] ?? 0) + 1;
        const from = place("active", owner, file);
        if (times <= MOST_LOST) {
          await moved(from, place("waiting", `${idOf(file)}.${times}.json`));
          continue;
        }
        const taken = join(own, file);
        await mkdir(own, { recursive: true });
        if (!(await moved(from, taken))) continue;
        const failure = failureOf(lost(MOST_LOST));
        const job = parseJob(await readFile(taken, "utf8"));
        await bury(job, failure, taken);
        await onLost?.(job, failure);
      }
      await rm(place("active", owner), { recursive: true, force: true });
    }
  }

  async function bury(job: FleetJob, failure: FleetFailure, taken: string): Promise<void> {
    const text = new TextEncoder().encode(`${JSON.stringify({ job, failure })}\n`);
    await writeFileAtomic(place("failed", `${job.id}.json`), text, { force: true, scratch: place("tmp") });
    await rm(taken, { force: true });
  }

  async function enqueue(job: FleetJob): Promise<void> {
    const draft = place("tmp", `${job.id}.${thisProcess()}`);
    try {
      await writeFile(draft, `${JSON.stringify(job)}\n`);
      await rename(draft, place("waiting", `${job.id}.0.json`));
    } catch (error) {
      throw osError(error, draft, "write");
    }
  }

  /** The next job of a listing that nobody else has taken meanwhile. */
  async function take(listing: string[]): Promise<string | undefined> {
    for (let file = listing.pop(); file !== undefined; file = listing.pop())
      if (await moved(place("waiting", file), join(own, file))) return file;
    return undefined;
  }

  async function perform(file: string, process: Process, signal: AbortSignal | undefined): Promise<unknown> {
    const taken = join(own, file);
    let job: FleetJob;
    try {
      job = parseJob(await readFile(taken, "utf8"));
    } catch (error) {
      if (!isLqaError(error)) throw osError(error, taken, "read");
      const id = idOf(file);
      await bury({ id, source: "", target: "", name: id, files: [], settings: {} }, failureOf(error), taken);
      return undefined;
    }
    for (let attempt = 1; ; attempt++) {
      const verdict = await process(job, { last: attempt === ATTEMPTS });
      if (verdict.kind === "done") {
        await appendFile(place("done", thisProcess()), `${String(Date.now()).padStart(LINE - 1, "0")}\n`);
        await rm(taken, { force: true });
        return undefined;
      }
      if (verdict.kind === "dead" || (verdict.kind === "retry" && attempt === ATTEMPTS)) {
        await bury(job, verdict.failure, taken);
        return undefined;
      }
      if (verdict.kind === "retry") await pause(FIRST_PAUSE * 2 ** (attempt - 1), signal);
      if (verdict.kind === "halt" || signal?.aborted) {
        await moved(taken, place("waiting", file));
        return verdict.kind === "halt" ? verdict.error : undefined;
      }
    }
  }

  return {
    location,
    async add(jobs) {
      const known = new Set(
        (await Promise.all([names(place("waiting")), allActive(), names(place("failed"))])).flat().map(idOf),
      );
      for (const job of jobs) if (!known.has(job.id)) await enqueue(job);
    },
    async work(process, options) {
      const { concurrency, signal, untilEmpty = false } = options;
      await mkdir(own, { recursive: true });
      let listing: string[] = [];
      let looking: Promise<void> | undefined;
      let halted: { error: unknown } | undefined;
      const look = async (): Promise<void> => {
        await recover(options);
        listing = (await names(place("waiting"))).sort().reverse();
      };
      const lane = async (): Promise<void> => {
        while (signal?.aborted !== true && halted === undefined) {
          const file = await take(listing);
          if (file !== undefined) {
            const error = await perform(file, process, signal);
            if (error !== undefined) halted ??= { error };
            continue;
          }
          looking ??= look().finally(() => {
            looking = undefined;
          });
          await looking;
          if (listing.length > 0) continue;
          if (untilEmpty && (await allActive()).length === 0 && (await names(place("waiting"))).length === 0)
            return;
          await pause(POLL, signal);
        }
      };
      await Promise.all(Array.from({ length: concurrency }, lane));
      await rm(own, { recursive: true, force: true });
      if (halted !== undefined) throw (halted as { error: unknown }).error;
    },
    async counts(): Promise<QueueCounts> {
      const [waiting, active, failed] = await Promise.all([
        names(place("waiting")),
        allActive(),
        names(place("failed")),
      ]);
      return {
        waiting: waiting.length,
        delayed: 0,
        active: active.length,
        failed: failed.length,
        ...(await doneIn(place("done"))),
      };
    },
    async *failures() {
      for (const file of (await names(place("failed"))).sort()) yield await deadJob(place("failed", file));
    },
    async retry(codes) {
      let count = 0;
      for (const file of await names(place("failed"))) {
        const { failure } = await deadJob(place("failed", file));
        if (codes !== undefined && !codes.has(failure.code)) continue;
        const { job } = JSON.parse(await readFile(place("failed", file), "utf8")) as { job: FleetJob };
        // Killed in between, the job is in both lists, and done once more: which changes nothing.
        await enqueue(job);
        await rm(place("failed", file), { force: true });
        count++;
      }
      return count;
    },
    async close() {},
  };

  async function allActive(): Promise<string[]> {
    const owners = await names(place("active"));
    return (await Promise.all(owners.map((owner) => names(place("active", owner))))).flat();
  }
}

/** Renames; false if it is not there any more. */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw osError(error, from, "write");
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith("."));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw osError(error, folder, "read");
  }
}

async function deadJob(path: string): Promise<DeadJob> {
  const { job, failure } = JSON.parse(await readFile(path, "utf8")) as {
    job: FleetJob;
    failure: FleetFailure;
  };
  return { id: job.id, name: job.name, target: job.target, failure };
}

/** How many jobs were done, and how many a minute over the last lines of each worker that was at work in the last ten. */
async function doneIn(folder: string): Promise<Pick<QueueCounts, "done" | "perMinute">> {
  let done = 0;
  let perMinute = 0;
  for (const file of await names(folder)) {
    const path = join(folder, file);
    const { size, mtimeMs } = await stat(path);
    const lines = Math.floor(size / LINE);
    done += lines;
    if (lines < 2 || Date.now() - mtimeMs > 600_000) continue;
    const last = Math.min(lines, 100);
    const handle = await open(path);
    try {
      const { buffer } = await handle.read(Buffer.alloc(last * LINE), 0, last * LINE, (lines - last) * LINE);
      const times = buffer.toString("latin1").trim().split("\n").map(Number);
      const span = times.at(-1)! - times[0]!;
      if (span > 0) perMinute += ((last - 1) * 60_000) / span;
    } finally {
      await handle.close();
    }
  }
  return { done, perMinute: perMinute > 0 ? perMinute : undefined };
}
