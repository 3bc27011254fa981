/**
 * The model card of an `.lqa` file: the README.md of its repository on the Hugging Face hub, with the metadata that the hub reads.
 *
 * What a file says of itself is not trusted here: a base model is named only if it has the form of a name on the hub, so that neither
 * Markdown nor YAML of a stranger gets into the card, and no path of the machine where the adapter was trained.
 *
 * @module
 */
import type { LqaFile } from "../core/read/lqa-file.ts";
import { parameterCount } from "../model/adapter.ts";

/** What a card says in addition to what is in the file. */
export interface CardOptions {
  /** Heading of the card. */
  readonly title: string;
  /** Where the file will be: `hf://owner/name/path`. */
  readonly location: string;
  /** `https` address of the file. */
  readonly address: string;
  /** Of the file (spec clause 11.2), verified. */
  readonly fileId: string;
  /** Share of the energy of ΔW that the encoding lost, where the source is known: 0.02 is 2 %. */
  readonly relativeError?: number | undefined;
}

const HUB_NAME = /^[\w.-]{1,96}\/[\w.-]{1,96}$/;

/** The base model that a file names, if that is a name on the hub. */
export async function baseModelOf(file: LqaFile): Promise<string | undefined> {
  const { base_model: base } = await file.meta();
  return typeof base === "string" && HUB_NAME.test(base) ? base : undefined;
}

/** The card, in Markdown, with a metadata block in YAML. Equal files and options give equal cards. */
export async function modelCard(file: LqaFile, options: CardOptions): Promise<string> {
  const { title, location, address, fileId, relativeError } = options;
  const base = await baseModelOf(file);
  const dialect = (await file.origin())?.dialect;
  const parameters = file.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  const chunks = file.modules.reduce((sum, { chunk }) => sum + chunk.length, 0);
  const ranks = file.modules.map(({ rank }) => rank);
  const bits = parameters === 0 ? "" : `, ${((8 * chunks) / parameters).toFixed(3)} bits per parameter`;
  const rows: (readonly [string, string])[] = [
    ...(base === undefined ? [] : [["base model", `[${base}](https://huggingface.co/${base})`] as const]),
    ["size", `${file.prologue.fileLength.toLocaleString("en-US")} bytes${bits}`],
    [
      "parameters",
      `${parameters.toLocaleString("en-US")} in ${file.modules.length} modules, rank ${span(ranks)}`,
    ],
    ...(relativeError === undefined
      ? []
      : [["error", `${(100 * relativeError).toPrecision(3)} % of the energy of ΔW lost`] as const]),
    ["file id", `\`${fileId}\``],
  ];
  return `---
${base === undefined ? "" : `base_model: ${base}\nbase_model_relation: adapter\n`}library_name: lqa
tags:
- lqa
- lora
- quantized${dialect === undefined ? "" : `\n- ${dialect}`}
---

# ${title}

A LoRA adapter${base === undefined ? "" : ` of ${base}`}, quantized in the \`.lqa\` format.

| | |
| --- | --- |
${rows.map(([name, value]) => `| ${name} | ${value} |`).join("\n")}

## Use it

Python, onto a transformers model, or as a state dict:

\`\`\`python
import lqa

model = lqa.peft.load(base, "${location}")
state = lqa.decode("${location}", "f16")
\`\`\`

TypeScript, in Node and in browsers:

\`\`\`ts
import { open } from "lqa";

const file = await open(new URL("${address}"));
for await (const { name, multiplier, b, a } of file.decodeAll()) {
  console.log(name, multiplier, b.shape, a.shape); // ΔW = multiplier · B · A
}
\`\`\`

For other programs, as a PEFT directory:

\`\`\`sh
lqa decode ${location} -o adapter/
\`\`\`
`;
}

function span(ranks: readonly number[]): string {
  if (ranks.length === 0) return "0";
  const [low, high] = [ranks.reduce((x, y) => Math.min(x, y)), ranks.reduce((x, y) => Math.max(x, y))];
  return low === high ? String(low) : `${low} to ${high}`;
}
