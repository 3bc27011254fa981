/**
 * Draws of starts, shared by all adapters of a pool whose modules have the same start (spec clause 8.8).
 *
 * Adapters that one program trained with one seed differ only in what training changed; the random numbers behind their A' are
 * the same. Draws take two bytes per weight of A', as long as a lease needs them or the budget has room for them. Evicted draws
 * are generated again.
 *
 * @module
 */

import type { ResidentStart } from "../core/format.ts";
import type { ModuleRecord, ModuleStart, Start } from "../core/index.ts";
import { drawsOf } from "../core/rooms.ts";

import type { Budget, Holding } from "./budget.ts";
import type { NewBuffer } from "./content.ts";
import { drawCount } from "./resident-module.ts";
import { Shared } from "./shared-layout.ts";

/** The draws of the modules of an adapter, by module number. */
export class Draws implements Holding {
  readonly bytes: number;
  readonly #starts: readonly (ModuleStart | undefined)[];
  readonly #counts: readonly number[];
  readonly #newBuffer: NewBuffer;
  #made: Int16Array[] = [];
  #holds = 0;
  #adapters = 0;
  /** Whether the budget counts its bytes. */
  #taken = false;

  constructor(modules: readonly ModuleRecord[], newBuffer: NewBuffer) {
    this.#starts = modules.map(({ start }) => start);
    this.#counts = modules.map((module) => (module.start === undefined ? 0 : drawCount(module)));
    this.bytes = this.#counts.reduce((sum, count) => sum + 2 * count, 0);
    this.#newBuffer = newBuffer;
  }

  /** Registers an adapter that uses these draws. */
  join(): void {
    this.#adapters++;
  }

  /** Unregisters an adapter; the last one drops the draws. */
  leave(budget: Budget): void {
    if (--this.#adapters > 0) return;
    budget.remove(this);
    this.drop();
  }

  /** Keeps the draws until as many calls of `release`. @throws LqaError BUDGET */
  hold(budget: Budget, where: string): void {
    if (this.#taken) budget.touch(this);
    else {
      budget.take(this.bytes, where);
      budget.add(this, "dear");
      this.#taken = true;
    }
    this.#holds++;
  }

  release(): void {
    this.#holds--;
  }

  isFree(): boolean {
    return this.#holds === 0;
  }

  drop(): void {
    this.#taken = false;
    this.#made = [];
  }

  /** Bytes that the budget counts for it. */
  get heldBytes(): number {
    return this.#taken ? this.bytes : 0;
  }

  /** The start of a module. */
  start(module: number): ModuleStart | undefined {
    return this.#starts[module];
  }

  /** The start of a module with its draws. Only draws that the budget counts are cached. */
  of(module: number): ResidentStart | undefined {
    const start = this.#starts[module];
    if (start === undefined) return undefined;
    let draws = this.#made[module];
    if (draws === undefined) {
      draws = drawsOf(start, new Int16Array(this.#newBuffer(2 * this.#counts[module]!)));
      if (this.#taken) this.#made[module] = draws;
    }
    return { ...start, draws };
  }
}

/** The draws of the adapters of a pool. */
export class SharedDraws {
  readonly #known = new Shared<Draws>();
  readonly #newBuffer: NewBuffer;

  /** @param newBuffer allocates memory for draws */
  constructor(newBuffer: NewBuffer) {
    this.#newBuffer = newBuffer;
  }

  /** The draws of an adapter with these modules; `undefined` if none of them has a start. */
  of(modules: readonly ModuleRecord[]): Draws | undefined {
    const start = modules.find((module) => module.start !== undefined)?.start?.start;
    if (start === undefined) return undefined;
    const places = modules.map((module) =>
      module.start === undefined ? "" : `${module.start.position}x${drawCount(module)}`,
    );
    return this.#known.of(`${keyOf(start)} ${places.join(" ")}`, () => new Draws(modules, this.#newBuffer));
  }
}

function keyOf({ state }: Start): string {
  return typeof state === "number" ? `${state}` : state.join(",");
}
