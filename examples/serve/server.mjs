// A small HTTP service that holds a directory of adapters packed, applies them to posted activations, and hands out decoded
// factors. Run it by `node server.mjs --adapters DIRECTORY`; README.md has the calls. It speaks to inference processes of the
// same machine: over a local port or a socket, without authentication or encryption.
import { createServer } from "node:http";
import { AdapterPool, applyBatch, directoryStore, isLqaError } from "../../dist/node.js";

const DEFAULTS = {
  /** Bytes of packed adapters and decoded factors. */
  budgetBytes: 2 ** 30,
  /** Largest body, and most requests at the same time: so many bodies are in memory at most. */
  bodyBytes: 16 * 2 ** 20,
  concurrency: 32,
  /** How long a body may take. */
  bodyMilliseconds: 30_000,
};

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

/** @returns `server`, a server that does not listen yet, `pool`, and `stop`: no new requests, then the end of those under way */
export function createAdapterServer(directory, options = {}) {
  const limits = { ...DEFAULTS, ...options };
  const pool = new AdapterPool({ budgetBytes: limits.budgetBytes, store: directoryStore(directory) });
  const counts = { requests: new Map(), rows: 0, seconds: 0 };
  let active = 0;
  let stopping = false;

  const server = createServer(async (request, response) => {
    const started = performance.now();
    const url = new URL(request.url, "http://localhost");
    const control = new AbortController();
    response.on("close", () => control.abort());
    try {
      if (active >= limits.concurrency)
        throw new Refused(503, `${limits.concurrency} requests are under way`);
      active++;
      try {
        await route(request, response, url, control.signal);
      } finally {
        active--;
      }
    } catch (error) {
      if (!request.complete) response.setHeader("connection", "close");
      if (response.headersSent) response.destroy();
      else
        send(response, statusOf(error), {
          error: error.kind ?? "REFUSED",
          code: error.code,
          message: error.message,
        });
    } finally {
      const key = `${request.method} ${response.statusCode}`;
      counts.requests.set(key, (counts.requests.get(key) ?? 0) + 1);
      counts.seconds += (performance.now() - started) / 1000;
    }
  });

  async function route(request, response, { pathname, searchParams }, signal) {
    const [, first, name, last] = pathname.split("/").map(decodeURIComponent);
    const call = `${request.method} ${first ?? ""}`;
    if (call === "GET health")
      return send(response, stopping ? 503 : 200, { status: stopping ? "stopping" : "ok" });
    if (call === "GET metrics") return sendText(response, metrics());
    if (call === "POST apply") return apply(request, response, searchParams, signal);
    if (call === "GET adapters" && last === "factors") return factors(response, name, searchParams, signal);
    if (call === "GET adapters" && name !== undefined) return describe(response, name, signal);
    if (call === "DELETE adapters" && name !== undefined) {
      pool.remove(name);
      return response.writeHead(204).end();
    }
    if (call === "PUT adapters" && name !== undefined) {
      // The file in the directory has been replaced.
      await pool.replace(name, undefined, { signal });
      return response.writeHead(204).end();
    }
    throw new Refused(404, `there is no ${request.method} ${pathname}`);
  }

  /** Body: rows of f32. `adapters` names one for each row, `-` for none. Answers with what is to be added, in f32. */
  async function apply(request, response, parameters, signal) {
    const module = parameters.get("module") ?? refuse("module=NAME is missing");
    const names = (parameters.get("adapters") ?? refuse("adapters=NAME,NAME,… is missing")).split(",");
    const body = await bodyOf(request, limits);
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
      const y = new Float32Array(names.length * outs[0]);
      const result = applyBatch(module, rows, x, y);
      if (result.failures.length > 0) throw result.failures[0].error;
      counts.rows += result.applied;
      response.writeHead(200, {
        "content-type": "application/octet-stream",
        "x-lqa-rows": names.length,
        "x-lqa-out": outs[0],
      });
      response.end(new Uint8Array(y.buffer));
    } finally {
      for (const lease of leases.values()) lease.release();
    }
  }

  /** Decoded factors: B `[experts][out][rank]`, then A `[experts][rank][in · kernel]`. */
  async function factors(response, name, parameters, signal) {
    const module = parameters.get("module") ?? refuse("module=NAME is missing");
    const type = parameters.get("type") ?? "f16";
    if (type !== "f16" && type !== "f32") refuse("type is f16 or f32");
    const lease = await pool.acquire(name, { modules: [module], signal });
    try {
      const found = lease.factors(module, { type });
      if (found === undefined) throw new Refused(404, `${name} does not change ${module}`);
      const { out, rank, experts, multiplier } = lease.shape(module);
      response.writeHead(200, {
        "content-type": "application/octet-stream",
        "content-length": found.b.byteLength + found.a.byteLength,
        "x-lqa-shape": JSON.stringify({
          type,
          out,
          in: found.a.length / rank / experts,
          rank,
          experts,
          multiplier,
        }),
      });
      for (const array of [found.b, found.a])
        response.write(Buffer.from(array.buffer, array.byteOffset, array.byteLength));
      // The arrays belong to the lease until they are sent.
      await new Promise((resolve) => {
        response.on("close", resolve);
        response.end();
      });
    } finally {
      lease.release();
    }
  }

  async function describe(response, name, signal) {
    const lease = await pool.acquire(name, { signal });
    send(response, 200, { name, contentId: lease.contentId, modules: lease.modules });
    lease.release();
  }

  function metrics() {
    const gauges = [
      "usedBytes",
      "packedBytes",
      "decodedBytes",
      "budgetBytes",
      "adapters",
      "resident",
      "contents",
      "leases",
    ];
    const { ...statistics } = pool.statistics;
    const lines = Object.entries(statistics).flatMap(([key, value]) => {
      const type = gauges.includes(key) || key === "pinned" ? "gauge" : "counter";
      const plain = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      const metric = `lqa_${plain}${type === "counter" ? "_total" : ""}`;
      return [`# TYPE ${metric} ${type}`, `${metric} ${value}`];
    });
    lines.push("# TYPE lqa_requests_total counter");
    for (const [key, value] of counts.requests) {
      const [method, status] = key.split(" ");
      lines.push(`lqa_requests_total{method="${method.replace(/[^A-Z]/g, "")}",status="${status}"} ${value}`);
    }
    lines.push("# TYPE lqa_rows_total counter", `lqa_rows_total ${counts.rows}`);
    lines.push("# TYPE lqa_request_seconds_total counter", `lqa_request_seconds_total ${counts.seconds}`);
    return `${lines.join("\n")}\n`;
  }

  async function stop() {
    stopping = true;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    await closed;
    pool.clear();
  }

  return { server, pool, stop };
}

