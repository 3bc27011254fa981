/**
 * A file on a web server as a source of ranges (spec clause 13.2). Runs wherever there is `fetch`.
 *
 * The first answer pins the file: its length, and its entity tag or date. Every later request says so (`If-Range`), and
 * an answer from another version is REMOTE_CHANGED. A server that does not know ranges sends the whole file once, which
 * is then kept, up to `wholeBytes`. Whatever else an answer gets wrong is HTTP_RESPONSE; what may pass (no connection,
 * silence, a body that breaks off, 408, 425, 429, 5xx) is tried again, with growing pauses, before it is NETWORK.
 *
 * Addresses are shown in errors without their query, which may hold a signature. Which hosts may be reached is for the
 * caller to decide: redirects are followed, but an answer over http to a request over https is refused.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError } from "../errors.ts";
import { type Answer, ifRange, readBody, readHead, Transient, type Version } from "./http-response.ts";
import { assertNotAborted, assertRange, type ByteSource } from "./source.ts";

/** How a server is asked. */
export interface HttpOptions {
  /** Sent with every request, e.g. `authorization`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Ends every request. */
  readonly signal?: AbortSignal | undefined;
  /** How often a request is tried. Default 4. */
  readonly attempts?: number | undefined;
  /** Pause before the second attempt; it doubles with each, and half of it is random. Default 250 ms. */
  readonly pauseMs?: number | undefined;
  /** Longest pause, also where a server asks for one by Retry-After; one that asks for more is given up. Default 10 s. */
  readonly longestPauseMs?: number | undefined;
  /** Silence after which an attempt is given up: before the answer, or between two pieces of it. Default 30 s. */
  readonly silenceMs?: number | undefined;
  /** Requests under way at the same time. Default 4. */
  readonly concurrency?: number | undefined;
  /** Most bytes of a file that is taken whole, because the server ignores ranges. Default 64 MiB. */
  readonly wholeBytes?: number | undefined;
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** A source over a web server. */
export interface HttpSource extends ByteSource {
  /** Without query and fragment. */
  readonly address: string;
  /** Attempts made so far. */
  readonly requests: number;
}

const DEFAULTS = {
  attempts: 4,
  pauseMs: 250,
  longestPauseMs: 10_000,
  silenceMs: 30_000,
  concurrency: 4,
  wholeBytes: 64 * 2 ** 20,
} as const;

/**
 * A source over the file at `url`. Nothing is requested before the first read.
 *
 * Reads throw LqaError NOT_FOUND, HTTP_RESPONSE, REMOTE_CHANGED, NETWORK, BUDGET (a whole file above `wholeBytes`) and
 * ABORTED.
 *
 * @throws LqaError USAGE for an address that is not http or https, or that holds a password
 */
export function httpSource(url: string | URL, options: HttpOptions = {}): HttpSource {
  const target = parseUrl(url);
  const where = `${target.origin}${target.pathname}`;
  const settings = { ...DEFAULTS, ...defined(options) };
  // In web pages If-Range would cost a preflight that many servers refuse; what an answer says of itself is enough.
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  const foreign = page !== undefined && page !== target.origin;
  const slot = semaphore(settings.concurrency);
  let version: Version | undefined;
  let whole: Uint8Array | undefined;
  let first: Promise<unknown> | undefined;
  let requests = 0;

  /** One request and its answer. */
  async function attempt(offset: number, length: number, control: Control): Promise<Uint8Array> {
    const headers = new Headers(options.headers);
    headers.set("range", `bytes=${offset}-${offset + length - 1}`);
    const condition = version && ifRange(version);
    if (condition !== undefined && !foreign) headers.set("if-range", condition);
    requests++;
    const response = await ask(headers, control);
    let answer: Answer;
    try {
      if (target.protocol === "https:" && response.url.startsWith("http:"))
        fail(KIND.HTTP_RESPONSE, { where, expected: "https", actual: "a redirect to http" });
      answer = readHead(response, offset, length, version, where);
      if (answer.kind === "whole" && (answer.length ?? 0) > settings.wholeBytes) tooLarge(answer.length!);
    } catch (error) {
      response.body?.cancel().catch(() => {});
      throw error;
    }
    if (answer.kind === "beyond") {
      response.body?.cancel().catch(() => {});
      version = answer.version;
      return new Uint8Array(0);
    }
    const { length: exact } = answer;
    const bytes = await readBody(response, {
      exact,
      most: exact ?? settings.wholeBytes,
      tooLong: () =>
        exact === undefined
          ? tooLarge("more")
          : fail(KIND.HTTP_RESPONSE, { where, expected: `a body of ${exact} bytes`, actual: "more" }),
      alive: control.alive,
    });
    if (answer.kind === "range") {
      version ??= answer.version;
      return bytes;
    }
    whole = bytes;
    version = { size: bytes.length, ...answer.validators };
    return bytes.subarray(Math.min(offset, bytes.length), offset + length);
  }

  async function ask(headers: Headers, control: Control): Promise<Response> {
    try {
      const send = options.fetch ?? globalThis.fetch;
      const response = await send(target.href, { headers, signal: control.signal, redirect: "follow" });
      control.alive();
      return response;
    } catch (cause) {
      const reason = describe(cause);
      if (/redirect/i.test(reason))
        fail(KIND.HTTP_RESPONSE, { where, expected: "an end of redirections", actual: reason, cause });
      throw new Transient(reason, { cause });
    }
  }

  function tooLarge(actual: number | string): never {
    return fail(KIND.BUDGET, {
      where,
      expected: `at most ${settings.wholeBytes} bytes from a server that ignores ranges`,
      actual,
    });
  }

  /** A request, until it succeeds or there is no hope. */
  async function request(offset: number, length: number, signals: AbortSignal[]): Promise<Uint8Array> {
    for (let number = 1; ; number++) {
      const release = await slot(signals);
      const control = controlOf(signals, settings.silenceMs);
      try {
        return await attempt(offset, length, control);
      } catch (error) {
        for (const signal of signals) assertNotAborted(signal);
        if (isLqaError(error) || !(error instanceof Transient)) throw error;
        const pause = pauseBefore(error, number);
        if (pause === undefined)
          fail(KIND.NETWORK, {
            where,
            actual: control.silent() ? `silence for ${settings.silenceMs} ms` : error.message,
            cause: error.cause ?? error,
          });
        control.end();
        release();
        await sleep(pause, signals);
      } finally {
        control.end();
        release();
      }
    }
  }

  function pauseBefore(error: Transient, number: number): number | undefined {
    if (number >= settings.attempts) return undefined;
    if (error.retryAfter !== undefined)
      return error.retryAfter <= settings.longestPauseMs ? error.retryAfter : undefined;
    const full = Math.min(settings.pauseMs * 2 ** (number - 1), settings.longestPauseMs);
    return full / 2 + (Math.random() * full) / 2;
  }

  const source: HttpSource = {
    address: where,
    get size() {
      return version?.size;
    },
    get requests() {
      return requests;
    },
    async read(offset, length, signal) {
      assertRange(offset, length);
      const signals = [options.signal, signal].filter((s) => s !== undefined);
      for (const s of signals) assertNotAborted(s);
      if (length === 0) return new Uint8Array(0);
      // One request goes ahead, so that all others are about the same version. If it fails, the next one tries.
      while (version === undefined && first !== undefined)
        await unlessAborted(
          first.catch(() => {}),
          signals,
        );
      if (whole !== undefined) return whole.subarray(Math.min(offset, whole.length), offset + length);
      if (version !== undefined) {
        const there = Math.min(length, Math.max(0, version.size - offset));
        return there === 0 ? new Uint8Array(0) : request(offset, there, signals);
      }
      const reading = request(offset, length, signals);
      first = reading;
      try {
        return await reading;
      } finally {
        first = undefined;
      }
    },
  };
  return source;
}

function parseUrl(url: string | URL): URL {
  const base = (globalThis as { location?: { href?: string } }).location?.href;
  let parsed: URL;
  try {
    parsed = new URL(url, base);
  } catch (cause) {
    return fail(KIND.USAGE, { where: "address", expected: "an http or https URL", cause });
  }
  if (!/^https?:$/.test(parsed.protocol))
    fail(KIND.USAGE, { where: "address", expected: "an http or https URL", actual: parsed.protocol });
  if (parsed.username !== "" || parsed.password !== "")
    fail(KIND.USAGE, { where: "address", expected: "no user name or password; use the headers option" });
  return parsed;
}

/** Options without the ones that are there but undefined. */
function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

/** `fetch failed` says nothing; its cause does. */
function describe(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}

/** The signal of one attempt: the caller's, or silence. */
interface Control {
  readonly signal: AbortSignal;
  readonly alive: () => void;
  silent(): boolean;
  end(): void;
}

function controlOf(signals: readonly AbortSignal[], silenceMs: number): Control {
  const controller = new AbortController();
  let silent = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const abort = (): void => controller.abort();
  for (const signal of signals) signal.addEventListener("abort", abort);
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      silent = true;
      abort();
    }, silenceMs);
  };
  alive();
  return {
    signal: controller.signal,
    alive,
    silent: () => silent,
    end() {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener("abort", abort);
    },
  };
}

