/**
 * OCI registries as places of files: artifacts read by digest, pushes that are equal for equal files, credentials that stay with
 * their registry, and registries that lie.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { isLqaError, type LqaError, open } from "../../src/core/index.ts";
import { openPush, openRemoteFile, readLocation, readSourceFiles } from "../../src/node/index.ts";
import { lqaApart } from "../helpers/cli.ts";
import { writePacked } from "../helpers/packed.ts";
import { BASIC, digestOf, PASSWORD, serveRegistry, type TestRegistry, USER } from "../helpers/registry.ts";
import { serve } from "../helpers/server.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const { peft, path, other, bytes } = await writePacked(place);
let registry: TestRegistry;
let at: string;

beforeEach(async () => {
  registry = await serveRegistry();
  at = `oci://${registry.host}/me/packed`;
  for (const name of ["DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"]) vi.stubEnv(name, "");
  vi.stubEnv("DOCKER_CONFIG", temporaryDirectory());
});

/** What `docker login` writes, for a host. */
function login(host = registry.host, entry: object = { auth: BASIC.slice("Basic ".length) }): void {
  writeFileSync(
    join(process.env.DOCKER_CONFIG!, "config.json"),
    JSON.stringify({ auths: { [host]: entry } }),
  );
}

const run = (...words: string[]) => lqaApart(process.cwd(), ...words);

/** The error of a read, with as few pauses as can be. */
async function failure(location: string): Promise<LqaError> {
  const error = await readLocation(location, { remote: { attempts: 1, silenceMs: 500 } }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isLqaError(error)) throw new Error(`no LqaError of ${location}: ${String(error)}`);
  expect(JSON.stringify([error.message, error.actual, error.expected, error.advice])).not.toContain(PASSWORD);
  return error;
}

const seen = (): string =>
  JSON.stringify([...registry.store.requests].map(({ headers, url }) => [headers, url]));

describe("an artifact", () => {
  test("is read by every command", async () => {
    registry.artifact("me/packed:latest", { "my-adapter.lqa": bytes, "README.md": Buffer.from("# card") });
    expect(await run("inspect", at)).toMatchObject({ code: 0, err: "" });
    expect(
      await run("validate", at, `${at}@${digestOf(registry.tags.get("me/packed:latest")!)}`),
    ).toMatchObject({ code: 0, err: "" });
    expect(await run("diff", peft, `${at}:latest/my-adapter.lqa`)).toMatchObject({ code: 0, err: "" });
    const folder = temporaryDirectory();
    expect(await run("decode", at, "-o", join(folder, "out"))).toMatchObject({ code: 0, err: "" });
    expect(listing(folder)).toEqual(["out"]);
    expect((await open(await openRemoteFile(at))).modules).toHaveLength(4);
  });

  test("of an adapter is read and encoded", async () => {
    const names = ["adapter_config.json", "adapter_model.safetensors"];
    registry.artifact(
      "me/peft:v1",
      Object.fromEntries(names.map((name) => [name, readFileSync(join(peft, name))])),
      // As ORAS pushes: another annotation.
      (manifest) => {
        for (const layer of manifest.layers)
          layer.annotations = Object.fromEntries(
            Object.values(layer.annotations as object).map((name) => [
              "org.opencontainers.image.title",
              name,
            ]),
          );
      },
    );
    expect([...(await readSourceFiles(`oci://${registry.host}/me/peft:v1`)).keys()].sort()).toEqual(names);
    const target = join(temporaryDirectory(), "x.lqa");
    expect(
      await run("encode", `oci://${registry.host}/me/peft:v1`, "-o", target, "--bits", "4"),
    ).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(target).equals(bytes)).toBe(true);
  });

  test("is read as it was when its tag was resolved", async () => {
    registry.artifact("me/packed:latest", { "a.lqa": bytes });
    const file = await openRemoteFile(at);
    registry.artifact("me/packed:latest", { "a.lqa": readFileSync(other) });
    expect((await open(file)).prologue.fileLength).toBe(bytes.length);
    expect(file.where).toMatch(/@sha256:[0-9a-f]{64}\/a\.lqa$/);
  });

  test("is named by a tag, a digest, or both, and by a file in it", async () => {
    registry.artifact("me/packed:v1", { "fr/a.lqa": bytes, "de/a.lqa": readFileSync(other) });
    const digest = digestOf(registry.tags.get("me/packed:v1")!);
    for (const rest of [":v1/fr", ":v1/fr/a.lqa", `@${digest}/fr`, `:gone@${digest}/fr/a.lqa`])
      expect(Buffer.from(await readLocation(at + rest)).equals(bytes), rest).toBe(true);
    expect(await failure(at)).toMatchObject({ kind: "NOT_FOUND" });
    expect(await failure(`${at}:v1/it`)).toMatchObject({
      kind: "NOT_FOUND",
      actual: '"fr/a.lqa", "de/a.lqa"',
    });
    registry.artifact("me/packed:v2", { "a.lqa": bytes, "b.lqa": bytes });
    expect((await failure(`${at}:v2`)).advice).toMatch(/packed@sha256:[0-9a-f]{64}\/a\.lqa\.$/);
  });

  test.each([
    "oci://",
    "oci://host",
    "oci:///name",
    "oci://host/Name",
    "oci://host/a//b",
    "oci://host/../a",
    "oci://user:pass@host/a",
    "oci://host/a:",
    "oci://host/a:.x",
    "oci://host/a@sha512:00",
    "oci://host/a@sha256:00",
    "oci://host/a:v1/../../x",
    "oci://host:99999/a",
    "oci://ho st/a",
    "oci://host?x/a",
  ])("has no place like %s", async (location) => {
    expect(await failure(location)).toMatchObject({ kind: "USAGE" });
  });
});

