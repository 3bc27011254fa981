/**
 * The command table entry of `lqa push`.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import { LAYOUT_OPTION } from "./encode-options.ts";
import { JSON_OPTION, PARENT_OPTION, TIMEOUT_OPTION } from "./shared-options.ts";
import { SOURCE_OPTIONS } from "./source-options.ts";

export const PUSH: CommandSpec = {
  name: "push",
  summary: "Upload a file and a model card to the Hugging Face hub.",
  details:
    "Validates the file and commits it with a generated README.md to a model repository of the Hugging Face hub, which is created if it does not exist. A README.md that lqa did not write stays as it is. The token is that of HF_TOKEN or `hf auth login`. Needs the package @huggingface/hub.",
  positional: {
    placeholder: "<file.lqa|dir> <location>",
    many: true,
    help: "The file, and where to put it: hf://owner/name[@branch][/path.lqa]. A directory that encode --layout peft wrote is pushed with its configuration, to hf://owner/name[@branch][/folder].",
  },
  options: [
    {
      name: "dry-run",
      type: "flag",
      help: "Ask the hub what it has, and print the files and the card. Nothing is uploaded.",
    },
    {
      name: "source",
      type: "text",
      placeholder: "<path>",
      help: "The adapter that the file was made from. The card then states the error.",
    },
    {
      ...LAYOUT_OPTION,
      defaultText: "file; peft for a directory",
      help: "peft: push the file as adapter_model.lqa, and next to it an adapter_config.json (docs/peft-layout.md).",
    },
    { ...PARENT_OPTION, help: `--source: ${PARENT_OPTION.help}` },
    ...SOURCE_OPTIONS,
    {
      name: "title",
      type: "text",
      placeholder: "<text>",
      defaultText: "the name of the repository",
      help: "Heading of the card.",
    },
    {
      name: "card",
      type: "text",
      placeholder: "<path>",
      help: "A card by lqa card of the Python package, instead of one without measurements.",
    },
    { name: "no-card", type: "flag", help: "Write no README.md." },
    {
      name: "replace-card",
      type: "flag",
      help: "Replace a README.md that lqa did not write, or that was changed since.",
    },
    {
      name: "force",
      type: "flag",
      help: "Replace another file of the same name.",
    },
    {
      name: "private",
      type: "flag",
      help: "Make the repository private if lqa creates it. Default: as your account has it.",
    },
    {
      name: "message",
      type: "text",
      placeholder: "<text>",
      defaultText: "Add <name>",
      help: "Title of the commit.",
    },
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "push my-adapter.lqa hf://owner/my-adapter",
    "push my-adapter.lqa hf://owner/my-adapter --source my-adapter --dry-run",
    "push my-adapter.lqa hf://owner/adapters@main/fr/v2.lqa --no-card",
    "push my-adapter-lqa hf://owner/my-adapter",
  ],
  load: () => import("./commands/push.ts"),
};
