/**
 * The command table entry of `lqa rebase`.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import { FORCE_OPTION, JSON_OPTION, OUTPUT_OPTION, PARENT_OPTION, TIMEOUT_OPTION } from "./shared-options.ts";

export const REBASE: CommandSpec = {
  name: "rebase",
  summary: "Make a child whole, or move it to another parent.",
  details:
    "Reads a file that was encoded with --parent. Without --onto it writes a file that needs no parent; that file has F32 weights and decodes to the same bits, unless you give --max-error. With --onto it encodes the adapter against the new parent.",
  positional: {
    placeholder: "<child.lqa>",
    many: false,
    help: "The child: a path, a URL or hf://owner/name.",
  },
  options: [
    { ...PARENT_OPTION, required: true },
    {
      name: "onto",
      type: "text",
      placeholder: "<file.lqa>",
      help: "The new parent. If it has a parent, name that with --parent, too.",
    },
    {
      name: "max-error",
      type: "share",
      placeholder: "<share>",
      defaultText: "none lost; 0.1% with --onto",
      help: "Maximum share of the energy of the child's ΔW that may be lost: 0.01 or 1%. The file is then quantized again.",
    },
    { ...OUTPUT_OPTION, required: true },
    FORCE_OPTION,
    TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "rebase child.lqa --parent old.lqa -o whole.lqa",
    "rebase child.lqa --parent old.lqa --onto new.lqa -o moved.lqa",
  ],
  load: () => import("./commands/rebase.ts"),
};
