/**
 * Decodes all modules of a file on worker threads, into one block of shared memory (Node only). Every thread runs the same
 * decoder as a single thread, so the bits are the same.
 *
 * A decoder writes about as fast as memory allows, so threads pay off only for large adapters, and most with an existing pool:
 * starting a worker takes longer than decoding twenty million weights.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { generationsOf } from "../../core/codecs/generations.ts";
import { assemblePayload } from "../../core/container/payload.ts";
import type { ModuleRecord } from "../../core/container/types.ts";
import { ADAPTER_BUDGET } from "../../core/read/adapter-budget.ts";
import {
  type DecodedModule,
  type DecodeOptions,
  decodedOf,
  type FactorArrays,
  type HalfArray,
  type WeightArrays,
  type WeightType,
} from "../../core/read/decode.ts";
import type { LqaFile } from "../../core/read/lqa-file.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, shapeOf } from "../../model/adapter.ts";
import { createWorkerPool, MAX_WORKERS, type WorkerPool } from "./pool.ts";
import type { DecodeTask } from "./tasks.ts";

/** How to decode a whole file. */
export interface DecodeWithWorkersOptions<T extends WeightType = WeightType>
  extends Pick<DecodeOptions<T>, "layout" | "type" | "multiplier"> {
  /** Number of threads, at least 1. Default: one for every 50 million weights, up to the cores. Does not change the result. */
  readonly workers?: number | undefined;
  /** An existing pool, which stays open. */
  readonly pool?: WorkerPool | undefined;
  /**
   * Memory to decode into, from its start, for example that of an earlier adapter: page-faulting fresh memory costs more than
   * decoding. It must be large enough; threads take part only if it is shared. After an error its contents are undefined.
   */
  readonly buffer?: SharedArrayBuffer | ArrayBuffer | undefined;
  /** Most bytes of the result, if it is in new memory. Default 4 GiB. */
  readonly budgetBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each module. */
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** All modules of a file, decoded. */
export interface DecodedAdapter<T extends WeightType = "f32"> {
  /** Shared, so that it can be posted to other threads without a copy; an ArrayBuffer if shared memory is unavailable. */
  readonly buffer: SharedArrayBuffer | ArrayBuffer;
  /** In file order. The data of B, then that of A, are views on the buffer at a `byteOffset` that is a multiple of 64. */
  readonly modules: readonly DecodedModule<T>[];
  /** Number of threads that took part. */
  readonly workers: number;
}

/** Factors begin on cache lines, so no two threads write to one line. */
const LINE_BYTES = 64;
/** Weights that one thread decodes in about 50 ms, the time in which a worker starts. */
const WEIGHTS_PER_WORKER = 50_000_000;

/**
 * Decodes all modules.
 *
 * @throws LqaError as `LqaFile.decodeAll`; BUDGET; TARGET_SIZE if `buffer` is too small; ABORTED; USAGE for a number of workers
 *   outside 1 to 64. Then there is no result.
 */
export async function decodeWithWorkers<T extends WeightType = "f32">(
  file: LqaFile,
  options: DecodeWithWorkersOptions<T> = {},
): Promise<DecodedAdapter<T>> {
  const { layout = "peft", multiplier = false, signal, onProgress } = options;
  const type: WeightType = options.type ?? "f32";
  const how = { layout, type, multiplier };
  const { places, bytes, weights } = placesOf(file, type);
  assertBytes(bytes, options);
  const count = options.workers ?? Math.min(availableParallelism(), Math.floor(weights / WEIGHTS_PER_WORKER));
  if (options.workers !== undefined && !(Number.isInteger(count) && count >= 1 && count <= MAX_WORKERS))
    fail(KIND.USAGE, {
      where: "workers",
      expected: `a whole number from 1 to ${MAX_WORKERS}`,
      actual: count,
    });

  const buffer = options.buffer ?? allocate(typeof SharedArrayBuffer === "function", bytes);
  const modules = places.map(({ record, b, a }) => {
    const view = ({ offset, length }: { offset: number; length: number }): WeightArrays[T] =>
      arrayOver(type, buffer, offset, length) as WeightArrays[T];
    return decodedOf<T>(record, { b: view(b), a: view(a) }, layout, multiplier);
  });
  let done = 0;
  const tell = async (name: string): Promise<void> => {
    onProgress?.(++done, modules.length, name);
    if (signal?.aborted) fail(KIND.ABORTED, { cause: signal.reason });
  };
  if (signal?.aborted) fail(KIND.ABORTED, { cause: signal.reason });
  const threads = options.pool?.workers ?? count;
  if (buffer instanceof ArrayBuffer || (threads <= 1 && options.pool === undefined)) {
    const arrays = new Map(modules.map(({ name, b, a }) => [name, { b: b.data, a: a.data }]));
    const into = ({ name }: { readonly name: string }): FactorArrays => arrays.get(name)!;
    for await (const { name } of file.decodeAll<WeightType>({ ...how, into, signal })) await tell(name);
    return { buffer, modules, workers: 1 };
  }
  const pool = options.pool ?? createWorkerPool(Math.min(threads, Math.max(1, modules.length)));
  try {
    await pool.run("decode", tasksOf(file, places, buffer, how, signal), tell);
    return { buffer, modules, workers: pool.workers };
  } finally {
    if (options.pool === undefined) await pool.close();
  }
}

/** Where a factor is in the memory. Offset in bytes; length in weights. */
interface FactorPlace {
  readonly offset: number;
  readonly length: number;
}

interface ModulePlace {
  readonly record: ModuleRecord;
  readonly b: FactorPlace;
  readonly a: FactorPlace;
}

/** The places of all factors, one after the other, and their bytes and weights together. */
function placesOf(
  file: LqaFile,
  type: WeightType,
): { readonly places: readonly ModulePlace[]; readonly bytes: number; readonly weights: number } {
  const elementBytes = type === "f32" ? 4 : 2;
  let bytes = 0;
  let weights = 0;
  const place = (length: number): FactorPlace => {
    const offset = bytes;
    bytes += Math.ceil((length * elementBytes) / LINE_BYTES) * LINE_BYTES;
    weights += length;
    return { offset, length };
  };
  const places = file.modules.map((record) => {
    const vectors = record.experts * record.rank;
    return { record, b: place(vectors * record.out), a: place(vectors * inputLength(record)) };
  });
  return { places, bytes, weights };
}

/** Checks that the budget or the caller's buffer has room. */
function assertBytes(
  bytes: number,
  { buffer, budgetBytes = ADAPTER_BUDGET }: Pick<DecodeWithWorkersOptions, "buffer" | "budgetBytes">,
): void {
  if (buffer === undefined && bytes > budgetBytes)
    fail(KIND.BUDGET, { where: "the adapter", expected: `at most ${budgetBytes} bytes`, actual: bytes });
  if (buffer !== undefined && buffer.byteLength < bytes)
    fail(KIND.TARGET_SIZE, {
      where: "the adapter",
      expected: `a buffer of ${bytes} bytes at least`,
      actual: `${buffer.byteLength} bytes`,
    });
}

/** The modules as tasks of workers, read while the workers decode. */
async function* tasksOf(
  file: LqaFile,
  places: readonly ModulePlace[],
  buffer: SharedArrayBuffer,
  how: DecodeTask["how"],
  signal: AbortSignal | undefined,
): AsyncGenerator<DecodeTask, void> {
  const placeOf = new Map(places.map((place) => [place.record, place]));
  for await (const { record, factors } of file.packedAll({ signal })) {
    const { b, a } = placeOf.get(record)!;
    const generations = generationsOf(record, factors).map((one) => ({
      bands: one.bands,
      start: one.start,
      payload: assemblePayload(record, one) as Uint8Array<ArrayBuffer>,
    }));
    yield { module: shapeOf(record), generations, b: { ...b, buffer }, a: { ...a, buffer }, how };
  }
}

function allocate(shared: boolean, bytes: number): SharedArrayBuffer | ArrayBuffer {
  try {
    return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  } catch (cause) {
    return fail(KIND.BUDGET, { where: "the adapter", actual: `${bytes} bytes to allocate`, cause });
  }
}

type HalfConstructor = new (buffer: ArrayBufferLike, offset: number, length: number) => HalfArray;

function arrayOver(
  type: "f32" | "f16",
  buffer: ArrayBufferLike,
  offset: number,
  length: number,
): Float32Array | HalfArray {
  if (type === "f32") return new Float32Array(buffer, offset, length);
  const { Float16Array: Half = Uint16Array as unknown as HalfConstructor } = globalThis as {
    Float16Array?: HalfConstructor;
  };
  return new Half(buffer, offset, length);
}
