/** Commands of the README and of pages, run as they are. test/readme.test.ts runs the README's programs. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeAdapter } from "../../src/adapters/index.ts";
import { writeDirectoryAtomic } from "../../src/node/index.ts";
import { blocksOf, installInto, isJavaScript, root, runCommands } from "../helpers/documents.ts";
import { safetensors, type TestTensor, testTensors, writePeftDirectory } from "../helpers/peft.ts";
import { normal } from "../helpers/random.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";
import { checkpoint } from "../parent/run.ts";

const ADAPTER = { width: 256, rank: 8, layers: 1 };
const next = normal(3);
const random = (...shape: number[]): TestTensor => ({
  shape,
  values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => next()),
});

/** A folder with what a reader of the page is supposed to have. */
function prepared(): string {
  const folder = temporaryDirectory();
  installInto(folder);
  // Large enough for the rates that the pages ask for.
  writePeftDirectory(join(folder, "my-adapter"), ADAPTER);
  mkdirSync(join(folder, "adapters"));
  cpSync(join(folder, "my-adapter"), join(folder, "adapters/first"), { recursive: true });
  runCommands("lqa convert my-adapter mlx-adapter --to mlx --quiet", folder);

  const layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  const kohya = new Map([
    [`${layer}.lora_down.weight`, random(4, 64)],
    [`${layer}.lora_up.weight`, random(64, 4)],
    [`${layer}.alpha`, { shape: [], values: Float32Array.of(4) }],
  ]);
  writeFileSync(join(folder, "kohya.safetensors"), safetensors(kohya));

  const heads = {
    num_attention_heads: 4,
    num_key_value_heads: 2,
    hidden_size: ADAPTER.width,
    num_hidden_layers: 1,
  };
  const config = JSON.stringify({ model_type: "llama", architectures: ["LlamaForCausalLM"], ...heads });
  for (const name of ["base", "base-model", "my-model"]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "config.json"), config);
  }
  const base = new Map(
    [...testTensors(ADAPTER)]
      .filter(([name]) => name.endsWith("lora_B.weight"))
      .map(([name, { shape }]) => [
        name.replace("base_model.model.", "").replace(".lora_B", ""),
        random(shape[0]!, ADAPTER.width),
      ]),
  );
  const tuned = new Map(
    [...base].map(([name, { shape, values }]) => [
      name,
      { shape, values: values.map((value) => value + 0.01 * next()) },
    ]),
  );
  writeFileSync(join(folder, "base-model/model.safetensors"), safetensors(base));
  writeFileSync(join(folder, "base.safetensors"), safetensors(base));
  writeFileSync(join(folder, "my-model/model.safetensors"), safetensors(tuned));
  writeFileSync(join(folder, "tuned.safetensors"), safetensors(tuned));
  return folder;
}

/** Blocks of commands that call the program. */
const commands = (page: string): string[] =>
  blocksOf(page).flatMap(({ language, code }) =>
    language === "sh" && code.startsWith("lqa ") ? [code] : [],
  );

describe("the programs of the documentation", () => {
  it.each(["README.md", "docs/guide/code.md", "docs/guide/reading.md", "docs/guide/serving.md"])(
    "of %s run without a compiler",
    (page) => {
      const programs = blocksOf(page).filter(({ language }) => language === "ts");
      expect(programs).not.toEqual([]);
      for (const { code } of programs) expect(isJavaScript(code), code).toBe(true);
      expect(isJavaScript("const a = [1] as const;")).toBe(false);
    },
  );
});

describe("the commands of the documentation", { timeout: 300_000 }, () => {
  it("do what the README says", () => {
    const [block, ...others] = commands("README.md");
    expect(others).toEqual([]);
    const folder = temporaryDirectory();
    installInto(folder);
    symlinkSync(join(root, "examples"), join(folder, "examples"));
    runCommands(block!, folder);
    expect(listing(folder)).toEqual(expect.arrayContaining(["my-adapter.lqa", "restored"]));
  });

  it("do what the page of features says", () => {
    const [block, ...others] = commands("docs/features.md");
    expect(others).toEqual([]);
    const folder = prepared();
    runCommands(`lqa encode my-adapter -o my-adapter.lqa\n${block!}`, folder);
    const made = [
      "curve.svg",
      "my-adapter.gguf",
      "out",
      "peft-adapter",
      "report.html",
      "served",
      "style.lqa",
    ];
    expect(listing(folder)).toEqual(expect.arrayContaining(made));
  });

  it("write what the table of runtimes says", () => {
    const page = readFileSync(join(root, "docs/guide/migrating.md"), "utf8");
    const written = [...page.matchAll(/^\|[^|]*\| `(lqa decode \S+ -o (\S+).*?)` \|/gm)];
    expect(written.length).toBeGreaterThan(5);
    const folder = prepared();
    runCommands("lqa encode my-adapter -o my-adapter.lqa --quiet", folder);
    runCommands("lqa encode kohya.safetensors -o style.lqa --quiet", folder);
    for (const [, command, output] of written) {
      runCommands(`rm -rf ${output}\n${command}`, folder);
      expect(listing(folder)).toContain(output);
    }
  });

  it("do what the page about parents says", async () => {
    const folder = prepared();
    mkdirSync(join(folder, "users"));
    for (const [name, step] of [
      ["step-400", 0],
      ["step-500", 1],
      ["step-600", 2],
      ["users/one", 2],
      ["users/other", 3],
    ] as const)
      await writeDirectoryAtomic(
        join(folder, name),
        writeAdapter(checkpoint(step), { factors: "F32", to: "peft" }),
      );
    const blocks = commands("docs/parents.md");
    expect(blocks.length).toBe(3);
    runCommands(`lqa encode step-400 -o step-400.lqa --max-error 1% --quiet\n${blocks.join("\n")}`, folder);
    expect(listing(folder)).toEqual(
      expect.arrayContaining(["step-600.lqa", "restored", "encoded", "whole.lqa", "moved.lqa"]),
    );
  });

  it("do what the page about reports says", () => {
    const [block, ...others] = commands("docs/report.md");
    expect(others).toEqual([]);
    const folder = prepared();
    runCommands("lqa encode my-adapter -o my-adapter.lqa --quiet", folder);
    for (const line of block!.trim().split("\n")) {
      runCommands(`rm -f report.html\n${line}`, folder);
      expect(listing(folder)).toContain("report.html");
    }
  });
});
