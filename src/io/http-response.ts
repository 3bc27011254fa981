/**
 * Checks a server's response to a range request (spec clause 13.2): status, `Content-Range`, total length, encoding,
 * validators, and a body of exactly the requested length. The reader trusts a server no more than a file.
 *
 * @module
 */

import { concat } from "../common/bytes.ts";
import { unlessAborted } from "../common/slots.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";

/** A failure that may be transient. */
export class Transient extends Error {
  /** The delay that the server requested by Retry-After, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: { cause?: unknown; retryAfter?: number | undefined } = {}) {
    super(message, { cause: options.cause });
    this.retryAfter = options.retryAfter;
  }
}

/** Identifies one state of a remote file. */
export interface Version {
  readonly size: number;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
}

/** An answer whose head passes the checks. */
export type Answer =
  /** The body has exactly these bytes of the file. */
  | { readonly kind: "range"; readonly length: number; readonly version: Version }
  /** The body is the whole file: the server ignores ranges. */
  | { readonly kind: "whole"; readonly length: number | undefined; readonly validators: Validators }
  /** The file ends before the range. */
  | { readonly kind: "beyond"; readonly version: Version };

type Validators = Pick<Version, "etag" | "modified">;

const TRANSIENT: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * Checks the head of an answer to `Range: bytes=offset-(offset + length - 1)`.
 *
 * @param pinned the version that earlier answers had; undefined for the first
 * @param where names the address in errors
 * @throws Transient; LqaError NOT_FOUND, ACCESS_DENIED, HTTP_RESPONSE, REMOTE_CHANGED
 */
export function readHead(
  response: Response,
  offset: number,
  length: number,
  pinned: Version | undefined,
  where: string,
): Answer {
  const bad = (expected: string, actual: string | number): never =>
    fail(KIND.HTTP_RESPONSE, { where, expected, actual });
  const { status, headers } = response;
  if (TRANSIENT.has(status))
    throw new Transient(`status ${status}`, { retryAfter: retryAfter(headers.get("retry-after")) });
  refuseMissing(status, where);
  const validators: Validators = {
    etag: headers.get("etag") ?? undefined,
    modified: headers.get("last-modified") ?? undefined,
  };
  if (status === 206) {
    if (encoded(headers))
      bad("a range that is not compressed", `Content-Encoding: ${headers.get("content-encoding")}`);
    const text = headers.get("content-range");
    const range = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(text ?? "");
    if (range === null)
      return bad(
        `Content-Range: bytes ${offset}-…/…`,
        text ?? "none (across origins, the server must expose this header)",
      );
    const [first, last, size] = range.slice(1).map(Number) as [number, number, number];
    const version = { size, ...validators };
    if (pinned !== undefined) assertSame(pinned, version, where);
    const end = Math.min(offset + length, size) - 1;
    if (first !== offset || last !== end) bad(`bytes ${offset}-${end}/${size}`, text!);
    const there = end - offset + 1;
    const declared = headers.get("content-length");
    if (declared !== null && Number(declared) !== there) bad(`Content-Length: ${there}`, declared);
    return { kind: "range", length: there, version };
  }
  if (status === 200) {
    if (pinned !== undefined) {
      // Status 200 to a request with If-Range means that the file has changed.
      assertSame(pinned, { ...validators, size: pinned.size }, where);
      bad("status 206", "status 200, although ranges had been answered before");
    }
    // The length of a compressed body does not tell its decompressed length.
    const declared = encoded(headers) ? null : headers.get("content-length");
    return { kind: "whole", length: declared === null ? undefined : Number(declared), validators };
  }
  if (status === 416) {
    const size = Number(/^bytes \*\/(\d{1,16})$/.exec(headers.get("content-range") ?? "")?.[1] ?? Number.NaN);
    const version = { size, ...validators };
    if (pinned !== undefined) changed(where, `status 416, length ${size}`);
    if (size <= offset) return { kind: "beyond", version };
  }
  return bad("status 206", `status ${status}`);
}

/** @throws LqaError NOT_FOUND, ACCESS_DENIED */
function refuseMissing(status: number, where: string): void {
  const actual = `status ${status}`;
  if (status === 404 || status === 410) fail(KIND.NOT_FOUND, { where, actual, advice: "Check the address." });
  if (status === 401 || status === 403)
    fail(KIND.ACCESS_DENIED, { where, actual, advice: "Check the address, and that you may read it." });
}

/** Checks that two versions do not contradict each other. @throws LqaError REMOTE_CHANGED */
function assertSame(pinned: Version, now: Version, where: string): void {
  if (now.size !== pinned.size) changed(where, `length ${now.size} instead of ${pinned.size}`);
  // A missing validator says nothing: another machine behind the same name may not send it.
  if (pinned.etag !== undefined && now.etag !== undefined) {
    if (pinned.etag !== now.etag) changed(where, `entity tag ${now.etag} instead of ${pinned.etag}`);
  } else if (pinned.modified !== undefined && now.modified !== undefined && pinned.modified !== now.modified)
    changed(where, `modified ${now.modified} instead of ${pinned.modified}`);
}

function changed(where: string, actual: string): never {
  return fail(KIND.REMOTE_CHANGED, { where, actual });
}

function encoded(headers: Headers): boolean {
  const encoding = headers.get("content-encoding");
  return encoding !== null && encoding.trim() !== "" && encoding.trim().toLowerCase() !== "identity";
}

/** The value for `If-Range`, if there is one: a weak tag would make the server ignore the range (RFC 9110, 13.1.5). */
export function ifRange({ etag, modified }: Version): string | undefined {
  if (etag !== undefined) return etag.startsWith("W/") ? undefined : etag;
  return modified;
}

/** Milliseconds from a Retry-After header: seconds, or a date. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return 1000 * Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/**
 * Reads the body of an answer.
 *
 * @param exact the length that the body must have, if known
 * @param most largest length; beyond it the function stops reading and calls `tooLong`, which throws
 * @param alive called with the length of each piece
 * @param signal ends the reading, even if the body ignores it
 * @throws Transient for a body that is too short, or breaks off; what `tooLong` throws
 */
export async function readBody(
  response: Response,
  {
    exact,
    most,
    tooLong,
    alive,
    signal,
  }: {
    exact: number | undefined;
    most: number;
    tooLong(): never;
    alive(bytes: number): void;
    signal: AbortSignal;
  },
): Promise<Uint8Array> {
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      let result: { readonly done: boolean; readonly value?: Uint8Array | undefined } | undefined;
      try {
        result = reader && (await unlessAborted(reader.read(), signal));
      } catch (cause) {
        throw new Transient(`the body broke off after ${length} bytes`, { cause });
      }
      alive(result?.value?.length ?? 0);
      if (result?.value === undefined) break;
      length += result.value.length;
      if (length > most) tooLong();
      pieces.push(result.value);
    }
  } catch (error) {
    reader?.cancel(error).catch(() => {});
    throw error;
  }
  if (exact !== undefined && length !== exact)
    throw new Transient(`the body ended after ${length} of ${exact} bytes`);
  return pieces.length === 1 ? pieces[0]! : concat(pieces);
}