describe("a login", () => {
  beforeEach(() => registry.artifact("me/packed:latest", { "a.lqa": bytes }));

  test.each(["token", "basic"] as const)("goes to its registry alone (%s)", async (access) => {
    registry.access = access;
    expect(await failure(at)).toMatchObject({
      kind: "ACCESS_DENIED",
      advice: expect.stringContaining("docker login"),
    });
    login();
    expect(Buffer.from(await readLocation(at)).equals(bytes)).toBe(true);
    expect(registry.store.requests.length).toBeGreaterThan(0);
    expect(seen()).not.toMatch(/authorization/i);
    // The token is for what is done, whatever the registry proposed.
    if (access === "token")
      expect(registry.registry.requests.find(({ url }) => url!.startsWith("/token?"))!.url).toContain(
        new URLSearchParams({ scope: "repository:me/packed:pull" }).toString(),
      );
  });

  test("of another host, or of a part of it, is not used", async () => {
    registry.access = "basic";
    for (const host of [
      "example.com",
      `${registry.host}/me`,
      registry.host.replace(/:\d+$/, ""),
      `x.${registry.host}`,
    ]) {
      login(host);
      expect(await failure(at), host).toMatchObject({ kind: "ACCESS_DENIED" });
    }
    expect(JSON.stringify(registry.registry.requests.map(({ headers }) => headers))).not.toMatch(
      /authorization/i,
    );
  });

  test("is found in all forms that tools write", async () => {
    registry.access = "basic";
    login(`https://${registry.host}/v1/`, { username: USER, password: PASSWORD });
    expect(await readLocation(at)).toHaveLength(bytes.length);
    login("example.com");
    vi.stubEnv(
      "DOCKER_AUTH_CONFIG",
      JSON.stringify({ auths: { [registry.host]: { auth: BASIC.slice(6) } } }),
    );
    expect(await readLocation(at)).toHaveLength(bytes.length);
    vi.stubEnv("DOCKER_AUTH_CONFIG", "");
    const file = join(temporaryDirectory(), "auth.json");
    writeFileSync(file, JSON.stringify({ auths: { [registry.host]: { auth: BASIC.slice(6) } } }));
    vi.stubEnv("REGISTRY_AUTH_FILE", file);
    expect(await readLocation(at)).toHaveLength(bytes.length);
  });

  test.skipIf(process.platform === "win32")("comes from a helper program", async () => {
    registry.access = "basic";
    const folder = temporaryDirectory();
    const helper = join(folder, "docker-credential-test");
    const answer = JSON.stringify({ Username: USER, Secret: PASSWORD });
    writeFileSync(helper, `#!/bin/sh\nread host\n[ "$host" = ${registry.host} ] && echo '${answer}'\n`);
    chmodSync(helper, 0o755);
    vi.stubEnv("PATH", `${folder}${delimiter}${process.env.PATH}`);
    const configure = (credsStore: unknown): void =>
      writeFileSync(join(process.env.DOCKER_CONFIG!, "config.json"), JSON.stringify({ credsStore }));
    configure("test");
    expect(await readLocation(at)).toHaveLength(bytes.length);
    configure("absent");
    expect(await failure(at)).toMatchObject({ kind: "IO", where: "docker-credential-absent" });
    configure("../../evil");
    expect(await failure(at)).toMatchObject({ kind: "USAGE" });
    writeFileSync(helper, `#!/bin/sh\necho "credentials not found in native keychain"\nexit 1\n`);
    configure("test");
    expect(await failure(at)).toMatchObject({ kind: "ACCESS_DENIED" });
  });

  test("that cannot be used is an error that does not show it", async () => {
    registry.access = "token";
    for (const [text, kind] of [
      ["{", "USAGE"],
      ["[]", "USAGE"],
      [JSON.stringify({ auths: { [registry.host]: { identitytoken: PASSWORD } } }), "ACCESS_DENIED"],
      [JSON.stringify({ auths: { [registry.host]: { auth: "!!!" } } }), "ACCESS_DENIED"],
      [JSON.stringify({ auths: [registry.host] }), "ACCESS_DENIED"],
      [JSON.stringify({ auths: { [registry.host]: null }, credHelpers: 3, credsStore: {} }), "ACCESS_DENIED"],
    ]) {
      writeFileSync(join(process.env.DOCKER_CONFIG!, "config.json"), text!);
      expect(await failure(at), text).toMatchObject({ kind });
    }
  });

  test("is not sent where a registry points", async () => {
    registry.access = "token";
    login();
    const stranger = await serve((_request, response) => response.end('{"token":"x"}'));
    const port = new URL(stranger.url).port;
    for (const realm of [
      `http://localhost:${port}/token`,
      "https://127.0.0.1/token",
      "http://me:pass@127.0.0.1/token",
      "file:///etc/passwd",
      "nonsense",
      "",
    ]) {
      registry.realm = realm;
      expect(await failure(at), realm).toMatchObject({ kind: "ACCESS_DENIED" });
    }
    // A redirect of the server of tokens does not carry it either.
    registry.realm = `http://${registry.host}/token`;
    registry.instead = ({ url }, response) => {
      if (!url!.startsWith("/token")) return false;
      response.writeHead(302, { location: `http://localhost:${port}/t` }).end();
      return true;
    };
    expect(await failure(at)).toMatchObject({ kind: "ACCESS_DENIED" });
    expect(JSON.stringify(stranger.requests.map(({ headers }) => headers))).not.toMatch(/authorization/i);
  });

  test("of another domain is not asked for", async () => {
    for (const [host, realm, sent] of [
      ["registry.gitlab.com", "https://gitlab.com/jwt/auth", true],
      ["docker.io", "https://auth.docker.io/token", true],
      ["registry.example.com", "https://evil.org/token", false],
      ["registry.example.com", "http://registry.example.com/token", false],
      ["10.0.0.1", "https://9.0.0.1/token", false],
    ] as const) {
      const asked: string[] = [];
      const fetch: typeof globalThis.fetch = async (input) => {
        const url = new URL(String(input));
        asked.push(url.origin);
        const headers = { "www-authenticate": `Bearer realm="${realm}"` };
        return new Response("{}", url.href.startsWith(realm) ? {} : { status: 401, headers });
      };
      await expect(readLocation(`oci://${host}/a/b`, { remote: { fetch, attempts: 1 } })).rejects.toThrow();
      expect(asked.includes(new URL(realm).origin) && asked.length > 1, host).toBe(sent);
    }
  });
});

