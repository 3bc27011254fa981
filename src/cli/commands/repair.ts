/**
 * `lqa repair`: write a repaired file if the damage can be undone without guessing, and report what was changed and lost.
 *
 * @module
 */

import { repairLqa } from "../../core/repair.ts";
import { assertWritable, writeFileAtomic } from "../../node/files/write-file.ts";
import { type Arguments, textOption } from "../command.ts";
import { counted, jsonText, printable } from "../format.ts";
import { readInput, remoteOptions } from "../open-input.ts";
import { columns, type Terminal } from "../terminal.ts";

const PROOFS = {
  "none needed": "The file was valid; it is copied as it is.",
  "root digest": "The stored root digest (SHA-256) proves that this is the original, byte for byte.",
  "chunk checksums":
    "Prologue, index and every chunk pass their CRC-32; only data derived from them was rewritten.",
} as const;

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [input] = args.positionals;
  const output = textOption(args, "output") ?? "";
  const writing = { force: args.values.has("force") };
  await assertWritable(output, writing);
  const { bytes, repairs, proof, lost, fileId, contentId } = await repairLqa(
    await readInput(input, remoteOptions(args)),
  );
  await writeFileAtomic(output, bytes, writing);
  if (args.values.has("json")) {
    terminal.out(jsonText({ bytes: bytes.length, repairs, proof, lost, fileId, contentId }));
    return 0;
  }
  const rows = repairs.map((one) => [one.what, `byte ${one.offset}`, counted(one.bytes, "byte")]);
  const lines = [
    `${terminal.colors.bold(printable(output))} written from ${printable(input)}`,
    ...columns(rows).map((line) => `  ${printable(line)}`),
    PROOFS[proof],
    ...lost.map((line) => `${terminal.colors.yellow("lost")} ${printable(line)}`),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}
