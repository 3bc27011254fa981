import { type ChildProcess, execFile, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { type ClientRequest, request as httpRequest } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, describe, expect, it } from "vitest";
import { open } from "../../src/core/index.ts";
import { directoryStore } from "../../src/node/index.ts";
import { applyPacked } from "../../src/serve/index.ts";
import { DEFAULT_LIMITS, type LogRecord } from "../../src/server/options.ts";
import { REFUSALS } from "../../src/server/refused.ts";
import { WatchedDirectory } from "../../src/server/reload.ts";
import { createAdapterServer, type ServerOptions } from "../../src/server/server.ts";
import { COMMANDS } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { anyAdapter, fileOf, Random } from "../serve/modules.ts";

const directory = temporaryDirectory();
const adapters = [anyAdapter(70), anyAdapter(71)];
writeFileSync(join(directory, "a.lqa"), await fileOf(adapters[0]!));
writeFileSync(join(directory, "b.lqa"), await fileOf(adapters[1]!));
writeFileSync(join(directory, "broken.lqa"), (await fileOf(adapters[1]!)).subarray(0, 300));
/** For a machine that is busy. */
const PATIENT = { timeout: 20_000 };

/** A server of the directory that listens, and the address it listens on. */
async function serve(options: Partial<ServerOptions> = {}) {
  const logged: LogRecord[] = [];
  const made = await createAdapterServer({
    store: directoryStore(directory),
    log: (record) => logged.push(record),
    ...options,
  });
  await new Promise<void>((resolve) => made.server.listen(0, "127.0.0.1", resolve));
  const { port } = made.server.address() as AddressInfo;
  return { ...made, logged, port, address: `http://127.0.0.1:${port}` };
}

const { server, pool, stop, address, logged } = await serve({
  bodyBytes: 4096,
  answerBytes: 4 * 96 * 8,
  concurrency: 3,
  waiting: 2,
});
afterAll(() => server.closeAllConnections());

const LAYER = "layers.1.q_proj";
const x = new Random(3).floats(2 * 96);
const call = (path: string, init?: RequestInit) => fetch(`${address}${path}`, init);
const apply = (names: string, body: Uint8Array | Float32Array = x) =>
  call(`/apply?module=${LAYER}&adapters=${names}`, { method: "POST", body: body as BodyInit });

