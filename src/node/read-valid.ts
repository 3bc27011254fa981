/**
 * Reads an `.lqa` file into memory and validates every byte (Node only), for functions that need the whole file.
 *
 * A large file is validated while it is read, before its memory is allocated: an untrusted gigabyte takes a gigabyte of memory
 * only if it is a valid file.
 *
 * @module
 */

import type { PackedFactors } from "../core/codecs/packed.ts";
import { assertAdapter, assertComparable, decodedBudgets } from "../core/read/adapter-budget.ts";
import { chunkOf, moduleFactors } from "../core/read/chunks.ts";
import { type DecodedModule, decodeModule } from "../core/read/decode.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import type { VerifiedIds } from "../core/read/verify.ts";
import { openVerified, validate } from "../core/validate/validate.ts";
import type { Validation, ValidationLevel } from "../core/validate/validation.ts";
import { type Adapter, lazyModule, shapeOf } from "../model/adapter.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { lqaPath } from "./files/adapter-files.ts";
import { isRegularFile, MAX_WHOLE_FILE, openFileSource, readWholeFile } from "./files/file.ts";
import { explainNotLqa } from "./not-lqa.ts";
import { isRemote } from "./remote/location.ts";

/** From this size on, a file is read twice and hashed once. */
const LARGE = 2 ** 26;

/** A valid file. */
export interface ValidFile {
  readonly bytes: Uint8Array;
  readonly ids: VerifiedIds;
}

interface How extends LocationOptions {
  /** At least `integrity`; default `values`. */
  readonly level?: ValidationLevel;
}

/**
 * Reads and validates a file at a location, or validates bytes.
 *
 * @throws LqaError the first error of the file; NOT_FOUND, IO, BUDGET, ABORTED as {@link readLocation}
 */
export async function readValid(input: string | Uint8Array, how: How = {}): Promise<ValidFile> {
  const path = typeof input === "string" && !isRemote(input) ? await lqaPath(input) : undefined;
  try {
    const large = path === undefined ? undefined : await readLarge(path, how);
    if (large !== undefined) return large;
    const bytes = typeof input === "string" ? await readLocation(path ?? input, how) : input;
    return { bytes, ids: idsOf(await validate(bytes, { level: how.level, warnings: false })) };
  } catch (error) {
    throw path === undefined ? error : await explainNotLqa(path, error);
  }
}

/**
 * Reads all bytes of an `.lqa` file at a location: a path, an address, or `hf://owner/name[@revision][/path]`. Of a directory, or a
 * folder on the hub, it reads `adapter_model.lqa`; of a folder on the hub without that file, its only `.lqa` file.
 *
 * @throws LqaError as `readWholeFile` for a path, and as `openRemoteFile` for other locations
 */
export async function readLocation(
  location: string,
  { remote, signal }: LocationOptions = {},
): Promise<Uint8Array> {
  if (!isRemote(location)) return await readWholeFile(await lqaPath(location), signal);
  const { openRemoteFile, readRemote } = await import("./remote/remote-file.ts");
  const file = await openRemoteFile(location, { ...remote, signal, wholeBytes: MAX_WHOLE_FILE });
  try {
    return await readRemote(file, { signal });
  } finally {
    await file.close();
  }
}

/** Validates a large file while reading it, then reads it into memory; undefined for any other file. */
async function readLarge(path: string, { level, signal }: How): Promise<ValidFile | undefined> {
  if (!(await isRegularFile(path))) return undefined;
  const source = await openFileSource(path);
  try {
    if (source.size < LARGE) return undefined;
    const ids = idsOf(await validate(source, { level, warnings: false, signal }));
    return { bytes: await source.whole(signal), ids };
  } finally {
    await source.close();
  }
}

function idsOf({ error, ids }: Validation): VerifiedIds {
  if (error !== undefined) throw error;
  if (ids === undefined) throw new TypeError("a file was validated without its ids");
  return ids;
}

/** A valid file, opened, and its adapter. */
export interface ValidAdapter extends ValidFile {
  readonly file: LqaFile;
  readonly adapter: Adapter;
}

/** How to read the adapter of a file. */
export interface AdapterOptions extends LocationOptions {
  /** The file's parents, as in `open`: see `openParents`. */
  readonly parents?: readonly LqaFile[] | undefined;
  /** The weights will be compared with others, which takes more than decoding: refuse what would take too long. */
  readonly compare?: boolean | undefined;
}

/**
 * Reads and validates a file, and opens its adapter. A module is decoded when its factors are read, and memory keeps only the
 * last module's factors. So a caller that refuses a file because of its index decodes nothing.
 *
 * @throws LqaError as {@link readValid}; BUDGET for an adapter that would cost too much; PARENT_MISMATCH; when
 *   factors are read, PARENT_MISSING
 */
export async function readValidAdapter(
  input: string | Uint8Array,
  options: AdapterOptions = {},
): Promise<ValidAdapter> {
  const { bytes, ids } = await readValid(input, options);
  const { parents = [] } = options;
  const file = await openVerified(bytes, ids, parents.length === 0 ? {} : { parents });
  const stored = bytes.length + storedBytes(parents);
  const budgets = decodedBudgets(stored);
  assertAdapter(file.modules, budgets.adapter);
  if (options.compare) assertComparable(file.modules, stored);
  type ModuleRecord = LqaFile["modules"][number];
  // Fetches the parents' packed factors (views on their bytes) now, because decoding below is synchronous.
  const packedParents = new Map<ModuleRecord, PackedFactors["parent"]>();
  if (file.parents.length > 0)
    for (const record of file.modules) packedParents.set(record, (await file.packed(record)).parent);
  let held: { readonly record: ModuleRecord; readonly decoded: DecodedModule } | undefined;
  const decodedOf = (record: ModuleRecord): DecodedModule => {
    if (held?.record === record) return held.decoded;
    const own = moduleFactors(chunkOf(bytes, record), record, undefined);
    const packed = { ...own, parent: packedParents.get(record) ?? own.parent };
    const decoded = decodeModule(record, packed, { budgetBytes: budgets.module });
    held = { record, decoded };
    return decoded;
  };
  const modules = file.modules.map((record) =>
    lazyModule(
      shapeOf(record),
      () => decodedOf(record).b.data,
      () => decodedOf(record).a.data,
    ),
  );
  const tensors = await Promise.all(file.tensors.map((record) => file.tensor(record)));
  const [meta, origin] = [await file.meta(), await file.origin()];
  return { bytes, ids, file, adapter: { modules, tensors, meta, origin } };
}

/** Bytes of all modules of the files. */
function storedBytes(files: readonly LqaFile[]): number {
  return files.reduce(
    (sum, { modules }) => sum + modules.reduce((bytes, { chunk }) => bytes + chunk.length, 0),
    0,
  );
}
