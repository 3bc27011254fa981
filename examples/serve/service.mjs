// The service itself, as a server that does not listen yet: it holds a directory of adapters packed, applies them to posted
// activations, and hands out decoded factors. README.md has the calls.
import { randomUUID } from "node:crypto";
import { access, constants } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { isLqaError } from "../../dist/core/index.js";
import { directoryStore } from "../../dist/node/index.js";
import { AdapterPool, applyBatch } from "../../dist/serve/index.js";
import { Metrics } from "./metrics.mjs";
import { DEFAULTS } from "./options.mjs";
import { SharedFactors } from "./shared.mjs";

/** Status of an error: whose fault it is. */
function statusOf(error) {
  if (error instanceof Refused) return error.status;
  if (!isLqaError(error)) return 500;
  if (error.kind === "UNKNOWN_ADAPTER") return 404;
  if (["ACTIVATION_SHAPE", "CANNOT_APPLY", "USAGE"].includes(error.kind)) return 400;
  return error.kind === "BUDGET" ? 503 : 502;
}

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param options as DEFAULTS of options.mjs; `log` takes objects to be logged
 * @returns `server`, a server that does not listen yet, `pool`, and `stop`: no new requests, then the end of those under way;
 *   it resolves to how many were cut off
 */
export function createAdapterServer(directory, { log = () => {}, ...options } = {}) {
  const limits = { ...DEFAULTS, ...options };
  const pool = new AdapterPool({ budgetBytes: limits.budgetBytes, store: directoryStore(directory) });
  const shared =
    limits.sharedDirectory === undefined
      ? undefined
      : new SharedFactors(limits.sharedDirectory, limits.sharedBytes);
  const metrics = new Metrics();
  /** Bytes of bodies that are not whole yet. */
  const arriving = { bytes: 0 };
  /** Requests at work. */
  let places = 0;
  /** Told to stop; and no more requests are taken. */
  let stopping = false;
  let draining = false;

  const server = createServer(
    {
      // For all of a request, headers and body: slow ones get 408.
      requestTimeout: limits.bodyMilliseconds,
      headersTimeout: Math.min(10_000, limits.bodyMilliseconds),
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: 10_000,
    },
    answer,
  );
  server.maxConnections = limits.connections;
  server.timeout = limits.silenceMilliseconds;

  /** Never throws: what is thrown here would end the process. */
  async function answer(request, response) {
    const started = performance.now();
    const control = new AbortController();
    const closed = new Promise((resolve) => response.once("close", resolve));
    closed.then(() => control.abort());
    const asked = request.headers["x-request-id"];
    const id = /^[\w.-]{1,64}$/.test(asked ?? "") ? asked : randomUUID();
    response.setHeader("x-request-id", id);
    if (draining) response.setHeader("connection", "close");
    let route = "other";
    let isWork = false;
    let hasPlace = false;
    try {
      const call = callOf(request);
      const handle = HANDLERS.get(call.route) ?? nothing;
      if (handle !== nothing) route = call.route;
      isWork = !OBSERVING.has(route);
      if (isWork) {
        metrics.inFlight++;
        if (draining) throw new Refused(503, "stopping");
      }
      // Before it takes a place: a client that promises a body and does not send it holds up nobody.
      const body = WITH_BODY.has(route) ? await bodyOf(request, arriving, limits) : undefined;
      if (isWork) {
        if (places === limits.concurrency)
          throw new Refused(503, `${limits.concurrency} requests are under way`);
        places++;
        hasPlace = true;
      }
      await handle(response, { ...call, request, body, signal: control.signal });
    } catch (error) {
      const status = statusOf(error);
      if (status >= 500 && status !== 503 && !control.signal.aborted)
        log({ id, route, status, error: error.kind ?? error.name, message: error.message });
      if (response.headersSent) response.destroy();
      else {
        // Of a body that was not read nobody knows where it ends.
        if (!request.complete) response.setHeader("connection", "close");
        if (status === 503) response.setHeader("retry-after", "1");
        const { kind = "REFUSED", code, message } = error;
        send(response, status, {
          error: kind,
          code,
          message: status === 500 ? "internal error" : message,
          id,
        });
      }
    }
    // An answer takes memory until it is sent.
    await closed;
    if (isWork) metrics.inFlight--;
    if (hasPlace) places--;
    const status = response.writableFinished ? response.statusCode : "aborted";
    metrics.finished(route, status, (performance.now() - started) / 1000);
    if (draining) server.closeIdleConnections();
  }

  const WITH_BODY = new Set(["POST /apply"]);
  /** Taken however much there is to do. */
  const OBSERVING = new Set(["GET /health", "GET /ready", "GET /metrics"]);
  const HANDLERS = new Map(
    Object.entries({
      "GET /health": (response) => send(response, 200, { status: "ok" }),
      async "GET /ready"(response) {
        const status = await readiness();
        send(response, status === "ready" ? 200 : 503, { status });
      },
      async "GET /metrics"(response) {
        const ready = (await readiness()) === "ready";
        response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
        response.end(metrics.text(pool, shared, ready));
      },
      "POST /apply": apply,
      "GET /adapters": (response) =>
        send(response, 200, {
          adapters: [...pool.names].map((name) => ({ name, resident: pool.isResident(name) })),
        }),
      "GET /adapters/NAME": describe,
      "GET /adapters/NAME/factors": factors,
      "GET /adapters/NAME/shared-factors": sharedFactors,
      "DELETE /adapters/NAME"(response, { name }) {
        pool.remove(name);
        response.writeHead(204).end();
      },
      async "PUT /adapters/NAME"(response, { name, signal }) {
        // The file in the directory has been replaced.
        await pool.replace(name, undefined, { signal });
        response.writeHead(204).end();
      },
    }),
  );

  function nothing(_, { request }) {
    throw new Refused(404, `there is no ${request.method} ${request.url.slice(0, 200)}`);
  }

  async function readiness() {
    if (stopping) return "stopping";
    try {
      await access(directory, constants.R_OK | constants.X_OK);
      return "ready";
    } catch {
      return "the directory of adapters cannot be read";
    }
  }

  /** Body: rows of f32. `adapters` names one for each row, `-` for none. Answers with what is to be added, in f32. */
  async function apply(response, { body, parameters, signal }) {
    const module = parameters.get("module") ?? refuse("module=NAME is missing");
    const names = (parameters.get("adapters") ?? refuse("adapters=NAME,NAME,… is missing")).split(",");
    if (body.length % (4 * names.length) !== 0)
      refuse(`a body of ${body.length} bytes is not ${names.length} rows of f32`);
    const x = new Float32Array(body.buffer, body.byteOffset, body.length / 4);
    const asked = names.map((name) => (name === "-" ? undefined : name));
    const { leases, failures } = await pool.acquireAll(
      asked.filter((name) => name !== undefined),
      { modules: [module], signal },
    );
    try {
      // One call has one answer: an adapter that cannot be had fails it, and no other call.
      for (const error of failures.values()) throw error;
      const rows = asked.map((name) => leases.get(name));
      const outs = [...leases.values()].flatMap((lease) => lease.shape(module)?.out ?? []);
      if (outs.length === 0) refuse(`none of these adapters changes ${module}`);
      if (4 * names.length * outs[0] > limits.answerBytes)
        throw new Refused(413, `${names.length} rows of ${outs[0]} are above ${limits.answerBytes} bytes`);
      const y = new Float32Array(names.length * outs[0]);
      const result = applyBatch(module, rows, x, y);
      if (result.failures.length > 0) throw result.failures[0].error;
      metrics.rows += result.applied;
      response.writeHead(200, {
        "content-type": "application/octet-stream",
        "content-length": y.byteLength,
        "x-lqa-rows": names.length,
        "x-lqa-out": outs[0],
      });
      response.end(new Uint8Array(y.buffer));
    } finally {
      for (const lease of leases.values()) lease.release();
    }
  }

  /** Runs `use` with decoded factors and what they are. */
  async function withFactors({ name, parameters, signal }, use) {
    const module = parameters.get("module") ?? refuse("module=NAME is missing");
    const type = parameters.get("type") ?? "f16";
    if (type !== "f16" && type !== "f32") refuse("type is f16 or f32");
    const lease = await pool.acquire(name, { modules: [module], signal });
    try {
      if (!lease.has(module)) throw new Refused(404, `${name} does not change ${module}`);
      const { out, in: input, kernel, rank, experts, multiplier } = lease.shape(module);
      // Of one group of a convolution, unfolded.
      const columns = kernel.reduce((product, size) => product * size, input);
      const shape = { type, out, in: columns, rank, experts, multiplier };
      return await use(shape, () => lease.decode(module, { type }), `${lease.contentId} ${type} ${module}`);
    } finally {
      lease.release();
    }
  }

  /** Decoded factors: B `[experts][out][rank]`, then A `[experts][rank][in · kernel]`. */
  function factors(response, call) {
    return withFactors(call, async (shape, decode) => {
      const { b, a } = decode();
      response.writeHead(200, {
        "content-type": "application/octet-stream",
        "content-length": b.data.byteLength + a.data.byteLength,
        "x-lqa-shape": JSON.stringify(shape),
      });
      for (const { data } of [b, a])
        response.write(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      // The arrays belong to the lease until they are sent.
      await new Promise((resolve) => {
        response.on("close", resolve);
        response.end();
      });
    });
  }

  /** The same as a file in shared memory: B at its beginning, A at `aOffset`. */
  function sharedFactors(response, call) {
    if (shared === undefined) throw new Refused(404, "the server was not started with --shared");
    return withFactors(call, async (shape, decode, key) => {
      send(response, 200, { ...shape, ...(await shared.get(key, () => arraysOf(decode()))) });
    });
  }

  async function describe(response, { name, signal }) {
    const lease = await pool.acquire(name, { signal });
    send(response, 200, { name, contentId: lease.contentId, modules: lease.modules });
    lease.release();
  }

  async function stop() {
    stopping = true;
    await wait(limits.graceMilliseconds);
    draining = true;
    const closed = new Promise((resolve) => server.close(() => resolve(0)));
    server.closeIdleConnections();
    const late = new AbortController();
    const cut = await Promise.race([
      closed,
      wait(limits.drainMilliseconds, undefined, { signal: late.signal }).then(
        () => metrics.inFlight,
        () => 0,
      ),
    ]);
    late.abort();
    server.closeAllConnections();
    await closed;
    pool.clear();
    shared?.close();
    metrics.stop();
    return cut;
  }

  return { server, pool, stop };
}

/** The arrays of a decoded module: B, A. */
function arraysOf({ b, a }) {
  return [b.data, a.data];
}

/** Parses the request path. @throws Refused for an invalid address */
function callOf({ method, url }) {
  let parts;
  let parameters;
  try {
    const { pathname, searchParams } = new URL(`http://localhost${url.startsWith("/") ? url : `/${url}`}`);
    parts = pathname.split("/").map(decodeURIComponent);
    parameters = searchParams;
  } catch {
    return refuse("this is no address");
  }
  const [, first, name, last, ...more] = parts;
  if (first !== "adapters" || !name) return { route: `${method} /${parts.slice(1).join("/")}`, parameters };
  const path = ["/adapters/NAME", ...(last === undefined ? [] : [last]), ...more].join("/");
  return { route: `${method} ${path}`, name, parameters };
}

function refuse(message) {
  throw new Refused(400, message);
}

/** The body of a request. Memory grows with what arrives, not with what is promised, and a client has to keep sending. */
async function bodyOf(request, arriving, limits) {
  const { bodyBytes, arrivingBytes, leastBodyBytes, bodyWindowMilliseconds } = limits;
  const tooLarge = () => new Refused(413, `a body of more than ${bodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > bodyBytes) throw tooLarge();
  const pieces = [];
  let length = 0;
  let before = 0;
  let slow;
  try {
    // Not by iteration: leaving that destroys the socket, over which the refusal is to go.
    await new Promise((resolve, reject) => {
      slow = setInterval(() => {
        if (length - before < leastBodyBytes)
          reject(new Refused(408, `less than ${leastBodyBytes} bytes in ${bodyWindowMilliseconds} ms`));
        before = length;
      }, bodyWindowMilliseconds);
      request.on("data", (piece) => {
        length += piece.length;
        arriving.bytes += piece.length;
        if (length > bodyBytes) reject(tooLarge());
        else if (arriving.bytes > arrivingBytes) reject(new Refused(503, "too many bodies are arriving"));
        else pieces.push(piece);
      });
      request.on("end", resolve).on("error", reject);
      request.on("close", () => reject(new Refused(400, "the body broke off")));
    });
  } finally {
    clearInterval(slow);
    request.pause();
    request.removeAllListeners("data");
    arriving.bytes -= length;
  }
  // Aligned for floats.
  const body = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

function send(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(value)}\n`);
}
