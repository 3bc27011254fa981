/**
 * Identifies the base model of an adapter (spec clause 10.6; Node only): a digest of the weights that its modules adapt, so that
 * a reader notices another model with the same shapes.
 *
 * Reads these weights once, in pieces, as the files store them; it does not read other tensors. Two models have one digest
 * only if these weights have the same element types and bytes.
 *
 * @module
 */
import { equalBytes, toHex } from "../common/bytes.ts";
import { createSha256 } from "../common/sha256.ts";
import { tensorContent } from "../core/container/digests.ts";
import type { MetaMap } from "../core/container/meta.ts";
import { sortByName } from "../core/container/names.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import type { ModuleShape } from "../model/adapter.ts";
import { baseFinder, COMPONENT, checkBaseShape } from "../model/base-shape.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { quotePath } from "./files/os-error.ts";
import { type ModelFolder, openModelFolder } from "./model-folder.ts";
import { type OpenModel, openModelIn } from "./open-model.ts";
import { shownLocation } from "./remote/location.ts";
import { type Model, readModel, type StoredTensor } from "./stored-model.ts";

/** First bytes of the digest's input, so that no other SHA-256 of the format can collide with it. */
const DOMAIN: Uint8Array = new TextEncoder().encode("LQA base 1\n");
const DIGEST_BYTES = 32;
/** Bytes per read. */
const PIECE = 8 * 1024 * 1024;

/** The tensors of a base model whose files are open. */
export interface OpenBase {
  /** By name. In a diffusion pipeline each name begins with its component (`unet.`). */
  readonly tensors: Model;
  close(): Promise<void>;
}

/**
 * Opens a base model and reads its headers: a safetensors file, the index of its shards, a directory that holds either, or the
 * directory of a diffusion pipeline (with `model_index.json`), of which it opens each component with safetensors files.
 *
 * @throws LqaError as `openModelFolder`; `readModel` lists the errors of a broken model
 */
export async function openBase(folder: ModelFolder, signal?: AbortSignal): Promise<OpenBase> {
  const opened: OpenModel[] = [];
  const close = async (): Promise<void> => {
    for (const model of opened) await model.close();
  };
  try {
    const tensors = new Map<string, StoredTensor>();
    const pipeline = folder.file === undefined && (await folder.has("model_index.json"));
    const parts = pipeline ? (await folder.names()).filter((name) => COMPONENT.test(`${name}.`)) : [""];
    for (const part of parts) {
      const place = part === "" ? folder : await folder.folder(part);
      const model = await openModelIn(place).catch((error) => {
        // This component has weights in another format. If a module needs it, looking up its weight fails.
        if (pipeline && isLqaError(error, "NOT_FOUND")) return undefined;
        throw error;
      });
      if (model === undefined) continue;
      opened.push(model);
      for (const [name, tensor] of await readModel(model, "base model", signal))
        tensors.set(pipeline ? `${part}.${name}` : name, tensor);
    }
    return { tensors, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Computes the base digest of these modules.
 *
 * @param modules in any order
 * @param base location of a safetensors file, the index of its shards, a directory that holds either, or the directory of a
 *   diffusion pipeline; from a server it fetches only the weights of the modules
 * @returns 32 bytes
 * @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE if the modules do not fit; as `openModelFolder`; the errors of a broken model
 *   that `readModel` lists; TRUNCATED_SOURCE, ABORTED
 */
export async function baseDigest(
  modules: readonly ModuleShape[],
  base: string,
  options: LocationOptions = {},
): Promise<Uint8Array> {
  const digests = baseDigests(base, options.remote);
  try {
    return await digests.of(modules, options.signal);
  } finally {
    await digests.close();
  }
}

/** Computes base digests for several adapters of one base model. */
export interface BaseDigests {
  /** As {@link baseDigest}. Opens the model at the first call. */
  of(modules: readonly ModuleShape[], signal?: AbortSignal): Promise<Uint8Array>;
  /** Finds the base weights of these modules, after `of` accepted them. */
  weights(modules: readonly ModuleShape[]): (name: string) => StoredTensor;
  close(): Promise<void>;
}

/** Makes {@link BaseDigests} that open the model once, and read and hash each of its tensors at most once. */
export function baseDigests(location: string, remote?: LocationOptions["remote"]): BaseDigests {
  let base: OpenBase | undefined;
  const payloads = new Map<StoredTensor, Uint8Array>();
  return {
    async of(modules, signal) {
      base ??= await openBase(await openModelFolder(location, { remote, signal }), signal);
      const { tensors } = base;
      const { weight } = baseFinder(modules, (name) => tensors.get(name));
      const { items } = sortByName(
        modules,
        ({ name }) => name,
        () => 0,
        "module",
      );
      const hash = createSha256();
      hash.update(DOMAIN);
      for (const module of items) {
        const tensor = weight(module.name);
        checkBaseShape(module, tensor?.shape);
        const { element, shape } = tensor!;
        hash.update(tensorContent({ name: module.name, role: "replace", element, shape, axis: 0 }));
        const payload = payloads.get(tensor!) ?? (await payloadDigest(tensor!, signal));
        payloads.set(tensor!, payload);
        hash.update(payload);
      }
      return hash.digest();
    },
    weights(modules) {
      const { weight } = baseFinder(modules, (name) => base?.tensors.get(name));
      return (name) => weight(name)!;
    },
    close: async () => base?.close(),
  };
}

async function payloadDigest(
  { name, source, offset, length }: StoredTensor,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const hash = createSha256();
  for (let done = 0; done < length; ) {
    const piece = await source.read(offset + done, Math.min(PIECE, length - done), signal);
    if (piece.length === 0)
      fail(KIND.TRUNCATED_SOURCE, {
        where: `base tensor ${JSON.stringify(name)}`,
        expected: `${length} bytes`,
        actual: done,
        offset: offset + done,
      });
    hash.update(piece);
    done += piece.length;
  }
  return hash.digest();
}

/**
 * Compares the digest in a file's META with the weights of a base model. Reads nothing if META has none.
 *
 * @throws LqaError BASE_WEIGHTS if they differ; META_ENCODING if the digest is not 32 bytes; as {@link baseDigest}
 */
export async function checkBaseDigest(
  meta: MetaMap,
  modules: readonly ModuleShape[],
  base: string,
  options: LocationOptions = {},
): Promise<void> {
  const { base_digest: stored } = meta;
  if (stored === undefined) return;
  if (!(stored instanceof Uint8Array) || stored.length !== DIGEST_BYTES)
    fail(KIND.META_ENCODING, {
      where: "section META, key base_digest",
      expected: `a byte string of ${DIGEST_BYTES} bytes`,
      actual: stored instanceof Uint8Array ? `${stored.length} bytes` : typeof stored,
    });
  const found = await baseDigest(modules, base, options);
  if (!equalBytes(found, stored))
    fail(KIND.BASE_WEIGHTS, {
      where: quotePath(shownLocation(base)),
      expected: `base digest ${toHex(stored)}`,
      actual: toHex(found),
    });
}
