/**
 * Handles `-` among the arguments in the places where the command itself accepts only paths.
 *
 * @module
 */
import type { Arguments, CommandSpec } from "./command.ts";
import { standardInputs, withStandardInput } from "./standard-input.ts";
import { standardOutputPlace, toStandardOutput } from "./standard-output.ts";
import type { Terminal } from "./terminal.ts";

/** Runs a command with the standard streams that its arguments name. @throws LqaError as the command, and USAGE */
export async function throughStreams(
  command: CommandSpec,
  args: Arguments,
  terminal: Terminal,
  run: (args: Arguments, terminal: Terminal) => Promise<number>,
): Promise<number> {
  const output = standardOutputPlace(command, args);
  const written: typeof run =
    output === undefined
      ? run
      : (given, to) => toStandardOutput(standardOutputPlace(command, given)!, given, to, run);
  const inputs = standardInputs(command, args);
  return inputs === undefined
    ? await written(args, terminal)
    : await withStandardInput(inputs, args, terminal, written);
}
