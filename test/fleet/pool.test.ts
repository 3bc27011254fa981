/** A pool whose adapters are in object storage, on the web, in a directory: the same answers, the same budget. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openAdapters, openObjects } from "../../src/fleet/index.ts";
import { encodeFile } from "../../src/node/index.ts";
import { AdapterPool } from "../../src/serve/index.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { findS3, startS3 } from "../helpers/servers.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const files = join(folder, "files");
mkdirSync(files);
const names = ["one", "two", "three"];
for (const [i, name] of names.entries()) {
  writePeftDirectory(join(folder, name), { seed: i + 1 });
  await encodeFile(join(folder, name), join(files, `${name}.lqa`), { quality: "high", workers: 1 });
}
writeFileSync(join(files, "broken.lqa"), "not an adapter at all");

const served = createServer(async (request, response) => {
  const { readFile } = await import("node:fs/promises");
  const bytes = await readFile(join(files, decodeURIComponent(request.url!.slice(1)))).catch(() => undefined);
  if (bytes === undefined) return response.writeHead(404).end();
  const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")!;
  const piece = bytes.subarray(Number(begin), Number(last) + 1);
  const end = Number(begin) + piece.length - 1;
  return response
    .writeHead(206, {
      etag: '"1"',
      "content-length": piece.length,
      "content-range": `bytes ${begin}-${end}/${bytes.length}`,
    })
    .end(piece);
}).listen(0, "127.0.0.1");
await new Promise((resolve) => served.once("listening", resolve));
afterAll(() => served.close());

const program = findS3();
if (program === undefined)
  console.log("skipped: a pool over S3: there is no versitygw; set LQA_S3 to its path");
const s3 = program === undefined ? undefined : await startS3(program);
if (s3 !== undefined) {
  Object.assign(process.env, s3.env, { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" });
  const store = await openObjects("s3://target/pool");
  const { readFile } = await import("node:fs/promises");
  for (const name of [...names, "broken"])
    await store.put(`${name}.lqa`, await readFile(join(files, `${name}.lqa`)), { replace: false });
  await store.close();
}

const MODULE = "model.layers.0.self_attn.q_proj";

/** What each adapter adds to a row of ones. */
async function answers(location: string): Promise<number[][]> {
  const pool = new AdapterPool({ budgetBytes: 2 ** 20, store: await openAdapters(location) });
  const rows: number[][] = [];
  for (const name of names) {
    const lease = await pool.acquire(name);
    const y = new Float32Array(64);
    expect(lease.apply(MODULE, new Float32Array(64).fill(1), y)).toBe(true);
    rows.push([...y]);
    lease.release();
  }
  await expect(pool.acquire("absent")).rejects.toMatchObject({ kind: "UNKNOWN_ADAPTER" });
  await expect(pool.acquire("../files/one")).rejects.toMatchObject({ class: "X" });
  await expect(pool.acquire("broken")).rejects.toMatchObject({ name: "LqaError" });
  return rows;
}

const expected = await answers(files);

it.each([
  ["https", () => `http://127.0.0.1:${(served.address() as AddressInfo).port}/`],
  ...(s3 === undefined ? [] : ([["object storage", () => "s3://target/pool"]] as const)),
] as const)("reads adapters from %s", async (_name, location) => {
  expect(await answers(location())).toEqual(expected);
  expect(new Set(expected.map(String)).size).toBe(3);
});

it.skipIf(s3 === undefined)("keeps to its budget, whatever the storage holds", async () => {
  const pool = new AdapterPool({ budgetBytes: 1024, store: await openAdapters("s3://target/pool") });
  await expect(pool.acquire("one")).rejects.toMatchObject({ class: "L" });
});

it("takes no other addresses", async () => {
  await expect(openAdapters("ftp://x/")).rejects.toMatchObject({ kind: "USAGE" });
  await expect(openAdapters("https://x")).rejects.toMatchObject({ kind: "USAGE" });
});
