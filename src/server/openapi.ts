/**
 * The calls of the server as an OpenAPI 3.1 document, which the server answers itself (`GET /openapi.json`).
 *
 * @module
 */
import { VERSION } from "../version.ts";

const NAME = {
  name: "name",
  in: "path",
  required: true,
  schema: { type: "string", maxLength: 512 },
  description: "Name of the adapter: its file without `.lqa`.",
};
const MODULE = {
  name: "module",
  in: "query",
  required: true,
  schema: { type: "string" },
  description: "Name of the module, e.g. `model.layers.0.self_attn.q_proj`.",
};
const TYPE = {
  name: "type",
  in: "query",
  schema: { enum: ["f16", "f32"], default: "f16" },
  description: "Type of the weights.",
};
const BYTES = { "application/octet-stream": { schema: { type: "string", format: "binary" } } };
const json = (schema: object): object => ({ "application/json": { schema } });
const object = (properties: object): object => ({
  type: "object",
  required: Object.keys(properties),
  properties,
});
const text = { type: "string" };
const count = { type: "integer", minimum: 0 };

const SHAPE = {
  type: { enum: ["f16", "f32"] },
  out: count,
  in: { ...count, description: "Input length; of a convolution in · kernel." },
  rank: count,
  experts: count,
  multiplier: { type: "number", description: "ΔW = multiplier · B · A." },
};

const ERRORS: Readonly<Record<string, string>> = {
  400: "The request is wrong: a parameter, the size of the body, or an adapter that cannot be applied.",
  404: "There is no such adapter, module or call.",
  408: "The request arrives too slowly.",
  413: "The body or the answer is above its limit.",
  429: "This client has too many requests under way. Try again after `retry-after` seconds.",
  501: "The server was started without what this call needs.",
  502: "The file of the adapter is not valid.",
  503: "Too busy, out of budget, stopping, or the store does not answer. Try again after `retry-after` seconds.",
  504: "The request took too long.",
};

const responses = (own: object, ...errors: readonly string[]): object => ({
  ...own,
  ...Object.fromEntries(errors.map((status) => [status, { $ref: `#/components/responses/E${status}` }])),
});
const WORK = ["429", "502", "503", "504"];
const NO_CONTENT = { 204: { description: "Done." } };

/** The document. */
export const OPENAPI: Readonly<Record<string, unknown>> = {
  openapi: "3.1.0",
  info: {
    title: "lqa serve",
    version: VERSION,
    description:
      "Holds quantized LoRA adapters packed in memory, applies them to activations, and hands out decoded factors. All numbers are little-endian.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  servers: [{ url: "/" }],
  paths: {
    "/apply": {
      post: {
        operationId: "apply",
        summary: "Apply a module of one adapter for each row.",
        parameters: [
          MODULE,
          {
            name: "adapters",
            in: "query",
            required: true,
            schema: text,
            description: "One name for each row, separated by commas; `-` for a row without an adapter.",
          },
        ],
        requestBody: { required: true, description: "Activations, `[rows][in]` f32.", content: BYTES },
        responses: responses(
          {
            200: {
              description: "What is to be added to the output of the layer, `[rows][out]` f32.",
              headers: { "x-lqa-rows": { schema: count }, "x-lqa-out": { schema: count } },
              content: BYTES,
            },
          },
          "400",
          "404",
          "408",
          "413",
          ...WORK,
        ),
      },
    },
    "/adapters": {
      get: {
        operationId: "listAdapters",
        summary: "Names of the adapters in memory.",
        responses: responses(
          {
            200: {
              description: "The names.",
              content: json(object({ adapters: { type: "array", items: text } })),
            },
          },
          "429",
          "503",
        ),
      },
    },
    "/adapters/{name}": {
      parameters: [NAME],
      get: {
        operationId: "describeAdapter",
        summary: "Content id and modules of an adapter.",
        responses: responses(
          {
            200: {
              description: "The adapter.",
              content: json(object({ name: text, contentId: text, modules: { type: "array", items: text } })),
            },
          },
          "404",
          ...WORK,
        ),
      },
      put: {
        operationId: "reloadAdapter",
        summary:
          "Load the file again. Requests under way end with the old version; if the new one is not valid the old one stays.",
        responses: responses(NO_CONTENT, "404", ...WORK),
      },
      delete: {
        operationId: "forgetAdapter",
        summary: "Free the memory of an adapter. If its file is still there, the next request loads it.",
        responses: responses(NO_CONTENT, "404", "429", "503"),
      },
    },
    "/adapters/{name}/factors": {
      parameters: [NAME],
      get: {
        operationId: "decodeFactors",
        summary: "Decoded factors of a module.",
        parameters: [MODULE, TYPE],
        responses: responses(
          {
            200: {
              description: "B `[experts][out][rank]`, then A `[experts][rank][in]`.",
              headers: { "x-lqa-shape": { description: "JSON.", content: json(object(SHAPE)) } },
              content: BYTES,
            },
          },
          "400",
          "404",
          ...WORK,
        ),
      },
    },
    "/adapters/{name}/shared-factors": {
      parameters: [NAME],
      get: {
        operationId: "shareFactors",
        summary: "Decoded factors of a module as a file in shared memory.",
        parameters: [MODULE, TYPE],
        responses: responses(
          {
            200: {
              description: "B begins at 0, A at `aOffset`.",
              content: json(object({ ...SHAPE, path: text, bytes: count, aOffset: count })),
            },
          },
          "400",
          "404",
          "501",
          ...WORK,
        ),
      },
    },
    "/health": {
      get: {
        operationId: "health",
        summary: "200 as long as the process answers.",
        responses: { 200: { description: "It answers.", content: json(object({ status: text })) } },
      },
    },
    "/ready": {
      get: {
        operationId: "ready",
        summary: "200 if requests are taken; 503 while the server stops or its adapters cannot be reached.",
        responses: {
          200: { description: "Ready.", content: json(object({ status: text })) },
          503: { description: "Not ready.", content: json(object({ status: text })) },
        },
      },
    },
    "/metrics": {
      get: {
        operationId: "metrics",
        summary: "Metrics in the text format of Prometheus.",
        responses: responses(
          { 200: { description: "The metrics.", content: { "text/plain": { schema: text } } } },
          "501",
        ),
      },
    },
    "/openapi.json": {
      get: {
        operationId: "openapi",
        summary: "This document.",
        responses: { 200: { description: "OpenAPI 3.1.", content: json({ type: "object" }) } },
      },
    },
  },
  components: {
    schemas: {
      Error: {
        type: "object",
        required: ["error", "message", "id"],
        properties: {
          error: { ...text, description: "Stable name." },
          code: { ...text, description: "Code of the error catalogue, of faults of a file." },
          message: text,
          expected: { type: ["string", "number"] },
          actual: { type: ["string", "number"] },
          advice: text,
          id: { ...text, description: "Of the request, as in the log and in `x-request-id`." },
        },
      },
    },
    responses: Object.fromEntries(
      Object.entries(ERRORS).map(([status, description]) => [
        `E${status}`,
        {
          description,
          ...(status === "429" || status === "503" ? { headers: { "retry-after": { schema: count } } } : {}),
          content: json({ $ref: "#/components/schemas/Error" }),
        },
      ]),
    ),
  },
};
