/**
 * The commands and programs of the page about the hub, run as they are against a server of this process, and those of the page about
 * registries, by ORAS against a real one.
 */
import { spawn } from "node:child_process";
import { copyFileSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocksOf, installInto, root, runCommands } from "../helpers/documents.ts";
import { serveHub, TOKEN } from "../helpers/hub.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { findOras, findRegistry, startRegistry } from "../helpers/servers.ts";
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

const registry = findRegistry();
const oras = findOras();
if (registry === undefined) console.log("skipped: a real registry: set LQA_REGISTRY to its path");
else if (oras === undefined) console.log("skipped: ORAS: set LQA_ORAS to its path");

test.skipIf(registry === undefined || oras === undefined)(
  "the page about registries does what it says",
  { timeout: 120_000 },
  async () => {
    // ORAS speaks plain HTTP with localhost.
    const host = (await startRegistry(registry!)).replace("127.0.0.1", "localhost");
    const folder = temporaryDirectory();
    installInto(folder);
    symlinkSync(oras!, join(folder, "bin", "oras"));
    copyFileSync(join(root, "spec/example.lqa"), join(folder, "my-adapter.lqa"));
    writeFileSync(join(folder, "README.md"), "# My adapter\n");
    const [plain, modelPack] = blocksOf("docs/guide/registries.md").map(({ code }) =>
      code.replaceAll("registry.example.com", host),
    );
    expect(runCommands(plain!, folder)).toContain("valid");
    runCommands(modelPack!, folder);
    runCommands(`oras pull ${host}/team/my-adapter:v2 -o again/`, folder);
    expect(listing(join(folder, "again"))).toEqual(["README.md", "my-adapter.lqa"]);
    for (const to of ["pulled", "again"])
      expect(readFileSync(join(folder, to, "my-adapter.lqa"))).toEqual(
        readFileSync(join(folder, "my-adapter.lqa")),
      );
    const manifest = JSON.parse(runCommands(`oras manifest fetch ${host}/team/my-adapter:v2`, folder));
    expect(manifest).toMatchObject({
      artifactType: "application/vnd.cncf.model.manifest.v1+json",
      config: { mediaType: "application/vnd.cncf.model.config.v1+json" },
      layers: [
        {
          mediaType: "application/vnd.cncf.model.weight.v1.raw",
          annotations: { "org.cncf.model.filepath": "my-adapter.lqa" },
        },
        { mediaType: "application/vnd.cncf.model.doc.v1.raw" },
      ],
    });
  },
);
