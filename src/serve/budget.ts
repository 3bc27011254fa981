/**
 * The byte budget of a pool: counts the bytes in use, and decides which holdings to drop for new ones.
 *
 * A holding that was used only once is dropped before one that was used again: a new holding is dropped unless it was used while
 * young, and an old one stays as long as it is used between two rounds (as in S3-FIFO of Yang and others, SOSP 2023, without
 * its ghost queue).
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

/** What will be dropped if that suffices. */
export type Leaving = Pick<ReadonlySet<Holding>, "has">;

/** Something that takes bytes and that the budget may drop at times. */
export interface Holding {
  readonly bytes: number;
  /** What stays as long as this does. */
  readonly needs?: Holding | undefined;
  /** Whether it may be dropped now, after those that leave before it. */
  isFree(leaving: Leaving): boolean;
  /** Drops every reference to it. The budget does the counting. */
  drop(): void;
}

/** Largest share of the bytes for young holdings before they are dropped first. */
const YOUNG = 1 / 5;

/** Holdings in order of arrival; true for those used since the last visit. */
class Queue {
  readonly #used = new Map<Holding, boolean>();
  bytes = 0;

  get size(): number {
    return this.#used.size;
  }

  add(holding: Holding): void {
    this.#used.set(holding, false);
    this.bytes += holding.bytes;
  }

  touch(holding: Holding): void {
    if (this.#used.has(holding)) this.#used.set(holding, true);
  }

  /** Whether the holding was in the queue. */
  delete(holding: Holding): boolean {
    const known = this.#used.delete(holding);
    if (known) this.bytes -= holding.bytes;
    return known;
  }

  /** Removes the oldest holding. The queue must not be empty. */
  shift(): { readonly holding: Holding; readonly used: boolean } {
    const [holding, used] = this.#used.entries().next().value!;
    this.delete(holding);
    return { holding, used };
  }
}

/** Holdings of one kind. */
class Kind {
  readonly #young = new Queue();
  readonly #old = new Queue();

  add(holding: Holding): void {
    this.#young.add(holding);
  }

  touch(holding: Holding): void {
    this.#young.touch(holding);
    this.#old.touch(holding);
  }

  /** Whether the holding was of this kind. */
  delete(holding: Holding): boolean {
    return this.#young.delete(holding) || this.#old.delete(holding);
  }

  /** Puts back a holding that was taken out and is not dropped. */
  putBack(holding: Holding): void {
    this.#old.add(holding);
  }

  /**
   * Takes out candidates, one after another. It visits young holdings once, and old ones twice; last come those that only other
   * candidates needed.
   */
  *leaving(before: Leaving): Generator<Holding> {
    let youngLeft = this.#young.size;
    let oldLeft = 2 * this.#old.size;
    const needed: Holding[] = [];
    for (;;) {
      const young = youngLeft > 0 && this.#young.size > 0;
      const old = oldLeft > 0 && this.#old.size > 0;
      if (!young && !old) break;
      const crowded = this.#young.bytes >= YOUNG * (this.#young.bytes + this.#old.bytes);
      const queue = young && (crowded || !old) ? this.#young : this.#old;
      if (queue === this.#young) youngLeft--;
      else oldLeft--;
      const { holding, used } = queue.shift();
      if (!used && holding.isFree(before)) {
        if (holding.needs !== undefined) needed.push(holding.needs);
        yield holding;
      } else if (used && queue === this.#young) {
        this.#old.add(holding);
        oldLeft++;
      } else queue.add(holding);
    }
    for (const holding of needed) {
      if (!holding.isFree(before) || !this.delete(holding)) continue;
      if (holding.needs !== undefined) needed.push(holding.needs);
      yield holding;
    }
  }
}

/** A budget in bytes. */
export class Budget {
  readonly limit: number;
  #used = 0;
  /** Holdings that are cheap to restore are dropped before dear ones. */
  readonly #kinds: readonly [cheap: Kind, dear: Kind] = [new Kind(), new Kind()];

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /**
   * Takes bytes, and drops free holdings to make room. Drops nothing if all of them would not free enough.
   *
   * @throws LqaError BUDGET
   */
  take(bytes: number, where: string): void {
    let missing = this.#used + bytes - this.limit;
    if (missing > 0) {
      const leaving = new Map<Holding, Kind>();
      if (bytes <= this.limit)
        for (const [holding, kind] of this.#leaving(leaving)) {
          leaving.set(holding, kind);
          missing -= holding.bytes;
          if (missing <= 0) break;
        }
      if (missing > 0) {
        for (const [holding, kind] of leaving) kind.putBack(holding);
        fail(KIND.BUDGET, {
          where,
          expected: `at most ${this.limit} bytes, ${this.limit - this.#used} of them free`,
          actual: bytes,
          advice:
            bytes > this.limit
              ? "Raise budgetBytes."
              : "Release leases, remove or unpin adapters, or raise budgetBytes.",
        });
      }
      for (const holding of leaving.keys()) {
        this.#used -= holding.bytes;
        holding.drop();
      }
    }
    this.#used += bytes;
  }

  *#leaving(before: ReadonlyMap<Holding, Kind>): Generator<readonly [Holding, Kind]> {
    for (const kind of this.#kinds) for (const holding of kind.leaving(before)) yield [holding, kind];
  }

  /** Returns bytes that belong to no holding. */
  give(bytes: number): void {
    this.#used -= bytes;
  }

  /** Assigns bytes that were already taken to a holding. */
  add(holding: Holding, kind: "cheap" | "dear"): void {
    this.#kinds[kind === "cheap" ? 0 : 1].add(holding);
  }

  /** Marks a holding as used. */
  touch(holding: Holding): void {
    for (const kind of this.#kinds) kind.touch(holding);
  }

  /** Removes a holding and frees its bytes; does nothing if it was removed before. */
  remove(holding: Holding): void {
    for (const kind of this.#kinds) if (kind.delete(holding)) this.#used -= holding.bytes;
  }
}
