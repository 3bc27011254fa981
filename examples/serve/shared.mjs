// Decoded factors as files of a directory in shared memory (/dev/shm/...), for an inference process of the same machine that
// maps them: nothing is copied through a socket. A file exists whole or not at all. When the budget is used up, the least
// recently requested files are unlinked; a process that has one open or mapped keeps it.
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ERRORS, LqaError } from "../../dist/core/index.js";

/** B begins at 0, A at a multiple of this. */
const ALIGNMENT = 64;

export class SharedFactors {
  #directory;
  #budget;
  #entries = new Map();
  #bytes = 0;

  /** @param parent a directory of a file system in memory, in which one of this process alone is made */
  constructor(parent, budgetBytes) {
    this.#directory = join(parent, `lqa-${process.pid}-${randomUUID().slice(0, 8)}`);
    mkdirSync(this.#directory, { mode: 0o700 });
    this.#budget = budgetBytes;
  }

  get bytes() {
    return this.#bytes;
  }

  get files() {
    return this.#entries.size;
  }

  /**
   * The file of some factors, made if it is not there.
   *
   * @param key what the factors are: content, module, type
   * @param make gives the arrays of B and A
   * @returns path, bytes, and where A begins
   */
  async get(key, make) {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      // Last used.
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.ready;
    }
    const [b, a] = make();
    const aOffset = ALIGNMENT * Math.ceil(b.byteLength / ALIGNMENT);
    const bytes = aOffset + a.byteLength;
    if (bytes > this.#budget)
      throw new LqaError(ERRORS.BUDGET, {
        where: "shared memory",
        expected: `at most ${this.#budget} bytes`,
        actual: bytes,
        advice: "Raise --shared-mib.",
      });
    for (const [oldest] of this.#entries) {
      if (this.#bytes + bytes <= this.#budget) break;
      this.#drop(oldest);
    }
    const path = join(this.#directory, randomUUID());
    const entry = { bytes, path, ready: undefined };
    this.#entries.set(key, entry);
    this.#bytes += bytes;
    const content = new Uint8Array(bytes);
    content.set(new Uint8Array(b.buffer, b.byteOffset, b.byteLength));
    content.set(new Uint8Array(a.buffer, a.byteOffset, a.byteLength), aOffset);
    entry.ready = this.#write(path, content).then(() => ({ path, bytes, aOffset }));
    try {
      return await entry.ready;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#drop(key);
      throw error;
    }
  }

  async #write(path, content) {
    const temporary = `${path}.part`;
    try {
      await writeFile(temporary, content, { mode: 0o600 });
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw new LqaError(ERRORS.IO, { where: "shared memory", cause });
    }
  }

  #drop(key) {
    const { bytes, path, ready } = this.#entries.get(key);
    this.#entries.delete(key);
    this.#bytes -= bytes;
    // One that is being written goes when it is there.
    const gone = () => rm(path, { force: true });
    Promise.resolve(ready)
      .then(gone, gone)
      .catch(() => {});
  }

  /** Unlinks all files. */
  close() {
    this.#entries.clear();
    this.#bytes = 0;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
