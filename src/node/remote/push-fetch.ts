/**
 * The `fetch` for pushes to the hub: with timeouts, and with a limit on answers. The hub's client library uses it because that library sends its token wherever a server's answer points.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { assertNotAborted, fail, isLqaError } from "../../errors.ts";
import type { HttpOptions } from "../../io/http.ts";

/** Time limit for an answer, ms; {@link MEGABYTE_MS}: additional time for each MiB of a body. */
const ANSWER_MS = 60_000;
const MEGABYTE_MS = 60_000;
/** The largest answer, in bytes. */
const MOST_ANSWER = 16 * 2 ** 20;

/**
 * A `fetch` for one push.
 *
 * The token goes only to the origin of the endpoint. If the endpoint uses https, no request uses http. A redirect is an error,
 * because a commit must not go to a place that nobody named.
 *
 * @param where the target, as errors name it
 */
export function pushFetch(
  { endpoint, token }: { readonly endpoint: string; readonly token: string | undefined },
  where: string,
  {
    remote,
    signal,
  }: { readonly remote?: HttpOptions | undefined; readonly signal?: AbortSignal | undefined },
): typeof globalThis.fetch {
  const home = new URL(endpoint);
  const ends =
    remote?.deadlineMs === undefined ? undefined : AbortSignal.timeout(Math.ceil(remote.deadlineMs));
  const send = remote?.fetch ?? globalThis.fetch;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    if (home.protocol === "https:" && url.protocol !== "https:")
      fail(KIND.HTTP_RESPONSE, { where, expected: "addresses with https", actual: url.origin });
    const headers = new Headers(init?.headers);
    const atHome = url.origin === home.origin;
    if (atHome && token !== undefined) headers.set("authorization", `Bearer ${token}`);
    const size = init?.body instanceof Blob ? init.body.size : 0;
    const patience = AbortSignal.timeout(ANSWER_MS + Math.ceil((size / 2 ** 20) * MEGABYTE_MS));
    const signals = [init?.signal, signal, ends, patience].filter((one) => one !== undefined && one !== null);
    let response: Response;
    try {
      response = await send(url, { ...init, headers, redirect: "manual", signal: AbortSignal.any(signals) });
    } catch (cause) {
      if (isLqaError(cause)) throw cause;
      assertNotAborted(signal);
      const late = ends?.aborted === true || patience.aborted;
      return fail(KIND.NETWORK, { where, actual: late ? "no answer in time" : reasonOf(cause), cause });
    }
    if (response.status >= 300 && response.status < 400)
      fail(KIND.HTTP_RESPONSE, {
        where,
        expected: "no redirect of a push",
        actual: `status ${response.status}`,
        advice: "If the repository was renamed, give its new name.",
      });
    return bounded(response, where);
  };
}

/** Reads the body of an answer into memory. @throws LqaError HTTP_RESPONSE above {@link MOST_ANSWER} bytes */
async function bounded(response: Response, where: string): Promise<Response> {
  const { status, statusText, headers } = response;
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
    length += next.value.length;
    if (length > MOST_ANSWER) {
      reader?.cancel().catch(() => {});
      fail(KIND.HTTP_RESPONSE, {
        where,
        expected: `an answer of at most ${MOST_ANSWER} bytes`,
        actual: "more",
      });
    }
    pieces.push(next.value as Uint8Array<ArrayBuffer>);
  }
  return new Response(length === 0 ? null : new Blob(pieces), { status, statusText, headers });
}

/** The reason of a failed fetch: that of its cause, because `fetch failed` says nothing. */
function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}
