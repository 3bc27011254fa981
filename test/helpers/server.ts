/**
 * A web server for tests that is as good, or as bad, as a test wants it.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

/** Arguments of a handler in addition to the request. */
export interface Asked {
  /** Number of the request, from 0 on. */
  readonly number: number;
  /** First and last byte of the range; undefined without a Range header. */
  readonly range: readonly [first: number, last: number] | undefined;
}

export type Handler = (request: IncomingMessage, response: ServerResponse, asked: Asked) => unknown;

export interface TestServer {
  readonly url: string;
  readonly requests: IncomingMessage[];
  /** Most requests that were under way at once. */
  most(): number;
}

const closing: (() => void)[] = [];
afterAll(() => {
  for (const close of closing) close();
});

/** A server on a free port of this machine, until the tests of the file have ended. */
export async function serve(handler: Handler): Promise<TestServer> {
  const requests: IncomingMessage[] = [];
  let open = 0;
  let most = 0;
  const server = createServer((request, response) => {
    requests.push(request);
    most = Math.max(most, ++open);
    response.on("close", () => open--);
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const range = match === null ? undefined : ([Number(match[1]), Number(match[2])] as const);
    void handler(request, response, { number: requests.length - 1, range });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/adapter.lqa`, requests, most: () => most };
}

/** Answers a range as a good server does. `headers` go before what it would say. */
export function answerRange(
  bytes: Uint8Array,
  response: ServerResponse,
  { range }: Asked,
  headers: Readonly<Record<string, string | number>> = {},
): void {
  if (range === undefined) {
    response.writeHead(200, { "content-length": bytes.length, ...headers });
    response.end(bytes);
    return;
  }
  const [first, last] = range;
  if (first >= bytes.length) {
    response.writeHead(416, { "content-range": `bytes */${bytes.length}`, ...headers });
    response.end();
    return;
  }
  const body = bytes.subarray(first, last + 1);
  response.writeHead(206, {
    "content-range": `bytes ${first}-${first + body.length - 1}/${bytes.length}`,
    "content-length": body.length,
    etag: '"v1"',
    ...headers,
  });
  response.end(body);
}

/** A handler that is good. */
export function good(bytes: Uint8Array, headers: Readonly<Record<string, string | number>> = {}): Handler {
  return (_request, response, asked) => answerRange(bytes, response, asked, headers);
}
