/**
 * Object storage and a queue in memory, behind the interfaces of the fleet, for tests of what a fleet does with them. What
 * real servers do is tested on real ones (`test/fleet/servers.test.ts`, `test/fleet/stores.test.ts`).
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { ERRORS, LqaError } from "../../src/core/index.ts";
import { assertNotAborted } from "../../src/core/io/source.ts";
import type { FleetFailure, ObjectStore, QueuedJob, Stores, WorkQueue } from "../../src/fleet/index.ts";
import { jobOf, nameIn, parseJob } from "../../src/fleet/job.ts";
import { ATTEMPTS, FIRST_PAUSE } from "../../src/fleet/queue.ts";
import { parseLocation } from "../../src/node/objects/location.ts";

export { FIRST_PAUSE, jobOf, parseJob };

const compare = (x: string, y: string): number => Buffer.compare(Buffer.from(x), Buffer.from(y));

/** All objects by `bucket/key`, and the requested changes. */
export interface MemoryStorage extends Stores {
  readonly objects: Map<string, { readonly bytes: Buffer; readonly version: string }>;
  /** `put bucket/key` and `remove bucket/key`, in order. */
  readonly changes: string[];
  /** Stores the files below a directory below a location. */
  upload(folder: string, location: string): void;
  put(location: string, key: string, bytes: Uint8Array | string): void;
  /** What is below a location by key, the fleet's own left out. */
  results(location: string): Map<string, Buffer>;
}

export function memoryStorage(): MemoryStorage {
  const objects: MemoryStorage["objects"] = new Map();
  const changes: string[] = [];
  let versions = 0;
  const set = (path: string, bytes: Uint8Array): void => {
    objects.set(path, { bytes: Buffer.from(bytes), version: `"${versions++}"` });
  };
  const prefixOf = (location: string): string => {
    const { bucket, parts } = parseLocation(location);
    return [bucket, ...parts, ""].join("/");
  };
  const open = async (location: string): Promise<ObjectStore> => {
    const root = prefixOf(location);
    return {
      location,
      async *list({ prefix = "", after, signal } = {}) {
        for (const path of [...objects.keys()].sort(compare)) {
          assertNotAborted(signal);
          const key = path.slice(root.length);
          if (!path.startsWith(root + prefix) || (after !== undefined && compare(key, after) <= 0)) continue;
          const { bytes, version } = objects.get(path)!;
          yield { key, size: bytes.length, version };
        }
      },
      async head(key) {
        const found = objects.get(root + key);
        return found && { key, size: found.bytes.length, version: found.version };
      },
      async read(key, { offset, length, version }) {
        const found = objects.get(root + key);
        if (found === undefined) return undefined;
        if (version !== undefined && version !== found.version) throw new LqaError(ERRORS.REMOTE_CHANGED);
        return new Uint8Array(found.bytes.subarray(offset, offset + length));
      },
      async put(key, bytes, { replace }) {
        changes.push(`put ${root}${key}`);
        if (!replace && objects.has(root + key)) return "exists";
        set(root + key, bytes);
        return "written";
      },
      async digest(key) {
        const found = objects.get(root + key);
        return found && createHash("sha256").update(found.bytes).digest("hex");
      },
      async remove(key) {
        changes.push(`remove ${root}${key}`);
        objects.delete(root + key);
      },
      async close() {},
    };
  };
  return {
    objects,
    changes,
    open,
    async close() {},
    upload(folder, location) {
      for (const entry of readdirSync(folder, { recursive: true }).map(String)) {
        if (statSync(join(folder, entry)).isFile())
          set(prefixOf(location) + entry.split(sep).join("/"), readFileSync(join(folder, entry)));
      }
    },
    put: (location, key, bytes) => set(prefixOf(location) + key, Buffer.from(bytes)),
    results(location) {
      const root = prefixOf(location);
      const found = [...objects].filter(([path]) => path.startsWith(root) && !path.includes("/.lqa-fleet/"));
      return new Map(
        found
          .map(([path, { bytes }]): [string, Buffer] => [path.slice(root.length), bytes])
          .sort(([x], [y]) => compare(x, y)),
      );
    },
  };
}

/** A queue whose entries are texts, as those of Redis are. */
export interface MemoryQueue extends WorkQueue {
  /** Adds an entry that is anything. */
  push(entry: QueuedJob): void;
}

export function memoryQueue(): MemoryQueue {
  const [waiting, failed] = [new Map<string, string>(), new Map<string, [string, FleetFailure]>()];
  const active = new Set<string>();
  let done = 0;
  let submissions = 0;
  return {
    location: "memory",
    push: ({ id, text }) => void waiting.set(id, text),
    async add(jobs) {
      for (const job of jobs)
        if (![waiting, active, failed].some((state) => state.has(job.id)))
          waiting.set(job.id, JSON.stringify(job));
    },
    async announce() {
      submissions++;
      return async () => void submissions--;
    },
    async work(process, { concurrency, signal, untilEmpty = false }) {
      let halted: { readonly error: unknown } | undefined;
      const lane = async (): Promise<void> => {
        while (signal?.aborted !== true && halted === undefined) {
          const [next] = waiting;
          if (next === undefined) {
            if (untilEmpty && active.size === 0 && submissions === 0) return;
            await new Promise((resolve) => setTimeout(resolve, 5));
            continue;
          }
          const [id, text] = next;
          waiting.delete(id);
          active.add(id);
          for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
            const verdict = await process({ id, text }, { last: attempt === ATTEMPTS });
            if (verdict.kind === "retry" && attempt < ATTEMPTS) continue;
            if (verdict.kind === "done") done++;
            else if (verdict.kind === "halt") {
              waiting.set(id, text);
              halted = verdict;
            } else failed.set(id, [text, verdict.failure]);
            break;
          }
          active.delete(id);
        }
      };
      await Promise.all(Array.from({ length: concurrency }, lane));
      if (halted !== undefined) throw (halted as { error: unknown }).error;
    },
    async counts() {
      const counts = { waiting: waiting.size, delayed: 0, active: active.size, failed: failed.size };
      return { ...counts, done, perMinute: undefined };
    },
    async *failures() {
      for (const [id, [text, failure]] of failed) yield { id, name: nameIn({ id, text }), failure };
    },
    async retry(codes) {
      const meant = [...failed].filter(([, [, { code }]]) => codes?.has(code) ?? true);
      for (const [id, [text]] of meant) {
        failed.delete(id);
        waiting.set(id, text);
      }
      return meant.length;
    },
    async close() {},
  };
}
