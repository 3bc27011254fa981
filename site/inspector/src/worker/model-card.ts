/**
 * A few lines of Markdown about a file, for the model card of an adapter.
 *
 * @module
 */
import { count, percent, size } from "../../../../src/report/format.ts";
import type { Inspection } from "../../../../src/report/inspection.ts";

/** Longest text from the file that a card repeats. */
const LONGEST = 200;

/** Text from a file as one cell of a table of Markdown, whatever is in it. */
function cell(text: string): string {
  return text
    .slice(0, LONGEST)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, " ")
    .replace(/[\\`*_{}[\]()<>#+!|~&@]/g, (mark) => `\\${mark}`);
}

/**
 * The lines: size, bits, what is lost, base model, and how to open the file.
 *
 * @param title the name of the file
 */
export function modelCard(
  { fileLength, modules, meta, source, validation }: Inspection,
  title: string,
): string {
  const parameters = modules.reduce((sum, module) => sum + module.parameters, 0);
  const stated = meta?.relative_error;
  const lost = source?.relativeError ?? (typeof stated === "number" ? stated : undefined);
  const rows: (readonly [string, string | undefined])[] = [
    ["base model", typeof meta?.base_model === "string" ? cell(meta.base_model) : undefined],
    ["size", `${size(fileLength)} (${count(fileLength)} bytes)`],
    ["bits per weight", parameters === 0 ? undefined : ((8 * fileLength) / parameters).toFixed(2)],
    [
      "energy of ΔW lost",
      lost === undefined
        ? undefined
        : `${percent(lost)}${source === undefined ? ", as the encoder states" : ""}`,
    ],
    ["modules", count(modules.length)],
    ["parameters", count(parameters)],
    ["encoder", typeof meta?.encoder === "string" ? cell(meta.encoder) : undefined],
    ["file id", validation.ids && `\`${validation.ids.fileId}\``],
  ];
  const name = title.replace(/^.*[/\\]/, "");
  return [
    `## ${cell(name)}`,
    "",
    "A LoRA adapter as an `.lqa` file.",
    "",
    "| what | value |",
    "|---|---|",
    ...rows.flatMap(([what, value]) => (value === undefined ? [] : [`| ${what} | ${value} |`])),
    "",
    "```sh",
    `lqa decode ${/^\w[\w.-]*$/.test(name) ? name : "adapter.lqa"} -o adapter/   # back to a PEFT directory`,
    "```",
    "",
  ].join("\n");
}
