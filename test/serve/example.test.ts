import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type ClientRequest, request as httpRequest } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { splitPayload } from "../../src/core/container/chunk.ts";
import { decodeModule } from "../../src/core/read/decode.ts";
import { applyPacked } from "../../src/serve/apply.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { anyAdapter, fileOf, Random } from "./modules.ts";

const { createAdapterServer } = await import(
  new URL("../../examples/serve/service.mjs", import.meta.url).href
);
const directory = temporaryDirectory();
const adapters = [anyAdapter(70), anyAdapter(71)];
writeFileSync(join(directory, "a.lqa"), await fileOf(adapters[0]!));
writeFileSync(join(directory, "b.lqa"), await fileOf(adapters[1]!));
writeFileSync(join(directory, "broken.lqa"), (await fileOf(adapters[1]!)).subarray(0, 300));
/** For a machine that is busy. */
const PATIENT = { timeout: 20_000 };
const logged: { status: number; error: string }[] = [];
const { server, pool, stop } = createAdapterServer(directory, {
  bodyBytes: 4096,
  answerBytes: 4 * 96 * 8,
  concurrency: 3,
  log: (what: (typeof logged)[number]) => logged.push(what),
});
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
      [call("/adapters/a/b/c"), 404, "REFUSED"],
      [call("/adapters/%E0%A4%A"), 400, "REFUSED"],
      [call("/adapters/a/shared-factors?module=x"), 404, "REFUSED"],
      [apply(Array(9).fill("a").join(), new Float32Array(9 * 96)), 413, "REFUSED"],
      [call("/adapters/none", { method: "DELETE" }), 404, "UNKNOWN_ADAPTER"],
    ];
    for (const [promise, status, kind] of outcomes) {
      const response = await promise;
      expect([response.status, (await response.json()).error]).toEqual([status, kind]);
    }
    // What is the server's own trouble is logged.
    expect(logged.map(({ status, error }) => [status, error])).toEqual([[502, "TRUNCATED_FILE"]]);
    expect((await apply("a,b")).status).toBe(200);
    expect(pool.statistics.leases).toBe(0);
  });

  it("takes a new file on request", async () => {
    writeFileSync(join(directory, "c.lqa"), await fileOf(adapters[0]!));
    const before = await (await apply("c,c")).arrayBuffer();
    rmSync(join(directory, "c.lqa"));
    writeFileSync(join(directory, "c.lqa"), await fileOf(adapters[1]!));
    expect(Buffer.from(await (await apply("c,c")).arrayBuffer())).toEqual(Buffer.from(before));
    expect((await call("/adapters/c", { method: "PUT" })).status).toBe(204);
    expect(Buffer.from(await (await apply("c,c")).arrayBuffer())).not.toEqual(Buffer.from(before));
    expect((await call("/adapters/c", { method: "DELETE" })).status).toBe(204);
  });

  it("outlives addresses that are none", async () => {
    for (const line of ["GET // HTTP/1.1", "GET http://[ HTTP/1.1", "OPTIONS * HTTP/1.1", "nonsense"]) {
      const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
      socket.end(`${line}\r\nhost: x\r\nconnection: close\r\n\r\n`);
      let text = "";
      for await (const piece of socket) text += piece;
      expect(text).toMatch(/^HTTP\/1.1 4\d\d /);
    }
  });

  it("takes so many requests at once, and tells of itself all the same", async () => {
    const { acquireAll } = pool;
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    pool.acquireAll = async (...words: unknown[]) => {
      await gate;
      return acquireAll.apply(pool, words);
    };
    const slow = Array.from({ length: 3 }, () => apply("a,b"));
    const inFlight = /^lqa_requests_in_flight 3$/m;
    await expect.poll(async () => (await call("/metrics")).text(), PATIENT).toMatch(inFlight);
    const refused = await apply("a,b");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await (await call("/metrics")).text()).toMatch(inFlight);
    expect((await call("/health")).status).toBe(200);
    expect((await call("/ready")).status).toBe(200);
    open();
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200, 200]);
    pool.acquireAll = acquireAll;
    await expect.poll(async () => (await apply("a,b")).status, PATIENT).toBe(200);
  });

  it("is not filled by connections that promise a body, or headers, and do not send them", async () => {
    const other = createAdapterServer(directory, {
      concurrency: 3,
      bodyWindowMilliseconds: 1500,
      leastBodyBytes: 512,
    });
    await new Promise<void>((resolve) => other.server.listen(0, "127.0.0.1", resolve));
    const { port } = other.server.address() as AddressInfo;
    const head = `POST /apply?module=${LAYER}&adapters=a,b HTTP/1.1\r\nhost: x\r\ncontent-length: ${x.byteLength}\r\n`;
    const answers = Array.from({ length: 40 }, async (_, i) => {
      const socket = connect(port, "127.0.0.1");
      // Some send a byte now and then, some not even the end of their headers.
      socket.write(i % 4 === 3 ? head : `${head}\r\n`);
      const drip = i % 4 === 1 ? setInterval(() => socket.write("x"), 100) : undefined;
      socket.on("error", () => {});
      let text = "";
      socket.on("data", (piece) => (text += piece));
      await new Promise((resolve) => socket.on("close", resolve));
      clearInterval(drip);
      return text.slice(0, 12);
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (let i = 0; i < 5; i++) {
      const place = `http://127.0.0.1:${port}/apply?module=${LAYER}&adapters=a,b`;
      const response = await fetch(place, { method: "POST", body: x as unknown as BodyInit });
      expect(response.status).toBe(200);
    }
    const withBody = answers.filter((_, i) => i % 4 !== 3);
    expect(new Set(await Promise.all(withBody))).toEqual(new Set(["HTTP/1.1 408"]));
    other.server.closeAllConnections();
    await Promise.all(answers);
    await other.stop();
  }, 60_000);

  it("counts for Prometheus, in a form that it reads", async () => {
    await call("/some/name/that/nobody/knows");
    const text = await (await call("/metrics")).text();
    expect(text).toMatch(/^lqa_pool_used_bytes \d+$/m);
    expect(text).toMatch(/^lqa_requests_total\{route="POST \/apply",status="200"\} \d+$/m);
    // Names of requests are no labels.
    expect(text).not.toContain("nobody");
    const [types, samples] = [new Map<string, string>(), new Map<string, number>()];
    for (const line of text.trimEnd().split("\n")) {
      const [, name, type] = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line) ?? [];
      if (name !== undefined) {
        expect(types.has(name)).toBe(false);
        types.set(name, type!);
      } else if (!line.startsWith("# HELP ")) {
        const [, sample, value] = /^(\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})?) (\S+)$/.exec(line)!;
        expect(Number.isFinite(Number(value))).toBe(true);
        expect(samples.has(sample!)).toBe(false);
        samples.set(sample!, Number(value));
        const family = sample!.replace(/\{.*/, "");
        expect(types.has(family) || types.has(family.replace(/_(bucket|sum|count)$/, ""))).toBe(true);
        if (types.get(family) === "counter") expect(family).toMatch(/_total$/);
      }
    }
    const bucket = (bound: string) =>
      samples.get(`lqa_request_duration_seconds_bucket{route="POST /apply",le="${bound}"}`)!;
    expect(bucket("0.001")).toBeLessThanOrEqual(bucket("10"));
    expect(bucket("+Inf")).toBeGreaterThan(0);
  });

  it("takes requests for a while after a stop request, but is not ready", async () => {
    const other = createAdapterServer(directory, { graceMilliseconds: 2 ** 30 });
    await new Promise<void>((resolve) => other.server.listen(0, "127.0.0.1", resolve));
    const place = `http://127.0.0.1:${(other.server.address() as AddressInfo).port}`;
    expect((await fetch(`${place}/ready`)).status).toBe(200);
    void other.stop();
    expect((await fetch(`${place}/ready`)).status).toBe(503);
    // Somebody who has not heard of it yet.
    expect((await fetch(`${place}/adapters/a`)).status).toBe(200);
    expect((await fetch(`${place}/health`)).status).toBe(200);
    other.server.close();
    other.server.closeAllConnections();
  });

  it("ends when requests under way are done", async () => {
    const seen = new Promise((resolve) => server.once("request", resolve));
    const { request, status } = slowly();
    await seen;
    const stopped = stop();
    request.end(rest);
    expect(await status).toBe(200);
    expect(await stopped).toBe(0);
    await expect(call("/health")).rejects.toThrow();
  });
});

