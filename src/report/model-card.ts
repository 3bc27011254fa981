/**
 * The model card of an `.lqa` file: the README.md of its repository on the Hugging Face hub, with the metadata that the hub
 * reads.
 *
 * The card does not trust the file's metadata. It names a base model only if the text has the form of a hub name. So no Markdown
 * or YAML of a stranger, and no path of the training machine, gets into the card.
 *
 * @module
 */
import type { LqaFile } from "../core/index.ts";
import { parameterCount } from "../model/adapter.ts";
import { count, counted, percent, size } from "./format.ts";
import { codeString, markdownText, shellWord } from "./quote.ts";

/** Facts for a card that are not in the file. */
export interface CardOptions {
  /** Heading of the card. */
  readonly title: string;
  /** Where the file will be: `hf://owner/name/path`. */
  readonly location: string;
  /** `https` address of the file. */
  readonly address: string;
  /** Verified id of the file (spec clause 11.2). */
  readonly fileId: string;
  /** Share of the energy of ΔW that the encoding lost, if the source is known: 0.02 is 2 %. */
  readonly relativeError?: number | undefined;
}

const HUB_NAME = /^[\w.-]{1,96}\/[\w.-]{1,96}$/;
/** Every name of a dialect has this form; a file may hold any text. YAML reads some words as other values than text. */
const DIALECT = /^(?!(?:null|true|false|yes|no|on|off|y|n)$)[a-z]{1,32}$/;

/** The figures of a file that a card states. */
export interface CardFacts {
  /** Bytes of the file. */
  readonly fileLength: number;
  /** Weights of the factors of all modules together. */
  readonly parameters: number;
  /** Rank of each module. */
  readonly ranks: readonly number[];
  /** `base_model` of the file's metadata; the card states it only if it has the form of a hub name. */
  readonly baseModel: unknown;
  readonly relativeError: number | undefined;
  readonly fileId: string | undefined;
}

/** The figures as a table in Markdown: equal figures give equal tables. */
export function factTable(facts: CardFacts): string {
  const { fileLength, parameters, ranks, relativeError, fileId } = facts;
  const base = hubName(facts.baseModel);
  const bits = ((8 * fileLength) / parameters).toFixed(2);
  const rows: (readonly [string, string | undefined])[] = [
    ["base model", base && `[${base}](https://huggingface.co/${base})`],
    ["size", `${size(fileLength)} (${count(fileLength)} bytes)`],
    ["bits per weight", parameters === 0 ? undefined : bits],
    ["parameters", `${count(parameters)} in ${counted(ranks.length, "module")}, rank ${span(ranks)}`],
    ["energy of ΔW lost", relativeError === undefined ? undefined : percent(relativeError)],
    ["file id", fileId && `\`${fileId}\``],
  ];
  const shown = rows.filter(([, value]) => value !== undefined);
  return ["| | |", "| --- | --- |", ...shown.map(([name, value]) => `| ${name} | ${value} |`)].join("\n");
}

function hubName(text: unknown): string | undefined {
  return typeof text === "string" && HUB_NAME.test(text) ? text : undefined;
}

/** The card, in Markdown, with a metadata block in YAML. Equal files and options give equal cards. */
export async function modelCard(file: LqaFile, options: CardOptions): Promise<string> {
  const { title, location, address, fileId, relativeError } = options;
  const { base_model: baseModel } = await file.meta();
  const base = hubName(baseModel);
  const stated = (await file.origin())?.dialect;
  const dialect = typeof stated === "string" && DIALECT.test(stated) ? stated : undefined;
  const table = factTable({
    fileLength: file.prologue.fileLength,
    parameters: file.modules.reduce((sum, module) => sum + parameterCount(module), 0),
    ranks: file.modules.map(({ rank }) => rank),
    baseModel,
    relativeError,
    fileId,
  });
  return `---
${base === undefined ? "" : `base_model: ${base}\nbase_model_relation: adapter\n`}library_name: lqa
tags:
- lqa
- lora
- quantized${dialect === undefined ? "" : `\n- ${dialect}`}
---

# ${markdownText(title)}

A LoRA adapter${base === undefined ? "" : ` of ${base}`}, quantized in the \`.lqa\` format.

${table}

${use(location, address, base)}`;
}

/** The section on use. */
function use(location: string, address: string, base: string | undefined): string {
  const model = `base = AutoModelForCausalLM.from_pretrained(${codeString(base ?? "the base model")})`;
  const decode = `lqa decode ${shellWord(location)} -o adapter/`;
  return `## Use it

Python, onto the model that it was trained for:

\`\`\`python
import lqa
from transformers import AutoModelForCausalLM

${model}
model = lqa.peft.load(base, ${codeString(location)})
\`\`\`

TypeScript, in Node and in browsers:

\`\`\`ts
import { open } from "lqa";

const file = await open(new URL(${codeString(address)}));
for await (const { name, multiplier, b, a } of file.decodeAll()) {
  console.log(name, multiplier, b.shape, a.shape); // ΔW = multiplier · B · A
}
\`\`\`

For other programs, as a PEFT directory:

\`\`\`sh
${decode}
\`\`\`
`;
}

function span(ranks: readonly number[]): string {
  if (ranks.length === 0) return "0";
  const [low, high] = [ranks.reduce((x, y) => Math.min(x, y)), ranks.reduce((x, y) => Math.max(x, y))];
  return low === high ? String(low) : `${low} to ${high}`;
}
