/**
 * `-` where a command writes a file: what it writes goes to standard output, whole or not at all.
 *
 * The command writes a file of its own, in a directory that is removed afterwards; its report goes to standard error.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, LqaError } from "../errors.ts";
import { isDirectory, openFileReader } from "../node/files/file.ts";
import { osError } from "../node/files/os-error.ts";
import { withTemporaryDirectory } from "../node/files/temporary.ts";
import { type Arguments, type CommandSpec, STANDARD_STREAM } from "./command.ts";
import type { Terminal } from "./terminal.ts";

/** What the one file of a dialect is called, where that is not the usual ending. */
const ENDINGS: Readonly<Record<string, string>> = { gguf: ".gguf", onnx: ".onnx_adapter" };

/** A place among the arguments that names what is written. */
export interface OutputPlace {
  /** As it is written, for messages. */
  readonly name: string;
  /** How a file there usually ends. */
  readonly ending: string;
  /** The arguments with a path in this place. */
  with(path: string): Arguments;
}

/** Where a command line asks to write to standard output; undefined if nowhere. */
export function standardOutputPlace(
  { positional, options }: CommandSpec,
  args: Arguments,
): OutputPlace | undefined {
  const { positionals, values } = args;
  for (const { name, standardOutput } of options)
    if (standardOutput !== undefined && values.get(name) === STANDARD_STREAM)
      return {
        name: `--${name} -`,
        ending: standardOutput,
        with: (path) => ({ positionals, values: new Map(values).set(name, path) }),
      };
  const last = positionals.length - 1;
  if (positional?.standardOutput === undefined || last < 1 || positionals[last] !== STANDARD_STREAM)
    return undefined;
  return {
    name: "-",
    ending: positional.standardOutput,
    with: (path) => ({ positionals: positionals.with(last, path) as [string, ...string[]], values }),
  };
}

/**
 * Runs a command that is asked to write to standard output.
 *
 * @throws LqaError as the command; USAGE if what it wrote is a directory
 */
export async function toStandardOutput(
  place: OutputPlace,
  args: Arguments,
  terminal: Terminal,
  run: (args: Arguments, terminal: Terminal) => Promise<number>,
): Promise<number> {
  return await withTemporaryDirectory("lqa-", async (folder) => {
    const path = folder.file(`stdout${ENDINGS[String(args.values.get("to"))] ?? place.ending}`);
    try {
      const reporting = { ...terminal, out: (text: string) => terminal.err(text) };
      const code = await renamed(path, "standard output", reporting, (to) => run(place.with(path), to));
      if (await isDirectory(path))
        fail(KIND.USAGE, { where: place.name, expected: "one file", actual: "a directory" });
      terminal.endProgress();
      await copyOut(path);
      return code;
    } catch (error) {
      throw withoutPath(osError(error, path, "write"), path, "standard output");
    }
  });
}

async function copyOut(path: string): Promise<void> {
  const file = await openFileReader(path);
  try {
    for (;;) {
      const piece = new Uint8Array(65536);
      const length = await file.read(piece);
      if (length === 0) return;
      await written(piece.subarray(0, length));
    }
  } finally {
    await file.close();
  }
}

/** Runs something with a path; its reports and errors name what the path stands for. @throws as `run` */
export async function renamed<T>(
  path: string,
  name: string,
  terminal: Terminal,
  run: (terminal: Terminal) => Promise<T>,
): Promise<T> {
  try {
    return await run({
      ...terminal,
      out: (text) => terminal.out(text.replaceAll(path, name)),
      err: (text) => terminal.err(text.replaceAll(path, name)),
    });
  } catch (error) {
    throw withoutPath(error, path, name);
  }
}

/** The same error, about a standard stream. */
function withoutPath(error: unknown, path: string, name: string): unknown {
  if (!isLqaError(error) || error.where === undefined) return error;
  const { expected, actual, offset, advice } = error;
  const where = error.where.replaceAll(path, name);
  return new LqaError(error, { expected, actual, offset, advice, where, cause: error });
}

/** Waits until a piece is on its way: a slow reader must not fill the memory. */
function written(piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(piece, () => resolve());
  });
}
