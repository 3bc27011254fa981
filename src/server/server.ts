/**
 * A server of adapters: holds them packed, applies them to posted activations, hands out decoded factors (`openapi.ts`).
 *
 * The server bounds the bytes and the time of every request, and the number of requests; a request beyond a limit gets an
 * answer that names the limit. For each request the server reads the head, counts it for its client, reads the body, waits
 * for a place, does the work, and sends the answer.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { sleep } from "../core/io/slots.ts";
import { AdapterPool } from "../serve/pool.ts";
import type { AdapterStore } from "../serve/stores.ts";
import { bodyOf } from "./body.ts";
import { type Call, sendJson, workCalls } from "./calls.ts";
import { type Metrics, serverMetrics } from "./metrics.ts";
import { OPENAPI } from "./openapi.ts";
import { DEFAULT_LIMITS, type LogRecord, type ServerLimits } from "./options.ts";
import { Places } from "./places.ts";
import { errorBody, Refused, refuse, statusOf } from "./refused.ts";
import { SharedFactors } from "./shared-factors.ts";

/** A server that does not listen yet. */
export interface AdapterServer {
  readonly server: Server;
  readonly pool: AdapterPool;
  readonly metrics: Metrics;
  /**
   * Reports `stopping` on `/ready` and takes requests for `graceMs`. Then it waits at most `drainMs` for requests under way,
   * and cuts off the rest.
   *
   * @returns how many requests it cut off
   */
  stop(): Promise<number>;
}

/** Options of a server: its limits, and the parts that it uses. */
export interface ServerOptions extends Partial<ServerLimits> {
  readonly store: AdapterStore;
  /** Names of adapters that others may be children of: see `PoolOptions`. */
  readonly parents?: readonly string[];
  /** Why adapters cannot be reached, or undefined. For `/ready`. */
  readonly trouble?: () => Promise<string | undefined>;
  readonly log?: (record: LogRecord) => void;
}

/** Makes a server. @throws LqaError as {@link SharedFactors} */
export async function createAdapterServer(options: ServerOptions): Promise<AdapterServer> {
  const { store, parents, trouble = async () => undefined, log = () => {}, ...given } = options;
  const limits: ServerLimits = { ...DEFAULT_LIMITS, ...given };
  const { sharedDirectory, sharedBytes, clientHeader } = limits;
  const pool = new AdapterPool({ budgetBytes: limits.budgetBytes, store, parents });
  const shared = sharedDirectory === undefined ? undefined : new SharedFactors(sharedDirectory, sharedBytes);
  const places = new Places(limits);
  const arriving = { bytes: 0 };
  let inFlight = 0;
  /** Refusals of the last second. */
  let refusedLately = 0;
  let stopping = false;
  let draining = false;

  async function readiness(): Promise<string> {
    return stopping ? "stopping" : ((await trouble()) ?? "ready");
  }

  const metrics = await serverMetrics({
    pool,
    shared,
    inFlight: () => inFlight,
    waiting: () => places.waiting,
    ready: async () => (await readiness()) === "ready",
  });
  const work = workCalls({ pool, shared, metrics, limits });
  /** Calls that need no place: the server answers them under any load. */
  const observing = new Map<string, (response: ServerResponse) => Promise<void>>([
    ["GET /health", async (response) => sendJson(response, 200, { status: "ok" })],
    ["GET /openapi.json", async (response) => sendJson(response, 200, OPENAPI)],
    [
      "GET /ready",
      async (response) => {
        const status = await readiness();
        sendJson(response, status === "ready" ? 200 : 503, { status });
      },
    ],
    [
      "GET /metrics",
      async (response) => {
        const text = await metrics.text();
        if (text === undefined)
          return refuse("NOT_AVAILABLE", "metrics need the package prom-client", "npm install prom-client");
        response.writeHead(200, { "content-type": text.type }).end(text.body);
      },
    ],
  ]);

  const server = createServer(
    {
      requestTimeout: limits.arrivalMs,
      headersTimeout: Math.min(10_000, limits.arrivalMs),
      connectionsCheckingInterval: 1000,
      keepAliveTimeout: 10_000,
    },
    answer,
  );
  server.maxConnections = limits.connections;
  server.timeout = limits.silenceMs;

  /** Never rejects: a rejection would end the process. */
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    const gone = new AbortController();
    const closed = new Promise<void>((resolve) => response.once("close", resolve));
    void closed.then(() => gone.abort());
    const id = idOf(request);
    response.setHeader("x-request-id", id);
    if (draining) response.setHeader("connection", "close");
    const client = clientOf(request, clientHeader);
    /** Run when the answer has been sent. */
    const ends: (() => void)[] = [];
    let route = "other";
    let failure: unknown;
    try {
      const call = callOf(request);
      const observe = observing.get(call.route);
      const run = work.get(call.route);
      if (observe !== undefined || run !== undefined) route = call.route;
      if (observe !== undefined) await observe(response);
      else if (run === undefined)
        refuse(
          "NO_SUCH_CALL",
          `there is no ${printable(`${request.method} ${request.url}`)}`,
          "GET /openapi.json lists the calls.",
        );
      else {
        inFlight++;
        ends.push(() => inFlight--);
        if (draining) refuse("STOPPING", "the server is stopping");
        ends.push(places.enter(client));
        await perform(run, { ...call, request, response, signal: gone.signal }, ends);
      }
    } catch (error) {
      failure = error;
      if (error instanceof Refused && BACK_OFF.includes(error.kind)) await backOff(gone.signal);
      if (!gone.signal.aborted) answerError(request, response, error, id);
    }
    // An answer takes memory until it is sent.
    await closed;
    for (const end of ends) end();
    const status = response.writableFinished ? String(response.statusCode) : "aborted";
    const seconds = (performance.now() - started) / 1000;
    metrics.finished(route, status, seconds);
    if (!observing.has(route)) log(recordOf({ id, client, route, status, seconds, failure }));
    if (draining) server.closeIdleConnections();
  }

  /**
   * Delays refusals if there are many. Clients that do not wait would retry at once, and refusing them again would leave no
   * time for the requests that have a place. Up to `concurrency` refusals in a second are not delayed.
   */
  async function backOff(signal: AbortSignal): Promise<void> {
    refusedLately++;
    setTimeout(() => refusedLately--, BACK_OFF_MS).unref();
    if (refusedLately > limits.concurrency) await sleep(BACK_OFF_MS, signal).catch(() => {});
  }

  /** Serves a request with work: reads its body, waits for a place, and runs the work within `requestMs`. */
  async function perform(
    run: (call: Call) => Promise<void>,
    call: Omit<Call, "body">,
    ends: (() => void)[],
  ): Promise<void> {
    const body = call.request.method === "POST" ? await bodyOf(call.request, arriving, limits) : undefined;
    const work = new AbortController();
    const onGone = (): void => work.abort();
    call.signal.addEventListener("abort", onGone);
    // Not AbortSignal.timeout, whose timer would stay after the request.
    const timer = setTimeout(() => work.abort(), limits.requestMs);
    try {
      if (call.signal.aborted) onGone();
      ends.push(await places.take(work.signal));
      body?.placed();
      await run({ ...call, body: body?.bytes ?? NO_BYTES, signal: work.signal });
    } catch (error) {
      if (work.signal.aborted && !call.signal.aborted)
        throw new Refused(
          "TIMEOUT",
          `the request took longer than ${limits.requestMs / 1000} s`,
          "Try again; the adapter may be loaded by then.",
        );
      throw error;
    } finally {
      clearTimeout(timer);
      call.signal.removeEventListener("abort", onGone);
      body?.placed();
    }
  }

  async function stop(): Promise<number> {
    stopping = true;
    await wait(limits.graceMs);
    draining = true;
    const closed = new Promise<number>((resolve) => server.close(() => resolve(0)));
    server.closeIdleConnections();
    const late = new AbortController();
    const tooLate = wait(limits.drainMs, undefined, { signal: late.signal }).then(
      () => inFlight,
      () => 0,
    );
    const cut = await Promise.race([closed, tooLate]);
    late.abort();
    server.closeAllConnections();
    await closed;
    pool.clear();
    shared?.close();
    return cut;
  }

  return { server, pool, metrics, stop };
}

