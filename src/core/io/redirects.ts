/**
 * Redirects, followed one at a time (spec clause 13.2). A redirect comes from a server, which is as little trusted as a
 * file, so the library decides about each one before it sends the next request:
 *
 * - at most {@link MOST_REDIRECTS} redirects, loops included;
 * - never from https to http, not even in the middle of a chain: that request would show the path, the query and
 *   the headers to everybody on the way;
 * - the caller's headers (`authorization`, for one) go to the origin of the caller's address only. After a redirect to
 *   another origin they are dropped for the rest of the chain;
 * - the query of one address is never carried over to another one, and no `Referer` is sent.
 *
 * Web pages cannot do this: `fetch` hides the answer of a redirect from them. There the browser follows the redirects.
 * It refuses http from an https page, drops `authorization` across origins and keeps other headers; what is left to this
 * file is to refuse an answer that came over http to a request over https.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/** Most redirects of one request. Downloads of the large hosts take one or two. */
export const MOST_REDIRECTS = 5;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** One request of a chain. */
export interface Hop {
  readonly url: URL;
  /** True while every address so far had the origin of the first one: the caller's headers may be sent. */
  readonly home: boolean;
  readonly redirect: "manual" | "follow";
}

/** Sends a request to `target` and follows redirects. Resolves to the first answer that is not one. */
export type Follow = (target: URL, send: (hop: Hop) => Promise<Response>) => Promise<Response>;

/**
 * The URL of an address, or undefined if it is none. Not by `URL.canParse`: in Node 20 that says true of some addresses
 * whose constructor throws, as soon as it is compiled.
 */
export function urlOf(address: string | URL, base: string | URL | undefined): URL | undefined {
  try {
    return new URL(address, base);
  } catch {
    return undefined;
  }
}

/**
 * A way to send requests that remembers whether this runtime shows redirects.
 *
 * @param where what errors name
 * @returns a function that throws LqaError HTTP_RESPONSE for a chain that breaks a rule above, and what `send` throws
 */
export function redirectFollower(where: string): Follow {
  const refuse = (expected: string, actual: string): never =>
    fail(KIND.HTTP_RESPONSE, { where, expected, actual });
  let redirect: Hop["redirect"] = "manual";

  /** For web pages, and for a `fetch` that follows redirects although it should not. */
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

/** An address as errors show it: without its query, which may hold a signature. */
export function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`.slice(0, 200);
}

/** Discards a response whose body is not read. */
export function discard(response: Response): void {
  response.body?.cancel().catch(() => {});
}
