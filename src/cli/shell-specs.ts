/**
 * The commands that are about this program itself, as entries of the command table: explain, completion, man.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION } from "./shared-options.ts";

export const EXPLAIN: CommandSpec = {
  name: "explain",
  summary: "Say what an error code means, or what a clause of the specification says.",
  details:
    "Of a code: what is wrong, what the likely cause is, what to do, and the clause that was broken. Everything is in the package; nothing is asked for on the web.",
  positional: {
    placeholder: "<code|clause>",
    many: false,
    help: "LQA-M012 or PADDING_NONZERO, or the number of a clause, such as 7.1.",
  },
  options: [JSON_OPTION],
  examples: ["explain LQA-M012", "explain CHUNK_CRC", "explain 7.1"],
  load: () => import("./commands/explain.ts"),
};

export const COMPLETION: CommandSpec = {
  name: "completion",
  summary: "Print a script that completes lqa's words in a shell.",
  details: "The script is made from the same table as this help, and asks lqa nothing while you type.",
  positional: {
    placeholder: "<shell>",
    many: false,
    values: ["bash", "zsh", "fish"],
    help: "bash, zsh or fish.",
  },
  options: [],
  examples: [
    "completion bash > ~/.local/share/bash-completion/completions/lqa",
    'completion zsh > "$fpath[1]/_lqa"',
    "completion fish > ~/.config/fish/completions/lqa.fish",
  ],
  load: () => import("./commands/completion.ts"),
};

export const MAN: CommandSpec = {
  name: "man",
  summary: "Print the manual page.",
  details: "All that the help of every command says, in the form that `man` shows.",
  options: [],
  examples: ["man | man -l -", "man > ~/.local/share/man/man1/lqa.1"],
  load: () => import("./commands/man.ts"),
};