function refuse(message) {
  throw new Refused(400, message);
}

async function bodyOf(request, { bodyBytes, bodyMilliseconds }) {
  if (Number(request.headers["content-length"] ?? 0) > bodyBytes)
    throw new Refused(413, `at most ${bodyBytes} bytes`);
  const timer = setTimeout(() => request.destroy(), bodyMilliseconds);
  try {
    const pieces = [];
    let length = 0;
    for await (const piece of request) {
      length += piece.length;
      if (length > bodyBytes) throw new Refused(413, `at most ${bodyBytes} bytes`);
      pieces.push(piece);
    }
    // Aligned for floats.
    const body = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      body.set(piece, at);
      at += piece.length;
    }
    return body;
  } finally {
    clearTimeout(timer);
  }
}

function send(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(value)}\n`);
}

function sendText(response, text) {
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(text);
}

if (process.argv[1]?.endsWith("server.mjs")) {
  const option = (name, otherwise) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? otherwise : process.argv[at + 1];
  };
  const directory = option("--adapters");
  if (directory === undefined) {
    console.error("node server.mjs --adapters DIRECTORY [--port 8080 | --socket PATH] [--budget-mib 1024]");
    process.exit(2);
  }
  const { server, stop } = createAdapterServer(directory, {
    budgetBytes: Number(option("--budget-mib", "1024")) * 2 ** 20,
  });
  const socket = option("--socket");
  server.listen(...(socket === undefined ? [Number(option("--port", "8080")), "127.0.0.1"] : [socket]), () =>
    console.error(`listening on ${JSON.stringify(server.address())}`),
  );
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, stop);
}