describe("a server of adapters", () => {
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
    expect((await (await call("/adapters")).json()).adapters).toContain("a");
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
      [apply("a,b", x.subarray(1)), 400, "BAD_REQUEST"],
      [apply("a,b", new Float32Array(0)), 400, "BAD_REQUEST"],
      [apply("a,b", new Float32Array(2 * 97)), 400, "ACTIVATION_SHAPE"],
      [apply("a", new Float32Array(2000)), 413, "TOO_LARGE"],
      [call("/apply?adapters=a", { method: "POST" }), 400, "BAD_REQUEST"],
      [call("/adapters/a/factors?module=other"), 404, "NO_SUCH_MODULE"],
      [call(`/adapters/a/factors?module=${LAYER}&type=f64`), 400, "BAD_REQUEST"],
      [call("/nothing"), 404, "NO_SUCH_CALL"],
      [call("/apply"), 404, "NO_SUCH_CALL"],
      [call("/adapters/a/b/c"), 404, "NO_SUCH_CALL"],
      [call("/adapters/%E0%A4%A"), 400, "BAD_REQUEST"],
      [call("/adapters/a/shared-factors?module=x"), 501, "NOT_AVAILABLE"],
      [apply(Array(9).fill("a").join(), new Float32Array(9 * 96)), 413, "TOO_LARGE"],
      [call("/adapters/none", { method: "DELETE" }), 404, "UNKNOWN_ADAPTER"],
    ];
    for (const [promise, status, kind] of outcomes) {
      const response = await promise;
      const { error, id } = await response.json();
      expect([response.status, error, id]).toEqual([status, kind, response.headers.get("x-request-id")]);
      const entry = () => logged.find((record) => record.id === id);
      await expect.poll(entry, PATIENT).toMatchObject({ status: String(status), error: kind });
    }
    expect(logged.find(({ status }) => status === "200")).not.toHaveProperty("error");
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

  it("computes so many requests at once, lets so many wait, and answers operators all the same", async () => {
    const { acquireAll } = pool;
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    pool.acquireAll = async (...words) => {
      await gate;
      return acquireAll.apply(pool, words);
    };
    // Three are computed, two wait.
    const slow = Array.from({ length: 5 }, () => apply("a,b"));
    const inFlight = /^lqa_requests_in_flight 5$/m;
    await expect.poll(async () => (await call("/metrics")).text(), PATIENT).toMatch(inFlight);
    const refused = await apply("a,b");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    expect((await refused.json()).error).toBe("BUSY");
    await expect
      .poll(async () => (await call("/metrics")).text(), PATIENT)
      .toMatch(/^lqa_requests_in_flight 5$[\s\S]*^lqa_requests_waiting 2$/m);
    expect((await call("/health")).status).toBe(200);
    expect((await call("/ready")).status).toBe(200);
    open();
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual(Array(5).fill(200));
    pool.acquireAll = acquireAll;
    await expect.poll(async () => (await apply("a,b")).status, PATIENT).toBe(200);
  });

  it("is not filled by connections that promise a body, or headers, and do not send them", async () => {
    const other = await serve({ concurrency: 3, bodyWindowMs: 1500, leastBodyBytes: 512 });
    const { port } = other;
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

  it("counts for Prometheus", async () => {
    await call("/some/name/that/nobody/knows");
    const response = await call("/metrics");
    expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    // Names of requests are no labels.
    expect(text).not.toContain("nobody");
    const sampleOf = (sample: string) => {
      const line = text.split("\n").find((one) => one.startsWith(`${sample} `));
      return Number(line?.slice(sample.length));
    };
    expect(sampleOf('lqa_requests_total{route="other",status="404"}')).toBeGreaterThan(0);
    const answers = sampleOf('lqa_requests_total{route="POST /apply",status="200"}');
    expect(answers).toBeGreaterThan(0);
    const bucket = (bound: string) =>
      sampleOf(`lqa_request_duration_seconds_bucket{le="${bound}",route="POST /apply"}`);
    expect(bucket("0.001")).toBeLessThanOrEqual(bucket("10"));
    expect(bucket("+Inf")).toBeGreaterThanOrEqual(answers);
    const { usedBytes, loads, hits } = pool.statistics;
    expect(sampleOf("lqa_pool_used_bytes")).toBe(usedBytes);
    expect(sampleOf("lqa_pool_loads_total")).toBe(loads);
    expect(sampleOf("lqa_pool_hits_total")).toBe(hits);
    expect(sampleOf("lqa_rows_total")).toBeGreaterThanOrEqual(answers);
    expect(sampleOf("process_resident_memory_bytes")).toBeGreaterThan(2 ** 20);
    // Each statistic of the pool is one of them.
    for (const key of Object.keys(pool.statistics))
      expect(text).toMatch(
        new RegExp(
          `^lqa_pool_${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}(_total)? \\d`,
          "m",
        ),
      );
  });

  it("holds back the refusals of a crowd that comes again at once", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const other = await serve({ concurrency: 2, waiting: 0 });
    const { acquireAll } = other.pool;
    other.pool.acquireAll = async (...words) => {
      await gate;
      return acquireAll.apply(other.pool, words);
    };
    const ask = () =>
      fetch(`${other.address}/apply?module=${LAYER}&adapters=a,b`, {
        method: "POST",
        body: x as unknown as BodyInit,
      });
    const served = [ask(), ask()];
    const metrics = async () => (await fetch(`${other.address}/metrics`)).text();
    await expect.poll(metrics, PATIENT).toMatch(/^lqa_requests_in_flight 2$/m);
    const refused = await Promise.all(Array.from({ length: 20 }, ask));
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
    open();
    expect((await Promise.all(served)).map(({ status }) => status)).toEqual([200, 200]);
    await expect.poll(() => other.logged.length, PATIENT).toBe(22);
    const held = other.logged.filter(({ status, seconds }) => status === "503" && Number(seconds) >= 0.9);
    expect(held.length).toBeGreaterThan(10);
    await other.stop();
  });

  it("gives each client its share", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const other = await serve({ perClient: 2, clientHeader: "X-Forwarded-For", concurrency: 1, waiting: 9 });
    const { acquireAll } = other.pool;
    other.pool.acquireAll = async (...words) => {
      await gate;
      return acquireAll.apply(other.pool, words);
    };
    const ask = (client: string) =>
      fetch(`${other.address}/apply?module=${LAYER}&adapters=a,b`, {
        method: "POST",
        body: x as unknown as BodyInit,
        // What a client claims stands before what the proxy adds.
        headers: { "x-forwarded-for": `198.51.100.9, ${client}` },
      });
    const first = [ask("one"), ask("one"), ask("two")];
    const metrics = async () => (await fetch(`${other.address}/metrics`)).text();
    await expect.poll(metrics, PATIENT).toMatch(/^lqa_requests_in_flight 3$/m);
    const third = await ask("one");
    expect([third.status, third.headers.get("retry-after")]).toEqual([429, "1"]);
    expect((await third.json()).error).toBe("TOO_MANY_REQUESTS");
    open();
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200, 200]);
    await expect.poll(metrics, PATIENT).toMatch(/^lqa_requests_in_flight 0$/m);
    expect((await ask("one")).status).toBe(200);
    expect(other.logged.map(({ client }) => client)).toContain("two");
    await other.stop();
  });

  it("answers 504 for an adapter whose store does not answer, and 503 for one that fails", async () => {
    const other = await serve({
      requestMs: 300,
      store: {
        open: (name, signal) =>
          name === "gone"
            ? Promise.reject(new Error("no route to host"))
            : new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
      },
    });
    const late = await fetch(`${other.address}/adapters/late`);
    expect([late.status, (await late.json()).error]).toEqual([504, "TIMEOUT"]);
    const gone = await fetch(`${other.address}/adapters/gone`);
    expect([gone.status, (await gone.json()).error, gone.headers.get("retry-after")]).toEqual([
      503,
      "IO",
      "1",
    ]);
    expect(other.pool.statistics).toMatchObject({ leases: 0, usedBytes: 0 });
    await other.stop();
  });

  it("reloads files that change, keeps the old version of one that is broken, and forgets removed ones", async () => {
    const folder = temporaryDirectory();
    const path = (name: string) => join(folder, `${name}.lqa`);
    const write = (name: string, bytes: Uint8Array) => {
      writeFileSync(`${path(name)}.new`, bytes);
      renameSync(`${path(name)}.new`, path(name));
    };
    const [one, two] = [await fileOf(adapters[0]!), await fileOf(adapters[1]!)];
    for (const name of ["new", "broken", "removed", "same"]) write(name, one);
    const watched = new WatchedDirectory(folder, directoryStore(folder));
    const other = await serve({ store: watched.store });
    const idOf = async (name: string) =>
      (await (await fetch(`${other.address}/adapters/${name}`)).json()).contentId;
    const old = await idOf("new");
    for (const name of ["broken", "removed", "same"]) expect(await idOf(name)).toBe(old);
    const ended = new AbortController();
    const reloads: string[] = [];
    const watching = watched.watch(other.pool, 0.05, ended.signal, ({ name, outcome }) =>
      reloads.push(`${name} ${outcome}`),
    );
    write("new", two);
    write("broken", two.subarray(0, 300));
    rmSync(path("removed"));
    await expect
      .poll(() => [...reloads].sort(), PATIENT)
      .toEqual(["broken failed", "new reloaded", "removed removed"]);
    expect(await idOf("new")).not.toBe(old);
    expect(await idOf("broken")).toBe(old);
    expect((await fetch(`${other.address}/adapters/removed`)).status).toBe(404);
    // A failed one is tried again when it changes again.
    write("broken", two);
    await expect.poll(() => reloads, PATIENT).toContain("broken reloaded");
    expect(reloads).toHaveLength(4);
    ended.abort();
    await watching;
    await other.stop();
  });

  it("describes itself by OpenAPI, with every call and every status that it has", async () => {
    const document = await (await call("/openapi.json")).json();
    const { valid, errors } = await new Validator().validate(document);
    expect([valid, errors]).toEqual([true, undefined]);
    const described = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== "parameters")
        .map((method) => `${method.toUpperCase()} ${path}`),
    );
    const texts = ["server.ts", "calls.ts"].map((name) =>
      readFileSync(new URL(`../../src/server/${name}`, import.meta.url), "utf8"),
    );
    const routes = texts.join().matchAll(/"((?:GET|POST|PUT|DELETE) \/[^" ]*)"/g);
    expect(described.sort()).toEqual([...routes].map(([, route]) => route!).sort());
    expect(Object.keys(document.components.responses).sort()).toEqual(
      [...new Set<number>([...Object.values(REFUSALS), 400, 404, 502, 503])]
        .map((status) => `E${status}`)
        .sort(),
    );
  });

  it("has the limits that its help and its page say", () => {
    const page = readFileSync(new URL("../../docs/server.md", import.meta.url), "utf8");
    const unit = (text: string) =>
      text.replace(/ ?MiB/, "*1048576").replace(/ ?GiB/, "*1073741824").split("*");
    const numberIn = (text: string) => unit(text).reduce((product, factor) => product * Number(factor), 1);
    const serving = COMMANDS.find(({ name }) => name === "serve")!;
    const options = new Map(
      serving.options.map((option) => [option.name, option.defaultText ?? option.default]),
    );
    for (const [name, limit, scale = 1] of [
      ["budget", "budgetBytes"],
      ["max-body", "bodyBytes"],
      ["max-answer", "answerBytes"],
      ["max-shared", "sharedBytes"],
      ["concurrency", "concurrency"],
      ["waiting", "waiting"],
      ["request-timeout", "requestMs", 1000],
      ["grace", "graceMs", 1000],
      ["drain", "drainMs", 1000],
    ] as const)
      expect([name, scale * numberIn(String(options.get(name)))]).toEqual([name, DEFAULT_LIMITS[limit]]);
    for (const [name, limit] of [
      ["budget", "budgetBytes"],
      ["concurrency", "concurrency"],
      ["waiting", "waiting"],
    ] as const) {
      const [, said] = new RegExp(`\\| ([^|]*) \\| \`--${name}\` \\|`).exec(page)!;
      expect([name, numberIn(said!)]).toEqual([name, DEFAULT_LIMITS[limit]]);
    }
    const { arrivingBytes, connections, silenceMs, arrivalMs, leastBodyBytes, bodyWindowMs } = DEFAULT_LIMITS;
    expect(page).toContain(`| ${arrivingBytes / 2 ** 20} MiB | |`);
    expect(page).toContain(`| ${connections.toLocaleString("en-US")}; ${silenceMs / 1000} s | |`);
    expect(page).toContain(`${arrivalMs / 1000} s to arrive`);
    expect(page).toContain(`less than ${leastBodyBytes / 1024} KiB in ${bodyWindowMs / 1000} s`);
  });

  it("takes requests for a while after a stop request, but is not ready", async () => {
    const other = await serve({ graceMs: 2 ** 30 });
    const place = other.address;
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

describe("lqa serve", () => {
  const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
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
    const log = args.includes("--log") ? [] : ["--log", "json"];
    const child = spawn(process.execPath, [program, "serve", directory, ...log, ...args]);
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

  it("writes a text log that parsers of logfmt read: values with spaces are quoted", async () => {
    const { child, ended, told } = await start("--socket", `${socketPath}.text`, "--log", "text");
    const request = httpRequest(
      { socketPath: `${socketPath}.text`, path: '/a"b', agent: false },
      (response) => response.resume().on("end", () => child.kill("SIGTERM")),
    );
    request.end();
    await ended;
    expect(told()).toMatch(/ listening address=\S+ adapters=\S+\n/);
    expect(told()).toMatch(/ request id=\S+ .* error=NO_SUCH_CALL message="there is no GET [^\n]*"\n/);
  });

  it("hands factors out over a socket and in shared memory, and leaves nothing behind", async () => {
    const args = ["--socket", socketPath, "--shared", sharedPath, "--max-shared", "6144"];
    const { child, ended } = await start(...args);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    // A second one does not take its socket.
    const second = await promisify(execFile)(process.execPath, [program, "serve", directory, ...args]).catch(
      ({ code, stderr }) => ({ code, stderr }),
    );
    expect(second).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("another process listens there"),
    });

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
      const { b, a } = await (await open(await fileOf(adapters[i]!))).decode(LAYER);
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
    const { child, ended, told } = await start(...args, "--drain", "0.2");
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
    [["/nowhere/at/all"], "An input does not exist."],
    [["package.json"], "a directory of .lqa files"],
    [[directory, "--port", "99999"], "a number from 0 to 65535"],
    [[directory, "--concurrency", "1.5"], "--concurrency"],
    [[directory, "--budget", "much"], "--budget"],
    [[directory, "--socket", "package.json"], "another file"],
    [[directory, "--port", "0", "--host", "203.0.113.1"], "Choose another address"],
    [[directory, "--shared", "/nowhere/at/all"], "/nowhere/at/all"],
    [["ftp://host/"], "s3://, https:// or a directory"],
  ])("ends with 2 for %j", async (args, told) => {
    const failed = await promisify(execFile)(process.execPath, [program, "serve", ...args]).catch(
      (error) => error,
    );
    expect([failed.code, failed.stderr]).toEqual([2, expect.stringContaining(told)]);
  });
});
