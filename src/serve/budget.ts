/**
 * Bytes of a pool: what is used, and what may be let go of to make room.
 *
 * What was used only once leaves before what was used again: a newcomer is let go of unless it was used while it was young, and
 * what has grown old stays as long as it is used from one round to the next (as in S3-FIFO of Yang and others, SOSP 2023, without
 * its list of remembered names). bench/serve/eviction.mjs compares it with others.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

/** What will be let go of if that suffices. */
type Leaving = Pick<ReadonlySet<Holding>, "has">;

/** Something that takes bytes and can be let go of at times. */
export interface Holding {
  readonly bytes: number;
  /** What stays as long as this does. */
  readonly needs?: Holding | undefined;
  /** Whether it may be let go of now, after those that leave before it. */
  isFree(leaving: Leaving): boolean;
  /** Lets go of it: drops every reference. The budget does the counting. */
  drop(): void;
}

/** The share of the bytes that the young may have before they have to leave. */
const YOUNG = 1 / 5;

/** Holdings in the order in which they came, true for what was used since it was last looked at. */
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

  /** Whether it was one of these. */
  delete(holding: Holding): boolean {
    const known = this.#used.delete(holding);
    if (known) this.bytes -= holding.bytes;
    return known;
  }

  /** Takes the oldest out, which there must be. */
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

  /** Whether it was one of these. */
  delete(holding: Holding): boolean {
    return this.#young.delete(holding) || this.#old.delete(holding);
  }

  /** Puts back what was taken out and does not leave. */
  putBack(holding: Holding): void {
    this.#old.add(holding);
  }

  /**
   * Takes out what may leave, one after another: it looks at what is young once, and at what is old twice. What only those that leave
   * needed comes last.
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
  /** What is cheap to have again goes before what is not. */
  readonly #kinds: readonly [cheap: Kind, dear: Kind] = [new Kind(), new Kind()];

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

  /** It was used just now. */
  touch(holding: Holding): void {
    for (const kind of this.#kinds) kind.touch(holding);
  }

  /** Its bytes are free. No harm if it was removed before. */
  remove(holding: Holding): void {
    for (const kind of this.#kinds) if (kind.delete(holding)) this.#used -= holding.bytes;
  }
}
