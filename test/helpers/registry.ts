/**
 * A server for tests that speaks the interface of an OCI registry: a server of tokens, downloads from another host, uploads, and
 * whatever a test makes of its answers.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Asked, answerRange, serve, type TestServer } from "./server.ts";

export const USER = "me";
export const PASSWORD = "pass:word";
/** Of `docker login`. */
export const BASIC: string = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString("base64")}`;
const TOKEN = "registry-token";

/** Answers a request instead of the registry; false leaves it to the registry. */
type Instead = (request: IncomingMessage, response: ServerResponse, asked: Asked) => boolean | undefined;

/** A registry, its server of tokens, and the host to which it sends downloads. */
export interface TestRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly registry: TestServer;
  readonly store: TestServer;
  /** By digest. */
  readonly blobs: Map<string, Uint8Array>;
  /** By `name:tag`. */
  readonly tags: Map<string, Uint8Array>;
  /** Adds a blob. @returns its digest */
  add(bytes: Uint8Array | string): string;
  /** Adds an artifact with these layers, changed as a test wants. */
  artifact(
    reference: string,
    files: Readonly<Record<string, Uint8Array>>,
    change?: (manifest: Manifest) => unknown,
  ): void;
  /** How requests are authorized. */
  access: "open" | "token" | "basic";
  /** The server of tokens that the registry names. */
  realm: string;
  instead: Instead | undefined;
  insteadOfStore: Instead | undefined;
}

/** A manifest as a test may change it. */
export interface Manifest {
  schemaVersion: unknown;
  layers: Record<string, unknown>[];
  [other: string]: unknown;
}

export const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Starts a registry without artifacts. */
export async function serveRegistry(): Promise<TestRegistry> {
  const blobs = new Map<string, Uint8Array>();
  const tags = new Map<string, Uint8Array>();

  const store = await serve((request, response, asked) => {
    if (state.insteadOfStore?.(request, response, asked)) return;
    const digest = /\/(sha256:[0-9a-f]+)/.exec(request.url!)![1]!;
    answerRange(blobs.get(digest)!, response, asked, { etag: `"${digest}"` });
  });

  const registry = await serve(async (request, response, asked) => {
    if (state.instead?.(request, response, asked)) return;
    const url = new URL(request.url!, "http://registry");
    const { authorization } = request.headers;
    if (url.pathname === "/token") {
      const scope = url.searchParams.get("scope");
      const granted = authorization === BASIC && url.searchParams.get("service") === "test";
      response.writeHead(granted ? 200 : 401).end(JSON.stringify({ token: `${TOKEN}:${scope}` }));
      return;
    }
    const [, name, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs)\/(.*)$/.exec(url.pathname)!;
    const writes = request.method !== "GET" && request.method !== "HEAD";
    const scope = `repository:${name}:pull${writes ? ",push" : ""}`;
    const allowed = {
      open: true,
      basic: authorization === BASIC,
      token: authorization?.startsWith(`Bearer ${TOKEN}:${scope}`),
    }[state.access];
    if (!allowed) {
      const challenge =
        state.access === "basic"
          ? 'Basic realm="test"'
          : `Bearer realm="${state.realm}",service="test",scope="repository:*:*"`;
      refuse(response, 401, "UNAUTHORIZED", { "www-authenticate": challenge });
      return;
    }
    if (kind === "blobs") return await blob(request, response, reference!, url, asked);
    if (request.method === "PUT") {
      const bytes = await bodyOf(request);
      tags.set(`${name}:${reference}`, bytes);
      response.writeHead(201, { "docker-content-digest": digestOf(bytes) }).end();
      return;
    }
    const bytes =
      tags.get(`${name}:${reference}`) ?? [...tags.values()].find((one) => digestOf(one) === reference);
    if (bytes === undefined) refuse(response, 404, "MANIFEST_UNKNOWN");
    else response.writeHead(200, { "docker-content-digest": digestOf(bytes) }).end(bytes);
  });

  async function blob(
    request: IncomingMessage,
    response: ServerResponse,
    reference: string,
    url: URL,
    asked: Asked,
  ): Promise<void> {
    if (request.method === "POST")
      response.writeHead(202, { location: `${url.pathname}session?_state=a%3Db` }).end();
    else if (request.method === "PUT") {
      const [bytes, digest] = [await bodyOf(request), url.searchParams.get("digest")!];
      if (digest !== digestOf(bytes)) return refuse(response, 400, "DIGEST_INVALID");
      blobs.set(digest, bytes);
      response.writeHead(201, { "docker-content-digest": digest }).end();
    } else if (!blobs.has(reference)) refuse(response, 404, "BLOB_UNKNOWN");
    else if (request.method === "HEAD") response.writeHead(200).end();
    else if (asked.range === undefined) response.writeHead(200).end(blobs.get(reference));
    else
      response.writeHead(307, { location: new URL(`/${reference}?signature=secret`, store.url).href }).end();
  }

  const host = new URL(registry.url).host;
  const state: TestRegistry = {
    host,
    registry,
    store,
    blobs,
    tags,
    add(content) {
      const bytes = Buffer.from(content);
      blobs.set(digestOf(bytes), bytes);
      return digestOf(bytes);
    },
    artifact(reference, files, change) {
      const manifest: Manifest = {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        layers: Object.entries(files).map(([path, bytes]) => ({
          mediaType: "application/vnd.cncf.model.weight.v1.raw",
          digest: state.add(bytes),
          size: bytes.length,
          annotations: { "org.cncf.model.filepath": path },
        })),
      };
      const changed = change?.(manifest) ?? manifest;
      tags.set(reference, Buffer.from(typeof changed === "string" ? changed : JSON.stringify(changed)));
    },
    access: "open",
    realm: `http://${host}/token`,
    instead: undefined,
    insteadOfStore: undefined,
  };
  return state;
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, headers).end(JSON.stringify({ errors: [{ code, message: "no\u001b[31m" }] }));
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
