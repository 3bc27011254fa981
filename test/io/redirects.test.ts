/**
 * Redirects of a server that may be hostile: what is sent where, and when nothing is sent any more.
 */

import { describe, expect, test } from "vitest";
import { type HttpOptions, httpSource, isLqaError } from "../../src/core/index.ts";
import { good, serve } from "../helpers/server.ts";

const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i * 31);
const headers = { authorization: "Bearer secret", "x-api-key": "secret" };

interface Sent {
  readonly url: string;
  readonly headers: Headers;
}

/**
 * A web of addresses, each of which redirects to a Location or serves the bytes. It follows redirects on request, as the
 * `fetch` of Node does, and hides them where it is a page.
 */
function web(routes: Readonly<Record<string, string | undefined>>, page = false) {
  const sent: Sent[] = [];
  const answer = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    let url = new URL(String(input));
    const sentHeaders = new Headers(init.headers);
    for (let hop = 0; hop <= 20; hop++) {
      sent.push({ url: url.href, headers: new Headers(sentHeaders) });
      const known = routes[`${url.origin}${url.pathname}`];
      if (known === undefined) {
        const [first, last] = /^bytes=(\d+)-(\d+)$/.exec(sentHeaders.get("range")!)!.slice(1).map(Number);
        const end = Math.min(last! + 1, bytes.length);
        const range = `bytes ${first}-${end - 1}/${bytes.length}`;
        const body = bytes.slice(first, end);
        const response = new Response(body, { status: 206, headers: { "content-range": range } });
        return Object.defineProperty(response, "url", { value: url.href });
      }
      if (init.redirect === "manual") {
        if (page) return Object.defineProperties(new Response(), opaque);
        return new Response("moved", { status: 302, headers: { location: known } });
      }
      const next = new URL(known, url);
      if (next.origin !== url.origin) sentHeaders.delete("authorization");
      url = next;
    }
    throw new TypeError("fetch failed", { cause: new Error("redirect count exceeded") });
  };
  return { sent, fetch: answer as typeof fetch };
}

const opaque = { type: { value: "opaqueredirect" }, status: { value: 0 } };

