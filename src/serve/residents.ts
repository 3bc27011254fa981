/**
 * The contents of a pool: each is resident once, under any number of names.
 *
 * @module
 */

import { Slots } from "../common/slots.ts";
import { type ContainerIndex, type LqaFile, open } from "../core/index.ts";
import { checkLimit, checkParentModule } from "../core/rooms.ts";
import * as KIND from "../error-catalogue.ts";
import { assertNotAborted, fail, isLqaError, type LqaError } from "../errors.ts";
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
        const twin = this.#twin(id, verify, onSettled);
        if (twin !== undefined) return twin;
      }
      above = await this.#above(file.index, entry, parent !== undefined, signal);
      this.#budget.take(bytes, `adapter "${entry.name}"`);
      taken = bytes;
      const content = this.#contentOf(file.index, above);
      if (verify) id = await content.loadWhole(file, signal);
      // Another load of the same content may have finished meanwhile.
      const twin = this.#twin(id, verify, onSettled);
      if (twin !== undefined) {
        this.#budget.give(bytes);
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

  /** The parent of a file, held; undefined without one. @param locked whether the caller loads a parent, and so has the lock */
  async #above(
    { modules, parentId }: ContainerIndex,
    entry: Entry,
    locked: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Resident | undefined> {
    if (parentId === undefined) return undefined;
    const where = `adapter "${entry.name}"`;
    const find = (): Promise<Resident> => this.#parentOf(parentId, where, signal);
    const above = await (locked ? find() : this.#parentLock.run(find, signal));
    try {
      checkLimit(above.generations + 1, GENERATIONS, { where, limits: "core" });
      for (const record of modules) checkParentModule(record, above.content.shapes);
    } catch (error) {
      above.release();
      throw error;
    }
    return above;
  }

  #contentOf(index: ContainerIndex, above: Resident | undefined): Content {
    const { hostTensors = [] } = this.#options;
    const parent = above && {
      content: above.content,
      numbers: index.modules.map(({ parentModule }) => parentModule),
    };
    return new Content(
      index,
      hostTensors,
      this.#draws.of(index.modules),
      this.#newBuffer,
      parent,
      this.#spare,
    );
  }

  /**
   * The resident adapter of a content, held.
   *
   * @param proven whether its id must have been computed
   * @param onSettled called if there is one: it ends the load
   */
  #twin(id: string | undefined, proven: boolean, onSettled?: () => void): Resident | undefined {
    const known = id === undefined ? undefined : this.#byContent.get(id);
    if (known === undefined || (proven && !known.proven)) return undefined;
    this.#counters.deduplicated++;
    onSettled?.();
    return known.used().hold();
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
