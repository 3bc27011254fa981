/**
 * Zip archives, whole and in memory: PyTorch's and NumPy's files are such.
 *
 * fflate unpacks; here its work is bounded first. What is stored cannot be larger than the archive in total, and what is
 * compressed cannot grow by more than deflate can.
 *
 * @module
 */
import { unzipSync } from "fflate";
import { fail, isLqaError } from "../../errors.ts";
import { quoteName } from "../json.ts";

/** Largest factor by which deflate shrinks. */
const DEFLATE_RATIO = 1032;
/** Above this the archive is no adapter, and browsers hold no such array. */
const MAX_UNPACKED = 2 ** 31;
/**
 * Times that an archive may grow, beyond the first {@link SMALL} bytes. Trained weights shrink by a tenth; an adapter whose
 * B is zero, and F32 that holds F16, by four at most. Stops megabytes of packed zeros that fill the memory.
 */
const MOST_GROWTH = 16;
const SMALL = 2 ** 24;

/**
 * All entries of an archive by name.
 *
 * @throws LqaError SOURCE_HEADER for a broken archive, two entries of one name, or sizes that cannot be; TRUNCATED_SOURCE
 */
export function readZip(bytes: Uint8Array, where: string): Map<string, Uint8Array> {
  const sizes = new Map<string, number>();
  let stored = 0;
  let unpacked = 0;
  const total = Math.min(MAX_UNPACKED, SMALL + MOST_GROWTH * bytes.length);
  let files: Record<string, Uint8Array>;
  const bad = (expected: string, actual: string | number): never =>
    fail("SOURCE_HEADER", { where, expected, actual });
  try {
    files = unzipSync(bytes, {
      filter({ name, size, originalSize, compression }) {
        if (sizes.has(name)) bad("distinct entries", `${quoteName(name)} a second time`);
        if (name === "__proto__") bad("names of entries", quoteName(name));
        if (compression !== 0 && compression !== 8)
          bad("stored or deflated entries", `method ${compression}`);
        stored += size;
        unpacked += originalSize;
        const most = compression === 0 ? size : size * DEFLATE_RATIO;
        if (originalSize > most) bad(`at most ${most} bytes of ${quoteName(name)}`, originalSize);
        if (stored > bytes.length) bad(`entries of at most ${bytes.length} bytes`, stored);
        if (unpacked > total) bad(`at most ${total} bytes unpacked`, unpacked);
        sizes.set(name, originalSize);
        return true;
      },
    });
  } catch (error) {
    if (isLqaError(error)) throw error;
    return fail("SOURCE_HEADER", { where, expected: "a zip archive", actual: "a broken one", cause: error });
  }
  const entries = new Map<string, Uint8Array>();
  for (const [name, size] of sizes) {
    const data = files[name];
    if (data === undefined || data.length !== size) {
      fail("TRUNCATED_SOURCE", {
        where: `${where}, entry ${quoteName(name)}`,
        expected: `${size} bytes`,
        actual: data?.length ?? 0,
      });
    }
    entries.set(name, data!);
  }
  return entries;
}