describe("a registry that lies", () => {
  test.each([
    ["of sizes", (m) => void (m.layers[0]!.size = 5), "HTTP_RESPONSE"],
    ["of large sizes", (m) => void (m.layers[0]!.size = 2 ** 50), "BUDGET"],
    ["of sizes that are none", (m) => void (m.layers[0]!.size = -1), "HTTP_RESPONSE"],
    ["of other digests", (m) => void (m.layers[0]!.digest = "sha512:00"), "HTTP_RESPONSE"],
    ["with a digest that is a path", (m) => void (m.layers[0]!.digest = "sha256:../../x"), "HTTP_RESPONSE"],
    ["with two layers of one name", (m) => void m.layers.push({ ...m.layers[0] }), "HTTP_RESPONSE"],
    [
      "with names that lead out",
      (m) => void (m.layers[0]!.annotations = { "org.cncf.model.filepath": "../a.lqa" }),
      "HTTP_RESPONSE",
    ],
    [
      "with names that are none",
      (m) => void (m.layers[0]!.annotations = { "org.cncf.model.filepath": 3 }),
      "HTTP_RESPONSE",
    ],
    [
      "with archives",
      (m) => void (m.layers[0]!.mediaType = "application/vnd.cncf.model.weight.v1.tar+zstd"),
      "HTTP_RESPONSE",
    ],
    ["with nulls", (m) => void m.layers.push(null as never, [] as never, 3 as never), undefined],
    ["without layers", (m) => void (m.layers = []), "HTTP_RESPONSE"],
    ["with layers that are none", (m) => void (m.layers = {} as never), "HTTP_RESPONSE"],
    ["with another version", (m) => void (m.schemaVersion = 1), "HTTP_RESPONSE"],
    ["with a list of manifests", () => ({ schemaVersion: 2, manifests: [] }), "HTTP_RESPONSE"],
    ["with null", () => "null", "HTTP_RESPONSE"],
    ["with other text", () => "<html>", "HTTP_RESPONSE"],
    ["with nested text", () => "[".repeat(100_000), "HTTP_RESPONSE"],
    ["with too much text", () => " ".repeat(4 * 2 ** 20 + 1), "BUDGET"],
  ] satisfies [string, Parameters<TestRegistry["artifact"]>[2] & object, string | undefined][])(
    "%s",
    async (_name, change, kind) => {
      registry.artifact("me/packed:latest", { "a.lqa": bytes }, change);
      if (kind === undefined) expect(await readLocation(at)).toHaveLength(bytes.length);
      else expect(await failure(at)).toMatchObject({ kind });
    },
  );

  test("about a digest", async () => {
    registry.artifact("me/packed:v1", { "a.lqa": bytes });
    const manifest = registry.tags.get("me/packed:v1")!;
    registry.instead = ({ url }, response) => {
      if (!url!.includes("/manifests/")) return false;
      response.writeHead(
        200,
        url!.endsWith("v1") ? { "docker-content-digest": `sha256:${"0".repeat(64)}` } : {},
      );
      response.end(manifest);
      return true;
    };
    for (const rest of [":v1", `@sha256:${"0".repeat(64)}`])
      expect(await failure(at + rest), rest).toMatchObject({
        kind: "HTTP_RESPONSE",
        actual: digestOf(manifest),
      });
  });

  test("about the bytes of a blob, in a whole file and in ranges", async () => {
    registry.artifact("me/packed:latest", { "a.lqa": bytes });
    const changed = readFileSync(other);
    registry.insteadOfStore = (_request, response, { range }) => {
      const [first, last] = range!;
      const piece = changed.subarray(first, last + 1);
      response.writeHead(206, {
        "content-range": `bytes ${first}-${first + piece.length - 1}/${changed.length}`,
      });
      response.end(piece);
      return true;
    };
    expect(await failure(at)).toMatchObject({ kind: "HTTP_RESPONSE" });
    expect(await run("inspect", at)).toMatchObject({
      code: 2,
      err: expect.stringContaining("HTTP_RESPONSE"),
    });
    // A valid file of the same length, but not the one that the manifest lists.
    const twin = Buffer.from(bytes);
    registry.artifact("me/packed:latest", { "a.lqa": bytes });
    registry.blobs.set(
      digestOf(bytes),
      Buffer.from(twin.map((byte, i) => (i === twin.length - 1 ? byte ^ 1 : byte))),
    );
    registry.insteadOfStore = undefined;
    expect(await failure(at)).toMatchObject({
      kind: "HTTP_RESPONSE",
      expected: expect.stringContaining("SHA-256"),
    });
    expect(await run("validate", at)).toMatchObject({
      code: 2,
      out: expect.stringMatching(/^unread/),
      err: expect.stringContaining("HTTP_RESPONSE"),
    });
  });

  test("with bodies without end, silence and loops", async () => {
    registry.artifact("me/packed:latest", { "a.lqa": bytes });
    registry.instead = (_request, response) => {
      response.writeHead(200);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65536)));
      };
      response.on("drain", more);
      more();
      return true;
    };
    expect(await failure(at)).toMatchObject({ kind: "BUDGET" });
    registry.instead = () => true;
    expect(await failure(at)).toMatchObject({ kind: "NETWORK" });
    registry.instead = ({ url }, response) => !!response.writeHead(307, { location: url }).end();
    expect(await failure(at)).toMatchObject({ kind: "HTTP_RESPONSE" });
  });

  test("with challenges that are none", async () => {
    for (const challenge of [
      "",
      "Bearer",
      "Bearer realm",
      "Digest x=y",
      'Bearer realm="',
      "Bearer ".repeat(500),
      `Bearer ${'a="",'.repeat(700)}`,
    ]) {
      registry.instead = (_request, response) =>
        !!response.writeHead(401, { "www-authenticate": challenge }).end();
      expect(await failure(at), challenge.slice(0, 40)).toMatchObject({ kind: "ACCESS_DENIED" });
    }
  });

  test("with tokens that are none", async () => {
    registry.artifact("me/packed:latest", { "a.lqa": bytes });
    registry.access = "token";
    login();
    for (const answer of [
      "{}",
      "null",
      "x",
      '{"token":"a b"}',
      '{"token":3}',
      '{"token":"a\\r\\nhost: b"}',
      " ".repeat(2 ** 17),
    ]) {
      registry.instead = ({ url }, response) => url!.startsWith("/token") && !!response.end(answer);
      expect(["HTTP_RESPONSE", "BUDGET"], answer.slice(0, 40)).toContain((await failure(at)).kind);
    }
    // A refused token is requested once more, and no further time.
    registry.instead = ({ url }, response) => url!.startsWith("/token") && !!response.end('{"token":"old"}');
    const before = registry.registry.requests.length;
    expect(await failure(at)).toMatchObject({ kind: "ACCESS_DENIED" });
    expect(registry.registry.requests.length - before).toBeLessThanOrEqual(4);
  });
});

