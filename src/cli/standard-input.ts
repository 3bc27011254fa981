/**
 * `-` where a command takes an adapter or a model of another format: such formats are not read from front to back, so the bytes
 * go to a file in a directory that is removed afterwards. Reports and errors name standard input.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type TemporaryDirectory, withTemporaryDirectory } from "../node/files/temporary.ts";
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

/** Writes standard input to a file whose name ends as its first bytes say. */
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
      // An error of writing must not leave the process waiting for more.
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
  // A zip archive or a bare pickle: PyTorch's.
  return first.startsWith("PK") || first.startsWith("\x80") ? ".bin" : ".safetensors";
}
