/**
 * `lqa repair`: write a repaired file if the damage can be undone without guessing, and report what was changed and lost.
 *
 * @module
 */

import { repairLqa } from "../../core/repair.ts";
import { assertWritable, writeFileAtomic } from "../../node/files/write-file.ts";
import { type Arguments, textOption } from "../command.ts";
import { counted, jsonText, printable } from "../format.ts";
import { type Fact, facts, note, title } from "../layout.ts";
import { readInput, remoteOptions } from "../open-input.ts";
import type { Terminal } from "../terminal.ts";

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
  const lines = [
    ...title(printable(output), `written from ${printable(input)}`, terminal),
    ...facts(
      [
        ...repairs.map(
          ({ what, bytes, offset }): Fact => [printable(what), `${counted(bytes, "byte")} at byte ${offset}`],
        ),
        ["proof", PROOFS[proof]],
      ],
      terminal,
    ),
    ...lost.flatMap((line) => note("warning", `lost: ${printable(line)}`, terminal)),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}
