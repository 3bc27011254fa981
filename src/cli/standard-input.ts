/**
 * Handles `-` for commands that read an adapter or a model in another format. Such formats need random access, so the bytes
 * go to a file in a temporary directory. Reports and errors name standard input.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type TemporaryDirectory, withTemporaryDirectory } from "../node/files/temporary.ts";
import { type Arguments, type CommandSpec, STANDARD_STREAM } from "./command.ts";
import { renamed } from "./standard-output.ts";
import type { Terminal } from "./terminal.ts";

/** The replacements for arguments that are `-`, by option name and by index of the positional argument. */
interface Places {
  readonly options: readonly string[];
  readonly positionals: readonly number[];
}

/** Finds the place where the command line names standard input as an adapter or model; undefined if there is none. */
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
 * Runs a command with a temporary file that holds standard input.
 *
 * @throws LqaError as the command; USAGE if `-` is given twice
 */
export async function withStandardInput(
  { options, positionals }: Places,
  args: Arguments,
  terminal: Terminal,
  run: (args: Arguments, terminal: Terminal) => Promise<number>,
): Promise<number> {
  if (options.length + positionals.length > 1)
    fail(KIND.USAGE, { actual: "- is given twice", expected: "standard input once" });
  return await withTemporaryDirectory("lqa-", async (folder) => {
    const path = await kept(folder);
    const values = new Map(args.values);
    for (const name of options) values.set(name, path);
    const words = args.positionals.map((word, i) => (positionals.includes(i) ? path : word));
    return await renamed(path, "standard input", terminal, (to) =>
      run({ positionals: words as [string, ...string[]], values }, to),
    );
  });
}

/** Copies standard input to a file; its extension follows from the first bytes. */
async function kept(folder: TemporaryDirectory): Promise<string> {
  const input = process.stdin[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let first = Buffer.alloc(0);
  for (let next = await input.next(); next.done !== true; next = await input.next()) {
    first = Buffer.concat([first, next.value]);
    if (first.length >= 8) break;
  }
  const name = `stdin${ending(first.toString("latin1", 0, 8))}`;
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield first;
      for (let next = await input.next(); next.done !== true; next = await input.next()) yield next.value;
    } finally {
      // A write error must not leave the process waiting for more input.
      await input.return?.();
    }
  };
  await folder.write(name, pieces());
  return folder.file(name);
}

function ending(first: string): string {
  if (first.startsWith("\x89LQA")) return ".lqa";
  if (first.startsWith("GGUF")) return ".gguf";
  if (first.startsWith("TORT", 4)) return ".onnx_adapter";
  // A zip archive or a bare pickle: written by PyTorch.
  return first.startsWith("PK") || first.startsWith("\x80") ? ".bin" : ".safetensors";
}
