/**
 * A place for a GGUF adapter that llama.cpp, which takes paths alone, can load without a file on disk: memory (`/dev/shm`) on Linux, elsewhere
 * a temporary file.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Calls `use` with the path of a file that does not exist yet, and deletes what `use` wrote there. No two calls have the same path:
 * node-llama-cpp knows adapters by their paths, and would take another adapter of the same path for the one that it has loaded.
 *
 * @template T
 * @param {(path: string) => Promise<T>} use writes the adapter and loads it
 * @returns {Promise<T>} what `use` returns
 */
export async function inMemory(use) {
  const folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "lqa-"));
  try {
    return await use(join(folder, "adapter.gguf"));
  } finally {
    await rm(folder, { recursive: true });
  }
}
