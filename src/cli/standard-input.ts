/**
 * Handles `-` for commands that read an adapter in another format. Such formats need random access, so the bytes
 * go to a file in a temporary directory. Reports and errors name standard input.
 *
 * @module
 */
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { type TemporaryDirectory, withTemporaryDirectory } from "../node/files/temporary.ts";
import { type Arguments, type CommandSpec, STANDARD_STREAM } from "./command.ts";
import { renamedOutput } from "./standard-output.ts";
import type { Terminal } from "./terminal.ts";

/** Finds where the command line names standard input as an adapter: indices of positional arguments; undefined if nowhere. */
export function standardInputs({ positional }: CommandSpec, args: Arguments): readonly number[] | undefined {
  const places = args.positionals.flatMap((word, i) =>
    word === STANDARD_STREAM && (positional?.standardInput?.(i) ?? false) ? [i] : [],
  );
  return places.length === 0 ? undefined : places;
}

/**
 * Runs a command with a temporary file that holds standard input.
 *
 * @throws LqaError as the command; USAGE if `-` is given twice
 */
export async function withStandardInput(
  places: readonly number[],
  args: Arguments,
  terminal: Terminal,
  run: (args: Arguments, terminal: Terminal) => Promise<number>,
): Promise<number> {
  if (places.length > 1) fail(KIND.USAGE, { actual: "- is given twice", expected: "standard input once" });
  return await withTemporaryDirectory("lqa-", async (folder) => {
    const path = await kept(folder);
    const words = args.positionals.map((word, i) => (places.includes(i) ? path : word));
    return await renamedOutput(path, "standard input", terminal, (to) =>
      run({ ...args, positionals: words as [string, ...string[]] }, to),
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
