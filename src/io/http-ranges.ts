/**
 * A file on a web server as a source of ranges (spec clause 13.2). Runs wherever `fetch` exists.
 *
 * The first answer pins the file by its length and its entity tag or date. Every later request sends them in `If-Range`, and
 * an answer from another version is REMOTE_CHANGED. A server that ignores ranges sends the whole file once; the source keeps
 * it, up to `wholeBytes`. Other wrong answers are HTTP_RESPONSE. The source retries transient failures (no connection,
 * silence, a body that breaks off or is too slow, status 408, 425, 429, 500, 502, 503 or 504) with exponential backoff, and
 * then fails with NETWORK.
 *
 * A server that keeps length and tag can still send bytes of two files: `open` proves chunks by their digests.
 *
 * Errors show addresses without their query, which may hold a signature. The caller decides which hosts may be reached.
 * `http-response.ts` says how the source follows redirects.
 *
 * @module
 */

import { Slots, sleep, unlessAborted } from "../common/slots.ts";
import * as KIND from "../error-catalogue.ts";
import { assertNotAborted, fail, isLqaError } from "../errors.ts";
import type { HttpOptions, HttpSource } from "./http.ts";
import {
  type Answer,
  discard,
  type Hop,
  ifRange,
  readBody,
  readHead,
  redirectFollower,
  Transient,
  urlOf,
  type Version,
} from "./http-response.ts";
import { assertRange, eitherSignal } from "./source.ts";

const DEFAULTS = {
  attempts: 4,
  pauseMs: 250,
  longestPauseMs: 10_000,
  silenceMs: 30_000,
  leastRate: 1024,
  concurrency: 4,
  wholeBytes: 64 * 2 ** 20,
} as const;

/** Options of sources that share one deadline. */
export interface TimedOptions extends HttpOptions {
  /** Time from which `deadlineMs` counts, in milliseconds of `performance.now`. Default: the first read of each source. */
  readonly begun?: number | undefined;
}

/** See {@link httpSource}. */
export function httpRanges(url: string | URL, options: TimedOptions = {}): HttpSource {
  const requests = new Requests(parseUrl(url), options);
  let first: Promise<unknown> | undefined;
  return {
    address: requests.where,
    get size() {
      return requests.version?.size;
    },
    get requests() {
      return requests.sent;
    },
    async read(offset, length, signal) {
      assertRange(offset, length);
      const either = eitherSignal(options.signal, signal);
      assertNotAborted(either);
      if (length === 0) return new Uint8Array(0);
      // One request goes first and pins the version for all others. If it fails, the next one takes its place.
      while (requests.version === undefined && first !== undefined)
        await unlessAborted(
          first.catch(() => {}),
          either,
        );
      const { whole, version } = requests;
      if (whole !== undefined) return whole.subarray(Math.min(offset, whole.length), offset + length);
      if (version !== undefined) {
        const there = Math.min(length, Math.max(0, version.size - offset));
        return there === 0 ? new Uint8Array(0) : requests.range(offset, there, either);
      }
      const reading = requests.range(offset, length, either);
      first = reading;
      try {
        return await reading;
      } finally {
        first = undefined;
      }
    },
  };
}

/** The requests for one file. */
class Requests {
  /** The address without query and fragment. */
  readonly where: string;
  /** The version that the first answer pinned. */
  version: Version | undefined;
  /** The whole file, from a server that ignores ranges. */
  whole: Uint8Array | undefined;
  /** Requests sent so far. */
  sent = 0;
  readonly #target: URL;
  readonly #options: TimedOptions;
  readonly #settings: Record<keyof typeof DEFAULTS, number> & TimedOptions;
  readonly #slots: Slots;
  readonly #follow: ReturnType<typeof redirectFollower>;
  /** Time of the deadline, in milliseconds of `performance.now`. */
  #ends: number | undefined;

