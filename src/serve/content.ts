/**
 * What is resident of one adapter: its records, the payloads of its modules, and the plain tensors that take part.
 * Everything in it has passed its CRC-32, and its padding and values were checked; whether the whole file is verified is for
 * the pool to decide.
 *
 * @module
 */

import { FLOAT_BYTES, type FloatType } from "../core/codecs/encoding.ts";
import { readElement } from "../core/codecs/floats.ts";
import type { PackedFactors } from "../core/codecs/packed.ts";
import { splitPayload } from "../core/container/chunk.ts";
import { assemblePayload } from "../core/container/payload.ts";
import type { ContainerIndex, ModuleRecord, TensorRecord } from "../core/container/types.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ElementType, PlainTensor, TensorRole } from "../model/adapter.ts";
import type { ResidentModule } from "./resident-module.ts";

/** Bytes that the objects of a module take, in addition to its payload and its name. Measured by `npm run bench:serve`. */
const RECORD_BYTES = 1536;

interface Slot {
  readonly record: ModuleRecord;
  /** Once it is loaded. */
  module: ResidentModule | undefined;
}

/** The modules of one adapter. */
export class Content {
  /** What it counts in a budget. */
  readonly bytes: number;
  readonly #slots = new Map<string, Slot>();
  readonly #tensors = new Map<string, PlainTensor>();
  readonly #wanted: readonly TensorRecord[];
  readonly #biases = new Map<string, Float32Array>();
  #missing: number;

  /** @param hostTensors roles of plain tensors that the host deals with; see {@link wantedTensors} */
  constructor(index: ContainerIndex, hostTensors: readonly TensorRole[]) {
    this.#wanted = wantedTensors(index, hostTensors);
    this.bytes = contentBytes(index, hostTensors);
    for (const record of index.modules) this.#slots.set(record.name, { record, module: undefined });
    this.#missing = index.modules.length;
  }

  /** Whether every module has been loaded. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  get names(): IterableIterator<string> {
    return this.#slots.keys();
  }

  get tensors(): ReadonlyMap<string, PlainTensor> {
    return this.#tensors;
  }

  has(name: string): boolean {
    return this.#slots.has(name);
  }

  /** A module; `undefined` if the adapter does not change that layer. @throws LqaError USAGE if it has not been loaded */
  module(name: string): ResidentModule | undefined {
    const slot = this.#slots.get(name);
    if (slot === undefined) return undefined;
    return (
      slot.module ??
      fail(KIND.USAGE, {
        where: `module "${name}"`,
        actual: "not loaded",
        advice: "Name it in `modules` of acquire, or await `load` of the lease.",
      })
    );
  }

  /** Packed planes, as views. */
  factors({ shape, bands, payload }: ResidentModule): PackedFactors {
    return splitPayload(shape, bands, payload);
  }

  /** What is added to the output of a module, already multiplied; `[experts][out]`. */
  bias(name: string): Float32Array | undefined {
    return this.#biases.get(name);
  }

  /** Loads everything, verified to the last byte. @returns the content id, proven */
  async loadWhole(file: LqaFile, signal: AbortSignal | undefined): Promise<string> {
    const wanted = new Set(this.#wanted);
    const room = roomFor([...this.#slots.values()].map(({ record }) => record));
    for await (const event of file.events({ signal })) {
      if (event.type === "module") this.#put(event.record, event.factors, room);
      else if (event.type === "tensor" && wanted.has(event.record)) this.#putTensor(event.tensor);
      else if (event.type === "end") return event.contentId;
    }
    throw new TypeError("a file ended without its end");
  }

  /** Loads plain tensors, and modules of these names that are not there yet; names of other layers are left out. */
  async load(file: LqaFile, names: Iterable<string>, signal: AbortSignal | undefined): Promise<void> {
    for (const record of this.#wanted)
      if (!this.#tensors.has(tensorKey(record))) this.#putTensor(await file.tensor(record, { signal }));
    const missing = [...new Set(names)].flatMap((name) => {
      const slot = this.#slots.get(name);
      return slot === undefined || slot.module !== undefined ? [] : [slot.record];
    });
    if (missing.length === 0) return;
    const room = roomFor(missing);
    for await (const { record, factors } of file.packedAll({ modules: missing, signal }))
      this.#put(record, factors, room);
  }

  #put(record: ModuleRecord, factors: PackedFactors, room: (bytes: number) => Uint8Array): void {
    const slot = this.#slots.get(record.name)!;
    if (slot.module !== undefined) return;
    const payload = assemblePayload(record, factors, room(record.payload));
    slot.module = { shape: record, bands: record.bands, payload };
    this.#missing--;
  }

  #putTensor(tensor: PlainTensor): void {
    const { name, role, data } = tensor;
    // Chunks may be views on more than themselves.
    this.#tensors.set(tensorKey(tensor), { ...tensor, data: data.slice() });
    if (role !== "lora-bias") return;
    const { multiplier } = this.#slots.get(name)!.record;
    const type = FLOATS[tensor.element]!;
    const count = data.length / FLOAT_BYTES[type];
    // Stored as binary32, that is rounded once.
    this.#biases.set(
      name,
      Float32Array.from({ length: count }, (_, i) => multiplier * readElement(data, type, i)),
    );
  }
}

/** By which plain tensors are kept: role and name. */
export function tensorKey({ role, name }: Pick<PlainTensor, "role" | "name">): string {
  return `${role} ${name}`;
}

const FLOATS: Partial<Record<ElementType, FloatType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** What the content of a file will count, before it is loaded. */
export function contentBytes(index: ContainerIndex, hostTensors: readonly TensorRole[]): number {
  const modules = index.modules.reduce(
    (sum, { payload, name }) => sum + payload + RECORD_BYTES + 2 * name.length,
    0,
  );
  return wantedTensors(index, hostTensors).reduce(
    (sum, { payload }) => sum + 2 * payload + RECORD_BYTES,
    modules,
  );
}

/**
 * The plain tensors that are kept: biases that belong to modules, which are applied with them, and what the host says that
 * it deals with. Those of the role `carried` do not belong to the maths and are left out.
 *
 * @throws LqaError CANNOT_APPLY for any other: it would be dropped silently
 */
function wantedTensors({ tensors }: ContainerIndex, hostTensors: readonly TensorRole[]): TensorRecord[] {
  return tensors.filter(({ role, name, element }) => {
    if (role === "carried") return false;
    if (hostTensors.includes(role) && role !== "lora-bias") return true;
    const where = `tensor "${name}"`;
    if (role !== "lora-bias")
      return fail(KIND.CANNOT_APPLY, {
        where,
        actual: `role ${role}`,
        advice: "Deal with tensors of this role in the host, and name it in `hostTensors` of the pool.",
      });
    if (FLOATS[element] === undefined)
      fail(KIND.CANNOT_APPLY, { where, expected: "F32, F16 or BF16", actual: element });
    return true;
  });
}

/** One buffer for the payloads of modules that are loaded together: a buffer of its own for each costs more objects. */
function roomFor(records: readonly ModuleRecord[]): (bytes: number) => Uint8Array {
  const total = records.reduce((sum, { payload }) => sum + payload, 0);
  let buffer: Uint8Array;
  try {
    buffer = new Uint8Array(total);
  } catch (cause) {
    return fail(KIND.BUDGET, {
      where: "an adapter",
      actual: `${total} bytes, which the engine refuses`,
      cause,
    });
  }
  let at = 0;
  return (bytes) => buffer.subarray(at, (at += bytes));
}
