/**
 * `lqa completion`: print the completion script for a shell.
 *
 * @module
 */
import type { Arguments, ProgramTable } from "../command.ts";
import { COMPLETIONS } from "../completion.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal, table: ProgramTable): Promise<number> {
  // The command table has checked the word.
  terminal.out(COMPLETIONS[args.positionals[0] as keyof typeof COMPLETIONS](table));
  return 0;
}
