/**
 * The door to files on web servers. `http-ranges.ts` has the requests; `open` imports that file when it opens a URL, and never this
 * one, so a bundle of `open` has the requests in a part that loads later.
 *
 * @module
 */
import { httpRanges } from "./http-ranges.ts";
import type { ByteSource } from "./source.ts";

/** Options of the requests to a server. */
export interface HttpOptions {
  /**
   * Headers of every request, e.g. `authorization`. A redirect to another origin drops them all; in web pages the browser
   * follows redirects and drops `authorization` only.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Aborts every request. */
  readonly signal?: AbortSignal | undefined;
  /** Most attempts at a request, the first included. Default 4. */
  readonly attempts?: number | undefined;
  /** Pause before the second attempt; it doubles with each attempt, and half of it is random. Default 250 ms. */
  readonly pauseMs?: number | undefined;
  /** Longest pause between attempts. If a server requests more by Retry-After, the request fails. Default 10 s. */
  readonly longestPauseMs?: number | undefined;
  /** Silence after which an attempt fails: before the answer, or between two pieces of it. Default 30 s. */
  readonly silenceMs?: number | undefined;
  /**
   * Least bytes a second of a body, measured over each `silenceMs` of it: below that an attempt fails like a silent one.
   * Default 1024; 0 allows any rate.
   */
  readonly leastRate?: number | undefined;
  /** Time for all reads of this source together, from the first one on; then they fail with NETWORK. Default: no limit. */
  readonly deadlineMs?: number | undefined;
  /** Concurrent requests. Default 4. */
  readonly concurrency?: number | undefined;
  /** Most bytes of a whole file from a server that ignores ranges. Default 64 MiB. */
  readonly wholeBytes?: number | undefined;
  /** Default: the global one. An LqaError that it throws ends the read; any other error counts as a transient failure. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** A source over a web server. */
export interface HttpSource extends ByteSource {
  /** The address without query and fragment. */
  readonly address: string;
  /** Requests sent so far; each redirect is one more. */
  readonly requests: number;
}

/**
 * A source over the file at `url`. It sends no request before the first read.
 *
 * Reads throw LqaError NOT_FOUND, ACCESS_DENIED, HTTP_RESPONSE, REMOTE_CHANGED, NETWORK, BUDGET (a whole file above
 * `wholeBytes`) and ABORTED.
 *
 * @throws LqaError USAGE for an address that is not http or https, or that holds a password
 */
export function httpSource(url: string | URL, options: HttpOptions = {}): HttpSource {
  return httpRanges(url, options);
}
