/**
 * Collects the files that make up an adapter (Node only): a directory, or a file of weights together with the
 * `adapter_config.json` beside it.
 *
 * Only whole files by name come out; what they say is for `dialects/` to find out.
 *
 * @module
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fail, isLqaError } from "../errors.ts";
import { readWholeFile } from "./file.ts";
import { type LazyFile, openLazyFile } from "./lazy-file.ts";
import { osError, quotePath } from "./os-error.ts";

const CONFIG = "adapter_config.json";
/** Names that programs give the weights, the first that is there being meant. */
const WEIGHTS = [
  "adapter_model.safetensors",
  "adapters.safetensors",
  "pytorch_lora_weights.safetensors",
  "adapter_model.bin",
  "adapters.npz",
  "pytorch_lora_weights.bin",
] as const;
/** What else weights are called: in the container without surprises first. */
const SAFE = /\.safetensors$/;
const OTHERS = /\.(gguf|onnx_adapter|bin|pt|pth|ckpt|npz)$/;

/**
 * The adapter at `path`: file name to contents.
 *
 * In a directory the weights are the file that PEFT, MLX or diffusers call so or, failing that, the only one.
 *
 * @throws LqaError NOT_FOUND where there is nothing, or a directory without an adapter (the message says what it holds
 * instead); IO with the system's reason; BUDGET for files that are too large.
 */
export async function readSourceFiles(path: string, signal?: AbortSignal): Promise<Map<string, Uint8Array>> {
  const { folder, weights, file } = await findFiles(path);
  const files = new Map([[weights, await readWholeFile(file, signal)]]);
  const config = await readConfig(folder, signal);
  return config === undefined ? files : files.set(CONFIG, config);
}

/** The files of an adapter, the weights not in memory. */
export interface OpenSourceFiles {
  readonly files: ReadonlyMap<string, Uint8Array | LazyFile>;
  close(): void;
}

/** As {@link readSourceFiles}, but weights in a regular file are read when they are asked for. @throws as there */
export async function openSourceFiles(path: string, signal?: AbortSignal): Promise<OpenSourceFiles> {
  const { folder, weights, file } = await findFiles(path);
  const config = await readConfig(folder, signal);
  const lazy = openLazyFile(file);
  const files = new Map<string, Uint8Array | LazyFile>([
    [weights, lazy ?? (await readWholeFile(file, signal))],
  ]);
  if (config !== undefined) files.set(CONFIG, config);
  return { files, close: () => lazy?.close() };
}

async function findFiles(path: string): Promise<{ folder: string; weights: string; file: string }> {
  if (!(await isDirectory(path))) return { folder: dirname(path), weights: basename(path), file: path };
  const weights = await findWeights(path);
  return { folder: path, weights, file: join(path, weights) };
}

/** A configuration may be absent (many dialects have none); the dialect that needs it says so. */
async function readConfig(folder: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  try {
    return await readWholeFile(join(folder, CONFIG), signal);
  } catch (error) {
    if (isLqaError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw osError(error, path, "read");
  }
}

async function findWeights(folder: string): Promise<string> {
  let names: string[];
  try {
    names = (await readdir(folder)).sort();
  } catch (error) {
    throw osError(error, folder, "read");
  }
  const usual = WEIGHTS.find((name) => names.includes(name));
  if (usual !== undefined) return usual;
  for (const endings of [SAFE, OTHERS]) {
    const candidates = names.filter((name) => endings.test(name));
    if (candidates.length === 1) return candidates[0];
    if (candidates.length > 1) {
      return notFound(
        folder,
        names,
        "Several files of weights are here: give the path of the one that is meant.",
      );
    }
  }
  const checkpoint = names.find((name) => name.startsWith("checkpoint-"));
  return notFound(
    folder,
    names,
    checkpoint === undefined
      ? "Give the directory that save_pretrained wrote, or a file of weights."
      : `Give the path of a checkpoint, for example ${JSON.stringify(checkpoint)}.`,
  );
}

function notFound(folder: string, names: readonly string[], advice: string): never {
  return fail("NOT_FOUND", {
    where: quotePath(folder),
    expected: WEIGHTS[0],
    actual: listing(names),
    advice,
  });
}

function listing(names: readonly string[]): string {
  if (names.length === 0) return "an empty directory";
  const shown = names.slice(0, 4).map((name) => JSON.stringify(name));
  return names.length > 4 ? `${shown.join(", ")} and ${names.length - 4} more` : shown.join(", ");
}
