/**
 * The contents of a pool: each is resident once, under any number of names.
 *
 * @module
 */

import { type LqaFile, open } from "../core/index.ts";
import { assertNotAborted, Slots } from "../core/reading.ts";
import { checkLimit, checkParentModule } from "../core/rooms.ts";

import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, type LqaError } from "../errors.ts";
import { GENERATIONS } from "../limits.ts";
import { checkBase } from "../model/base-shape.ts";
import type { Budget } from "./budget.ts";
import { Content, contentBytes, type NewBuffer } from "./content.ts";
import { SharedDraws } from "./draws.ts";
import type { Entry } from "./entry.ts";
import type { PoolOptions } from "./pool-options.ts";
import { type Counters, Resident } from "./resident.ts";
import { readingInto, SpareBuffers } from "./spare-buffers.ts";
import type { StoredAdapter } from "./stores.ts";

/** The resident adapters of a pool. */
export class Residents {
  readonly #options: PoolOptions;
  readonly #budget: Budget;
  readonly #counters: Counters;
  readonly #slots: Slots;
  readonly #newBuffer: NewBuffer;
  /** Absent if threads share payloads: one of them may still use what has left the pool. */
  readonly #spare: SpareBuffers | undefined;
  readonly #draws: SharedDraws;
  readonly #parents: () => readonly Entry[];
  /** One slot: children that are loaded at the same time load their parent once. */
  readonly #parentLock = new Slots(1);
  readonly #all = new Set<Resident>();
  readonly #byContent = new Map<string, Resident>();

  /** @param parents entries among which children find their parents */
  constructor(options: PoolOptions, budget: Budget, counters: Counters, parents: () => readonly Entry[]) {
    this.#parents = parents;
    this.#options = options;
    this.#budget = budget;
    this.#counters = counters;
    this.#slots = new Slots(options.concurrentLoads ?? 32);
    this.#newBuffer = (bytes) =>
      options.shared === true ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
    this.#spare = options.shared === true ? undefined : new SpareBuffers(options.budgetBytes);
    this.#draws = new SharedDraws(this.#newBuffer);
  }

  get all(): ReadonlySet<Resident> {
    return this.#all;
  }

  /**
   * The resident adapter for a name's content: a new one, or an existing one with the same content. The caller holds it.
   *
   * @throws as `acquire` of the pool; then the budget is unchanged and no file is open
   */
  async open(entry: Entry, signal: AbortSignal | undefined): Promise<Resident> {
    const free = await this.#slots.take(signal);
    try {
      return (await this.#open(entry, free, signal))!;
    } catch (error) {
      free();
      throw error;
    }
  }

  /**
   * The parent of a content, held: in memory, or among the entries for parents.
   *
   * @throws LqaError PARENT_MISSING; errors of the parent's file
   */
  async #parentOf(id: string, where: string, signal: AbortSignal | undefined): Promise<Resident> {
    const known = this.#twin(id, true);
    if (known !== undefined) return known;
    /** An error that says nothing against an entry: of its store, or of the budget. */
    let unread: LqaError | undefined;
    for (const entry of this.#parents())
      try {
        const found = await this.#open(entry, () => {}, signal, id);
        if (found !== undefined) return found;
      } catch (error) {
        // An entry may state the content id of another file, or be broken: the next one may be the parent.
        if (!isLqaError(error) || error.kind === "ABORTED") throw error;
        if (error.kind === "BUDGET" || error.class === "X") unread ??= error;
      }
    if (unread !== undefined) throw unread;
    return fail(KIND.PARENT_MISSING, {
      where,
      expected: `the file with content id ${id}`,
      actual: "none such in memory, or among the names of parents",
      advice: "Add the parent to the pool, or name it in `parents`.",
    });
  }

  /**
   * @param onSettled called when this load is complete or given up
   * @param parent content id that a parent must have; it is then computed
   * @returns undefined for a file that states another content id
   */
  async #open(
    entry: Entry,
    onSettled: () => void,
    signal: AbortSignal | undefined,
    parent?: string,
  ): Promise<Resident | undefined> {
    const { trustStoredIds = false, base, hostTensors = [] } = this.#options;
    const verify = parent !== undefined || (this.#options.verify ?? true);
    const stored = await entry.open(signal);
    let taken = 0;
    let kept = false;
    let above: Resident | undefined;
    try {
      const file = await openFile(stored, this.#spare, signal);
      if (parent !== undefined && (await file.storedIds({ signal })).contentId !== parent) return undefined;
      if (base !== undefined) checkBase(file.modules, base);
      const bytes = contentBytes(file.index, hostTensors);
      const storedId = verify || trustStoredIds ? (await file.storedIds({ signal })).contentId : undefined;
      let id = verify ? undefined : storedId;
      if (storedId !== undefined && this.#byContent.has(storedId)) {
        // A file may lie about its content id, to get the weights of another tenant.
        if (verify) id = (await file.verify({ signal })).contentId;
        const twin = this.#twin(id, verify);
        if (twin !== undefined) {
          onSettled();
          return twin;
        }
      }
      const { modules, parentId } = file.index;
      if (parentId !== undefined) {
        const find = (): Promise<Resident> => this.#parentOf(parentId, `adapter "${entry.name}"`, signal);
        // For a parent's parent the lock is already held.
        above = await (parent === undefined ? this.#parentLock.run(find, signal) : find());
        checkLimit(above.generations + 1, GENERATIONS, { where: `adapter "${entry.name}"`, limits: "core" });
        for (const record of modules) checkParentModule(record, above.content.shapes);
      }
      this.#budget.take(bytes, `adapter "${entry.name}"`);
      taken = bytes;
      const draws = this.#draws.of(modules);
      const numbers = modules.map(({ parentModule }) => parentModule);
      const content = new Content(
        file.index,
        hostTensors,
        draws,
        this.#newBuffer,
        above && { content: above.content, numbers },
        this.#spare,
      );
      if (verify) id = await content.loadWhole(file, signal);
      // Another load of the same content may have finished meanwhile.
      const twin = this.#twin(id, verify);
      if (twin !== undefined) {
        this.#budget.give(bytes);
        onSettled();
        return twin;
      }
      kept = true;
      const resident = new Resident(
        content,
        { contentId: id, proven: verify, parent: above },
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
      // If a resident adapter was made, it has its own hold.
      above?.release();
    }
  }

  /** The resident adapter of a content, held. @param proven whether its id must have been computed */
  #twin(id: string | undefined, proven: boolean): Resident | undefined {
    const known = id === undefined ? undefined : this.#byContent.get(id);
    const resident = proven && known?.proven === false ? undefined : known;
    if (resident !== undefined) this.#counters.deduplicated++;
    return resident?.used().hold();
  }

  #forget(resident: Resident): void {
    this.#all.delete(resident);
    if (resident.contentId !== undefined && this.#byContent.get(resident.contentId) === resident)
      this.#byContent.delete(resident.contentId);
  }
}

/** Opens a file. The signal ends the opening, but no later reads. */
async function openFile(
  { source, fileId }: StoredAdapter,
  spare: SpareBuffers | undefined,
  signal: AbortSignal | undefined,
): Promise<LqaFile> {
  assertNotAborted(signal);
  const control = new AbortController();
  const abort = (): void => control.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  try {
    return await open(spare === undefined ? source : readingInto(source, spare), {
      signal: control.signal,
      fileId,
    });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
