/** What the command line understands without being told more: names of outputs, units, what a file's ending means. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { lqa, lqaIn } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const source = writePeftDirectory(join(folder, "my-adapter"));
const file = join(folder, "my-adapter.lqa");
expect(lqaIn({ cwd: folder }, "encode", "my-adapter").code).toBe(0);
let count = 0;
const place = (ending = ""): string => join(folder, `p${count++}${ending}`);

describe("names of outputs", () => {
  it("are those of the inputs", () => {
    expect(listing(folder)).toContain("my-adapter.lqa");
    const elsewhere = temporaryDirectory();
    expect(lqaIn({ cwd: elsewhere }, "encode", join(source, "adapter_model.safetensors")).code).toBe(0);
    expect(lqaIn({ cwd: elsewhere }, "decode", file).code).toBe(0);
    expect(listing(elsewhere)).toEqual(["my-adapter", "my-adapter.lqa"]);
    expect(lqaIn({ cwd: elsewhere }, "decode", file).err).toMatch(/OUTPUT_EXISTS/);
  });
  it("say the dialect by their ending", () => {
    const config = place(".json");
    writeFileSync(
      config,
      JSON.stringify({ model_type: "llama", num_attention_heads: 4, num_key_value_heads: 2 }),
    );
    const [gguf, onnx] = [place(".gguf"), place(".onnx_adapter")];
    expect(lqa("decode", file, "-o", gguf, "--base", config).code).toBe(0);
    expect(readFileSync(gguf).subarray(0, 4).toString()).toBe("GGUF");
    expect(lqa("convert", source, onnx, "--json").json()).toMatchObject({ to: "onnx" });
    expect(readFileSync(onnx).subarray(4, 8).toString()).toBe("TORT");
    expect(lqa("convert", source, place(".gguf"), "--to", "mlx").err).toMatch(/USAGE/);
  });
});

describe("lqa decode --base, lqa convert --base", () => {
  const config = (more: object): string => {
    const path = place(".json");
    writeFileSync(
      path,
      JSON.stringify({ model_type: "llama", num_hidden_layers: 2, num_attention_heads: 4, ...more }),
    );
    return path;
  };
  it("refuses the configuration of another model, and writes nothing", () => {
    const right = { hidden_size: 64, num_key_value_heads: 2 };
    const refused = (base: object, out: string, ...words: string[]): void => {
      const run = lqa(...words, "--base", config(base), "--json");
      expect(run.json<{ error: { kind: string } }>().error.kind, JSON.stringify(base)).toMatch(/^BASE_/);
      expect(run.code).toBe(1);
      expect(listing(folder)).not.toContain(out.slice(folder.length + 1));
    };
    const gguf = place(".gguf");
    expect(lqa("decode", file, "-o", gguf, "--base", config(right)).code).toBe(0);
    expect(lqa("convert", source, place(".gguf"), "--base", config(right)).code).toBe(0);
    expect(lqa("convert", gguf, place(), "--base", config(right)).code).toBe(0);
    for (const wrong of [{ hidden_size: 128 }, { num_key_value_heads: 4 }, { num_hidden_layers: 1 }]) {
      const [out, back] = [place(".gguf"), place()];
      refused({ ...right, ...wrong }, out, "decode", file, "-o", out);
      refused({ ...right, ...wrong }, out, "convert", source, out);
      refused({ ...right, ...wrong }, back, "convert", gguf, back);
    }
  });
});

describe("numbers", () => {
  const settings = (...words: string[]): Record<string, unknown> =>
    lqa("encode", source, "-o", place(".lqa"), "--json", ...words).json();
  it("take units", () => {
    for (const [word, bytes] of [
      ["4000", 4000],
      ["4KB", 4000],
      ["4.5kb", 4500],
      ["3KiB", 3072],
      ["0.01 MB", 10_000],
      ["4000B", 4000],
    ] as const)
      expect(settings("--max-bytes", word).maxBytes, word).toBe(bytes);
    expect(settings("--max-error", "7%").maxError).toBe(0.07);
    expect(settings("--max-error", "0.7 %").maxError).toBe(0.007);
    expect(settings("--max-error", "0.07").maxError).toBe(0.07);
  });
  it("take what --json prints, and their digits do not change the size of the file", () => {
    const sizes = ["8", "8.000000000000002", "8.0000001"].map((bits) => settings("--bits", bits).outputBytes);
    expect(new Set(sizes).size).toBe(1);
    const { bitsPerParameter } = settings("--bits", "9") as { bitsPerParameter: number };
    expect(settings("--bits", String(bitsPerParameter)).bits).toBe(bitsPerParameter);
  });
});

it("lqa inspect is ten lines at most; --modules is everything", () => {
  const lines = lqa("inspect", file).out.trimEnd().split("\n");
  expect(lines.length).toBeLessThanOrEqual(10);
  expect(lines.join("\n")).toMatch(/what +a LoRA adapter[\s\S]*bits per weight[\s\S]*next +lqa decode/);
  expect(lines.join("\n")).not.toMatch(/q_proj|encodings +|content id/);
  expect(lqa("inspect", file, "--verbose").out).toMatch(/content id[\s\S]*encodings[\s\S]*format/);
  const all = lqa("inspect", file, "--modules").out;
  expect(all).toMatch(/bytes[\s\S]*encodings, by components[\s\S]*q_proj/);
});

it("lqa diff begins with the largest error", () => {
  const other = place(".lqa");
  expect(lqa("encode", source, "-o", other, "--bits", "12").code).toBe(0);
  const errors = [...lqa("diff", source, other).out.matchAll(/error ([\d.]+) %/g)].map(([, value]) =>
    Number(value),
  );
  expect(errors.length).toBe(4);
  expect(errors).toEqual([...errors].sort((x, y) => y - x));
});

it("says that Ctrl-C stopped it, leaves nothing, and ends by the signal", async () => {
  // Progress is shown once a second, so the work must take longer.
  const big = writePeftDirectory(place(), { layers: 8, width: 1024, rank: 128 });
  const out = temporaryDirectory();
  const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  const child = spawn(process.execPath, [
    main,
    "encode",
    big,
    "-o",
    join(out, "x.lqa"),
    "--verbose",
    "--workers",
    "1",
  ]);
  let err = "";
  let sent = false;
  child.stderr.on("data", (bytes: Buffer) => {
    err += bytes;
    if (!sent && /\d+\/16 /.test(err)) sent = child.kill("SIGINT");
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.on("close", (...ended) => resolve(ended)),
  );
  expect(err).toMatch(/(analyzing|coding|measuring) model\.layers\.\d+/);
  expect(err).toMatch(/lqa: stopped\n$/);
  expect([code, signal]).toEqual([null, "SIGINT"]);
  expect(listing(out)).toEqual([]);
});
