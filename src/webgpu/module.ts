/**
 * A packed module on the device: its payload as in the file, and a program that gives encoding and place of each plane. One
 * buffer holds both.
 *
 * @module
 */
// Symbol.dispose, for projects whose libraries do not have it.
/// <reference lib="esnext.disposable" preserve="true" />

import { assemblePayload, factorsOf, payloadLength, type ResidentModule } from "../core/format.ts";
import type { PackedFactors } from "../core/index.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ModuleShape } from "../model/adapter.ts";

import { type GpuApplyOptions, prepareApply } from "./apply.ts";
import {
  decodeToNewBuffers,
  type GpuDecodeOptions,
  type GpuDecodeTargets,
  type GpuFactors,
  prepareDecode,
} from "./decode.ts";
import { BINDING_ALIGNMENT } from "./decode-calls.ts";
import { type DeviceState, deviceState, filledBuffer, USAGE } from "./device.ts";
import { type GpuProgram, gpuProgramOf } from "./program.ts";
import type { GpuTask } from "./task.ts";
import type { GpuBuffer, GpuBufferBinding, GpuDevice } from "./types.ts";

/** A module to upload: a resident one, or its record and the packed factors from `packed` of an open file, or from a stream. */
export type PackedModule = ResidentModule | { readonly shape: ModuleShape; readonly factors: PackedFactors };

/** Bindings of a module: 0 is its program, 1 its payload, 2 the trellis tables. @internal */
export interface ModuleBindings {
  readonly 0: GpuBufferBinding;
  readonly 1: GpuBufferBinding;
  readonly 2: GpuBufferBinding;
}

type Largest = Readonly<Record<"b" | "a", number>>;
const NO_SUMS: Largest = { b: 0, a: 0 };

/** A packed module in memory of a device. {@link uploadModule} makes it. */
export class GpuModule {
  readonly shape: ModuleShape;
  /** @internal */
  readonly state: DeviceState;
  /** @internal */
  readonly program: GpuProgram;
  /** The largest magnitude of each factor that a start or a parent adds to; 0 for others. @internal */
  readonly largest: Largest;
  readonly #buffer: GpuBuffer;
  #destroyed = false;

  /** @internal */
  constructor(
    state: DeviceState,
    shape: ModuleShape,
    program: GpuProgram,
    largest: Largest,
    buffer: GpuBuffer,
  ) {
    this.state = state;
    this.shape = shape;
    this.program = program;
    this.largest = largest;
    this.#buffer = buffer;
  }

  /** Bytes that the module takes on the device. */
  get bytes(): number {
    return this.#buffer.size;
  }