const NO_BYTES = new Uint8Array(0);
/** Refusals because of too many requests. */
const BACK_OFF: readonly Refused["kind"][] = ["BUSY", "TOO_MANY_REQUESTS"];
/** The same time as in `retry-after`. */
const BACK_OFF_MS = 1000;

/** Answers with an error. If an answer has begun, it closes the connection instead. */
function answerError(request: IncomingMessage, response: ServerResponse, error: unknown, id: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = statusOf(error);
  // The rest of an unread body would be taken for the next request.
  if (!request.complete) response.setHeader("connection", "close");
  if (status === 429 || status === 503) response.setHeader("retry-after", "1");
  sendJson(response, status, errorBody(error, id));
}

/** The id of a request: the sender's if it is a plain word of at most 64 characters, otherwise a new one. */
function idOf({ headers }: IncomingMessage): string {
  const asked = headers["x-request-id"];
  return typeof asked === "string" && /^[\w.-]{1,64}$/.test(asked) ? asked : randomUUID();
}

/** The client of a request: the last entry of the proxy's header, which the proxy itself wrote, or the address. */
function clientOf({ headers, socket }: IncomingMessage, header: string | undefined): string {
  const value = header === undefined ? undefined : headers[header.toLowerCase()];
  const last = (typeof value === "string" ? value : value?.at(-1))?.split(",").at(-1)?.trim();
  return printable(last || socket.remoteAddress || "socket").slice(0, 200);
}

/** Route, adapter name and parameters from the URL of a request. @throws Refused BAD_REQUEST */
function callOf({ method, url = "" }: IncomingMessage): {
  route: string;
  name: string;
  parameters: URLSearchParams;
} {
  let parts: string[];
  let parameters: URLSearchParams;
  try {
    const address = new URL(`http://localhost${url.startsWith("/") ? url : `/${url}`}`);
    parts = address.pathname.split("/").map(decodeURIComponent);
    parameters = address.searchParams;
  } catch {
    return refuse("BAD_REQUEST", "the address cannot be read");
  }
  const [, first, name = "", ...rest] = parts;
  const path = first === "adapters" && name !== "" ? ["", first, "{name}", ...rest] : parts;
  return { route: `${method === "HEAD" ? "GET" : method} ${path.join("/")}`, name, parameters };
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, "?").slice(0, 200);
}

interface Outcome {
  readonly id: string;
  readonly client: string;
  readonly route: string;
  readonly status: string;
  readonly seconds: number;
  readonly failure: unknown;
}

function recordOf({ id, client, route, status, seconds, failure }: Outcome): LogRecord {
  const {
    kind = "INTERNAL",
    message,
    stack,
  } = (failure ?? {}) as { kind?: string; message?: string; stack?: string };
  return {
    event: "request",
    id,
    client,
    route,
    status,
    seconds: Number(seconds.toFixed(6)),
    ...(failure === undefined ? {} : { error: kind, message: kind === "INTERNAL" ? stack : message }),
  };
}
