/**
 * A proxy before a real S3 server that throttles, cuts bodies and is slow, as told.
 *
 * @module
 */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

/** What happens to a request; undefined: nothing but passing it on. */
export type Mischief = "throttle" | "cut" | "cut-upload" | "slow" | "lose-answer" | undefined;

export interface FlakyProxy {
  readonly endpoint: string;
  /** Decides by number, method and path. */
  decide: (number: number, method: string, path: string) => Mischief;
  readonly done: Record<Exclude<Mischief, undefined>, number>;
}

const servers: { close(): void; closeAllConnections(): void }[] = [];
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

export async function startProxy(port: number): Promise<FlakyProxy> {
  let number = 0;
  const done = { throttle: 0, cut: 0, "cut-upload": 0, slow: 0, "lose-answer": 0 };
  const server = createServer((incoming, outgoing) => {
    const { method = "GET", url = "/", headers } = incoming;
    const mischief = proxy.decide(number++, method, url);
    if (mischief !== undefined) done[mischief]++;
    if (mischief === "throttle") {
      incoming.resume();
      outgoing.writeHead(503, { "content-type": "application/xml" });
      outgoing.end("<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>");
      return;
    }
    if (mischief === "cut-upload") {
      incoming.once("data", () => incoming.destroy());
      return;
    }
    const forward = (): void => {
      const upstream = request({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
        if (mischief === "lose-answer") {
          answer.resume();
          answer.on("end", () => outgoing.destroy());
          return;
        }
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        if (mischief === "cut") {
          answer.once("data", (piece: Buffer) => {
            outgoing.write(piece.subarray(0, piece.length >> 1), () => outgoing.destroy());
            answer.destroy();
          });
          answer.once("end", () => outgoing.destroy());
          return;
        }
        answer.pipe(outgoing);
      });
      upstream.on("error", () => outgoing.destroy());
      incoming.pipe(upstream);
    };
    if (mischief === "slow") setTimeout(forward, 300);
    else forward();
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const proxy: FlakyProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    decide: () => undefined,
    done,
  };
  return proxy;
}
