/**
 * A small server over a pool of packed adapters, to copy and change: the adapters of a directory or a bucket, loaded at their first
 * request, kept within a budget, applied to rows of activations.
 *
 *   node examples/pool-server.mjs adapters/ [port]        after npm run build; in your own project import from "lqa/…"
 *
 *   POST /apply?module=M&adapters=a,b,-    body: a row of little-endian f32 for each name (-: none); answer: what to add to the
 *                                          output of layer M, a row of f32 for each
 *   GET /adapters/NAME                     its content id and modules
 *   GET /statistics                        hits, loads and bytes of the pool
 *
 * It listens on 127.0.0.1 and has no users, no TLS and no limits per client: put a proxy in front that has them.
 */
import { createServer } from "node:http";
import { openAdapters } from "../dist/node/index.js";
import { AdapterPool, applyBatch } from "../dist/serve/index.js";

/** Most bytes of a request; at most AT_ONCE requests hold that much at the same time. */
const MOST_BODY = 16 * 2 ** 20;
const AT_ONCE = 32;
/** A client that takes longer to send a request is cut off. */
const REQUEST_MS = 30_000;
/** HTTP status of each kind of error that a client can cause. */
const STATUS = {
  UNKNOWN_ADAPTER: 404,
  NOT_FOUND: 404,
  BUDGET: 503,
  ACTIVATION_SHAPE: 400,
  USAGE: 400,
  URIError: 400,
};

/**
 * Makes the server.
 *
 * @param location a directory, `s3://bucket/prefix` or `https://host/path/`: adapter NAME is the file NAME.lqa
 */
export async function createPoolServer(location, { budgetBytes = 2 ** 30 } = {}) {
  const pool = new AdapterPool({ budgetBytes, store: await openAdapters(location) });
  let running = 0;
  const server = createServer({ requestTimeout: REQUEST_MS }, async (request, response) => {
    if (running >= AT_ONCE) {
      response.setHeader("retry-after", "1");
      return send(response, 503, { error: "busy" });
    }
    running++;
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    try {
      await answer(request, response, gone.signal);
    } catch (error) {
      if (!response.headersSent && !gone.signal.aborted)
        send(response, error.status ?? STATUS[error.kind ?? error.name] ?? 500, {
          error: error.kind ?? "ERROR",
          message: error.message,
        });
    } finally {
      running--;
    }
  });
  return { server, pool };

  async function answer(request, response, signal) {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    if (request.method === "POST" && pathname === "/apply") {
      const module = searchParams.get("module") ?? "";
      const names = (searchParams.get("adapters") ?? "").split(",");
      const body = await bodyOf(request);
      if (body.length === 0 || body.length % (4 * names.length) !== 0)
        throw badRequest(400, `expected ${names.length} rows of f32, found ${body.length} bytes`);
      const y = await apply(module, names, new Float32Array(body.buffer, 0, body.length / 4), signal);
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": y.byteLength });
      response.end(new Uint8Array(y.buffer));
    } else if (request.method === "GET" && pathname.startsWith("/adapters/")) {
      const lease = await pool.acquire(decodeURIComponent(pathname.slice("/adapters/".length)), { signal });
      try {
        send(response, 200, { contentId: lease.contentId, modules: lease.modules });
      } finally {
        lease.release();
      }
    } else if (request.method === "GET" && pathname === "/statistics") send(response, 200, pool.statistics);
    else throw badRequest(404, `${request.method} ${pathname}`);
  }

  /** What each row's adapter adds to the output of a module. */
  async function apply(module, names, x, signal) {
    const asked = names.filter((name) => name !== "-");
    const { leases, failures } = await pool.acquireAll(asked, { modules: [module], signal });
    try {
      for (const error of failures.values()) throw error;
      const out = [...leases.values()]
        .map((lease) => lease.shape(module)?.out)
        .find((size) => size !== undefined);
      if (out === undefined) throw badRequest(404, `none of these adapters changes ${module}`);
      if (4 * names.length * out > MOST_BODY) throw badRequest(413, `${names.length} rows of ${out}`);
      const y = new Float32Array(names.length * out);
      const rows = names.map((name) => leases.get(name));
      for (const { error } of applyBatch(module, rows, x, y).failures) throw error;
      return y;
    } finally {
      for (const lease of leases.values()) lease.release();
    }
  }
}

function badRequest(status, message) {
  return Object.assign(new Error(message), { status });
}

function send(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

/** The body, in a buffer of its own. Memory grows with the bytes that arrive. */
async function bodyOf(request) {
  const pieces = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > MOST_BODY) throw badRequest(413, `more than ${MOST_BODY} bytes`);
    pieces.push(piece);
  }
  const body = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.length;
  }
  return body;
}

if (process.argv[1] === import.meta.filename) {
  const [location = ".", port = "8080"] = process.argv.slice(2);
  const { server } = await createPoolServer(location);
  server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
  for (const signal of ["SIGINT", "SIGTERM"])
    process.once(signal, () => {
      server.close();
      server.closeIdleConnections();
    });
}
