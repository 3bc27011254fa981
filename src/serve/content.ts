/**
 * The resident data of one adapter: its records, the payloads of its modules, and the plain tensors that take part.
 * All of it has passed its CRC-32, and its padding and values were checked. The pool decides whether the whole file is
 * verified.
 *
 * @module
 */

import { FLOAT_BYTES, type ResidentModule, splitPayload } from "../core/format.ts";
import type {
  ContainerIndex,
  FloatType,
  LqaFile,
  ModuleRecord,
  PackedFactors,
  PackedModule,
  TensorRecord,
} from "../core/index.ts";
import { checkSums } from "../core/rooms.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { readElement } from "../floats.ts";
import type { ElementType, ModuleShape, PlainTensor, TensorRole } from "../model/adapter.ts";
import type { Draws } from "./draws.ts";

import { PackedPlans, type SharedLayout, sharedLayout } from "./shared-layout.ts";
import { type SpareBuffers, SURPLUS } from "./spare-buffers.ts";

/** Most bytes of a module beyond payload and name, if no other adapter shares its layout. */
const RECORD_BYTES = 512;
/** Numbers in {@link Content} that locate the payload of a module: buffer, offset, length. */
const PLACE = 3;
const NOWHERE = -1;

/** Allocates memory; other threads can see some kinds of it. */
export type NewBuffer = (bytes: number) => ArrayBufferLike;

/** The content to which the modules of a child are added (spec clause 8.9). */
export interface ContentParent {
  readonly content: Content;
  /** By module of the child: the number of its parent's module, if it has one. */
  readonly numbers: readonly (number | undefined)[];
}

/** The modules of one adapter, in a number of objects that does not depend on the number of modules. */
export class Content {
  /** Its bytes in a budget. */
  readonly bytes: number;
  readonly #layout: SharedLayout;
  readonly #plans: PackedPlans;
  /**
   * Payloads of modules that were loaded together; and, per module, its buffer, its offset there and its length, or
   * {@link NOWHERE} before it is loaded.
   */
  readonly #buffers: Uint8Array[] = [];
  readonly #places: Float64Array;
  readonly #tensors = new Map<string, PlainTensor>();
  readonly #wanted: readonly TensorRecord[];
  readonly #biases = new Map<string, Float32Array>();
  readonly #newBuffer: NewBuffer;
  readonly #spare: SpareBuffers | undefined;
  /** Whether others may have views of its buffers. */
  #lent = false;
  #retired = false;
  /** The draws of the modules that have a start, and those of its parents. */
  readonly draws: readonly Draws[];
  readonly #draws: Draws | undefined;
  readonly #parent: ContentParent | undefined;
  #missing: number;
  /** Bytes in use in the last buffer. */
  #filled = 0;

  /**
   * @param hostTensors roles of plain tensors that the host applies; see {@link wantedTensors}
   * @param draws the draws of an adapter with these modules
   * @param newBuffer allocates memory for payloads and biases
   * @param parent a complete content, if modules have a parent
   * @param spare memory for payloads. Buffers that were read are kept instead of copies. Absent if threads share the payloads
   */
  constructor(
    index: ContainerIndex,
    hostTensors: readonly TensorRole[],
    draws: Draws | undefined,
    newBuffer: NewBuffer,
    parent: ContentParent | undefined,
    spare: SpareBuffers | undefined,
  ) {
    this.#draws = draws;
    this.#parent = parent;
    this.draws = [...(draws === undefined ? [] : [draws]), ...(parent?.content.draws ?? [])];
    this.#newBuffer = newBuffer;
    this.#spare = spare;
    this.#wanted = wantedTensors(index, hostTensors);
    this.bytes = contentBytes(index, hostTensors);
    this.#layout = sharedLayout(index.modules);
    this.#missing = index.modules.length;
    this.#plans = new PackedPlans(index.modules.map(({ bands }) => bands));
    this.#places = new Float64Array(PLACE * this.#missing).fill(NOWHERE);
  }

  /** Whether every module has been loaded. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /** Shapes of all modules, in file order. */
  get shapes(): readonly ModuleShape[] {
    return this.#layout.shapes;
  }

  get names(): IterableIterator<string> {
    return this.#layout.numbers.keys();
  }

