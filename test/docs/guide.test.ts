/** The guide, run as it stands: commands by a shell, programs by Node, in the order of the page. */
import { execFile, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { writePeftDirectory } from "../helpers/peft.ts";
import { answerRange, serve } from "../helpers/server.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const guide = readFileSync(join(root, "docs/guide.md"), "utf8");
const blocks = [...guide.matchAll(/```([a-z]*)\n([\s\S]*?)```/g)].map(([, language, code]) => ({
  language: language!,
  code: code!,
}));
const folder = temporaryDirectory();
writePeftDirectory(join(folder, "my-adapter"));
mkdirSync(join(folder, "node_modules"));
mkdirSync(join(folder, "bin"));
symlinkSync(root, join(folder, "node_modules/lqa"));
writeFileSync(
  join(folder, "bin/lqa"),
  `#!/bin/sh\nexec "${process.execPath}" "${root}dist/cli/main.js" "$@"\n`,
);
chmodSync(join(folder, "bin/lqa"), 0o755);

function runCommands(code: string): void {
  const { status, stderr } = spawnSync("sh", ["-eu", "-c", code], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` },
  });
  // Warnings about weights are no failure; what else is told is shown with one.
  expect({ status, told: status === 0 ? "" : `${code}${stderr}` }).toEqual({ status: 0, told: "" });
}

async function runProgram(code: string): Promise<string> {
  const server = await serve((_, response, asked) =>
    answerRange(new Uint8Array(readFileSync(join(folder, "my-adapter.lqa"))), response, asked),
  );
  const { outputText } = ts.transpileModule(code.replaceAll("https://example.org/adapter.lqa", server.url), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  writeFileSync(join(folder, "block.mjs"), outputText);
  const { stdout } = await promisify(execFile)(process.execPath, ["block.mjs"], {
    cwd: folder,
    encoding: "utf8",
  });
  return stdout;
}

describe("the guide", () => {
  it("has commands and programs, and nothing that is not run", () => {
    expect(new Set(blocks.map(({ language }) => language))).toEqual(new Set(["sh", "ts"]));
    expect(blocks.length).toBeGreaterThan(6);
  });

  it("does what it says", { timeout: 300_000 }, async () => {
    const told: string[] = [];
    for (const { language, code } of blocks)
      if (language === "sh") runCommands(code);
      else told.push(await runProgram(code));
    expect(told[0]).toBe(
      "model.layers.0.self_attn.q_proj 2 256 256\nmodel.layers.0.self_attn.v_proj 2 128 256\nmodel.layers.1.self_attn.q_proj 2 256 256\nmodel.layers.1.self_attn.v_proj 2 128 256\n",
    );
    expect(told[1]).toBe("model.layers.0.self_attn.q_proj 256\n");
    expect(listing(folder)).toEqual(
      expect.arrayContaining([
        "curve.svg",
        "findings.json",
        "lqa.sarif",
        "mlx-adapter",
        "portable",
        "report.html",
        "restored",
      ]),
    );
    expect(listing(join(folder, "restored"))).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });
});
