/** The programs of docs/serving.md that need nothing but a server, run as they stand. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { anyAdapter, fileOf } from "../serve/modules.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(root, "docs/serving.md"), "utf8");
const programs = [...page.matchAll(/```ts\n([\s\S]*?)```/g)]
  .map(([, code]) => code!)
  .filter((code) => /S3Client|openAdapters/.test(code));

let hasClient = true;
try {
  createRequire(import.meta.url).resolve("@aws-sdk/client-s3");
} catch {
  hasClient = false;
  console.log("skipped: the programs for S3, because @aws-sdk/client-s3 is not installed");
}

/** As much of S3's protocol as reading needs, for one bucket. */
const asked: string[] = [];
let objects = new Map<string, { bytes: Uint8Array; tag: string }>();
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

async function bucketServer(): Promise<string> {
  const server = createServer((request, response) => {
    const { headers, method, url } = request;
    asked.push(`${method} ${headers.range ?? ""}`);
    const object = objects.get(new URL(url!, "http://localhost").pathname);
    if (object === undefined) return response.writeHead(404).end();
    const { bytes, tag } = object;
    if ((headers["if-match"] ?? tag) !== tag) return response.writeHead(412).end();
    if (method === "HEAD") {
      // The next request finds another version.
      if (tag === '"changes"') object.tag = '"changed"';
      return response.writeHead(200, { "content-length": bytes.length, etag: tag }).end();
    }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "")!;
    const body = bytes.subarray(Number(first), Number(last) + 1);
    response.writeHead(206, {
      "content-length": body.length,
      "content-range": `bytes ${first}-${Number(first) + body.length - 1}/${bytes.length}`,
      etag: tag,
    });
    return response.end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it("there are two programs for S3", () => expect(programs).toHaveLength(2));

describe.skipIf(!hasClient).each(programs)("a program for S3", (program) => {
  it("reads an adapter, and knows what is missing or changed meanwhile", { timeout: 120_000 }, async () => {
    asked.length = 0;
    const folder = temporaryDirectory();
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/lqa"));
    symlinkSync(join(root, "node_modules/@aws-sdk"), join(folder, "node_modules/@aws-sdk"));
    writeFileSync(join(folder, "program.mjs"), program);
    const endpoint = await bucketServer();
    const env = {
      ...process.env,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "somebody",
      AWS_SECRET_ACCESS_KEY: "something",
      AWS_MAX_ATTEMPTS: "1",
    };
    const run = () => promisify(execFile)(process.execPath, ["program.mjs"], { cwd: folder, env });
    const key = "/adapters/customer-17.lqa";
    const bytes = await fileOf(anyAdapter(90));
    // The bucket is in the host or in the path, as the client likes it.
    const store = (tag: string): void => {
      objects = new Map([key, `/models${key}`].map((path) => [path, { bytes, tag }]));
    };

    store('"v1"');
    expect((await run()).stdout).toContain("layers.1.q_proj");
    expect(asked.filter((line) => line.startsWith("HEAD"))).toHaveLength(1);
    expect(asked.every((line) => line.startsWith("HEAD") || line.includes("bytes="))).toBe(true);
    store('"changes"');
    await expect(run()).rejects.toThrow(/kind: .(IO|REMOTE_CHANGED)./);
    objects = new Map();
    await expect(run()).rejects.toThrow("UNKNOWN_ADAPTER");
  });
});
