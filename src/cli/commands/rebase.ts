/**
 * `lqa rebase`: make a child adapter whole, or move it to another parent.
 *
 * @module
 */
import { rebaseFile } from "../../node/rebase-file.ts";
import { type Arguments, listOption, numberOption, textOption } from "../command.ts";
import { counted, duration, jsonText, percent, printable, size } from "../format.ts";
import { facts, note, title } from "../layout.ts";
import { remoteOptions } from "../open-input.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [input] = args.positionals;
  const output = textOption(args, "output")!;
  const onto = textOption(args, "onto");
  const result = await rebaseFile(input, output, {
    parents: listOption(args, "parent"),
    onto,
    maxError: numberOption(args, "max-error"),
    force: args.values.has("force"),
    remote: remoteOptions(args),
    onProgress: terminal.progress,
  });
  terminal.endProgress();
  const { inputBytes, outputBytes, relativeError, parent, modules, seconds, fileId, contentId } = result;
  if (args.values.has("json")) {
    const document = {
      inputBytes,
      outputBytes,
      relativeError,
      parent: parent ?? null,
      modules: modules.length,
      seconds: Number(seconds.toFixed(3)),
      fileId,
      contentId,
    };
    terminal.out(jsonText(document));
    return 0;
  }
  const lines = [
    ...title(printable(output), `written from ${printable(input)}`, terminal),
    ...facts(
      [
        ["size", `${size(inputBytes)} → ${size(outputBytes)}`],
        [
          "parent",
          parent &&
            `content id ${parent.contentId}, for ${parent.modules} of ${counted(modules.length, "module")}`,
        ],
        [
          "error",
          relativeError === 0
            ? "none against the child"
            : `${percent(relativeError)} of the energy of the child's ΔW lost`,
        ],
        ["content id", contentId],
        ["time", duration(seconds)],
      ],
      terminal,
    ),
    ...(onto !== undefined && parent === undefined
      ? note(
          "note",
          "the new parent does not help at this error: the file holds the adapter whole.",
          terminal,
        )
      : []),
  ];
  terminal.out(`${lines.join("\n")}\n`);
  return 0;
}
