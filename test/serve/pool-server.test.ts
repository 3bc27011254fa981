/** The example of a server over a pool: its answers are those of the pool, and what a client does wrong is an answer, too. */
import { mkdirSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { encodeFile } from "../../src/node/index.ts";
import { until } from "../helpers/many.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const files = join(folder, "files");
const MODULE = "model.layers.0.self_attn.q_proj";
let close: (() => void) | undefined;
let address: string;
let pool: import("../../src/serve/index.ts").AdapterPool;

beforeAll(async () => {
  mkdirSync(files);
  for (const [i, name] of ["one", "two"].entries()) {
    writePeftDirectory(join(folder, name), { seed: i + 1 });
    await encodeFile(join(folder, name), join(files, `${name}.lqa`), { quality: "high", workers: 1 });
  }
  writeFileSync(join(files, "broken.lqa"), "not an adapter at all");
  const path = new URL("../../examples/pool-server.mjs", import.meta.url).href;
  const { createPoolServer } = (await import(path)) as {
    createPoolServer(location: string): Promise<{ server: import("node:http").Server; pool: typeof pool }>;
  };
  const made = await createPoolServer(files);
  pool = made.pool;
  await new Promise<void>((resolve) => made.server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(made.server.address() as AddressInfo).port}`;
  close = () => {
    made.server.close();
    made.server.closeAllConnections();
  };
}, 120_000);
afterAll(() => close?.());

const apply = (adapters: string, rows: Float32Array<ArrayBuffer>, module = MODULE) =>
  fetch(`${address}/apply?module=${module}&adapters=${adapters}`, {
    method: "POST",
    body: new Uint8Array(rows.buffer),
  });

it("adds what the adapter of each row adds", async () => {
  const x = Float32Array.from({ length: 3 * 64 }, (_, i) => Math.sin(i));
  const answer = await apply("one,-,two", x);
  expect(answer.status).toBe(200);
  const y = new Float32Array(await answer.arrayBuffer());
  const expected = new Float32Array(3 * 64);
  for (const [row, name] of [
    [0, "one"],
    [2, "two"],
  ] as const) {
    const lease = await pool.acquire(name);
    lease.apply(MODULE, x.subarray(64 * row, 64 * (row + 1)), expected.subarray(64 * row, 64 * (row + 1)));
    lease.release();
  }
  expect(y).toEqual(expected);
  expect(y.some((value) => value !== 0)).toBe(true);
  expect(await (await fetch(`${address}/statistics`)).json()).toMatchObject({ loads: 2 });
  expect(await (await fetch(`${address}/adapters/one`)).json()).toMatchObject({
    modules: expect.arrayContaining([MODULE]),
  });
});

it("answers what a client does wrong, and goes on", async () => {
  const row = new Float32Array(64);
  const statuses = await Promise.all(
    [
      apply("none", row),
      apply("..%2Ffiles%2Fone", row),
      apply("broken", row),
      apply("one", row, "no.such.module"),
      apply("one", new Float32Array(63)),
      apply("one,two", new Float32Array(63)),
      apply("one", new Float32Array(2 ** 22 + 64)).catch(() => ({ status: 413 })),
      fetch(`${address}/nothing`),
      fetch(`${address}/adapters/%E0%A4%A`),
    ].map(async (answer) => (await answer).status),
  );
  expect(statuses).toEqual([404, 404, 500, 404, 400, 400, 413, 404, 400]);
  const socket = connect(Number(new URL(address).port), "127.0.0.1");
  socket.write(
    `POST /apply?module=${MODULE}&adapters=one HTTP/1.1\r\nhost: x\r\ncontent-length: 256\r\n\r\nhalf`,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  expect((await apply("one", row)).status).toBe(200);
});

it("is a program that a signal ends", async () => {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, [
    new URL("../../examples/pool-server.mjs", import.meta.url).pathname,
    files,
    "0",
  ]);
  let out = "";
  child.stdout.on("data", (text) => (out += text));
  await until(() => out.includes("http://") || child.exitCode !== null);
  expect((await fetch(`${out.trim()}/statistics`)).status).toBe(200);
  child.kill("SIGTERM");
  expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(0);
});
