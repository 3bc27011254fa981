/**
 * The places of all tensors of a model (Node only): in one safetensors file, or in shards with or without an index.
 *
 * The reader reads only headers. It makes one table of names from any number of shards, so that no later step can depend on
 * how the model was sharded. Index and shards must agree in every tensor.
 *
 * @module
 */
import { parseJson, quoteName } from "../adapters/json.ts";
import { checkEntries } from "../adapters/safetensors.ts";
import { headerBytes, readHeader } from "../adapters/safetensors-header.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, LqaError } from "../errors.ts";
import type { ByteSource } from "../io/source.ts";
import { type WorkLimits, workMeter } from "../meter.ts";
import type { ElementType } from "../model/adapter.ts";

/** A model in several files. */
export interface ShardedModel {
  /** The safetensors files by their names, which `index` and messages use. */
  readonly files: ReadonlyMap<string, ByteSource>;
  /** `model.safetensors.index.json`. Without it the model is all tensors of all files. */
  readonly index?: Uint8Array | undefined;
}

/** A tensor in a file, not read yet: `length` bytes from `offset` on, little-endian, C order. */
export interface StoredTensor {
  readonly name: string;
  readonly element: ElementType;
  readonly shape: readonly number[];
  readonly source: ByteSource;
  readonly offset: number;
  readonly length: number;
}

/** All tensors of a model, by name. */
export type Model = ReadonlyMap<string, StoredTensor>;

/**
 * Reads the headers of a model.
 *
 * @param which names the model in messages
 * @throws LqaError TRUNCATED_SOURCE, SOURCE_HEADER and SOURCE_ELEMENT_TYPE for a broken file or element types without a
 *   difference (F8, F4 …), with the name of the file; SOURCE_SHARDS if index and files disagree; NOT_FOUND for a shard that
 *   the index names but that is missing; IO, ABORTED
 */
export async function readModel(
  source: ByteSource | ShardedModel,
  which: string,
  signal?: AbortSignal,
): Promise<Model> {
  const { files, index } = "files" in source ? source : { files: new Map([["", source]]), index: undefined };
  const places = index === undefined ? undefined : parseShardIndex(index);
  const named = places === undefined ? [...files.keys()] : [...new Set(places.values())];
  const tensors = new Map<string, StoredTensor>();
  for (const file of named) {
    const bytes = files.get(file);
    if (bytes === undefined) {
      return fail(KIND.NOT_FOUND, { where: `shard ${quoteName(file)} of the ${which}`, expected: "a file" });
    }
    const label = `${file === "" ? "" : `${quoteName(file)} of `}the ${which}`;
    for (const tensor of await readTensors(bytes, label, signal)) {
      const twice = tensors.has(tensor.name) || (places !== undefined && places.get(tensor.name) !== file);
      if (twice) shards(tensor.name, label, placeOf(places?.get(tensor.name)), "it is here");
      tensors.set(tensor.name, tensor);
    }
  }
  for (const [name, file] of places ?? []) {
    if (!tensors.has(name)) shards(name, `the ${which}`, `it in ${quoteName(file)}`, "no such tensor there");
  }
  return tensors;
}

/** The index of Kimi K2, in 4 bits, has 210,000 tensors and 20 MB. */
const SHARD_INDEX: WorkLimits = { bytes: 2 ** 26, objects: 2 ** 20 };

/**
 * The `weight_map` of a shard index: tensor to file.
 *
 * @throws LqaError SOURCE_SHARDS for broken JSON (with the byte offset), a missing map, or a file that is not a plain
 * name: an index must not reach outside its directory
 */
export function parseShardIndex(bytes: Uint8Array): Map<string, string> {
  const where = "the shard index";
  const meter = workMeter(
    where,
    SHARD_INDEX,
    "Check where this model comes from: such an index has some megabytes at most.",
  );
  const index = parseJson(bytes, KIND.SOURCE_SHARDS, where, meter);
  const map = index instanceof Map ? index.get("weight_map") : undefined;
  if (!(map instanceof Map)) return fail(KIND.SOURCE_SHARDS, { where, expected: "an object weight_map" });
  const places = new Map<string, string>();
  for (const [name, file] of map) {
    const plain = typeof file === "string" && /^[^/\\\0]+$/.test(file) && file !== "." && file !== "..";
    if (!plain) {
      const actual = typeof file === "string" ? quoteName(file) : typeof file;
      return fail(KIND.SOURCE_SHARDS, {
        where: `${where}, tensor ${quoteName(name)}`,
        expected: "the plain name of a file",
        actual,
      });
    }
    places.set(name, file);
  }
  return places;
}

async function readTensors(source: ByteSource, label: string, signal?: AbortSignal): Promise<StoredTensor[]> {
  try {
    const start = await source.read(0, 8, signal);
    const header = readHeader(await source.read(0, headerBytes(start), signal));
    const { size } = source;
    if (size === undefined) throw new TypeError("a model needs sources whose size is known");
    const elements = checkEntries(header, size);
    return [...header.entries].map(([name, { shape, begin, end }]) => ({
      name,
      element: elements.get(name)!,
      shape,
      source,
      offset: header.dataStart + begin,
      length: end - begin,
    }));
  } catch (error) {
    throw isLqaError(error) ? inFile(error, label) : error;
  }
}

/** The same error with the file's name, and with advice that fits a model. */
function inFile(error: LqaError, label: string): LqaError {
  const { kind, expected, actual, offset, where } = error;
  if (kind === "ABORTED" || kind === "IO") return error;
  const advice =
    kind === "SOURCE_ELEMENT_TYPE" ? "Convert the model to F32, F16 or BF16 first." : error.advice;
  const place = where === undefined ? label : `${label}, ${where}`;
  return new LqaError(error, { expected, actual, offset, where: place, advice, cause: error });
}

function placeOf(file: string | undefined): string {
  return file === undefined ? "it nowhere, or in one file" : `it in ${quoteName(file)}`;
}

function shards(name: string, where: string, expected: string, actual: string): never {
  return fail(KIND.SOURCE_SHARDS, { where: `${where}, tensor ${quoteName(name)}`, expected, actual });
}
