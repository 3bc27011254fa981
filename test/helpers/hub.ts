/**
 * A server for tests that speaks the interface of the Hugging Face hub as its clients use it (`@huggingface/hub` 2.17,
 * `huggingface_hub` 2.4): revisions, files with redirects to another host, commits with large files uploaded there.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { vi } from "vitest";
import { type Asked, answerRange, serve, type TestServer } from "./server.ts";
import { temporaryDirectory } from "./temporary.ts";

type Files = Map<string, Uint8Array>;

interface Repo {
  readonly commits: Map<string, Files>;
  readonly refs: Map<string, string>;
  /** Who may read. */
  access: "all" | "token" | "gated";
}

/** The hub, and the other host to which it sends downloads and uploads of large files. */
export interface TestHub {
  readonly endpoint: string;
  readonly hub: TestServer;
  readonly store: TestServer;
  /** Adds a commit on top of a branch. @returns the commit */
  commit(repo: string, files: Readonly<Record<string, Uint8Array | string>>, branch?: string): string;
  access(repo: string, access: Repo["access"]): void;
  /** The files of a branch. */
  files(repo: string, branch?: string): Files;
  /** Called with what the other host sends, which may change it. */
  damage: ((bytes: Uint8Array, number: number) => Uint8Array | undefined) | undefined;
}

/** The token that may do everything. */
export const TOKEN = "hf_testtoken";
/** Files from this size on are large: the hub keeps them elsewhere. */
const LARGE = 2000;

const sha = (name: string, ...parts: (string | Uint8Array)[]): string =>
  parts
    .reduce<ReturnType<typeof createHash>>((hash, part) => hash.update(part), createHash(name))
    .digest("hex");
const blobOf = (bytes: Uint8Array): string => sha("sha1", `blob ${bytes.length}\0`, bytes);

/** Starts a hub, and lets the commands of a test use it: with a token, and an empty cache. */
export async function useHub(token: string = TOKEN): Promise<TestHub> {
  const hub = await serveHub();
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"])
    vi.stubEnv(name, "");
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HOME", temporaryDirectory());
  vi.stubEnv("HF_TOKEN", token);
  return hub;
}

