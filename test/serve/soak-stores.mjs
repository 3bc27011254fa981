/**
 * Stores for the soak test that lose adapters, break them, fail, are slow, or do not answer: files of a real directory that
 * are changed, cut and damaged while they are read, an object store, and memory.
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { memorySource } from "../../dist/core/index.js";
import { directoryStore } from "../../dist/node/index.js";
import { objectStore } from "../../dist/serve/index.js";

export const pause = (milliseconds = 0) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A copy with a flipped bit, or a piece of the file. */
export function damaged(bytes, below) {
  if (below(3) === 0) return bytes.subarray(0, bytes.length - 1 - below(600));
  const copy = bytes.slice();
  // In the chunks: prologue and index have errors of every kind.
  copy[copy.length - 600 - below(bytes.length / 2)] ^= 1 << below(8);
  return copy;
}

/**
 * @param directory where files are written
 * @param versionOf bytes of one of the versions that a name may be now, or `undefined`
 * @returns `store`; `vandalise`, which changes the file of a name; `open`, how many of its files are open
 */
export function faultyStore(directory, versionOf, below) {
  let open = 0;
  const chance = (percent) => below(100) < percent;
  const files = directoryStore(directory);
  /** What a read may be: slow, or dead. */
  const trouble = async () => {
    if (chance(20)) await pause();
    if (chance(1)) throw new Error("the line is dead");
  };
  const objects = objectStore({
    async read(key, { offset, length }) {
      await trouble();
      const bytes = versionOf(key.slice(0, -".lqa".length));
      return chance(2) ? undefined : bytes?.subarray(offset, offset + length);
    },
  });
  const memory = {
    async open(name) {
      const bytes = versionOf(name);
      if (bytes === undefined) throw Object.assign(new Error("gone"), { code: "ENOENT" });
      const inner = memorySource(chance(6) ? damaged(bytes, below) : bytes);
      return {
        source: {
          size: inner.size,
          async read(offset, length, signal) {
            await trouble();
            return inner.read(offset, length, signal);
          },
        },
      };
    },
  };
  const store = {
    async open(name, signal) {
      if (chance(10)) await pause();
      if (chance(2)) throw Object.assign(new Error("gone"), { code: "ENOENT" });
      if (chance(1)) {
        // Does not answer, until the caller that asked gives up or the connection does.
        await pause(10 + below(20));
        signal?.throwIfAborted();
        throw new Error("no answer");
      }
      const which = below(10);
      const { source, close } = await (which < 4 ? files : which < 6 ? objects : memory).open(name, signal);
      open++;
      return {
        source,
        async close() {
          open--;
          await close?.();
        },
      };
    },
  };
  return {
    store,
    get open() {
      return open;
    },
    vandalise(name) {
      const path = join(directory, `${name}.lqa`);
      if (chance(10)) return rmSync(path, { force: true });
      const bytes = versionOf(name);
      const wanted = chance(15) ? damaged(bytes, below) : bytes;
      // While it is read, or in its place.
      if (chance(20)) return writeFileSync(path, wanted);
      writeFileSync(`${path}.new`, wanted);
      renameSync(`${path}.new`, path);
    },
  };
}