async function failure(url: string, options: HttpOptions): Promise<string> {
  const error = await httpSource(url, { attempts: 2, pauseMs: 1, ...options })
    .read(0, 10)
    .catch((e: unknown) => e);
  if (!isLqaError(error, "HTTP_RESPONSE")) throw error;
  expect(error.where).toBe(url.replace(/[?#].*/, ""));
  expect(String(error)).not.toContain("secret");
  return error.message;
}

describe("a redirect", () => {
  test("leads to the file, with the range, and relative addresses are resolved", async () => {
    const { url, requests } = await serve((request, response, asked) => {
      const to = { "/adapter.lqa": "a/b", "/a/b": "../c?x=1", "/c?x=1": "//HOST/d" }[request.url!];
      if (to === undefined) return good(bytes)(request, response, asked);
      response.writeHead(307, { location: to.replace("HOST", request.headers.host!) });
      return response.end("moved");
    });
    const source = httpSource(url, { headers });
    expect(await source.read(5, 5)).toEqual(bytes.slice(5, 10));
    expect(requests.map((request) => request.url)).toEqual(["/adapter.lqa", "/a/b", "/c?x=1", "/d"]);
    for (const { headers } of requests)
      expect([headers.range, headers.authorization, headers["x-api-key"]]).toEqual([
        "bytes=5-9",
        "Bearer secret",
        "secret",
      ]);
    expect(source.requests).toBe(4);
  });

  test("to another origin gets none of the caller's headers, nor does what follows, nor any query", async () => {
    const there = await serve((request, response, asked) => {
      if (request.url !== "/adapter.lqa") return good(bytes)(request, response, asked);
      response.writeHead(302, { location: `http://${home}/back` });
      return response.end();
    });
    let home = "";
    const { url, requests } = await serve((request, response, asked) => {
      home = request.headers.host!;
      if (request.url === "/back") return good(bytes)(request, response, asked);
      response.writeHead(302, { location: there.url });
      return response.end();
    });
    expect(await httpSource(`${url}?signature=secret`, { headers }).read(5, 5)).toEqual(bytes.slice(5, 10));
    expect(requests.map(({ headers }) => headers["x-api-key"])).toEqual(["secret", undefined]);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer secret", undefined]);
    for (const { url, rawHeaders } of [...there.requests, requests[1]!]) {
      expect(url).not.toContain("secret");
      expect(rawHeaders.join("\n")).not.toContain("secret");
    }
    expect(there.requests[0]!.headers.range).toBe("bytes=5-9");
  });

  test("to an address of which URL.canParse of Node 20 says that it is one is refused", async () => {
    const location = "https://b.e\u00d6\u0080mple/";
    // That answer changes when the function has been compiled.
    for (let i = 0; i < 20_000; i++) URL.canParse(location, "https://a.example/x");
    const { fetch } = web({ "https://a.example/x": location });
    expect(await failure("https://a.example/x", { fetch })).toContain("no address");
  });

  test.each([
    ["at once", { "https://a.example/x": "http://a.example/y" }],
    [
      "and back to https",
      { "https://a.example/x": "http://a.example/x", "http://a.example/x": "https://b.example/y" },
    ],
    [
      "after others",
      { "https://a.example/x": "https://b.example/y", "https://b.example/y": "http://c.example/" },
    ],
    [
      "from http",
      { "http://a.example/x": "https://a.example/x", "https://a.example/x": "http://a.example/z" },
    ],
  ])("from https to http (%s) is refused before anything is sent there", async (_, routes) => {
    const { sent, fetch } = web(routes);
    const start = Object.keys(routes)[0]!;
    expect(await failure(`${start}?signature=secret`, { fetch, headers })).toMatch(
      /expected https, found a redirect to http:\/\//,
    );
    expect(sent.slice(1).filter(({ url }) => url.startsWith("http:"))).toEqual([]);
  });

  test.each([
    ["a loop", "https://a.example/x", /expected at most 5 redirects/],
    ["another scheme", "file:///etc/passwd", /http or https address, found file:/],
    ["no address", "http://[", /a Location that is no address/],
    ["a password", "https://user:hidden@a.example/y", /without a user name or password/],
  ])("to %s is refused", async (_, location, message) => {
    const { sent, fetch } = web({ "https://a.example/x": location });
    expect(await failure("https://a.example/x", { fetch })).toMatch(message);
    expect(sent.length).toBeLessThanOrEqual(6);
  });

  test("without a Location, and chains that never end, are refused by a real server, too", async () => {
    let requests = 0;
    const endless = await serve((_request, response) => {
      response.writeHead(302, { location: `/again-${++requests}` });
      response.end();
    });
    expect(await failure(endless.url, {})).toMatch(/at most 5 redirects/);
    expect(requests).toBe(6);
    const nowhere = await serve((_request, response) => {
      response.writeHead(301);
      response.end();
    });
    expect(await failure(nowhere.url, {})).toMatch(/a redirect with a Location, found status 301/);
  });

  test("that a page may not see is followed by the browser, and an answer over http is refused", async () => {
    const routes = { "https://a.example/x": "https://b.example/y" };
    const good = web(routes, true);
    const source = httpSource("https://a.example/x", { fetch: good.fetch });
    expect(await source.read(0, 10)).toEqual(bytes.slice(0, 10));
    expect(await source.read(10, 10)).toEqual(bytes.slice(10, 20));
    // The runtime is asked once whether it shows redirects.
    expect(good.sent.map(({ url }) => url.slice(8, 17))).toEqual([
      "a.example",
      "a.example",
      "b.example",
      "a.example",
      "b.example",
    ]);
    const bad = web({ "https://a.example/x": "http://b.example/y" }, true);
    expect(await failure("https://a.example/x", { fetch: bad.fetch })).toMatch(/an answer over http/);
  });
});
