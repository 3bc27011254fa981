/**
 * `lqa sign`: write a detached signature of an `.lqa` file.
 *
 * @module
 */
import { readWholeFile } from "../../node/files/file.ts";
import { assertWritable, writeFileAtomic } from "../../node/files/write-file.ts";
import { signFile } from "../../node/signature.ts";
import { type Arguments, textOption } from "../command.ts";
import { printable } from "../format.ts";
import { facts, type Paper, title } from "../layout.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const path = args.positionals[0]!;
  const output = textOption(args, "signature") ?? `${path}.sig`;
  const options = { force: args.values.has("force") };
  await assertWritable(output, options);
  const key = await readWholeFile(textOption(args, "key")!);
  const { bundle, signed } = await signFile(path, key, process.env.LQA_KEY_PASSPHRASE);
  await writeFileAtomic(output, bundle, options);
  if (args.values.has("json")) terminal.out(`${JSON.stringify({ signature: output, ...signed }, null, 2)}\n`);
  else
    terminal.out(
      `${[...title(printable(output), `signs ${printable(path)}`, terminal), ...signedFacts(signed, terminal)].join("\n")}\n`,
    );
  return 0;
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
