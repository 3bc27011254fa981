/**
 * `lqa verify-signature`: check that the owner of a key signed an `.lqa` file.
 *
 * @module
 */
import { readWholeFile } from "../../node/files/file.ts";
import { verifyFileSignature } from "../../node/signature.ts";
import { type Arguments, textOption } from "../command.ts";
import { printable } from "../format.ts";
import { verdict } from "../layout.ts";
import type { Terminal } from "../terminal.ts";
import { signedFacts } from "./sign.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const path = args.positionals[0]!;
  const signature = textOption(args, "signature") ?? `${path}.sig`;
  const key = await readWholeFile(textOption(args, "key")!);
  const signed = await verifyFileSignature(path, signature, key);
  if (args.values.has("json")) terminal.out(`${JSON.stringify({ signature, ...signed }, null, 2)}\n`);
  else
    terminal.out(
      `${[verdict("signed", printable(path), "", terminal), ...signedFacts(signed, terminal)].join("\n")}\n`,
    );
  return 0;
}