  /** True after {@link destroy}. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** @internal */
  get bindings(): ModuleBindings {
    const size = this.program.words.byteLength;
    return {
      0: { buffer: this.#buffer, size },
      1: { buffer: this.#buffer, offset: payloadPlace(this.program) },
      2: { buffer: this.state.tables },
    };
  }

  /** @internal */
  assertUsable(): void {
    const where = `module "${this.shape.name}"`;
    if (this.#destroyed) fail(KIND.USAGE, { where, actual: "a module that was destroyed" });
    this.state.assertPresent(where);
  }

  /**
   * Decodes to new buffers with usage STORAGE, COPY_SRC and COPY_DST; the caller destroys them. When the promise is
   * fulfilled, the commands are submitted: work that you submit to the queue later finds the weights.
   *
   * @throws LqaError as {@link prepareDecode}
   */
  decode(options: GpuDecodeOptions = {}): Promise<GpuFactors> {
    return decodeToNewBuffers(this, options);
  }

  /**
   * Prepares decoding to buffers of the caller.
   *
   * @throws LqaError TARGET_SIZE if a buffer does not have the size or usage; GPU_LIMIT if a factor is larger than a binding
   *   may be; GPU_DEVICE if the device refuses, or is lost; USAGE if the module was destroyed; NONFINITE_VALUE for f16, if a start
   *   or a parent makes a weight of 65520 or more
   */
  prepareDecode(targets: GpuDecodeTargets, options: GpuDecodeOptions = {}): Promise<GpuTask> {
    return prepareDecode(this, targets, options);
  }

  /**
   * Prepares y += multiplier · B'(A' x), computed from the packed planes.
   *
   * @throws LqaError ACTIVATION_SHAPE if buffers, rows or the expert do not fit; CANNOT_APPLY for an embedding and a grouped
   *   convolution; GPU_LIMIT, GPU_DEVICE and USAGE as {@link prepareDecode}
   */
  prepareApply(options: GpuApplyOptions): Promise<GpuTask> {
    return prepareApply(this, options);
  }

  /** Frees the memory. Tasks of the module can no longer be encoded; submitted ones run to their end. */
  destroy(): void {
    this.#destroyed = true;
    this.#buffer.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}

const payloadPlace = ({ words }: GpuProgram): number =>
  Math.ceil(words.byteLength / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;

/** Bands and payload to upload: the planes as stored, except that A' with a start, and both factors of a child, are decoded. */
async function storedOf(
  module: PackedModule,
): Promise<Pick<ResidentModule, "bands" | "payload"> & { readonly largest: Largest }> {
  const { shape } = module;
  const { start, parent } = "payload" in module ? module : module.factors;
  const isWhole = start === undefined && parent === undefined;
  if ("payload" in module && isWhole) return { ...module, largest: NO_SUMS };
  let factors = "payload" in module ? factorsOf(module) : module.factors;
  if (!isWhole) factors = (await import("./materialize.ts")).materialize(shape, factors);
  const largest = isWhole
    ? NO_SUMS
    : {
        b: parent === undefined ? 0 : largestOf(factors, "b", shape),
        a: largestOf(factors, "a", shape),
      };
  return { bands: factors.bands, payload: assemblePayload(shape, factors), largest };
}

/** The largest magnitude of a factor of raw f32. @throws LqaError NONFINITE_VALUE */
function largestOf({ planes }: PackedFactors, factor: "b" | "a", { name }: ModuleShape): number {
  let most = 0;
  for (const { codes } of planes.flatMap((expert) => expert.map((band) => band[factor]))) {
    const view = new DataView(codes.buffer, codes.byteOffset, codes.byteLength);
    for (let at = 0; at < codes.length; at += 4) {
      const magnitude = Math.abs(view.getFloat32(at, true));
      if (!Number.isFinite(magnitude))
        fail(KIND.NONFINITE_VALUE, {
          where: `${factor.toUpperCase()}' of module "${name}"`,
          expected: "finite sums",
          actual: "one that overflows binary32",
        });
      if (magnitude > most) most = magnitude;
    }
  }
  return most;
}

/**
 * Uploads a module in packed form. If A' has a start, the upload decodes it to four bytes for each weight; if the module has
 * a parent, both factors.
 *
 * @throws LqaError GPU_LIMIT if it is larger than a buffer or a binding of the device may be, or there is no memory left;
 *   GPU_DEVICE if the device refuses, or is lost; UNSUPPORTED_CODEC for an unknown trellis table; CANNOT_APPLY for a module with
 *   a bias, which would be lost; NONFINITE_VALUE for a sum with a parent that overflows
 * @throws RangeError if planes do not fit the shape
 */
export async function uploadModule(device: GpuDevice, module: PackedModule): Promise<GpuModule> {
  const { shape } = module;
  const where = `module "${shape.name}"`;
  const { bands, payload, largest } = await storedOf(module);
  if ("payload" in module && module.bias !== undefined)
    fail(KIND.CANNOT_APPLY, {
      where,
      expected: "a module without a bias of its own",
      actual: "a bias",
      advice: "Upload the module without `bias`, and add that to the output in the host.",
    });
  const program = gpuProgramOf(shape, bands);
  const bytes = payloadLength(shape, bands);
  if (payload.length !== bytes)
    throw new RangeError(`${shape.name}: expected a payload of ${bytes} bytes, found ${payload.length}`);
  const place = payloadPlace(program);
  // One word of padding: the kernels read a code at the end together with the next word.
  const size = Math.ceil(bytes / 4) * 4 + 4;
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const most = Math.min(maxBufferSize - place, maxStorageBufferBindingSize, 2 ** 32 - 4);
  if (size > most)
    fail(KIND.GPU_LIMIT, { where, expected: `a payload of at most ${most} bytes`, actual: size });
  const state = deviceState(device);
  const how = { label: `lqa ${where}`, size: place + size, usage: USAGE.storage };
  const buffer = await state.guarded(where, () =>
    filledBuffer(device, how, (range) => {
      new Uint32Array(range, 0, program.words.length).set(program.words);
      new Uint8Array(range, place, bytes).set(payload);
    }),
  );
  return new GpuModule(state, shape, program, largest, buffer);
}
