/**
 * Who may work: so many requests at the same time, so many waiting in the order in which they came, and of one client so many
 * of both. What is beyond is refused at once, so that neither memory nor the wait of the others grows with the crowd.
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
   * @returns a function that ends it
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
   * Waits for the turn of a request.
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
