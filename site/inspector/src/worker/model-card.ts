/**
 * A few lines of Markdown about a file, to paste into a model card. `lqa push` writes a whole card with the same table.
 *
 * @module
 */
import type { Inspection } from "../../../../src/report/inspection.ts";
import { factTable } from "../../../../src/report/model-card.ts";
import { markdownText } from "../../../../src/report/quote.ts";

/**
 * The lines: the figures of the file, and how to open it.
 *
 * @param title the name of the file
 */
export function modelCard(
  { fileLength, modules, meta, source, validation }: Inspection,
  title: string,
): string {
  const name = title.replace(/^.*[/\\]/, "");
  return [
    `## ${markdownText(name)}`,
    "",
    "A LoRA adapter as an `.lqa` file.",
    "",
    factTable({
      fileLength,
      parameters: modules.reduce((sum, module) => sum + module.parameters, 0),
      ranks: modules.map(({ rank }) => rank),
      baseModel: meta?.base_model,
      relativeError: source?.relativeError,
      fileId: validation.ids?.fileId,
    }),
    "",
    "```sh",
    `lqa decode ${/^\w[\w.-]*$/.test(name) ? name : "adapter.lqa"} -o adapter/   # back to a PEFT directory`,
    "```",
    "",
  ].join("\n");
}
