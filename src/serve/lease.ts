/**
 * The right to use one adapter of a pool: while a lease is held, its adapter stays in memory unchanged, even if it is
 * removed, replaced or evicted.
 *
 * @module
 */
import type { ResidentModule } from "../core/format.ts";
// Declares Symbol.dispose for projects whose `lib` lacks it.
/// <reference lib="esnext.disposable" preserve="true" />
import type { DecodedModule, WeightType } from "../core/index.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import type { ModuleShape, PlainTensor, TensorRole } from "../model/adapter.ts";
import type { Activations } from "./activations.ts";
import { type ApplyOptions, applyPacked } from "./apply.ts";
import { type Content, plainTensorKey } from "./content.ts";
import type { CachedDecoding, Resident } from "./resident.ts";

/** A lease. Release it, or let `using` do so. */
export class AdapterLease {
  /** The name by which it was acquired. */
  readonly name: string;
  #resident: Resident | undefined;
  readonly #load: (names: Iterable<string>, signal: AbortSignal | undefined) => Promise<void>;
  readonly #onRelease: () => void;

  /** @internal */
  constructor(
    name: string,
    resident: Resident,
    load: (names: Iterable<string>, signal: AbortSignal | undefined) => Promise<void>,
    onRelease: () => void,
  ) {
    this.name = name;
    this.#resident = resident;
    this.#load = load;
    this.#onRelease = onRelease;
  }

  #held(): Resident {
    return (
      this.#resident ??
      fail(KIND.USAGE, { where: `lease of adapter "${this.name}"`, actual: "released before" })
    );
  }

  get released(): boolean {
    return this.#resident === undefined;
  }

  /**
   * Its content: the same object for leases on equal contents that share memory.
   *
   * @internal
   */
  get content(): Content {
    return this.#held().content;
  }

  /** Hexadecimal content id. Computed if the pool verifies; undefined if it neither verifies nor trusts stored ids. */
  get contentId(): string | undefined {
    return this.#held().contentId;
  }

  /** Names of the modules, in file order, loaded or not. */
  get modules(): string[] {
    return [...this.#held().content.names];
  }

  /** Whether the adapter changes that layer. */
  has(module: string): boolean {
    return this.#held().content.has(module);
  }

  /** The shape of a loaded module. @throws LqaError USAGE */
  shape(module: string): ModuleShape | undefined {
    return this.#held().content.module(module)?.shape;
  }

  /**
   * A loaded module in its packed form, for {@link applyPacked} and `uploadModule` of `lqa/webgpu`. If the pool is `shared`, a
   * worker that gets it by `postMessage` shares the planes without a copy.
   *
   * @throws LqaError USAGE
   */
  packed(module: string): ResidentModule | undefined {
    return this.#held().content.lend(module);
  }

  /** A plain tensor whose role is one of the pool's `hostTensors`. */
  tensor(role: TensorRole, name: string): PlainTensor | undefined {
    return this.#held().content.tensors.get(plainTensorKey({ role, name }));
  }

  /** Loads modules (default: all). @throws LqaError as the file and its source; ABORTED; USAGE after release */
  async load(
    modules?: Iterable<string>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    this.#held();
    await this.#load(modules ?? this.modules, options.signal);
  }

  /**
   * y += multiplier · B'(A'x), and multiplier · bias if the module has its own bias (`lora-bias`), for rows of x:
   * {@link applyPacked}.
   *
   * @returns false if the adapter does not change that layer: y is unchanged
   * @throws LqaError ACTIVATION_SHAPE and CANNOT_APPLY before y is touched; USAGE if the module has not been loaded, or after
   *   release
   */
  apply(module: string, x: Activations, y: Activations, options: ApplyOptions = {}): boolean {
    const packed = this.#held().content.module(module);
    if (packed === undefined) return false;
    applyPacked(packed, x, y, options);
    return true;
  }

  /**
   * Decodes a module, for a host that does its own multiplication, and caches it within the pool's budget. The arrays are shared:
   * do not write to them. They stay cached until the lease is released, and afterwards while there is room.
   *
   * @returns `undefined` if the adapter does not change that layer
   * @throws LqaError BUDGET; USAGE if the module has not been loaded, or after release
   */
  decode<T extends WeightType = "f32">(
    module: string,
    how: CachedDecoding<T> = {},
  ): DecodedModule<T> | undefined {
    return this.#held().decoded(module, how, this) as DecodedModule<T> | undefined;
  }

  /** Releases the lease. A second call does nothing. */
  release(): void {
    const resident = this.#resident;
    if (resident === undefined) return;
    this.#resident = undefined;
    resident.forget(this);
    this.#onRelease();
  }

  /** For `using`, in engines that support it. */
  [Symbol.dispose](): void {
    this.release();
  }
}
