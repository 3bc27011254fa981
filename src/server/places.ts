/**
 * Admission of requests. It bounds how many run at the same time, how many wait (first come, first served), and how many
 * requests of one client do either. It refuses others at once, so that neither memory nor the wait of the rest grows with
 * the load.
 *
 * @module
 */
import { Slots } from "../core/io/slots.ts";
import type { ServerLimits } from "./options.ts";
import { refuse } from "./refused.ts";

/** The places of a server. */
export class Places {
  readonly #limits: Pick<ServerLimits, "concurrency" | "waiting" | "perClient">;
  readonly #slots: Slots;
  readonly #clients = new Map<string, number>();
  #waiting = 0;

  constructor(limits: Pick<ServerLimits, "concurrency" | "waiting" | "perClient">) {
    this.#limits = limits;
    this.#slots = new Slots(limits.concurrency);
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Counts a request of a client, from its head until its answer is sent.
   *
   * @returns a function that ends the count of this request; call it once
   * @throws Refused TOO_MANY_REQUESTS
   */
  enter(client: string): () => void {
    const { perClient } = this.#limits;
    const count = this.#clients.get(client) ?? 0;
    if (count >= perClient)
      refuse(
        "TOO_MANY_REQUESTS",
        `${count} requests of this client are under way`,
        "Wait for an answer before you send the next request.",
      );
    this.#clients.set(client, count + 1);
    return () => {
      const left = this.#clients.get(client)! - 1;
      if (left === 0) this.#clients.delete(client);
      else this.#clients.set(client, left);
    };
  }

  /**
   * Waits until a request has a place.
   *
   * @returns a function that gives the place back
   * @throws Refused BUSY; LqaError ABORTED
   */
  async take(signal: AbortSignal): Promise<() => void> {
    const { concurrency, waiting } = this.#limits;
    if (this.#slots.free > 0) return await this.#slots.take(signal);
    if (this.#waiting >= waiting)
      refuse("BUSY", `${concurrency} requests are computed and ${waiting} wait`, "Try again in a second.");
    this.#waiting++;
    try {
      return await this.#slots.take(signal);
    } finally {
      this.#waiting--;
    }
  }
}
