/**
 * The calls of the server that work with adapters. `openapi.ts` describes their parameters and answers.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { applyBatch } from "../serve/batch.ts";
import type { AdapterLease } from "../serve/lease.ts";
import type { AdapterPool } from "../serve/pool.ts";
import type { Metrics } from "./metrics.ts";
import type { ServerLimits } from "./options.ts";
import { refuse } from "./refused.ts";
import type { SharedFactors } from "./shared-factors.ts";

/** One request, with the parts that a call needs. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Name of the adapter in the path, or empty. */
  readonly name: string;
  readonly parameters: URLSearchParams;
  /** Body; empty for calls that take none. */
  readonly body: Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

/** The parts of the server that all calls share. */
export interface Work {
  readonly pool: AdapterPool;
  readonly shared: SharedFactors | undefined;
  readonly metrics: Metrics;
  readonly limits: ServerLimits;
}

/** The calls that wait for a place, by route. Each may throw Refused or LqaError, which become the answer. */
export function workCalls({
  pool,
  shared,
  metrics,
  limits,
}: Work): ReadonlyMap<string, (call: Call) => Promise<void>> {
  async function apply({ response, body, parameters, signal }: Call): Promise<void> {
    const module = parameterOf(parameters, "module");
    const names = parameterOf(parameters, "adapters").split(",");
    if (body.length === 0 || body.length % (4 * names.length) !== 0)
      refuse("BAD_REQUEST", `expected ${names.length} rows of f32, found a body of ${body.length} bytes`);
    const x = new Float32Array(body.buffer, 0, body.length / 4);
    const asked = names.map((name) => (name === "-" ? undefined : name));
    const { leases, failures } = await pool.acquireAll(
      asked.filter((name) => name !== undefined),
      { modules: [module], signal },
    );
    try {
      // An adapter that cannot be loaded fails this call, but no other call.
      for (const error of failures.values()) throw error;
      const out = [...leases.values()]
        .map((lease) => lease.shape(module)?.out)
        .find((one) => one !== undefined);
      if (out === undefined) return refuse("NO_SUCH_MODULE", `none of these adapters changes ${module}`);
      if (4 * names.length * out > limits.answerBytes)
        refuse("TOO_LARGE", `${names.length} rows of ${out} are above ${limits.answerBytes} bytes`);
      const y = new Float32Array(names.length * out);
      const rows = asked.map((name) => (name === undefined ? undefined : leases.get(name)));
      const result = applyBatch(module, rows, x, y);
      if (result.failures.length > 0) throw result.failures[0]!.error;
      metrics.applied(result.applied);
      response.writeHead(200, {
        "content-type": "application/octet-stream",
        "content-length": y.byteLength,
        "x-lqa-rows": names.length,
        "x-lqa-out": out,
      });
      response.end(new Uint8Array(y.buffer));
    } finally {
      for (const lease of leases.values()) lease.release();
    }
  }

  /** Runs `use` with the shape of a module's decoded factors, a function that decodes them, and their key. */
  async function withFactors<T>(
    { name, parameters, signal }: Call,
    use: (shape: object, decode: () => readonly [Uint8Array, Uint8Array], key: string) => Promise<T>,
  ): Promise<T> {
    const module = parameterOf(parameters, "module");
    const type = parameters.get("type") ?? "f16";
    if (type !== "f16" && type !== "f32") return refuse("BAD_REQUEST", "expected type=f16 or type=f32");
    const lease = await pool.acquire(name, { modules: [module], signal });
    try {
      return await use(
        shapeOf(lease, module, type),
        () => factorsOf(lease, module, type),
        `${lease.contentId} ${type} ${module}`,
      );
    } finally {
      lease.release();
    }
  }

  return new Map<string, (call: Call) => Promise<void>>([
    ["POST /apply", apply],
    [
      "GET /adapters",
      async ({ response }) =>
        sendJson(response, 200, { adapters: [...pool.names].filter((name) => pool.isResident(name)) }),
    ],
    [
      "GET /adapters/{name}",
      async ({ response, name, signal }) => {
        const lease = await pool.acquire(name, { signal });
        try {
          sendJson(response, 200, { name, contentId: lease.contentId, modules: lease.modules });
        } finally {
          lease.release();
        }
      },
    ],
    [
      "GET /adapters/{name}/factors",
      (call) =>
        withFactors(call, async (shape, decode) => {
          const { response } = call;
          const [b, a] = decode();
          response.writeHead(200, {
            "content-type": "application/octet-stream",
            "content-length": b.length + a.length,
            "x-lqa-shape": JSON.stringify(shape),
          });
          response.write(b);
          // The arrays belong to the lease until they are sent.
          await new Promise<void>((resolve) => {
            response.once("close", resolve);
            response.end(a);
          });
        }),
    ],
    [
      "GET /adapters/{name}/shared-factors",
      (call) => {
        if (shared === undefined) return refuse("NOT_AVAILABLE", "the server was started without --shared");
        return withFactors(call, async (shape, decode, key) =>
          sendJson(call.response, 200, { ...shape, ...(await shared.get(key, decode)) }),
        );
      },
    ],
    [
      "PUT /adapters/{name}",
      async ({ response, name, signal }) => {
        await pool.replace(name, undefined, { signal });
        response.writeHead(204).end();
      },
    ],
    [
      "DELETE /adapters/{name}",
      async ({ response, name }) => {
        pool.remove(name);
        response.writeHead(204).end();
      },
    ],
  ]);
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(value)}\n`);
}

function parameterOf(parameters: URLSearchParams, name: string): string {
  const value = parameters.get(name);
  return value === null || value === "" ? refuse("BAD_REQUEST", `the parameter ${name} is missing`) : value;
}

/** Describes decoded factors: B is `[experts][out][rank]`, A `[experts][rank][in]`; for a convolution `in` is in · kernel. */
function shapeOf(lease: AdapterLease, module: string, type: string): object {
  const shape = lease.shape(module);
  if (shape === undefined) return refuse("NO_SUCH_MODULE", `${lease.name} does not change ${module}`);
  const { out, in: input, kernel, rank, experts, multiplier } = shape;
  return {
    type,
    out,
    in: kernel.reduce((product, size) => product * size, input),
    rank,
    experts,
    multiplier,
  };
}

/** B and A as bytes. The arrays belong to the lease and are valid until its release. */
function factorsOf(
  lease: AdapterLease,
  module: string,
  type: "f16" | "f32",
): readonly [Uint8Array, Uint8Array] {
  const { b, a } = lease.decode(module, { type }) ?? refuse("NO_SUCH_MODULE", `no module ${module}`);
  const bytesOf = ({ data }: typeof b): Uint8Array =>
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [bytesOf(b), bytesOf(a)];
}
