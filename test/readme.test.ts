/**
 * The TypeScript of the README and of the page about code, run as it is against the built library: the adapter is a small one, and the address one
 * of this machine.
 */
import { execFile } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { QUALITY_BITS } from "../src/encode/index.ts";
import { node } from "./helpers/built.ts";
import { writePeftDirectory } from "./helpers/peft.ts";
import { answerRange, serve } from "./helpers/server.ts";
import { temporaryDirectory } from "./helpers/temporary.ts";
import { sample } from "./helpers/thorough.ts";

const root = new URL("../", import.meta.url);
/** The last program of the page about code is run by docs/guide.test.ts. */
const blocks = ["README.md", "docs/guide/code.md"].flatMap((page) =>
  [...readFileSync(new URL(page, root), "utf8").matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!),
);
const ADDRESS = "https://example.org/adapter.lqa";

const folder = temporaryDirectory();
const { encodeFile } = node;
let address: string;
beforeAll(async () => {
  writePeftDirectory(join(folder, "my-adapter"), { width: 512, rank: 8 });
  await encodeFile(join(folder, "my-adapter"), join(folder, "my-adapter.lqa"));
  const bytes = new Uint8Array(readFileSync(join(folder, "my-adapter.lqa")));
  const server = await serve((_, response, asked) => answerRange(bytes, response, asked));
  address = server.url;
});

/** Runs a block in a process of its own, which then prints what `show` makes of the names in it. */
async function run(block: string, show: string): Promise<unknown> {
  // What the reader of the README has: somewhere to put weights.
  const given = `const told = []; const put = (what) => (...facts) => void told.push([what, ...facts.map(String)]);
    const [load, use, upload] = ["load", "use", "upload"].map(put);`;
  const { outputText } = ts.transpileModule(block, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const code = outputText
    .replaceAll(ADDRESS, address)
    .replace(
      /from "lqa(?:\/(\w+))?"/g,
      (_, room = "core") => `from "${new URL(`dist/${room}/index.js`, root)}"`,
    );
  const path = join(folder, "block.mjs");
  writeFileSync(path, `${given}\n${code}\nconsole.log("shown" + JSON.stringify(${show}));`);
  const { stdout } = await promisify(execFile)(process.execPath, [path], { cwd: folder, encoding: "utf8" });
  return JSON.parse(stdout.slice(stdout.indexOf("shown") + 5));
}

const NAMES = ["0", "1"].flatMap((layer) =>
  ["q_proj", "v_proj"].map((name) => `model.layers.${layer}.self_attn.${name}`),
);

describe("the README", () => {
  it("has five pieces of code, with the page about code", () => expect(blocks).toHaveLength(5));

  it("reads a file", async () => {
    const told = (await run(blocks[0]!, "told")) as string[][];
    expect(told.map(([, name]) => name)).toEqual(NAMES);
  });

  it("encodes and decodes", async () => {
    const show = "[report.bitsPerParameter, file.modules.map(({ name }) => name)]";
    const [bits, names] = (await run(blocks[1]!, show)) as [number, string[]];
    expect(bits).toBeGreaterThan(0.5);
    expect(names).toEqual(NAMES);
  });

  it("streams, and reads one module by its range", async () => {
    const told = (await run(blocks[2]!, "told")) as string[][];
    expect(told.map(([what, name]) => (what === "load" ? name : what))).toEqual([...NAMES, "use"]);
  });

  it("decodes into one memory, over threads, and a dense module", async () => {
    const show = "[told.map(([, name]) => name), buffer.constructor.name, modules.length, delta.length]";
    expect(await run(blocks[3]!, show)).toEqual([NAMES, "SharedArrayBuffer", 4, 512 * 512]);
  });
});

describe("what the README says", () => {
  const readme = readFileSync(new URL("README.md", root), "utf8");
  const shown = readme.slice(0, readme.indexOf("<details>"));

  it("is at most 400 words, before what is folded, and six links", () => {
    expect(shown.split(/\s+/).length).toBeLessThanOrEqual(400);
    expect(shown.match(/\]\((?!docs\/images)/g)!.length).toBeLessThanOrEqual(6);
  });

  it("has the presets, with the sizes of the example against 16 bits", { timeout: 120_000 }, async () => {
    const adapter = fileURLToPath(new URL("examples/number-words/adapter", root));
    // The example has 32 bits per weight.
    const halved = statSync(join(adapter, "adapter_model.safetensors")).size / 2;
    for (const [name, bits] of sample(Object.entries(QUALITY_BITS), 4)) {
      const row = new RegExp(`^\\| \`${name}\`.*?\\| ([\\d.]+) \\| (\\d+) KB \\| (\\d+) \\|$`, "m").exec(
        readme,
      )!;
      const output = join(folder, `${name}.lqa`);
      await encodeFile(adapter, output, { quality: name as keyof typeof QUALITY_BITS });
      const { size } = statSync(output);
      expect(row.slice(1).map(Number)).toEqual([bits, Math.round(size / 1000), Math.round(halved / size)]);
    }
  });
});