  constructor(target: URL, options: TimedOptions) {
    this.where = `${target.origin}${target.pathname}`;
    this.#target = target;
    this.#options = options;
    this.#settings = { ...DEFAULTS, ...defined(options) };
    this.#slots = new Slots(Math.max(1, this.#settings.concurrency));
    this.#follow = redirectFollower(this.where);
  }

  /** Repeats a request for a range until it succeeds, fails for good, or has used up its attempts. */
  async range(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { where } = this;
    const late = this.#deadline();
    const either = eitherSignal(signal, late);
    for (let number = 1; ; number++) {
      let control: Attempt | undefined;
      let release = (): void => {};
      try {
        release = await this.#slots.take(either);
        control = beginAttempt(either, this.#settings);
        return await this.#attempt(offset, length, control);
      } catch (error) {
        assertNotAborted(signal);
        if (late?.aborted) {
          const expected = `an end within ${this.#settings.deadlineMs} ms`;
          fail(KIND.NETWORK, { where, expected, cause: error });
        }
        if (!(error instanceof Transient)) throw error;
        const pause = this.#pauseBefore(error, number);
        if (pause === undefined)
          fail(KIND.NETWORK, {
            where,
            actual: control?.gaveUp() ?? error.message,
            cause: error.cause ?? error,
          });
        control?.end();
        release();
        // If the deadline passes in the pause, the next attempt fails with it.
        await sleep(pause, either).catch(() => assertNotAborted(signal));
      } finally {
        control?.end();
        release();
      }
    }
  }

  /** Sends one request and reads its answer. */
  async #attempt(offset: number, length: number, control: Attempt): Promise<Uint8Array> {
    const { where } = this;
    const { wholeBytes } = this.#settings;
    const own: Record<string, string> = { range: `bytes=${offset}-${offset + length - 1}` };
    const condition = this.version && ifRange(this.version);
    if (condition !== undefined && !isForeign(this.#target)) own["if-range"] = condition;
    const response = await this.#follow(this.#target, (hop) => this.#ask(hop, own, control));
    let answer: Answer;
    try {
      answer = readHead(response, offset, length, this.version, where);
      if (answer.kind === "whole" && (answer.length ?? 0) > wholeBytes) this.#tooLarge(answer.length!);
    } catch (error) {
      discard(response);
      throw error;
    }
    if (answer.kind === "beyond") {
      discard(response);
      this.version = answer.version;
      return new Uint8Array(0);
    }
    const { length: exact } = answer;
    control.body();
    const bytes = await readBody(response, {
      exact,
      most: exact ?? wholeBytes,
      tooLong: () =>
        exact === undefined
          ? this.#tooLarge("more")
          : fail(KIND.HTTP_RESPONSE, { where, expected: `a body of ${exact} bytes`, actual: "more" }),
      alive: control.alive,
      signal: control.signal,
    });
    if (answer.kind === "range") {
      this.version ??= answer.version;
      return bytes;
    }
    this.whole = bytes;
    this.version = { size: bytes.length, ...answer.validators };
    return bytes.subarray(Math.min(offset, bytes.length), offset + length);
  }

  async #ask({ url, home, redirect }: Hop, own: HeadersInit, control: Attempt): Promise<Response> {
    const headers = new Headers(home ? this.#options.headers : undefined);
    new Headers(own).forEach((value, name) => void headers.set(name, value));
    this.sent++;
    const send = this.#options.fetch ?? globalThis.fetch;
    const { signal } = control;
    try {
      const asked = send(url.href, { headers, signal, redirect, referrerPolicy: "no-referrer" });
      const response = await unlessAborted(asked, signal);
      control.alive(0);
      return response;
    } catch (cause) {
      // ABORTED means here that the attempt's own signal ended it.
      if (isLqaError(cause) && !isLqaError(cause, "ABORTED")) throw cause;
      throw new Transient(describe(cause), { cause });
    }
  }

  #tooLarge(actual: number | string): never {
    const expected = `at most ${this.#settings.wholeBytes} bytes from a server that ignores ranges`;
    return fail(KIND.BUDGET, { where: this.where, expected, actual });
  }

  /** A signal that aborts when the deadline passes. */
  #deadline(): AbortSignal | undefined {
    const { deadlineMs, begun } = this.#settings;
    if (deadlineMs === undefined) return undefined;
    this.#ends ??= (begun ?? performance.now()) + deadlineMs;
    const left = Math.max(0, Math.ceil(this.#ends - performance.now()));
    return AbortSignal.timeout(Math.min(left, MOST_MS));
  }

  #pauseBefore(error: Transient, number: number): number | undefined {
    const { attempts, pauseMs, longestPauseMs } = this.#settings;
    if (number >= attempts) return undefined;
    if (error.retryAfter !== undefined)
      return error.retryAfter <= longestPauseMs ? error.retryAfter : undefined;
    const full = Math.min(pauseMs * 2 ** (number - 1), longestPauseMs);
    return full / 2 + (Math.random() * full) / 2;
  }
}

/** Whether a web page asks another origin: If-Range would cost a preflight there that many servers refuse; the validators of the answers suffice. */
function isForeign({ origin }: URL): boolean {
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  return page !== undefined && page !== origin;
}

function parseUrl(url: string | URL): URL {
  const base = (globalThis as { location?: { href?: string } }).location?.href;
  const parsed = urlOf(url, base) ?? fail(KIND.USAGE, { where: "address", expected: "an http or https URL" });
  if (!/^https?:$/.test(parsed.protocol))
    fail(KIND.USAGE, { where: "address", expected: "an http or https URL", actual: parsed.protocol });
  if (parsed.username !== "" || parsed.password !== "")
    fail(KIND.USAGE, { where: "address", expected: "no user name or password; use the headers option" });
  return parsed;
}

/** Options without those whose value is undefined. */
function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

/** Describes an error by its cause, if it has one: `fetch failed` says nothing. */
function describe(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}

/** Longest delay of a timer; a longer one would end at once. */
export const MOST_MS: number = 2 ** 31 - 1;

/**
 * One attempt at a request. The caller's signal, silence, or a body below the least rate ends it early. Without the rate, a
 * server that sends a byte now and then could hold a reader for days.
 */
export interface Attempt {
  readonly signal: AbortSignal;
  /** Reports the number of bytes that have arrived. */
  readonly alive: (bytes: number) => void;
  /** Reports that the head of the answer has arrived: from now on the rate counts. */
  body(): void;
  /** Why the attempt was given up; undefined if the caller ended it, or if it was not. */
  gaveUp(): string | undefined;
  /** Stops the timers. */
  end(): void;
}

/**
 * Begins an attempt. Its timers run until `end`.
 *
 * @param outer the caller's signal
 * @param limits `silenceMs`: longest silence, and the window of the rate; `leastRate`: bytes a second
 */
export function beginAttempt(
  outer: AbortSignal | undefined,
  limits: { readonly silenceMs: number; readonly leastRate: number },
): Attempt {
  const silenceMs = Math.min(limits.silenceMs, MOST_MS);
  const { leastRate } = limits;
  const controller = new AbortController();
  let reason: string | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let rate: ReturnType<typeof setInterval> | undefined;
  let arrived = 0;
  const abort = (): void => controller.abort();
  const giveUp = (why: string): void => {
    reason ??= why;
    abort();
  };
  if (outer?.aborted) abort();
  outer?.addEventListener("abort", abort);
  const alive = (bytes: number): void => {
    arrived += bytes;
    clearTimeout(silence);
    silence = setTimeout(() => giveUp(`silence for ${silenceMs} ms`), silenceMs);
  };
  alive(0);
  return {
    signal: controller.signal,
    alive,
    body() {
      rate = setInterval(() => {
        if (arrived < (leastRate * silenceMs) / 1000)
          giveUp(`${arrived} bytes in ${silenceMs} ms, below the least rate of ${leastRate} bytes a second`);
        arrived = 0;
      }, silenceMs);
    },
    gaveUp: () => reason,
    end() {
      clearTimeout(silence);
      clearInterval(rate);
      outer?.removeEventListener("abort", abort);
    },
  };
}
