/**
 * `lqa verify-signature`: check that the owner of a key signed an `.lqa` file.
 *
 * @module
 */
import { isWhole, shownLocation } from "../../node/remote/location.ts";
import { verifyFileSignature } from "../../node/signature.ts";
import { type Arguments, textOption } from "../command.ts";
import { printable } from "../format.ts";
import { verdict } from "../layout.ts";
import { remoteOptions } from "../open-input.ts";
import type { Terminal } from "../terminal.ts";
import { readKey, signedFacts } from "./sign.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const location = args.positionals[0]!;
  const signature = textOption(args, "signature");
  const remote = remoteOptions(args);
  const signed = await verifyFileSignature(location, signature, await readKey(args), { remote });
  if (args.values.has("json"))
    terminal.out(
      `${JSON.stringify({ signature: signature ?? (isWhole(location) ? null : `${shownLocation(location)}.sig`), ...signed }, null, 2)}\n`,
    );
  else
    terminal.out(
      `${[verdict("signed", printable(shownLocation(location)), "", terminal), ...signedFacts(signed, terminal)].join("\n")}\n`,
    );
  return 0;
}
