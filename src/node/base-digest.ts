/**
 * Which base model an adapter was made for (spec clause 10.6; Node only): a digest of the weights that its modules adapt, so that
 * another model of the same shapes is noticed.
 *
 * Weights are read once, in pieces, as they lie in the model's files; other tensors are not read. Two models have one digest
 * only if these weights have the same element types and bytes.
 *
 * @module
 */
import { toHex } from "../core/container/bytes.ts";
import { tensorContent } from "../core/container/digests.ts";
import type { MetaMap } from "../core/container/meta.ts";
import { sortByName } from "../core/container/names.ts";
import { createSha256 } from "../core/container/sha256.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import type { ModuleShape } from "../model/adapter.ts";
import { baseFinder, COMPONENT, checkBaseShape } from "../model/base-shape.ts";
import { equalBytes } from "../model/bytes.ts";
import { type Model, readModel, type StoredTensor } from "../models/extract/model.ts";
import type { LocationOptions } from "./adapter-source.ts";
import { quotePath } from "./files/os-error.ts";
import { type ModelFolder, openModelFolder } from "./model-folder.ts";
import { type OpenModel, openModelIn } from "./open-model.ts";
import { shownLocation } from "./remote/location.ts";

/** Opens the digest's input, so that no other SHA-256 of the format can collide with it. */
const DOMAIN: Uint8Array = new TextEncoder().encode("LQA base 1\n");
const DIGEST_BYTES = 32;
/** Bytes that are read and hashed at once. */
const PIECE = 8 * 1024 * 1024;

/** The tensors of a base model, its files open. */
export interface OpenBase {
  /** By name; in a diffusion pipeline each name begins with its component (`unet.`). */
  readonly tensors: Model;
  close(): Promise<void>;
}

/**
 * Opens a base model for its headers: a safetensors file, the index of its shards, a directory that holds either, or the directory
 * of a diffusion pipeline (with `model_index.json`), of which each component with safetensors files is opened.
 *
 * @throws LqaError as `openModelFolder`; what a broken model can cause is listed at `readModel`
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
        // This component has weights in another form. If a module needs it, looking its weight up fails.
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
 * The base digest of these modules.
 *
 * @param modules in any order
 * @param base location of a safetensors file, the index of its shards, a directory that holds either, or the directory of a
 *   diffusion pipeline; on a server only the weights of the modules are fetched
 * @returns 32 bytes
 * @throws LqaError BASE_MODULE_MISSING, BASE_SHAPE if the modules do not fit; as `openModelFolder`; what a broken model can cause is
 *   listed at `readModel`; TRUNCATED_SOURCE, ABORTED
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

/** Base digests of the adapters of one base model. */
export interface BaseDigests {
  /** As {@link baseDigest}. Opens the model at the first call. */
  of(modules: readonly ModuleShape[], signal?: AbortSignal): Promise<Uint8Array>;
  /** The weights of these modules, of which `of` has found every one. */
  weights(modules: readonly ModuleShape[]): (name: string) => StoredTensor;
  close(): Promise<void>;
}

/** Base digests of adapters that are made one after the other: every tensor of the model is read and hashed once. */
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
