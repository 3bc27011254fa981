/** The chapters of the guide, run as they stand, one after another, on one small adapter. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeDelta, open } from "../../src/core/index.ts";
import {
  blocksOf,
  commandsOf,
  findCompiler,
  findPython,
  installInto,
  runC,
  runCommands,
  runProgram,
  runPython,
} from "../helpers/documents.ts";
import { safetensors, testTensors, writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
installInto(folder);
writePeftDirectory(join(folder, "my-adapter"));
writeBase(join(folder, "base-model"));

/** Of each block in order what it printed, or undefined where the tool for it is absent. */
async function runPage(page: string): Promise<(string | undefined)[]> {
  const told: (string | undefined)[] = [];
  for (const { language, code } of blocksOf(page)) told.push(await runBlock(language, code));
  return told;
}

async function runBlock(language: string, code: string): Promise<string | undefined> {
  // integrations/python/tests/test_tune.py and test/interop/check_models.py run these, with a model.
  if (
    code.startsWith('pip install "./integrations/python[encode,tune]"') ||
    code.startsWith("lqa tune ") ||
    /^(import torch\n)?from peft import/.test(code)
  )
    return undefined;
  switch (language) {
    case "sh":
      return runCommands(code, folder);
    case "yaml": {
      const commands = commandsOf(code);
      expect(commands).not.toEqual([]);
      return commands.map((command) => runCommands(command, folder)).join("");
    }
    case "ts":
      return await runProgram(code, folder);
    case "python": {
      const found = findPython();
      if ("python" in found) return await runPython(found.python, code, folder);
      console.log(`skipped: Python of the guide: ${found.skipped}`);
      return undefined;
    }
    case "c": {
      const found = findCompiler();
      if ("cc" in found) return await runC(found.cc, code, folder);
      console.log(`skipped: C of the guide: ${found.skipped}`);
      return undefined;
    }
    // Commands of another program.
    case "text":
      return undefined;
    default:
      throw new Error(`no way to run ${language}`);
  }
}

/** The weights that the adapter changes, of a model without anything else. */
function writeBase(path: string): void {
  const weights = new Map(
    [...testTensors()]
      .filter(([name]) => name.endsWith("lora_B.weight"))
      .map(([name, { shape }]) => {
        const [out] = shape as [number];
        const weight = name.replace("base_model.model.", "").replace(".lora_B", "");
        return [weight, { shape: [out, 64], values: new Float32Array(out * 64).fill(0.5) }];
      }),
  );
  mkdirSync(path);
  writeFileSync(join(path, "model.safetensors"), safetensors(weights));
}

const NAMES = ["0", "1"].flatMap((layer) =>
  ["q_proj", "v_proj"].map((name) => `model.layers.${layer}.self_attn.${name}`),
);

// One after another: a chapter uses what those before it wrote.
describe("the guide", { timeout: 300_000 }, () => {
  it("encodes, looks, checks and decodes", async () => {
    const told = await runPage("docs/guide/first-adapter.md");
    expect(told[3]).toMatch(/PADDING_NONZERO[\s\S]*Clause 7\.1, Framing/);
    expect(listing(folder)).toEqual(expect.arrayContaining(["my-adapter.lqa", "report.html", "restored"]));
    expect(listing(join(folder, "restored"))).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });

  it("chooses bits", async () => {
    await runPage("docs/guide/choosing-bits.md");
    expect(listing(folder)).toEqual(
      expect.arrayContaining(["curve.svg", "exact.lqa", "fits.lqa", "four.lqa", "small.lqa"]),
    );
  });

  it("reads in every language", async () => {
    const [node, remote, stream, python, c] = await runPage("docs/guide/reading.md");
    // The weight that the chapter computes from the factors is that of the library's own ΔW: a wrong layout gives another.
    const file = await open(readFileSync(join(folder, "my-adapter.lqa")));
    const lines = node!.trim().split("\n");
    expect(lines.map((line) => line.split(" ")[0])).toEqual(NAMES);
    for (const line of lines) {
      const [name, out, inputs, weight] = line.split(" ");
      const record = file.module(name!);
      expect([out, inputs].map(Number)).toEqual([record.out, record.in]);
      const expected = decodeDelta(record, await file.packed(record))[1 * record.in + 2]!;
      expect(Math.abs(Number(weight) / expected - 1)).toBeLessThan(1e-4);
    }
    expect(remote).toBe(`${NAMES[0]} 256\n`);
    expect(stream).toBe(`${2 * (256 + 256 + 128 + 256)}\n`);
    if (python !== undefined)
      expect(python).toBe(
        NAMES.map((name) => `${name} 4 2.0 (${name.endsWith("q_proj") ? 64 : 32}, 64)\n`).join(""),
      );
    if (c !== undefined) expect(c).toBe(NAMES.map((name) => `${name} rank 4 multiplier 2\n`).join(""));
  });

  it("uses everything else of the entry", async () => {
    const more = blocksOf("docs/guide/code.md").at(-1)!;
    expect((await runProgram(more.code, folder)).trim().split("\n")).toEqual([
      "true canonical undefined []",
      `true ${4 * 64} true ${4 * (64 + 64)}`,
      "0",
      "4 true",
      "3 LQA-X001 3",
    ]);
  });

  it("serves", async () => {
    expect(await runPage("docs/guide/serving.md")).toEqual(["2 true\n"]);
  });

  it("validates", async () => {
    await runPage("docs/guide/ci.md");
    expect(listing(folder)).toEqual(expect.arrayContaining(["findings.json", "lqa.sarif"]));
  });

  it("migrates", async () => {
    await runPage("docs/guide/migrating.md");
    expect(listing(folder)).toEqual(
      expect.arrayContaining([
        "as-it-was",
        "encoded",
        "flat.safetensors",
        "from-file.lqa",
        "mlx-adapter",
        "portable",
      ]),
    );
  });
});
