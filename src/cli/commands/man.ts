/**
 * `lqa man`: the manual page.
 *
 * @module
 */
import type { Arguments } from "../command.ts";
import { manualPage } from "../man-page.ts";
import type { Terminal } from "../terminal.ts";

export async function run(_args: Arguments, terminal: Terminal): Promise<number> {
  terminal.out(manualPage());
  return 0;
}
