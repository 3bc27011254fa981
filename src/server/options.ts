/**
 * Limits of an adapter server. Each number bounds memory, work or time that a client can cause.
 *
 * @module
 */

const MIB = 2 ** 20;

/** Limits of a server. */
export interface ServerLimits {
  /** Bytes of packed adapters, starts and decoded factors in memory. */
  readonly budgetBytes: number;
  /** Largest body of a request, in bytes. */
  readonly bodyBytes: number;
  /** Largest answer of rows, in bytes. */
  readonly answerBytes: number;
  /** Requests that run at the same time. Each keeps its place until its answer is sent: this also bounds answers in memory. */
  readonly concurrency: number;
  /** Requests that have their body and wait for a place. Further ones get 503. */
  readonly waiting: number;
  /** Requests of one client that are under way, waiting ones included. Further ones get 429. */
  readonly perClient: number;
  /** Header in which a proxy in front names the client. Undefined: the address of the connection is the client. */
  readonly clientHeader: string | undefined;
  /** Bytes of all bodies that are arriving or waiting. */
  readonly arrivingBytes: number;
  /** Fewest bytes of a body that must arrive in each window; a client that sends less gets 408. */
  readonly leastBodyBytes: number;
  /** Length of that window in milliseconds. */
  readonly bodyWindowMs: number;
  /** Connections that are open at the same time. */
  readonly connections: number;
  /** Milliseconds in which a request, head and body, must arrive; the head must arrive in the first 10 s of them. */
  readonly arrivalMs: number;
  /** Milliseconds without traffic after which the server closes a connection that has a request. */
  readonly silenceMs: number;
  /** Milliseconds from the arrival of the body to the end of the work, with waiting and loading; then the request gets 504. */
  readonly requestMs: number;
  /** Milliseconds after a stop in which the server still takes new requests while `/ready` answers 503. */
  readonly graceMs: number;
  /** Milliseconds after the time of grace in which requests under way may end. */
  readonly drainMs: number;
  /** Directory for files of decoded factors. Undefined: the server shares none. */
  readonly sharedDirectory: string | undefined;
  /** Bytes of all these files. */
  readonly sharedBytes: number;
}

/** The defaults. */
export const DEFAULT_LIMITS: ServerLimits = {
  budgetBytes: 1024 * MIB,
  bodyBytes: 16 * MIB,
  answerBytes: 64 * MIB,
  concurrency: 32,
  waiting: 128,
  perClient: Number.POSITIVE_INFINITY,
  clientHeader: undefined,
  arrivingBytes: 512 * MIB,
  leastBodyBytes: 4096,
  bodyWindowMs: 4000,
  connections: 1024,
  arrivalMs: 30_000,
  silenceMs: 60_000,
  requestMs: 60_000,
  graceMs: 0,
  drainMs: 25_000,
  sharedDirectory: undefined,
  sharedBytes: 1024 * MIB,
};

/** One record of the log: the server writes one for each request with work, and its callers add others. */
export type LogRecord = Readonly<Record<string, string | number | boolean | null | undefined>>;
