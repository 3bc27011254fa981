/** The commands and programs of the pages about the hub and registries, run as they are against servers of this process. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocksOf, installInto } from "../helpers/documents.ts";
import { serveHub, TOKEN } from "../helpers/hub.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { BASIC, serveRegistry } from "../helpers/registry.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

test("the page about the hub does what it says", { timeout: 120_000 }, async () => {
  const hub = await serveHub();
  const peft = writePeftDirectory(join(temporaryDirectory(), "peft"), { width: 256, rank: 8, layers: 1 });
  const read = (name: string): Buffer => readFileSync(join(peft, name));
  const names = ["adapter_config.json", "adapter_model.safetensors"];
  hub.commit("owner/my-adapter", Object.fromEntries(names.map((name) => [name, read(name)])));
  const folder = temporaryDirectory();
  installInto(folder);
  const blocks = blocksOf("docs/guide/hub.md");
  const [commands] = blocks.filter(({ language }) => language === "sh");
  const [program] = blocks.filter(({ language }) => language === "ts");
  writeFileSync(join(folder, "page.mjs"), program!.code);
  const script = `set -e\nPATH="${join(folder, "bin")}:$PATH"\n${commands!.code}\nnode page.mjs\n`;
  const { HF_HUB_OFFLINE: _, HF_HUB_CACHE: __, FORCE_COLOR: ___, ...rest } = process.env;
  const env = { ...rest, HF_ENDPOINT: hub.endpoint, HF_TOKEN: TOKEN, HF_HOME: temporaryDirectory() };
  const child = spawn("bash", ["-c", script], { cwd: folder, env });
  let out = "";
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (out += text));
  expect(await new Promise((resolve) => child.on("close", resolve)), out).toBe(0);
  expect(out).toMatch(/\n2\n$/);
  expect(listing(folder)).toEqual(expect.arrayContaining(["my-adapter.lqa", "restored"]));
  expect([...hub.files("owner/packed").keys()].sort()).toEqual([
    ".gitattributes",
    "README.md",
    "my-adapter.lqa",
  ]);
});

test("the page about registries does what it says", { timeout: 120_000 }, async () => {
  const registry = await serveRegistry();
  registry.access = "token";
  const peft = writePeftDirectory(join(temporaryDirectory(), "my-adapter"), {
    width: 256,
    rank: 8,
    layers: 1,
  });
  const folder = temporaryDirectory();
  installInto(folder);
  const blocks = blocksOf("docs/guide/registries.md");
  const [commands] = blocks.filter(({ language }) => language === "sh");
  const [program] = blocks.filter(({ language }) => language === "ts");
  const here = (code: string): string => code.replaceAll("registry.example.com", registry.host);
  writeFileSync(join(folder, "page.mjs"), here(program!.code));
  const script = `set -e\nPATH="${join(folder, "bin")}:$PATH"\ndocker() { :; }\ncp -r ${peft} .\n${here(commands!.code)}\nnode page.mjs\n`;
  const { FORCE_COLOR: _, ...rest } = process.env;
  const auths = { auths: { [registry.host]: { auth: BASIC.slice("Basic ".length) } } };
  const env = { ...rest, DOCKER_AUTH_CONFIG: JSON.stringify(auths) };
  const child = spawn("bash", ["-c", script], { cwd: folder, env });
  let out = "";
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (out += text));
  expect(await new Promise((resolve) => child.on("close", resolve)), out).toBe(0);
  expect(out).toMatch(/\n2\n$/);
  expect([...registry.tags.keys()]).toEqual(["team/my-adapter:v1"]);
});
