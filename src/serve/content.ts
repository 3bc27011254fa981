/**
 * What is resident of one adapter: its records, one buffer with the payloads of all its modules, and the plain tensors that
 * take part. Everything in it has passed its CRC-32; whether more is checked is for the pool to decide.
 *
 * @module
 */
import { readElement } from "../codecs/elements.ts";
import { FLOAT_BYTES, type FloatType } from "../codecs/encoding.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import { assemblePayload, splitPayload } from "../container/chunk.ts";
import { payloadLength } from "../container/layout.ts";
import type { ContainerIndex, ModuleRecord, TensorRecord } from "../container/types.ts";
import { fail } from "../errors.ts";
import type { ElementType, PlainTensor, TensorRole } from "../model/adapter.ts";
import type { RangedLqa } from "../read/ranged.ts";
import type { ResidentModule } from "./resident-module.ts";

/** Bytes that the objects of a module take, beside its payload and its name. Measured by `npm run bench:serve`. */
const RECORD_BYTES = 1024;

interface Slot {
  readonly module: ResidentModule;
  loaded: boolean;
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
    const lengths = index.modules.map((record) => payloadLength(record, record.bands));
    const buffer = allocate(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    index.modules.forEach((record, i) => {
      const payload = buffer.subarray(at, (at += lengths[i]!));
      this.#slots.set(record.name, {
        module: { shape: record, bands: record.bands, payload },
        loaded: false,
      });
    });
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
    if (!slot.loaded)
      fail("USAGE", {
        where: `module "${name}"`,
        actual: "not loaded",
        advice: "Name it in `modules` of acquire, or await `load` of the lease.",
      });
    return slot.module;
  }

  /** Packed planes, as views. */
  factors({ shape, bands, payload }: ResidentModule): PackedFactors {
    return splitPayload(shape, bands, payload, 0);
  }

  /** What is added to the output of a module, already multiplied; `[experts][out]`. */
  bias(name: string): Float32Array | undefined {
    return this.#biases.get(name);
  }

  /** Loads everything, verified to the last byte. @returns the content id, proven */
  async loadWhole(file: RangedLqa, signal: AbortSignal | undefined): Promise<string> {
    const wanted = new Set(this.#wanted);
    for await (const event of file.events({ signal })) {
      if (event.type === "module") this.#put(event.record, event.factors);
      else if (event.type === "tensor" && wanted.has(event.record)) this.#putTensor(event.tensor);
      else if (event.type === "end") return event.contentId;
    }
    throw new TypeError("a file ended without its end");
  }

  /** Loads plain tensors, and modules of these names that are not there yet; names of other layers are left out. */
  async load(file: RangedLqa, names: Iterable<string>, signal: AbortSignal | undefined): Promise<void> {
    for (const record of this.#wanted)
      if (!this.#tensors.has(tensorKey(record))) this.#putTensor(await file.fetchTensor(record, { signal }));
    const missing = [...new Set(names)].filter((name) => this.#slots.get(name)?.loaded === false);
    if (missing.length === 0) return;
    for await (const { record, factors } of file.fetchModules(missing, { signal }))
      this.#put(record, factors);
  }

  #put(record: ModuleRecord, factors: PackedFactors): void {
    const slot = this.#slots.get(record.name)!;
    if (slot.loaded) return;
    assemblePayload(record, factors, slot.module.payload);
    slot.loaded = true;
    this.#missing--;
  }

  #putTensor(tensor: PlainTensor): void {
    const { name, role, data } = tensor;
    // Chunks may be views on more than themselves.
    this.#tensors.set(tensorKey(tensor), { ...tensor, data: data.slice() });
    if (role !== "lora-bias") return;
    const { multiplier } = this.#slots.get(name)!.module.shape;
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
    (sum, record) => sum + payloadLength(record, record.bands) + RECORD_BYTES + 2 * record.name.length,
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
      return fail("CANNOT_APPLY", {
        where,
        actual: `role ${role}`,
        advice: "Deal with tensors of this role in the host, and name it in `hostTensors` of the pool.",
      });
    if (FLOATS[element] === undefined)
      fail("CANNOT_APPLY", { where, expected: "F32, F16 or BF16", actual: element });
    return true;
  });
}

function allocate(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    return fail("BUDGET", { where: "an adapter", actual: `${bytes} bytes, which the engine refuses`, cause });
  }
}