// Redirects, followed one at a time (spec clause 13.2). A redirect comes from a server, which the reader does not trust, so
// the library checks each one before it sends the next request:
//
// - at most {@link MOST_REDIRECTS} redirects, loops included;
// - never from https to http, not even in the middle of a chain: that request would show the path, the query and
//   the headers to everybody on the way;
// - the caller's headers (such as `authorization`) go to the origin of the caller's address only. After a redirect to
//   another origin, all later requests of the chain go without them;
// - the library never copies the query of one address to another, and sends no `Referer`.
//
// Web pages cannot do this: `fetch` hides the answer of a redirect from them. There the browser follows the redirects.
// It refuses http from an https page, drops `authorization` across origins and keeps other headers. This file then only
// refuses an answer that came over http to a request over https.

/** Most redirects of one request. Downloads from large hosts need one or two. */
export const MOST_REDIRECTS = 5;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** One request of a chain. */
export interface Hop {
  readonly url: URL;
  /** True while every address so far had the origin of the first: only then may the request carry the caller's headers. */
  readonly home: boolean;
  readonly redirect: "manual" | "follow";
}

/** Sends a request to `target` and follows redirects. Resolves to the first answer that is not a redirect. */
export type Follow = (target: URL, send: (hop: Hop) => Promise<Response>) => Promise<Response>;

/**
 * The URL of an address, or undefined if the address is not valid. It does not use `URL.canParse`: once compiled, that of
 * Node 20 returns true for some addresses whose constructor throws.
 */
export function urlOf(address: string | URL, base: string | URL | undefined): URL | undefined {
  try {
    return new URL(address, base);
  } catch {
    return undefined;
  }
}

/**
 * A function that sends requests and follows redirects. It remembers whether this runtime shows redirects.
 *
 * @param where names the address in errors
 * @returns a function that throws LqaError HTTP_RESPONSE for a chain that breaks a rule above, and what `send` throws
 */
export function redirectFollower(where: string): Follow {
  const refuse = (expected: string, actual: string): never =>
    fail(KIND.HTTP_RESPONSE, { where, expected, actual });
  let redirect: Hop["redirect"] = "manual";

  /** Refuses http after https, in web pages and if `fetch` follows redirects although it should not. */
  function checked(response: Response, asked: URL): Response {
    if (asked.protocol !== "https:" || !/^http:/i.test(response.url)) return response;
    discard(response);
    return refuse("https", "an answer over http, after a redirect");
  }

  function next(response: Response, from: URL): URL {
    const location = response.headers.get("location");
    if (location === null)
      return refuse("a redirect with a Location", `status ${response.status} without one`);
    const url = urlOf(location, from);
    if (url === undefined || !/^https?:$/.test(url.protocol))
      return refuse(
        "a redirect to an http or https address",
        url?.protocol ?? "a Location that is no address",
      );
    if (url.username !== "" || url.password !== "")
      return refuse("a redirect without a user name or password", "one with them");
    if (from.protocol === "https:" && url.protocol === "http:")
      return refuse("https", `a redirect to ${shown(url)}`);
    return url;
  }

  return async (target, send) => {
    let hop: Hop = { url: target, home: true, redirect };
    for (let count = 0; ; count++) {
      const response = await send(hop);
      if (response.type === "opaqueredirect" && response.status === 0) {
        redirect = "follow";
        return checked(await send({ url: target, home: true, redirect }), target);
      }
      if (!REDIRECTS.has(response.status)) return checked(response, hop.url);
      discard(response);
      const url = next(response, hop.url);
      if (count === MOST_REDIRECTS)
        refuse(`at most ${MOST_REDIRECTS} redirects`, `one more, to ${shown(url)}`);
      hop = { url, home: hop.home && url.origin === target.origin, redirect };
    }
  };
}

/** An address for errors: without its query, which may hold a signature. */
export function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`.slice(0, 200);
}

/** Discards a response without reading its body. */
export function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
}
