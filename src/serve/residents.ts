/**
 * The contents of a pool: each is resident once, whatever names it has.
 *
 * @module
 */

import { Slots } from "../core/io/slots.ts";
import { assertNotAborted } from "../core/io/source.ts";
import { open } from "../core/read/file.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import { checkBase } from "../model/base-shape.ts";
import type { Budget } from "./budget.ts";
import { Content, contentBytes, type NewBuffer } from "./content.ts";
import { SharedDraws } from "./draws.ts";
import type { Entry } from "./entry.ts";
import type { PoolOptions } from "./pool-options.ts";
import { type Counters, Resident } from "./resident.ts";
import type { StoredAdapter } from "./stores.ts";

/** What is resident. */
export class Residents {
  readonly #options: PoolOptions;
  readonly #budget: Budget;
  readonly #counters: Counters;
  readonly #slots: Slots;
  readonly #newBuffer: NewBuffer;
  readonly #draws: SharedDraws;
  readonly #all = new Set<Resident>();
  readonly #byContent = new Map<string, Resident>();

  constructor(options: PoolOptions, budget: Budget, counters: Counters) {
    this.#options = options;
    this.#budget = budget;
    this.#counters = counters;
    this.#slots = new Slots(options.concurrentLoads ?? 32);
    this.#newBuffer = (bytes) =>
      options.shared === true ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
    this.#draws = new SharedDraws(this.#newBuffer);
  }

  get all(): ReadonlySet<Resident> {
    return this.#all;
  }

  /**
   * The resident adapter for a name's content: a new one, or an existing one with the same content. It is held.
   *
   * @throws as `acquire` of the pool; nothing is counted, and no file is open then
   */
  async open(entry: Entry, signal: AbortSignal | undefined): Promise<Resident> {
    const free = await this.#slots.take(signal);
    try {
      return await this.#open(entry, free, signal);
    } catch (error) {
      free();
      throw error;
    }
  }

  /** @param onSettled called when nothing more is loaded on account of this */
  async #open(entry: Entry, onSettled: () => void, signal: AbortSignal | undefined): Promise<Resident> {
    const { verify = true, trustStoredIds = false, base, hostTensors = [] } = this.#options;
    const stored = await entry.open(signal);
    let taken = 0;
    let kept = false;
    try {
      const file = await openFile(stored, signal);
      if (base !== undefined) checkBase(file.modules, base);
      const bytes = contentBytes(file.index, hostTensors);
      const storedId = verify || trustStoredIds ? (await file.storedIds({ signal })).contentId : undefined;
      let id = verify ? undefined : storedId;
      if (storedId !== undefined && this.#byContent.has(storedId)) {
        // What a file says of itself may be a lie that would hand out another tenant's weights.
        if (verify) id = (await file.verify({ signal })).contentId;
        const twin = this.#twin(id);
        if (twin !== undefined) {
          onSettled();
          return twin;
        }
      }
      this.#budget.take(bytes, `adapter "${entry.name}"`);
      taken = bytes;
      const draws = this.#draws.of(file.index.modules);
      const content = new Content(file.index, hostTensors, draws, this.#newBuffer);
      if (verify) id = await content.loadWhole(file, signal);
      // It may have come meanwhile.
      const twin = this.#twin(id);
      if (twin !== undefined) {
        this.#budget.give(bytes);
        onSettled();
        return twin;
      }
      kept = true;
      const resident = new Resident(
        content,
        id,
        { file, stored },
        {
          budget: this.#budget,
          counters: this.#counters,
          onGone: (gone) => this.#forget(gone),
          onSettled,
        },
      ).hold();
      this.#all.add(resident);
      if (id !== undefined) this.#byContent.set(id, resident);
      return resident;
    } catch (error) {
      this.#budget.give(taken);
      throw error;
    } finally {
      if (!kept) stored.close?.().catch(() => {});
    }
  }

  /** The resident adapter of a content, held. */
  #twin(id: string | undefined): Resident | undefined {
    const resident = id === undefined ? undefined : this.#byContent.get(id);
    if (resident !== undefined) this.#counters.deduplicated++;
    return resident?.used().hold();
  }

  #forget(resident: Resident): void {
    this.#all.delete(resident);
    if (resident.contentId !== undefined && this.#byContent.get(resident.contentId) === resident)
      this.#byContent.delete(resident.contentId);
  }
}

/** Opens a file; the signal ends that, and nothing that is read later. */
async function openFile(
  { source, fileId }: StoredAdapter,
  signal: AbortSignal | undefined,
): Promise<LqaFile> {
  assertNotAborted(signal);
  const control = new AbortController();
  const abort = (): void => control.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  try {
    return await open(source, { signal: control.signal, fileId });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
