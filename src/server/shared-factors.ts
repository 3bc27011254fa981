/**
 * Decoded factors as files of a directory in shared memory (`/dev/shm`). An inference process on the same machine maps them,
 * so that no bytes go through a socket.
 *
 * A file exists whole or not at all. To stay within the budget, the server unlinks the least recently used files; a process
 * that has one open or mapped keeps it.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type PrivateDirectory, privateDirectory } from "../node/files/private-directory.ts";

/** B begins at 0, A at a multiple of this. */
const ALIGNMENT = 64;

/** A file with the factors of a module. */
export interface SharedFile {
  readonly path: string;
  readonly bytes: number;
  /** Where A begins. */
  readonly aOffset: number;
}

interface Entry {
  readonly bytes: number;
  readonly path: string;
  ready: Promise<SharedFile>;
}

/** The files of one server. */
export class SharedFactors {
  readonly #directory: PrivateDirectory;
  readonly #budget: number;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /**
   * @param parent a directory of a file system in memory; the constructor makes a private one for this process in it
   * @throws LqaError NOT_FOUND, IO
   */
  constructor(parent: string, budgetBytes: number) {
    this.#directory = privateDirectory(parent);
    this.#budget = budgetBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get files(): number {
    return this.#entries.size;
  }

  /**
   * The file with some factors. Writes it if it does not exist yet.
   *
   * @param key identifies the factors by content id, type and module
   * @param make returns the arrays of B and A; called synchronously or not at all
   * @throws LqaError BUDGET, IO
   */
  async get(key: string, make: () => readonly [Uint8Array, Uint8Array]): Promise<SharedFile> {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return await known.ready;
    }
    const [b, a] = make();
    const aOffset = ALIGNMENT * Math.ceil(b.length / ALIGNMENT);
    const bytes = aOffset + a.length;
    if (bytes > this.#budget)
      fail(KIND.BUDGET, {
        where: "shared memory",
        expected: `at most ${this.#budget} bytes`,
        actual: bytes,
        advice: "Raise --max-shared.",
      });
    for (const oldest of [...this.#entries.keys()]) {
      if (this.#bytes + bytes <= this.#budget) break;
      this.#drop(oldest);
    }
    const path = this.#directory.newPath();
    const content = new Uint8Array(bytes);
    content.set(b);
    content.set(a, aOffset);
    const entry: Entry = {
      bytes,
      path,
      ready: this.#directory.write(path, content).then(() => ({ path, bytes, aOffset })),
    };
    this.#entries.set(key, entry);
    this.#bytes += bytes;
    try {
      return await entry.ready;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#drop(key);
      throw error;
    }
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    // A file that is still being written is removed when it is complete.
    const gone = (): Promise<void> => this.#directory.remove(entry.path);
    entry.ready.then(gone, gone).catch(() => {});
  }

  /** Unlinks all files. */
  close(): void {
    this.#entries.clear();
    this.#bytes = 0;
    this.#directory.close();
  }
}
