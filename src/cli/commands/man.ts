/**
 * `lqa man`: print the manual page.
 *
 * @module
 */
import type { Arguments, ProgramTable } from "../command.ts";
import { manualPage } from "../man-page.ts";
import type { Terminal } from "../terminal.ts";

export async function run(_args: Arguments, terminal: Terminal, table: ProgramTable): Promise<number> {
  terminal.out(manualPage(table));
  return 0;
}
