/**
 * Handles `-` for commands that write a file: the output goes to standard output, whole or not at all.
 *
 * The command writes a file in a temporary directory; this file then copies it. The report goes to standard error.
 *
 * @module
 */
import { piecesFrom } from "../core/read/pieces-from.ts";
import * as KIND from "../error-catalogue.ts";
import { fail, isLqaError, LqaError } from "../errors.ts";
import { isDirectory, openFileSource } from "../node/files/file.ts";
import { osError } from "../node/files/os-error.ts";
import { withTemporaryDirectory } from "../node/files/temporary.ts";
import { type Arguments, type CommandSpec, STANDARD_STREAM } from "./command.ts";
import type { Terminal } from "./terminal.ts";

/** File name of the dialects with one file that do not use the usual extension. */
const ENDINGS: Readonly<Record<string, string>> = { gguf: ".gguf", onnx: ".onnx_adapter" };

/** A place among the arguments that names an output. */
export interface OutputPlace {
  /** The argument as the user types it, for messages. */
  readonly name: string;
  /** The usual extension of the file. */
  readonly ending: string;
  /** The arguments with a path in this place. */
  with(path: string): Arguments;
}

/** Finds the place where the command line names standard output; undefined if there is none. */
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
 * Runs a command with standard output as its output.
 *
 * @throws LqaError as the command; USAGE if its output is a directory
 */
export async function toStandardOutput(
  place: OutputPlace,
  args: Arguments,
  terminal: Terminal,
  run: (args: Arguments, terminal: Terminal) => Promise<number>,
): Promise<number> {
  return await withTemporaryDirectory("lqa-", async (folder) => {
    const path = folder.file(`stdout${ENDINGS[String(args.values.get("to"))] ?? place.ending}`);
    let report = "";
    try {
      const reporting = { ...terminal, out: (text: string) => void (report += text) };
      const code = await renamedOutput(path, "standard output", reporting, (to) => run(place.with(path), to));
      if (await isDirectory(path))
        fail(KIND.USAGE, { where: place.name, expected: "one file", actual: "a directory" });
      terminal.endProgress();
      await copyOut(path);
      // The report says what was written, so it waits for that.
      terminal.err(report);
      return code;
    } catch (error) {
      throw withoutPath(osError(error, path, "write"), path, "standard output");
    }
  });
}

async function copyOut(path: string): Promise<void> {
  const file = await openFileSource(path);
  try {
    for await (const piece of piecesFrom(file, 0, file.size)) await written(piece);
  } finally {
    await file.close();
  }
}

/** Runs a function with a temporary path; its reports and errors name standard output instead. @throws as `run` */
export async function renamedOutput<T>(
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

/** The same error, with the name of a standard stream instead of the path. */
function withoutPath(error: unknown, path: string, name: string): unknown {
  if (!isLqaError(error) || error.where === undefined) return error;
  const { expected, actual, offset, advice } = error;
  const where = error.where.replaceAll(path, name);
  return new LqaError(error, { expected, actual, offset, advice, where, cause: error });
}

/**
 * Resolves when a piece is written, so that a slow reader does not fill memory. If it cannot be written, the handler of the stream
 * (`terminal.ts`) says so and ends the process.
 */
function written(piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(piece, (error) => {
      if (error === undefined || error === null) resolve();
    });
  });
}