describe("a push", () => {
  test("makes an artifact as ModelPack has it, and comes back the same", async () => {
    registry.access = "token";
    login();
    const ran = await run("push", path, `${at}:v1`, "--source", peft, "--json");
    expect(ran.err).toBe("");
    const manifest = registry.tags.get("me/packed:v1")!;
    expect(JSON.parse(ran.out)).toMatchObject({
      location: `${at}:v1`,
      commit: digestOf(manifest),
      card: expect.stringContaining(`lqa decode ${at}:v1 -o adapter/`),
    });
    const { config, layers, ...rest } = JSON.parse(Buffer.from(manifest).toString()) as Record<
      string,
      unknown
    >;
    expect(rest).toEqual({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.cncf.model.manifest.v1+json",
    });
    expect(layers).toMatchObject([
      {
        mediaType: "application/vnd.cncf.model.weight.v1.raw",
        digest: digestOf(bytes),
        size: bytes.length,
        annotations: { "org.cncf.model.filepath": "my-adapter.lqa" },
      },
      {
        mediaType: "application/vnd.cncf.model.doc.v1.raw",
        annotations: { "org.cncf.model.filepath": "README.md" },
      },
    ]);
    expect(config).toMatchObject({ mediaType: "application/vnd.cncf.model.config.v1+json" });
    const { digest } = config as { digest: string };
    expect(JSON.parse(Buffer.from(registry.blobs.get(digest)!).toString())).toEqual({
      descriptor: { name: "packed" },
      config: { format: "lqa" },
      modelfs: { type: "layers", diffIds: (layers as { digest: string }[]).map((layer) => layer.digest) },
    });
    expect(Buffer.from(await readLocation(`${at}:v1`)).equals(bytes)).toBe(true);
    expect(seen()).not.toMatch(/authorization/i);
  });

  test("of what is there does nothing, and replaces nothing unasked", async () => {
    expect(await run("push", path, at)).toMatchObject({ code: 0, err: "" });
    const before = registry.registry.requests.filter(({ method }) => method !== "GET").length;
    expect(await run("push", path, at)).toMatchObject({
      code: 0,
      out: expect.stringContaining("nothing to push"),
    });
    expect(registry.registry.requests.filter(({ method }) => method !== "GET")).toHaveLength(before);
    const first = registry.tags.get("me/packed:latest")!;
    expect(await run("push", other, at)).toMatchObject({
      code: 2,
      err: expect.stringContaining("OUTPUT_EXISTS"),
    });
    expect(registry.tags.get("me/packed:latest")).toBe(first);
    expect(await run("push", other, at, "--force")).toMatchObject({ code: 0, err: "" });
    expect(Buffer.from(await readLocation(at)).equals(readFileSync(other))).toBe(true);
  });

  test("that is dry sends nothing", async () => {
    expect(await run("push", path, at, "--dry-run")).toMatchObject({
      code: 0,
      out: expect.stringContaining("would get 2 files"),
    });
    expect(registry.registry.requests.every(({ method }) => method === "GET")).toBe(true);
  });

  test("that makes no sense is an error before anything is sent", async () => {
    for (const words of [
      [`${at}@${digestOf(bytes)}`],
      [`${at}:v1/x.bin`],
      [at, "--private"],
      [at, "--message", "x"],
      [at, "--replace-card"],
    ])
      expect(await run("push", path, ...words), words.join(" ")).toMatchObject({
        code: 2,
        err: expect.stringContaining("USAGE"),
      });
    expect(registry.registry.requests.every(({ method }) => method === "GET")).toBe(true);
  });

  test("goes to the registry alone, and believes no answer", async () => {
    const stranger = await serve((_request, response) => response.writeHead(201).end());
    const elsewhere = stranger.url;
    const push = async (instead: TestRegistry["instead"]): Promise<string> => {
      registry.instead = instead;
      const plan = await openPush(path, at, bytes, undefined);
      const error = await plan.push().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      return isLqaError(error) ? error.kind : String(error);
    };
    const on =
      (
        asked: string,
        status: number,
        headers: Record<string, string> = {},
        body = "",
      ): TestRegistry["instead"] =>
      ({ method, url }, response) =>
        `${method} ${url}`.startsWith(asked) && !!response.writeHead(status, headers).end(body);
    expect(await push(on("POST", 202, { location: elsewhere }))).toBe("HTTP_RESPONSE");
    expect(await push(on("POST", 202))).toBe("HTTP_RESPONSE");
    expect(await push(on("POST", 307, { location: elsewhere }))).toBe("HTTP_RESPONSE");
    expect(await push(on("POST", 403, {}, '{"errors":[{"code":"DENIED"}]}'))).toBe("ACCESS_DENIED");
    expect(await push(on("POST", 503))).toBe("NETWORK");
    expect(await push(on("POST", 404, {}, "x".repeat(10_000)))).toBe("HTTP_RESPONSE");
    expect(await push(on("PUT", 201, { "docker-content-digest": "sha256:0" }))).toBe("HTTP_RESPONSE");
    expect(await push(on("PUT /v2/me/packed/manifests", 400, {}, '{"errors":3}'))).toBe("HTTP_RESPONSE");
    expect(stranger.requests).toEqual([]);
    expect(registry.tags.size).toBe(0);
    expect(await push(undefined)).toBe("undefined");
  });
});
