/**
 * Limits of a server of adapters: where it keeps things, and how much of everything it may take. Each number bounds what
 * somebody else can make it do.
 *
 * @module
 */

const MIB = 2 ** 20;

/** Limits of a server. */
export interface ServerLimits {
  /** Bytes of packed adapters and decoded factors in memory. */
  readonly budgetBytes: number;
  /** Largest body of a request, in bytes. */
  readonly bodyBytes: number;
  /** Largest answer of rows, in bytes. */
  readonly answerBytes: number;
  /** Requests that are computed at the same time; at most so many answers are in memory. */
  readonly concurrency: number;
  /** Requests whose body is there and that wait for their turn. More are answered with 503. */
  readonly waiting: number;
  /** Requests of one client that are under way, waiting ones included. More are answered with 429. */
  readonly perClient: number;
  /** Header that names the client, set by a proxy in front; without it the address of the connection. */
  readonly clientHeader: string | undefined;
  /** Bytes of all bodies that are arriving or waiting. */
  readonly arrivingBytes: number;
  /** Fewest bytes of a body in each window of milliseconds; a client that sends less gets 408. */
  readonly leastBodyBytes: number;
  readonly bodyWindowMs: number;
  /** Connections that are open at the same time. */
  readonly connections: number;
  /** How long the head and the body of a request may take to arrive. */
  readonly arrivalMs: number;
  /** How long a connection may be silent while something is sent. */
  readonly silenceMs: number;
  /** How long a request may wait and be computed, with the loading of its adapters; then it gets 504. */
  readonly requestMs: number;
  /** After a stop: how long new requests are still taken while `/ready` says no, then how long running ones may take. */
  readonly graceMs: number;
  readonly drainMs: number;
  /** Directory for decoded factors as files, and how many bytes of them. */
  readonly sharedDirectory: string | undefined;
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

/** What the server logs: one record for each request, and for what else happens. */
export type LogRecord = Readonly<Record<string, string | number | boolean | null | undefined>>;
