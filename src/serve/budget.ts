/**
 * Bytes of a pool: what is used, and what may be let go of to make room, least recently used first.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

/** Something that takes bytes and can be let go of at times. */
export interface Holding {
  readonly bytes: number;
  /** Whether it may be let go of now. */
  isFree(): boolean;
  /** Lets go of it: drops every reference. The budget does the counting. */
  drop(): void;
}

/** A budget in bytes. */
export class Budget {
  readonly limit: number;
  #used = 0;
  /** In order of last use, what is cheap to have again before what is not. */
  readonly #holdings: readonly [cheap: Set<Holding>, dear: Set<Holding>] = [new Set(), new Set()];

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /**
   * Takes bytes, and drops what is free to make room. Nothing is dropped if that would not suffice.
   *
   * @throws LqaError BUDGET
   */
  take(bytes: number, where: string): void {
    let missing = this.#used + bytes - this.limit;
    if (missing > 0) {
      const dropped: Holding[] = [];
      if (bytes <= this.limit)
        for (const holding of this.#free()) {
          dropped.push(holding);
          missing -= holding.bytes;
          if (missing <= 0) break;
        }
      if (missing > 0)
        fail(KIND.BUDGET, {
          where,
          expected: `at most ${this.limit} bytes, ${this.limit - this.#used} of them free`,
          actual: bytes,
          advice:
            bytes > this.limit
              ? "Raise budgetBytes."
              : "Release leases, remove or unpin adapters, or raise budgetBytes.",
        });
      for (const holding of dropped) {
        this.remove(holding);
        holding.drop();
      }
    }
    this.#used += bytes;
  }

  *#free(): Generator<Holding> {
    for (const holdings of this.#holdings)
      for (const holding of holdings) if (holding.isFree()) yield holding;
  }

  /** Returns bytes that belong to no holding. */
  give(bytes: number): void {
    this.#used -= bytes;
  }

  /** Assigns bytes that were already taken to a holding. */
  add(holding: Holding, kind: "cheap" | "dear"): void {
    this.#holdings[kind === "cheap" ? 0 : 1].add(holding);
  }

  /** It was used just now. */
  touch(holding: Holding): void {
    for (const holdings of this.#holdings) if (holdings.delete(holding)) holdings.add(holding);
  }

  /** Its bytes are free. No harm if it was removed before. */
  remove(holding: Holding): void {
    for (const holdings of this.#holdings) if (holdings.delete(holding)) this.#used -= holding.bytes;
  }
}
