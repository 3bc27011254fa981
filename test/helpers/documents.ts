/**
 * Code of the documentation, run as it stands: commands by a shell that has `lqa`, programs by Node, Python and a C compiler.
 *
 * @module
 */
import { execFile, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { parse } from "yaml";
import { answerRange, serve } from "./server.ts";

const run = promisify(execFile);
export const root: string = fileURLToPath(new URL("../../", import.meta.url));

/** A block of code on a page. */
export interface Block {
  readonly language: string;
  readonly code: string;
}

/** The blocks of a page that name a language, in order. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```([a-z]+)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({
    language: language!,
    code: code!,
  }));
}

/** Whether code is JavaScript as well as TypeScript, so that it can be pasted into a file and run. */
export function isJavaScript(code: string): boolean {
  const { diagnostics } = ts.transpileModule(code, {
    fileName: "block.mjs",
    reportDiagnostics: true,
    compilerOptions: { allowJs: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return (diagnostics ?? []).length === 0;
}

/** Makes `lqa` something that can be imported, and called, in a folder. */
export function installInto(folder: string): void {
  mkdirSync(join(folder, "node_modules"));
  mkdirSync(join(folder, "bin"));
  symlinkSync(root, join(folder, "node_modules/lqa"));
  const main = join(root, "dist/cli/main.js");
  writeFileSync(join(folder, "bin/lqa"), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  chmodSync(join(folder, "bin/lqa"), 0o755);
}

/** Runs commands and returns what they wrote to standard output. Throws with the commands if one fails. */
export function runCommands(code: string, folder: string): string {
  const { status, stdout, stderr } = spawnSync("sh", ["-eu", "-c", code], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` },
  });
  // Warnings about weights are no failure; other output is shown with a failure.
  if (status !== 0) throw new Error(`exit code ${status}\n${code}\n${stderr}`);
  return stdout;
}

/** Runs a program of TypeScript; https://example.org/adapter.lqa is `my-adapter.lqa` of the folder. */
export async function runProgram(code: string, folder: string): Promise<string> {
  const server = await serve((_, response, asked) =>
    answerRange(new Uint8Array(readFileSync(join(folder, "my-adapter.lqa"))), response, asked),
  );
  const { outputText } = ts.transpileModule(code.replaceAll("https://example.org/adapter.lqa", server.url), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  writeFileSync(join(folder, "block.mjs"), outputText);
  return (await run(process.execPath, ["block.mjs"], { cwd: folder, encoding: "utf8" })).stdout;
}

/** The Python that has the package of `integrations/python`, or why there is none. */
export function findPython(): { readonly python: string } | { readonly skipped: string } {
  const python = process.env.LQA_PYTHON ?? "python3";
  const { status } = spawnSync(python, ["-c", "import lqa"], { stdio: "ignore" });
  return status === 0 ? { python } : { skipped: `${python} has no lqa (LQA_PYTHON names another)` };
}

/** Runs a program of Python. */
export async function runPython(python: string, code: string, folder: string): Promise<string> {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1" };
  return (await run(python, ["-c", code], { cwd: folder, encoding: "utf8", env })).stdout;
}

/** The C compiler, or why there is none. */
export function findCompiler(): { readonly cc: string } | { readonly skipped: string } {
  const cc = process.env.CC ?? "cc";
  return spawnSync(cc, ["--version"], { stdio: "ignore" }).status === 0
    ? { cc }
    : { skipped: `there is no C compiler ${cc}` };
}

/** Compiles a program of C with the library for C, without a warning, and runs it. */
export async function runC(cc: string, code: string, folder: string): Promise<string> {
  const library = join(root, "integrations/c");
  writeFileSync(join(folder, "block.c"), code);
  const files = ["lqa.c", "lqa_vectors.c", "lqa_hash.c", "lqa_tables.c"].map((name) => join(library, name));
  const sources = ["block.c", ...files];
  await run(
    cc,
    ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-I", library, "-o", "block", ...sources, "-lm"],
    {
      cwd: folder,
    },
  );
  return (await run(join(folder, "block"), [], { cwd: folder, encoding: "utf8" })).stdout;
}

/** The commands of a workflow of GitHub that call `lqa`. */
export function commandsOf(workflow: string): string[] {
  const { jobs } = parse(workflow) as { jobs: Record<string, { steps: { run?: string }[] }> };
  return Object.values(jobs)
    .flatMap(({ steps }) => steps)
    .flatMap(({ run: command }) => (command?.startsWith("lqa ") ? [command] : []));
}