/** Waits, or throws ABORTED. */
async function sleep(milliseconds: number, signals: readonly AbortSignal[]): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await unlessAborted(time, signals);
  } finally {
    clearTimeout(timer);
  }
}

/** The promise, or ABORTED as soon as one of the signals is aborted. */
async function unlessAborted<T>(promise: Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      try {
        for (const signal of signals) assertNotAborted(signal);
      } catch (error) {
        reject(error);
      }
    };
  });
  for (const signal of signals) signal.addEventListener("abort", stop);
  stop();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", stop);
  }
}

/** So many at a time. What is returned gives the place back, once. */
function semaphore(places: number): (signals: readonly AbortSignal[]) => Promise<() => void> {
  let free = Math.max(1, places);
  const queue: (() => void)[] = [];
  return async (signals) => {
    while (free === 0) {
      let wake = (): void => {};
      const turn = new Promise<void>((resolve) => {
        wake = resolve;
      });
      queue.push(wake);
      try {
        await unlessAborted(turn, signals);
      } catch (error) {
        // Out of the queue, or the place that came at the same moment goes to the next.
        const at = queue.indexOf(wake);
        if (at >= 0) queue.splice(at, 1);
        else queue.shift()?.();
        throw error;
      }
    }
    free--;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      free++;
      queue.shift()?.();
    };
  };
}
