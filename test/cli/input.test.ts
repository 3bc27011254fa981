/**
 * Where the commands read from beside files: standard input, and for a look inside the web.
 */
import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeAdapter } from "../../src/encode/index.ts";
import { lqa } from "../helpers/cli.ts";
import { good, serve } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { createModule } from "../workers/modules.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const place = temporaryDirectory();
const path = join(place, "a.lqa");
let bytes: Uint8Array;
beforeAll(async () => {
  const config = new TextEncoder().encode(
    '{"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":["q"]}',
  );
  const modules = Array.from({ length: 6 }, (_, i) => createModule(`layers.${i}.q`, 8000, 8000, 8, i));
  const origin = { dialect: "peft", config, element: "F32" };
  const adapter = { modules, tensors: [], origin, meta: { base_model: "tiny" } };
  bytes = (await encodeAdapter(adapter, { profile: "sign" })).bytes;
  writeFileSync(path, bytes);
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Not a synchronous process: a server of this process must be able to answer. */
function run(words: readonly string[], input?: Uint8Array): Promise<Ran> {
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = spawn(process.execPath, [MAIN, ...words], { env: { ...env, NO_COLOR: "1" } });
  let out = "";
  let err = "";
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (err += text));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, err })));
}

describe("standard input", () => {
  test("is inspected, validated and decoded like a file", async () => {
    const inspected = await run(["inspect", "-", "--json"], bytes);
    expect(inspected.code).toBe(0);
    expect(JSON.parse(inspected.out)).toEqual(lqa("inspect", path, "--json").json());
    expect(JSON.parse(inspected.out)).toMatchObject({ verified: true });
    const validated = await run(["validate", "-", path], bytes);
    expect(validated).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^valid {4}- .*\nvalid {4}.*a\.lqa/),
    });
    const decoded = await run(["decode", "-", "-o", join(place, "out")], bytes);
    expect(decoded.err).toBe("");
    expect(decoded.out).toMatch(/written from standard input/);
    expect(readdirSync(join(place, "out")).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
  });

  test("that is no such file is an error", async () => {
    expect((await run(["inspect", "-"])).code).toBe(1);
    const damaged = bytes.slice();
    damaged[bytes.length - 1]! ^= 1;
    expect(await run(["validate", "-"], damaged)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/TRAILER/),
    });
  });
});

describe("an address", () => {
  test("is inspected with two requests, of which neither reads a module", async () => {
    const server = await serve(good(bytes));
    const { code, out } = await run(["inspect", server.url, "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      ...lqa("inspect", path, "--json").json<object>(),
      verified: false,
      vouchedBy: "server",
    });
    expect(server.requests).toHaveLength(2);
    const text = await run(["inspect", server.url, "--modules"]);
    expect(text.out).toMatch(/file id .*\(as this server says/);
    expect(text.out).toMatch(/base model +tiny/);
    expect(text.out).toMatch(/layers\.5\.q/);
  });

  test("that does not answer is given up after --timeout, for the report as well", async () => {
    const server = await serve(() => {});
    const report = ["--html", join(temporaryDirectory(), "report.html")];
    for (const words of [[], report])
      expect(await run(["inspect", server.url, "--timeout", "1", ...words])).toMatchObject({
        code: 2,
        err: expect.stringMatching(/NETWORK[\s\S]*within 1000 ms/),
      });
  });

  test("of nothing, or of something else, is an error", async () => {
    const server = await serve((_request, response) => {
      response.writeHead(404);
      response.end();
    });
    expect(await run(["inspect", server.url])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/NOT_FOUND/),
    });
    const page = await serve((_request, response) => response.end("<!doctype html>".padEnd(300)));
    expect(await run(["inspect", page.url])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/BAD_MAGIC/),
    });
  });
});
