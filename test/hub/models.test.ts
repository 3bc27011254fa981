/** Base models on servers: `--base` takes the locations that files have, and fetches only what is needed. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { open } from "../../src/core/index.ts";
import { baseDigest, encodeFile, openModel, readBaseDescription } from "../../src/node/index.ts";
import { lqaApart } from "../helpers/cli.ts";
import { type TestHub, useHub } from "../helpers/hub.ts";
import { noise, type TestModel, tensor, writeModel } from "../helpers/models.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { answerRange, serve } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);
const peft = writePeftDirectory(path("peft"));
// The embedding is large, and no module is on it: its bytes must stay on the server.
const EMBEDDING = 2 ** 20;
const model: TestModel = new Map([
  ["model.embed_tokens.weight", tensor([EMBEDDING / 4 / 64, 64], noise(EMBEDDING / 4, 1))],
  ...[0, 1].flatMap((layer) =>
    [
      ["q_proj", 64],
      ["v_proj", 32],
    ].map(
      ([name, out], i) =>
        [
          `model.layers.${layer}.self_attn.${name}.weight`,
          tensor([out as number, 64], noise((out as number) * 64, 2 * layer + i + 2)),
        ] as const,
    ),
  ),
]);
mkdirSync(path("base"));
writeModel(path("base"), model);
writeModel(path("sharded"), model, 3);
const CONFIG =
  '{"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2}';
writeFileSync(path("base/config.json"), CONFIG);
const filesOf = (folder: string): Record<string, Uint8Array> =>
  Object.fromEntries(
    readdirSync(path(folder)).map((name) => [name, readFileSync(path(`${folder}/${name}`))]),
  );
await encodeFile(peft, path("a.lqa"), { bits: 4, base: path("base") });
const bytes = readFileSync(path("a.lqa"));
const adapter = await (await open(bytes)).adapter();
const { modules } = adapter;
const digest = await baseDigest(modules, path("base"));

let hub: TestHub;
/** Most bytes that the hub has sent of files, by the ranges that were requested. */
const fetched = (): number =>
  hub.store.requests.reduce((sum, { headers }) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? [];
    return sum + (last === undefined ? Number.POSITIVE_INFINITY : Number(last) - Number(first) + 1);
  }, 0);

beforeEach(async () => {
  hub = await useHub("");
});

describe("a base model on a server", () => {
  test.each(["base", "sharded"])("gives the digest of its weights by ranges alone: %s", async (folder) => {
    hub.commit("me/model", filesOf(folder));
    expect(await baseDigest(modules, "hf://me/model")).toEqual(digest);
    expect(fetched()).toBeLessThan(EMBEDDING / 4);
  });

  test("is used by encode and validate, and another one is noticed", async () => {
    hub.commit("me/model", filesOf("base"));
    const changed = new Map(model).set(
      "model.layers.1.self_attn.v_proj.weight",
      tensor([32, 64], noise(2048, 9)),
    );
    writeModel(path("other"), changed);
    hub.commit("me/other", filesOf("other"));
    const { baseDigest: found } = await encodeFile(peft, path("b.lqa"), { bits: 4, base: "hf://me/model" });
    expect(found).toBe(Buffer.from(digest).toString("hex"));
    const valid = await lqaApart(place, "validate", "b.lqa", "--base", "hf://me/model");
    expect(valid).toMatchObject({ code: 0, out: expect.stringContaining("valid") });
    const refused = await lqaApart(place, "validate", "b.lqa", "--base", "hf://me/other");
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("BASE_WEIGHTS");
    expect(refused.err).toContain("hf://me/other");
  });

  test("has its shapes in headers or config.json, on the hub and on a web server", async () => {
    hub.commit("me/config", { "config.json": CONFIG });
    expect((await lqaApart(place, "validate", "a.lqa", "--base", "hf://me/config")).code).toBe(0);
    const web = await serve((request, response, asked) => {
      const name = request.url!.slice(1).replace(/\?.*/, "");
      const file = filesOf("sharded")[name] ?? (name === "config.json" ? Buffer.from(CONFIG) : undefined);
      return file === undefined ? response.writeHead(404).end() : answerRange(file, response, asked);
    });
    const at = (name: string): string => new URL(name, web.url).href;
    expect(await baseDigest(modules, at("model.safetensors.index.json"))).toEqual(digest);
    expect(await readBaseDescription(at("config.json?token=1"))).toBeDefined();
    await expect(openModel(at("/"))).rejects.toMatchObject({ kind: "NOT_FOUND" });
    await expect(
      openModel(at("absent.safetensors")).then(({ files }) => [...files.values()][0]!.read(0, 8)),
    ).rejects.toMatchObject({
      kind: "NOT_FOUND",
    });
  });

  test("is a pipeline of components, of one commit", async () => {
    const unet = (name: string): string => `unet/${name}`;
    const parts = Object.fromEntries(
      Object.entries(filesOf("base")).map(([name, file]) => [unet(name), file]),
    );
    hub.commit("me/pipeline", { ...parts, "model_index.json": "{}" });
    const named = modules.map((module) => ({ ...module, name: `unet.${module.name}` }));
    const before = hub.hub.requests.length;
    await baseDigest(named, "hf://me/pipeline");
    expect(hub.hub.requests.slice(before).filter(({ url }) => url!.includes("/revision/"))).toHaveLength(1);
  });

  test("is not taken whole from a server that knows no ranges", async () => {
    const file = Buffer.concat([filesOf("base")["model.safetensors"]!]);
    const web = await serve((_, response) => {
      response.writeHead(200, { "content-length": 2 ** 30 });
      response.write(file.subarray(0, 4096));
    });
    const remote = { attempts: 1 };
    await expect(
      baseDigest(modules, new URL("model.safetensors", web.url).href, { remote }),
    ).rejects.toMatchObject({
      kind: "BUDGET",
    });
  });
});
