import { rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { applyPacked } from "../../src/serve/apply.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { anyAdapter, fileOf, Random } from "./modules.ts";

const { createAdapterServer } = await import(
  new URL("../../examples/serve/server.mjs", import.meta.url).href
);
const directory = temporaryDirectory();
const adapters = [anyAdapter(70), anyAdapter(71)];
writeFileSync(join(directory, "a.lqa"), await fileOf(adapters[0]!));
writeFileSync(join(directory, "b.lqa"), await fileOf(adapters[1]!));
writeFileSync(join(directory, "broken.lqa"), (await fileOf(adapters[1]!)).subarray(0, 300));
const { server, pool, stop } = createAdapterServer(directory, { bodyBytes: 4096 });
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterAll(() => server.closeAllConnections());

const LAYER = "layers.1.q_proj";
const x = new Random(3).floats(2 * 96);
const call = (path: string, init?: RequestInit) => fetch(`${address}${path}`, init);
const apply = (names: string, body: Uint8Array | Float32Array = x) =>
  call(`/apply?module=${LAYER}&adapters=${names}`, { method: "POST", body: body as BodyInit });

describe("the example server", () => {
  it("applies adapters to rows", async () => {
    const response = await apply("a,b");
    expect(response.status).toBe(200);
    const expected = new Float32Array(192);
    for (const [row, adapter] of adapters.entries()) applyPacked(adapter[1]!, x, expected, { rows: [row] });
    expect(new Float32Array(await response.arrayBuffer())).toEqual(expected);
    const half = new Float32Array(await (await apply("-,b")).arrayBuffer());
    expect(half.subarray(0, 96).every((value) => value === 0)).toBe(true);
    expect(half.subarray(96)).toEqual(expected.subarray(96));
  });

  it("hands out decoded factors", async () => {
    const response = await call(`/adapters/a/factors?module=${LAYER}&type=f32`);
    expect(JSON.parse(response.headers.get("x-lqa-shape")!)).toMatchObject({
      out: 96,
      in: 96,
      rank: 3,
      multiplier: 0.5,
    });
    expect((await response.arrayBuffer()).byteLength).toBe(4 * 3 * 192);
    expect(await (await call("/adapters/a")).json()).toMatchObject({
      name: "a",
      modules: expect.arrayContaining([LAYER]),
    });
  });

  it("answers what is wrong with a status and a code, and goes on", async () => {
    const outcomes: [Promise<Response>, number, string][] = [
      [apply("a,nobody"), 404, "UNKNOWN_ADAPTER"],
      [apply("a,%2e%2e%2fa"), 404, "UNKNOWN_ADAPTER"],
      [apply("a,broken"), 502, "TRUNCATED_FILE"],
      [apply("a,b", x.subarray(1)), 400, "REFUSED"],
      [apply("a,b", new Float32Array(2 * 97)), 400, "ACTIVATION_SHAPE"],
      [apply("a", new Float32Array(2000)), 413, "REFUSED"],
      [call("/apply?adapters=a", { method: "POST" }), 400, "REFUSED"],
      [call("/adapters/a/factors?module=other"), 404, "REFUSED"],
      [call("/nothing"), 404, "REFUSED"],
      [call("/adapters/none", { method: "DELETE" }), 404, "UNKNOWN_ADAPTER"],
    ];
    for (const [promise, status, kind] of outcomes) {
      const response = await promise;
      expect([response.status, (await response.json()).error]).toEqual([status, kind]);
    }
    expect((await apply("a,b")).status).toBe(200);
    expect(pool.statistics.leases).toBe(0);
  });

  it("takes a new file when it is told to", async () => {
    writeFileSync(join(directory, "c.lqa"), await fileOf(adapters[0]!));
    const before = await (await apply("c,c")).arrayBuffer();
    rmSync(join(directory, "c.lqa"));
    writeFileSync(join(directory, "c.lqa"), await fileOf(adapters[1]!));
    expect(Buffer.from(await (await apply("c,c")).arrayBuffer())).toEqual(Buffer.from(before));
    expect((await call("/adapters/c", { method: "PUT" })).status).toBe(204);
    expect(Buffer.from(await (await apply("c,c")).arrayBuffer())).not.toEqual(Buffer.from(before));
    expect((await call("/adapters/c", { method: "DELETE" })).status).toBe(204);
  });

  it("counts for Prometheus, and ends when requests under way are done", async () => {
    const text = await (await call("/metrics")).text();
    expect(text).toMatch(/^lqa_used_bytes \d+$/m);
    expect(text).toMatch(/^lqa_requests_total\{method="POST",status="200"\} \d+$/m);
    expect((await call("/health")).status).toBe(200);
    // A request whose body is not all there yet.
    const answered = new Promise<number | undefined>((resolve) => {
      const slow = httpRequest(
        `${address}/apply?module=${LAYER}&adapters=a`,
        { method: "POST" },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      slow.write(new Uint8Array(x.buffer, 0, 100));
      server.once("request", async () => {
        const stopped = stop();
        slow.end(new Uint8Array(x.buffer, 100, 4 * 96 - 100));
        await stopped;
      });
    });
    expect(await answered).toBe(200);
    await expect(call("/health")).rejects.toThrow();
  });
});
