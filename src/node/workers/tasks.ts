/**
 * The tasks of worker threads: those of encoding (`quantize/tasks.ts`), and decoding a module into shared memory. This file also
 * decides how a task is posted: with copies of its data, never with a whole file behind a view.
 *
 * @module
 */

import type { PackedFactors } from "../../core/codecs/packed.ts";
import { splitPayload } from "../../core/container/layout.ts";
import { type DecodeOptions, decodeModule } from "../../core/read/decode.ts";
import { loadDecoders } from "../../core/read/decode-child.ts";
import { perform, type TaskInput, type TaskKind, type TaskOutput } from "../../encode/quantize/tasks.ts";
import { type LoraModule, type ModuleShape, shapeOf } from "../../model/adapter.ts";

/** The place of a factor in shared memory. */
export interface SharedTarget {
  readonly buffer: SharedArrayBuffer;
  readonly offset: number;
  /** Number of weights. */
  readonly length: number;
}

/** Packed factors in a form that can be posted. */
export interface PackedPayload extends Pick<PackedFactors, "bands" | "start"> {
  /** Checked and not compressed; posting transfers it. */
  readonly payload: Uint8Array & { readonly buffer: ArrayBuffer };
}

/** Decodes the factors of one module into shared memory. */
export interface DecodeTask {
  readonly module: ModuleShape;
  /** Oldest parent first, the module itself last. */
  readonly generations: readonly PackedPayload[];
  readonly b: SharedTarget;
  readonly a: SharedTarget;
  readonly how: Pick<DecodeOptions, "layout" | "type" | "multiplier">;
}

/** Input of each kind of task. */
export interface PoolInput extends TaskInput {
  readonly decode: DecodeTask;
}

/** Output of each kind of task. */
export interface PoolOutput extends TaskOutput {
  readonly decode: undefined;
}

export type PoolKind = keyof PoolInput;

/** Performs a task on this thread. */
export function performTask<K extends PoolKind>(kind: K, input: PoolInput[K]): PoolOutput[K] {
  const output =
    kind === "decode" ? decode(input as DecodeTask) : perform(kind as TaskKind, input as TaskInput[TaskKind]);
  return output as PoolOutput[K];
}

function decode({ module, generations, b, a, how }: DecodeTask): undefined {
  const view = ({ buffer, offset, length }: SharedTarget): Uint16Array | Float32Array =>
    how.type === "f16" ? new Uint16Array(buffer, offset, length) : new Float32Array(buffer, offset, length);
  const packed = generations.reduce<PackedFactors | undefined>((parent, { bands, start, payload }) => {
    const { planes } = splitPayload(module, bands, payload);
    return { bands, planes, start, parent };
  }, undefined);
  loadDecoders();
  decodeModule(module, packed!, { ...how, into: { b: view(b), a: view(a) } });
}

/** Prepares a task for posting. Posting detaches the buffers in `transfer`, which never belong to the caller. */
export function parcel<K extends PoolKind>(
  kind: K,
  input: PoolInput[K],
): { input: PoolInput[K]; transfer: ArrayBuffer[] } {
  if (kind === "decode")
    return { input, transfer: (input as DecodeTask).generations.map(({ payload }) => payload.buffer) };
  // Cloning a view would clone the whole file behind it.
  const { module, parent } = input as TaskInput["survey"];
  const b = module.b.slice();
  const a = module.a.slice();
  const own: LoraModule = { ...shapeOf(module), b, a };
  const transfer = [b.buffer, a.buffer] as ArrayBuffer[];
  if (parent === undefined) return { input: { ...input, module: own }, transfer };
  const copied = { ...parent, b: parent.b.slice(), a: parent.a.slice() };
  transfer.push(copied.b.buffer as ArrayBuffer, copied.a.buffer as ArrayBuffer);
  return { input: { ...input, module: own, parent: copied }, transfer };
}