const rest = new Uint8Array(x.buffer, 100, 4 * 96 - 100);

/** A request whose body is not all there yet. */
function slowly(): { request: ClientRequest; status: Promise<number | undefined> } {
  const path = `${address}/apply?module=${LAYER}&adapters=a`;
  const request = httpRequest(path, { method: "POST", agent: false });
  const status = new Promise<number | undefined>((resolve, reject) => {
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", reject);
  });
  request.write(new Uint8Array(x.buffer, 0, 100));
  return { request, status };
}

describe("the example server as a process", () => {
  const program = fileURLToPath(new URL("../../examples/serve/server.mjs", import.meta.url));
  const folder = temporaryDirectory();
  const socketPath = join(folder, "lqa.sock");
  const sharedPath = join(folder, "shared");
  mkdirSync(sharedPath);
  const running: ChildProcess[] = [];
  afterAll(() => {
    for (const child of running) child.kill("SIGKILL");
  });

  async function start(
    ...args: string[]
  ): Promise<{ child: ChildProcess; ended: Promise<unknown>; told(): string }> {
    const child = spawn(process.execPath, [program, "--adapters", directory, ...args]);
    running.push(child);
    let told = "";
    const ended = new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal)));
    await new Promise<void>((resolve, reject) => {
      child.stderr!.on("data", (piece) => {
        told += piece;
        if (told.includes("listening")) resolve();
      });
      ended.then(() => reject(new Error(told)));
    });
    return { child, ended, told: () => told };
  }

  /** Over the socket. */
  function ask(path: string): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      httpRequest({ socketPath, path, agent: false }, async (response) => {
        let body = "";
        for await (const piece of response) body += piece;
        resolve({ status: response.statusCode!, body });
      })
        .on("error", reject)
        .end();
    });
  }

  it("hands factors out over a socket and in shared memory, and leaves nothing behind", async () => {
    const small = String(6 / 1024);
    const args = ["--socket", socketPath, "--shared", sharedPath, "--shared-mib", small];
    const { child, ended } = await start(...args);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    // A second one does not take its socket.
    const second = await promisify(execFile)(process.execPath, [
      program,
      "--adapters",
      directory,
      ...args,
    ]).catch(({ code, stderr }) => ({ code, stderr }));
    expect(second).toMatchObject({ code: 2, stderr: expect.stringContaining("listens") });

    const shared = async (name: string, type: string) => {
      const path = `/adapters/${name}/shared-factors?module=${LAYER}&type=${type}`;
      const { status, body } = await ask(path);
      expect(status).toBe(200);
      return JSON.parse(body);
    };
    for (const [i, name] of ["a", "b"].entries()) {
      const { path, bytes, aOffset, ...shape } = await shared(name, "f32");
      expect(shape).toEqual({ type: "f32", out: 96, in: 96, rank: 3, experts: 1, multiplier: 0.5 });
      const file = readFileSync(path);
      expect([file.length, statSync(path).mode & 0o777]).toEqual([bytes, 0o600]);
      const { shape: own, bands, payload } = adapters[i]![1]!;
      const { b, a } = decodeModule(own, splitPayload(own, bands, payload));
      const values = new Float32Array(Uint8Array.from(file).buffer);
      expect(values.subarray(0, 3 * 96)).toEqual(b.data);
      expect(values.subarray(aOffset / 4)).toEqual(a.data);
    }
    // Each is 2304 bytes, of 6144: the third one takes the place of the first one.
    const again = await shared("b", "f32");
    await shared("a", "f16");
    await shared("b", "f16");
    expect(existsSync(again.path)).toBe(true);
    expect(readdirSync(join(again.path, "..")).length).toBeLessThanOrEqual(4);
    expect((await ask("/metrics")).body).toMatch(/^lqa_shared_bytes [1-6]\d{3}$/m);

    expect((await ask("/ready")).status).toBe(200);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect([existsSync(socketPath), readdirSync(sharedPath)]).toEqual([false, []]);
  });

  it("cuts off what takes too long to end, and takes the place of one that was killed", async () => {
    const args = ["--socket", socketPath];
    const first = await start(...args);
    first.child.kill("SIGKILL");
    await first.ended;
    expect(existsSync(socketPath)).toBe(true);
    const { child, ended, told } = await start(...args, "--drain-seconds", "0.2");
    expect((await ask("/health")).status).toBe(200);
    const slow = httpRequest({ socketPath, path: `/apply?module=${LAYER}&adapters=a`, method: "POST" });
    const failed = new Promise((resolve) => slow.on("error", resolve));
    slow.write("1234");
    await expect
      .poll(async () => (await ask("/metrics")).body, PATIENT)
      .toMatch(/^lqa_requests_in_flight 1$/m);
    child.kill("SIGINT");
    expect(await ended).toBe(1);
    await failed;
    expect(told()).toContain('"cutOff":1');
  });

  it.each([
    [[], "--adapters DIRECTORY is missing"],
    [["--adapters", "/nowhere/at/all"], "ENOENT"],
    [["--adapters", directory, "--port", "99999"], "--port: expected a number from 0 to 65535"],
    [["--adapters", directory, "--concurrency", "1.5"], "--concurrency"],
    [["--adapters", directory, "--budget-mib", ""], "--budget-mib"],
    [["--adapters", directory, "--port", "1", "--socket", "x"], "--socket goes without"],
    [["--adapters", directory, "--socket", "package.json"], "no socket"],
    [["--adapters", directory, "--what"], "--what"],
    [["--adapters", directory, "--port", "0", "--host", "203.0.113.1"], "EADDRNOTAVAIL"],
  ])("ends with 2 for %j", async (args, told) => {
    const failed = await promisify(execFile)(process.execPath, [program, ...args]).catch((error) => error);
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringContaining(told)]);
  });

  it("has a help that fits", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, "--help"]);
    expect(stdout).toContain("--adapters DIRECTORY");
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(90);
  });
});