/** Starts a hub without repositories. */
export async function serveHub(): Promise<TestHub> {
  const repos = new Map<string, Repo>();
  const objects = new Map<string, Uint8Array>();
  let damage: TestHub["damage"];
  const isLarge = (path: string, size: number): boolean =>
    size >= LARGE || /\.(lqa|safetensors|bin|gguf)$/.test(path);

  const store = await serve(async (request, response, asked) => {
    const oid = /\/objects\/([0-9a-f]{64})/.exec(request.url!)?.[1] ?? "";
    if (request.method === "PUT") {
      const bytes = await bodyOf(request);
      if (sha("sha256", bytes) === oid) objects.set(oid, bytes);
      response.writeHead(objects.has(oid) ? 200 : 400).end();
      return;
    }
    const bytes = objects.get(oid)!;
    const sent = damage === undefined ? bytes : damage(bytes, asked.number);
    if (sent === undefined) response.destroy();
    else answerRange(sent, response, asked, { etag: `"${oid}"` });
  });

  const hub = await serve(async (request, response, asked) => {
    const url = new URL(request.url!, "http://hub");
    const parts = url.pathname.split("/").slice(1).map(decodeURIComponent);
    const authorized = request.headers.authorization === `Bearer ${TOKEN}`;
    const refuse = (status: number, code: string, message: string): void => {
      response.writeHead(status, {
        "x-error-code": code,
        "x-error-message": message,
        "x-request-id": "test",
      });
      response.end(JSON.stringify({ error: message }));
    };
    const json = (value: unknown): void => {
      response.writeHead(200, { "content-type": "application/json; charset=utf-8" });
      response.end(JSON.stringify(value));
    };
    const write = request.method === "POST";
    if (write && !authorized) return refuse(401, "", "Invalid username or password.");
    if (url.pathname === "/api/repos/create") {
      const { name, organization } = JSON.parse(String(await bodyOf(request))) as Record<string, string>;
      const id = `${organization}/${name}`;
      if (repos.has(id)) return refuse(409, "", "You already created this model repo");
      repos.set(id, created());
      return json({ url: `${url.origin}/${id}`, id });
    }
    const api = parts[0] === "api";
    const [owner, name, verb, revision, ...rest] = api ? parts.slice(2) : parts;
    const id = `${owner}/${name!.replace(/\.git$/, "")}`;
    const repo = repos.get(id);
    if (repo === undefined || (repo.access === "token" && !authorized))
      return refuse(authorized ? 404 : 401, authorized ? "RepoNotFound" : "", "Repository not found");
    if (write) return await receive(request, json, refuse, repo, parts);
    const gated = repo.access === "gated" && !authorized;
    if (gated && !api) return refuse(401, "GatedRepo", `Access to model ${id} is restricted.`);
    const commit = repo.refs.get(revision!) ?? revision!;
    const files = repo.commits.get(commit);
    if (files === undefined) return refuse(404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    if (verb === "revision")
      return json({
        id,
        sha: commit,
        siblings: [...files].map(([path, bytes]) => ({
          rfilename: path,
          size: bytes.length,
          blobId: blobOf(bytes),
          ...(isLarge(path, bytes.length) && { lfs: { sha256: sha("sha256", bytes), size: bytes.length } }),
        })),
      });
    const path = rest.join("/");
    const bytes = files.get(path);
    if (bytes === undefined) return refuse(404, "EntryNotFound", "Entry not found");
    sendFile(response, asked, bytes, commit, isLarge(path, bytes.length) ? store.url : undefined, request);
  });

  function sendFile(
    response: ServerResponse,
    asked: Asked,
    bytes: Uint8Array,
    commit: string,
    elsewhere: string | undefined,
    { method }: IncomingMessage,
  ): void {
    const etag = elsewhere === undefined ? blobOf(bytes) : sha("sha256", bytes);
    response.setHeader("x-repo-commit", commit);
    if (elsewhere !== undefined) {
      const location = new URL(`/objects/${etag}?signature=secret`, elsewhere).href;
      response.writeHead(302, { location, "x-linked-etag": `"${etag}"`, "x-linked-size": bytes.length });
      response.end();
    } else if (method === "HEAD")
      response.writeHead(200, { etag: `"${etag}"`, "content-length": bytes.length }).end();
    else answerRange(bytes, response, asked, { etag: `"${etag}"` });
  }

  /** What a client does to commit: ask how files go, send large ones elsewhere, commit. */
  async function receive(
    request: IncomingMessage,
    json: (value: unknown) => void,
    refuse: (status: number, code: string, message: string) => void,
    repo: Repo,
    parts: readonly string[],
  ): Promise<void> {
    const body = String(await bodyOf(request));
    if (parts.includes("preupload")) {
      const { files } = JSON.parse(body) as { files: { path: string; size: number }[] };
      return json({
        files: files.map(({ path, size }) => ({ path, uploadMode: isLarge(path, size) ? "lfs" : "regular" })),
      });
    }
    if (parts.at(-1) === "batch") {
      const asked = JSON.parse(body) as { objects: { oid: string; size: number }[] };
      return json({
        transfer: "basic",
        objects: asked.objects.map(({ oid, size }) => ({
          oid,
          size,
          ...(!objects.has(oid) && {
            actions: { upload: { href: new URL(`/objects/${oid}`, store.url).href } },
          }),
        })),
      });
    }
    const branch = parts.at(-1)!;
    const files = new Map(repo.commits.get(repo.refs.get(branch) ?? ""));
    for (const line of body.split("\n").filter(Boolean)) {
      const { key, value } = JSON.parse(line) as { key: string; value: Record<string, string> };
      if (
        key === "header" &&
        value.parentCommit !== undefined &&
        value.parentCommit !== repo.refs.get(branch)
      )
        return refuse(412, "", "A commit has happened since. Please refresh and try again.");
      if (key === "file") files.set(value.path!, Buffer.from(value.content!, "base64"));
      if (key === "lfsFile") files.set(value.path!, objects.get(value.oid!)!);
    }
    const oid = add(repo, files, branch);
    json({ success: true, commitOid: oid, commitUrl: `http://hub/commit/${oid}`, hookOutput: "" });
  }

  function add(repo: Repo, files: Files, branch: string): string {
    const oid = sha("sha1", JSON.stringify([...files.keys()]), ...files.values(), String(repo.commits.size));
    repo.commits.set(oid, files);
    repo.refs.set(branch, oid);
    return oid;
  }

  return {
    endpoint: new URL(hub.url).origin,
    hub,
    store,
    commit(name, files, branch = "main") {
      if (!repos.has(name)) repos.set(name, created());
      const repo = repos.get(name)!;
      const all: Files = new Map(repo.commits.get(repo.refs.get(branch) ?? ""));
      for (const [path, content] of Object.entries(files)) {
        const bytes = Buffer.from(content);
        all.set(path, bytes);
        objects.set(sha("sha256", bytes), bytes);
      }
      return add(repo, all, branch);
    },
    access(name, access) {
      repos.get(name)!.access = access;
    },
    files: (name, branch = "main") => {
      const repo = repos.get(name)!;
      return repo.commits.get(repo.refs.get(branch)!)!;
    },
    get damage() {
      return damage;
    },
    set damage(how) {
      damage = how;
    },
  };
}

function created(): Repo {
  const repo: Repo = { commits: new Map(), refs: new Map(), access: "all" };
  const first = sha("sha1", "initial");
  repo.commits.set(first, new Map([[".gitattributes", new Uint8Array(0)]]));
  repo.refs.set("main", first);
  return repo;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
