/**
 * `-o -`: what a command writes goes to standard output, whole or not at all.
 *
 * The command writes a file of its own, in a directory that is removed afterwards; its report goes to standard error.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fail, isLqaError, LqaError } from "../errors.ts";
import { osError } from "../io/os-error.ts";
import { forgetTemporary, registerTemporary } from "../io/temporary.ts";
import type { Arguments, OptionSpec } from "./command.ts";
import type { Terminal } from "./terminal.ts";

/** What the one file of a dialect is called, where that is not the usual ending. */
const ENDINGS: Readonly<Record<string, string>> = { gguf: ".gguf", onnx: ".onnx_adapter" };

/**
 * Runs a command whose `option` is `-`.
 *
 * @throws LqaError as the command; USAGE if what it wrote is a directory
 */
export async function toStandardOutput(
  option: OptionSpec,
  args: Arguments,
  terminal: Terminal,
  run: (args: Arguments, terminal: Terminal) => Promise<number>,
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "lqa-"));
  registerTemporary(folder);
  const path = join(folder, `stdout${ENDINGS[String(args.values.get("to"))] ?? option.standardOutput}`);
  const tell = (text: string): void => terminal.err(text.replaceAll(path, "standard output"));
  try {
    const values = new Map(args.values).set(option.name, path);
    const code = await run({ ...args, values }, { ...terminal, out: tell, err: tell });
    if ((await stat(path)).isDirectory())
      fail("USAGE", { where: `--${option.name} -`, expected: "one file", actual: "a directory" });
    terminal.endProgress();
    for await (const piece of createReadStream(path)) await written(piece as Uint8Array);
    return code;
  } catch (error) {
    throw withoutPath(osError(error, path, "write"), path);
  } finally {
    await rm(folder, { recursive: true, force: true });
    forgetTemporary(folder);
  }
}

/** The same error, about standard output. */
function withoutPath(error: unknown, path: string): unknown {
  if (!isLqaError(error) || error.where === undefined) return error;
  const { kind, expected, actual, offset, advice } = error;
  const where = error.where.replaceAll(path, "standard output");
  return new LqaError(kind, { expected, actual, offset, advice, where, cause: error });
}

/** Waits until a piece is on its way: a slow reader must not fill the memory. */
function written(piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(piece, () => resolve());
  });
}
