/**
 * `lqa sign`: write a detached signature of an `.lqa` file.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { readWholeFile } from "../../node/files/file.ts";
import { assertWritable, writeFileAtomic } from "../../node/files/write-file.ts";
import { isRemote, isWhole, nameOfLocation, shownLocation } from "../../node/remote/location.ts";
import { signFile } from "../../node/signature.ts";
import { type Arguments, textOption } from "../command.ts";
import { printable } from "../format.ts";
import { facts, type Paper, title } from "../layout.ts";
import { remoteOptions } from "../open-input.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const location = args.positionals[0]!;
  const given = textOption(args, "signature") ?? defaultOutput(location);
  const options = { force: args.values.has("force") };
  if (given !== undefined) await assertWritable(given, options);
  const key = await readKey(args);
  const remote = remoteOptions(args);
  const { bundle, name, signed } = await signFile(location, key, process.env.LQA_KEY_PASSPHRASE, { remote });
  const output = given ?? name;
  await writeFileAtomic(output, bundle, options);
  if (args.values.has("json")) terminal.out(`${JSON.stringify({ signature: output, ...signed }, null, 2)}\n`);
  else
    terminal.out(
      `${[...title(printable(output), `signs ${printable(shownLocation(location))}`, terminal), ...signedFacts(signed, terminal)].join("\n")}\n`,
    );
  return 0;
}

/** Next to a file on this machine, or in the current directory; undefined for a repository, whose file is not known yet. */
function defaultOutput(location: string): string | undefined {
  if (!isRemote(location)) return `${location}.sig`;
  return isWhole(location) ? undefined : `${nameOfLocation(location)}.sig`;
}

/** The key in PEM. @throws LqaError USAGE for an address: the server of a file must not choose the key */
export async function readKey(args: Arguments): Promise<Uint8Array> {
  const path = textOption(args, "key")!;
  if (isRemote(path))
    fail(KIND.USAGE, {
      where: "--key",
      expected: "a key on this machine",
      actual: shownLocation(path),
      advice: "Get the key once, from a source that you trust, and give its path.",
    });
  return await readWholeFile(path);
}

/** The signed file and the key, as lines of the report. */
export function signedFacts(
  { fileId, sha256, key }: { fileId: string; sha256: string; key: string },
  paper: Paper,
): string[] {
  return facts(
    [
      ["file id", fileId],
      ["SHA-256", sha256],
      ["key", key],
    ],
    paper,
  );
}