  get tensors(): ReadonlyMap<string, PlainTensor> {
    return this.#tensors;
  }

  has(name: string): boolean {
    return this.#layout.numbers.has(name);
  }

  /** A loaded module; `undefined` if the adapter does not change that layer. @throws LqaError USAGE if it is not loaded */
  module(name: string): ResidentModule | undefined {
    const number = this.#layout.numbers.get(name);
    return number === undefined ? undefined : this.#numbered(number);
  }

  /** As {@link module}, for callers that may keep it: the memory of this content and its parents is then not used again. */
  lend(name: string): ResidentModule | undefined {
    for (let content: Content | undefined = this; content !== undefined; content = content.#parent?.content)
      content.#lent = true;
    return this.module(name);
  }

  /** Hands its memory on. Nobody uses this content afterwards; a load in the background that is still running ends with ABORTED. */
  retire(): void {
    this.#retired = true;
    const buffers = this.#buffers.splice(0);
    if (this.#spare === undefined || this.#lent) return;
    for (const { buffer } of buffers) this.#spare.give(buffer);
  }

  #numbered(number: number): ResidentModule {
    const shape = this.#layout.shapes[number]!;
    if (!this.#isLoaded(number))
      fail(KIND.USAGE, {
        where: `module "${shape.name}"`,
        actual: "not loaded",
        advice: "Name it in `modules` of acquire, or await `load` of the lease.",
      });
    const payload = this.#payload(number);
    const bias = this.#biases.get(shape.name);
    const start = this.#draws?.of(number);
    const own = this.#parent?.numbers[number];
    const parent = own === undefined ? undefined : this.#parent!.content.#numbered(own);
    return { shape, bands: this.#plans.bands(number), payload, parent, start, bias };
  }

  /** The factors of a module with its parents', as views. @param payload bytes of the module */
  #factors(number: number, payload = this.#payload(number)): PackedFactors {
    const shape = this.#layout.shapes[number]!;
    const start = this.#draws?.start(number);
    const own = splitPayload({ ...shape, start }, this.#plans.bands(number), payload);
    const above = this.#parent?.numbers[number];
    return above === undefined ? own : { ...own, parent: this.#parent!.content.#factors(above) };
  }

  #payload(number: number): Uint8Array {
    const place = PLACE * number;
    const offset = this.#places[place + 1]!;
    return this.#buffers[this.#places[place]!]!.subarray(offset, offset + this.#places[place + 2]!);
  }

  #isLoaded(number: number): boolean {
    return this.#places[PLACE * number] !== NOWHERE;
  }

  /** Loads everything, verified to the last byte. @returns the content id, computed from the bytes */
  async loadWhole(file: LqaFile, signal: AbortSignal | undefined): Promise<string> {
    const wanted = new Set(this.#wanted);
    this.#makeRoom(file.index.modules);
    try {
      for await (const event of file.events({ signal })) {
        if (event.type === "module") this.#put(event.record, event.payload);
        else if (event.type === "tensor" && wanted.has(event.record)) this.#putTensor(event.tensor);
        else if (event.type === "end") return event.contentId;
      }
    } finally {
      this.#trim();
    }
    throw new TypeError("a file ended without its end");
  }

  /** Loads plain tensors, and the modules with these names that are not loaded yet. Ignores names of other layers. */
  async load(file: LqaFile, names: Iterable<string>, signal: AbortSignal | undefined): Promise<void> {
    for (const record of this.#wanted)
      if (!this.#tensors.has(plainTensorKey(record))) this.#putTensor(await file.tensor(record, { signal }));
    const missing = [...new Set(names)].flatMap((name) => {
      const number = this.#layout.numbers.get(name);
      return number === undefined || this.#isLoaded(number) ? [] : [file.index.modules[number]!];
    });
    if (missing.length === 0) return;
    const modules = file.packedAll({ modules: missing, signal });
    if (
      this.#spare !== undefined &&
      file.source.fresh === true &&
      missing.length === file.index.modules.length
    )
      return this.#keepAll(modules);
    this.#makeRoom(missing);
    try {
      for await (const { record, payload } of modules) this.#put(record, payload);
    } finally {
      this.#trim();
    }
  }

  /** Keeps all modules in the buffers that they were read into, which are few, or in copies if that would waste memory. */
  async #keepAll(modules: AsyncIterable<PackedModule>): Promise<void> {
    const read: PackedModule[] = [];
    const numbers = new Map<ArrayBufferLike, number>();
    let bytes = 0;
    for await (const module of modules) {
      read.push(module);
      bytes += module.payload.length;
      const { buffer } = module.payload;
      if (!numbers.has(buffer)) numbers.set(buffer, numbers.size);
    }
    const held = [...numbers.keys()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (held > (1 + SURPLUS) * bytes) {
      this.#makeRoom(read.map(({ record }) => record));
      for (const { record, payload } of read) this.#put(record, payload);
      return;
    }
    const first = this.#buffers.length;
    for (const buffer of numbers.keys()) this.#buffers.push(new Uint8Array(buffer));
    for (const { record, payload } of read)
      this.#place(record, first + numbers.get(payload.buffer)!, payload.byteOffset);
  }

  /** Makes one buffer for the payloads of modules that are loaded together. */
  #makeRoom(records: readonly ModuleRecord[]): void {
    const total = records.reduce((sum, record) => sum + record.payload, 0);
    try {
      this.#buffers.push(this.#newBytes(total));
    } catch (cause) {
      fail(KIND.BUDGET, {
        where: "an adapter",
        actual: `${total} bytes, which the engine refuses`,
        cause,
      });
    }
    this.#filled = 0;
  }

  #newBytes(bytes: number): Uint8Array {
    return new Uint8Array(this.#spare?.take(bytes) ?? this.#newBuffer(bytes), 0, bytes);
  }

  /** Frees the part of the last buffer that a failed load has not filled. */
  #trim(): void {
    if (this.#retired) return;
    const last = this.#buffers.length - 1;
    if (this.#filled < this.#buffers[last]!.length) {
      const filled = this.#newBytes(this.#filled);
      filled.set(this.#buffers[last]!.subarray(0, this.#filled));
      this.#buffers[last] = filled;
    }
  }

  /** Copies a module into the last buffer. */
  #put(record: ModuleRecord, payload: Uint8Array): void {
    if (this.#retired)
      fail(KIND.ABORTED, { where: `module "${record.name}"`, actual: "its adapter has left the pool" });
    this.#buffers.at(-1)!.set(payload, this.#filled);
    this.#place(record, this.#buffers.length - 1, this.#filled);
    this.#filled += payload.length;
  }

  #place({ name, payload }: ModuleRecord, buffer: number, offset: number): void {
    const number = this.#layout.numbers.get(name)!;
    if (this.#isLoaded(number)) return;
    if (this.#parent?.numbers[number] !== undefined) {
      const bytes = this.#buffers[buffer]!.subarray(offset, offset + payload);
      checkSums(this.#layout.shapes[number]!, this.#factors(number, bytes));
    }
    this.#places.set([buffer, offset, payload], PLACE * number);
    this.#missing--;
  }

  #putTensor(tensor: PlainTensor): void {
    const { name, role, data } = tensor;
    // A chunk may be a view on a larger buffer.
    this.#tensors.set(plainTensorKey(tensor), { ...tensor, data: data.slice() });
    if (role !== "lora-bias") return;
    const { multiplier } = this.#layout.shapes[this.#layout.numbers.get(name)!]!;
    const type = FLOATS[tensor.element]!;
    const count = data.length / FLOAT_BYTES[type];
    // The product is stored as binary32: it is rounded once.
    const bias = new Float32Array(this.#newBuffer(4 * count));
    for (let i = 0; i < count; i++) bias[i] = multiplier * readElement(data, type, i);
    this.#biases.set(name, bias);
  }
}

/** Key of a plain tensor: role and name. */
export function plainTensorKey({ role, name }: Pick<PlainTensor, "role" | "name">): string {
  return `${role} ${name}`;
}

const FLOATS: Partial<Record<ElementType, FloatType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

/** An upper bound of the bytes of a file's content, before it is loaded. */
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
 * The plain tensors to keep: biases of modules, which are applied with them, and those with a role that the host applies.
 * Tensors with the role `carried` do not take part in the maths and are left out.
 *
 * @throws LqaError CANNOT_APPLY for any other tensor, which would otherwise be dropped silently
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
