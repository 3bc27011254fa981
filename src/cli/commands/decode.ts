/**
 * `lqa decode`: an `.lqa` file becomes an adapter directory again.
 *
 * @module
 */
import { type DecodeFileOptions, decodeFile } from "../../node.ts";
import { type Arguments, textOption } from "../command.ts";
import { counted, duration, printable, size } from "../format.ts";
import { readInput, STANDARD_INPUT } from "../open-input.ts";
import { columns, type Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [input] = args.positionals;
  const output = textOption(args, "output") ?? "";
  const name = textOption(args, "dtype") ?? "source";
  const dtype = (name === "source" ? name : name.toUpperCase()) as DecodeFileOptions["dtype"];
  const source = input === STANDARD_INPUT ? await readInput(input) : input;
  const result = await decodeFile(source, output, { dtype, force: args.values.has("force") });
  const { file, written, inputBytes, seconds } = result;
  if (args.values.has("json")) {
    const document = {
      inputBytes,
      outputBytes: [...written.values()].reduce((sum, bytes) => sum + bytes, 0),
      dtype: name,
      dialect: (await file.origin())?.dialect ?? null,
      modules: file.modules.length,
      tensors: file.tensors.length,
      files: [...written].map(([name, bytes]) => ({ name, bytes })),
      seconds: Number(seconds.toFixed(3)),
      fileId: result.fileId,
      contentId: result.contentId,
    };
    terminal.out(`${JSON.stringify(document, null, 2)}\n`);
    return 0;
  }
  const parts = [counted(file.modules.length, "module"), counted(file.tensors.length, "plain tensor")];
  const lines = [
    `${terminal.colors.bold(printable(output))} written from ${input === STANDARD_INPUT ? "standard input" : printable(input)} in ${duration(seconds)}: ${parts.join(", ")}`,
    ...columns([...written].map(([name, bytes]) => [name, size(bytes)])).map((line) => `  ${line}`),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}
