/**
 * The commands that are about this program itself, as entries of the command table: completion, man.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";

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
