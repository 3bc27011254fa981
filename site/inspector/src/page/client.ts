/**
 * Calls to a worker. Ending the worker stops its work at once.
 *
 * @module
 */
import type { CallName, Calls, Failure, Input, Reading, Reply } from "../protocol.ts";
import workerAddress from "../worker/worker.ts?worker&url";
import { policy } from "./dom.ts";

/** Called with the progress. */
export type OnProgress = (done: number, total: number, what: string) => void;

/** What a call failed with. */
export class CallFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(`${failure.code} ${failure.kind}`);
    this.failure = failure;
  }
}

interface Waiting {
  resolve(answer: never): void;
  reject(error: unknown): void;
  readonly onProgress: OnProgress | undefined;
}

export class Client {
  readonly #worker = new Worker(policy.createScriptURL(workerAddress), { type: "module" });
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  /** Of this worker, so far. */
  reading: Reading = { bytes: 0, largest: 0, requests: 0 };
  onReading: () => void = () => {};

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#failAll(event.message || "it could not be started");
    };
  }

  /** @throws CallFailure */
  call<K extends CallName>(
    call: K,
    told: Calls[K]["told"],
    onProgress?: OnProgress,
  ): Promise<Calls[K]["answer"]> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ id, call, told });
    });
  }

  /** Ends the worker; what it was asked is never answered. */
  end(): void {
    this.#waiting.clear();
    this.#worker.terminate();
  }

  #take(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if ("done" in reply) {
      waiting?.onProgress?.(reply.done, reply.total, reply.what);
      return;
    }
    this.#waiting.delete(reply.id);
    this.reading = reply.reading;
    this.onReading();
    if ("failure" in reply) waiting?.reject(new CallFailure(reply.failure));
    else waiting?.resolve(reply.answer as never);
  }

  #failAll(message: string): void {
    const failure: Failure = {
      ...{ code: "LQA-INTERNAL", kind: "INTERNAL", summary: `The worker of the page ended: ${message}` },
      ...{ expected: undefined, found: undefined, where: undefined, offset: undefined, clause: undefined },
      advice: "Load the page again. A file that needs more memory than the browser gives can do this, too.",
    };
    for (const { reject } of this.#waiting.values()) reject(new CallFailure(failure));
    this.#waiting.clear();
  }
}

/** Work of its own, in a worker of its own. */
export interface Job<T> {
  readonly answer: Promise<T>;
  readonly client: Client;
}

/** Opens what is looked at in a new worker, and has it do one thing. */
export function startJob<K extends CallName>(
  input: Input,
  call: K,
  told: Calls[K]["told"],
  onProgress: OnProgress,
): Job<Calls[K]["answer"]> {
  const client = new Client();
  const run = async (): Promise<Calls[K]["answer"]> => {
    try {
      await client.call("open", input);
      return await client.call(call, told, onProgress);
    } finally {
      client.end();
    }
  };
  return { client, answer: run() };
}
