/**
 * The `fetch` for one artifact in a registry: it answers a registry's request for credentials and sends them only to their
 * owners.
 *
 * A registry answers 401 and states how to log in. With `Basic`, the login of this machine goes to the registry itself. With
 * `Bearer`, it goes to the token server that the registry names, and the token goes to the registry. The token server must have
 * the registry's host, or a host in the same domain, so that a registry cannot send a login to a stranger. Requests to other
 * origins, to which registries redirect downloads, carry neither.
 *
 * @module
 */
import { type HttpOptions, httpSource } from "../../core/io/http.ts";
import { discard, urlOf } from "../../core/io/http-response.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { decodeUtf8 } from "../../model/bytes.ts";
import type { OciLocation } from "./location.ts";
import { type Login, registryLogin } from "./oci-credentials.ts";

const MOST_CHALLENGE = 4096;
const MOST_TOKEN = 2 ** 16;

/** How a registry requests a login. */
interface Challenge {
  readonly scheme: "basic" | "bearer";
  readonly realm: string;
  readonly service: string | undefined;
}

/** `https`, or `http` for a registry on this machine, as in container tools. Without a slash at its end. */
export function registryOrigin({ registry }: Pick<OciLocation, "registry">): string {
  // The registry of docker.io has another host name.
  const host = registry === "docker.io" ? "registry-1.docker.io" : registry;
  const url = new URL(`https://${host}`);
  return isLoopback(url.hostname) ? `http://${host}` : url.origin;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname);
}

/**
 * A `fetch` that is authorized for one artifact.
 *
 * @param actions the permissions, as the token protocol of registries names them
 * @throws as `registryLogin`; ACCESS_DENIED for a token server in another domain; as `httpSource` for that server
 */
export function registryFetch(
  place: OciLocation,
  actions: "pull" | "pull,push",
  options: HttpOptions,
): typeof globalThis.fetch {
  const home = new URL(registryOrigin(place));
  const send = options.fetch ?? globalThis.fetch;
  let authorization: string | undefined;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    if (url.origin !== home.origin) return await send(url, init);
    const ask = (): Promise<Response> => {
      const headers = new Headers(init?.headers);
      if (authorization !== undefined) headers.set("authorization", authorization);
      return send(url, { ...init, headers });
    };
    const response = await ask();
    const challenge =
      response.status === 401 ? challengeIn(response.headers.get("www-authenticate")) : undefined;
    if (challenge === undefined) return response;
    const answer = await answerTo(challenge, place, actions, home, options);
    // The registry refused this authorization, or there is none to send.
    if (answer === undefined || answer === authorization) return response;
    discard(response);
    authorization = answer;
    return await ask();
  };
}

/** The first known way to log in. Takes linear time in the text. */
function challengeIn(text: string | null): Challenge | undefined {
  if (text === null || text.length > MOST_CHALLENGE) return undefined;
  for (const scheme of ["bearer", "basic"] as const) {
    const begin = new RegExp(`(?:^|,)\\s*${scheme}\\s`, "i").exec(text);
    if (begin === null) continue;
    const values = new Map<string, string>();
    const pair = /\s*(\w+)\s*=\s*"([^"\\]*)"\s*(?:,|$)/y;
    pair.lastIndex = begin.index + begin[0].length;
    for (let match = pair.exec(text); match !== null; match = pair.exec(text))
      values.set(match[1]!.toLowerCase(), match[2]!);
    return { scheme, realm: values.get("realm") ?? "", service: values.get("service") };
  }
  return undefined;
}

async function answerTo(
  { scheme, realm, service }: Challenge,
  place: OciLocation,
  actions: string,
  home: URL,
  options: HttpOptions,
): Promise<string | undefined> {
  if (scheme === "basic") {
    const login = await registryLogin(place.registry);
    return login && basic(login);
  }
  const url = urlOf(realm, undefined);
  const usable =
    url !== undefined && url.protocol === home.protocol && url.username === "" && url.password === "";
  if (!usable || !sameDomain(url, home))
    return fail(KIND.ACCESS_DENIED, {
      where: place.registry,
      expected: `a server of tokens in the domain of the registry, with ${home.protocol.slice(0, -1)}`,
      actual: JSON.stringify(url === undefined ? realm.slice(0, 100) : url.origin),
      advice: "Credentials are not sent to another domain. Ask who runs the registry.",
    });
  const login = await registryLogin(place.registry);
  if (service !== undefined) url.searchParams.set("service", service);
  // The permissions that this needs, not those that the registry proposes.
  url.searchParams.set("scope", `repository:${place.name}:${actions}`);
  const source = httpSource(url, {
    ...options,
    headers: login === undefined ? {} : { authorization: basic(login) },
    wholeBytes: MOST_TOKEN,
  });
  const bytes = await source.read(0, MOST_TOKEN);
  return `Bearer ${tokenIn(bytes, source.address)}`;
}

function tokenIn(bytes: Uint8Array, where: string): string {
  let answer: unknown;
  try {
    answer = JSON.parse(decodeUtf8(bytes));
  } catch {
    answer = undefined;
  }
  const { token, access_token: second } = (answer ?? {}) as { token?: unknown; access_token?: unknown };
  const found = token ?? second;
  return typeof found === "string" && /^[\x21-\x7e]+$/.test(found)
    ? found
    : fail(KIND.HTTP_RESPONSE, { where, expected: "a token as JSON", advice: "Check the address." });
}

function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** Whether two hosts are equal, or the last two parts of their names are: `registry.gitlab.com` and `gitlab.com`. */
function sameDomain(one: URL, other: URL): boolean {
  if (one.hostname === other.hostname) return true;
  const domain = ({ hostname }: URL): string | undefined =>
    /^[\d.]+$|^\[/.test(hostname) ? undefined : /[^.]+\.[^.]+$/.exec(hostname)?.[0];
  return domain(one) !== undefined && domain(one) === domain(other);
}
