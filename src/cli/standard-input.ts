/**
 * `-` where a command takes an adapter or a model of another format: what comes in is kept in a file of its own, in a directory
 * that is removed afterwards, because such formats are not read from front to back. Whatever is told names standard input.
 *
 * @module
 */
import { mkdtemp, open, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { osError } from "../io/os-error.ts";
import { forgetTemporary, registerTemporary } from "../io/temporary.ts";
import { type Arguments, type CommandSpec, STANDARD_STREAM } from "./command.ts";
import { renamed } from "./standard-output.ts";
import type { Terminal } from "./terminal.ts";

/** What stands in the place of an argument that is `-`, by the names of its options and the places of its positionals. */
interface Places {
  readonly options: readonly string[];
  readonly positionals: readonly number[];
}

/** Where a command line asks for an adapter or a model from standard input; undefined if nowhere. */
export function standardInputs({ positional, options }: CommandSpec, args: Arguments): Places | undefined {
  const places = {
    options: options.flatMap(({ name, standardInput }) =>
      standardInput === true && args.values.get(name) === STANDARD_STREAM ? [name] : [],
    ),
    positionals: args.positionals.flatMap((word, i) =>
      word === STANDARD_STREAM && (positional?.standardInput?.(i) ?? false) ? [i] : [],
    ),
  };
  return places.options.length + places.positionals.length === 0 ? undefined : places;
}

/**
 * Runs a command with a file of what standard input holds.
 *
 * @throws LqaError as the command; USAGE if standard input is asked for twice
 */
export async function withStandardInput(
  { options, positionals }: Places,
  args: Arguments,
  terminal: Terminal,
  run: (args: Arguments, terminal: Terminal) => Promise<number>,
): Promise<number> {
  if (options.length + positionals.length > 1)
    fail(KIND.USAGE, { actual: "- is given twice", expected: "standard input once" });
  const folder = await mkdtemp(join(tmpdir(), "lqa-"));
  registerTemporary(folder);
  try {
    const path = await kept(folder);
    const values = new Map(args.values);
    for (const name of options) values.set(name, path);
    const words = args.positionals.map((word, i) => (positionals.includes(i) ? path : word));
    return await renamed(path, "standard input", terminal, (to) => run({ positionals: words, values }, to));
  } finally {
    await rm(folder, { recursive: true, force: true });
    forgetTemporary(folder);
  }
}

/** Writes standard input to a file that is called as its first bytes ask for. */
async function kept(folder: string): Promise<string> {
  const path = join(folder, "stdin");
  let first = Buffer.alloc(0);
  try {
    const file = await open(path, "wx");
    try {
      for await (const piece of process.stdin) {
        if (first.length < 8) first = Buffer.concat([first, (piece as Buffer).subarray(0, 8)]);
        await file.writeFile(piece as Buffer);
      }
    } finally {
      await file.close();
    }
    const name = path + ending(first.toString("latin1"));
    await rename(path, name);
    return name;
  } catch (error) {
    throw osError(error, path, "write");
  }
}

function ending(first: string): string {
  if (first.startsWith("\x89LQA")) return ".lqa";
  if (first.startsWith("GGUF")) return ".gguf";
  if (first.startsWith("TORT", 4)) return ".onnx_adapter";
  // A zip archive or a bare pickle: PyTorch's.
  return first.startsWith("PK") || first.startsWith("\x80") ? ".bin" : ".safetensors";
}
