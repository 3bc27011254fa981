/**
 * Command table entries of the commands about the program itself: explain, completion, man.
 *
 * @module
 */
import type { CommandSpec } from "./command.ts";
import { JSON_OPTION } from "./shared-options.ts";

export const EXPLAIN: CommandSpec = {
  name: "explain",
  summary: "Explain an error code or a clause of the specification.",
  details:
    "For a code: what is wrong, the likely cause, what to do, and the clause that was violated. Works offline: the texts are part of the package.",
  positional: {
    placeholder: "<code|clause>",
    many: false,
    help: "An error code (LQA-M012 or PADDING_NONZERO), or the number of a clause, such as 7.1.",
  },
  options: [JSON_OPTION],
  examples: ["explain LQA-M012", "explain CHUNK_CRC", "explain 7.1"],
  load: () => import("./commands/explain.ts"),
};

export const COMPLETION: CommandSpec = {
  name: "completion",
  summary: "Print a completion script for a shell.",
  details:
    "Completes commands, options and values. The script is self-contained: it does not run lqa while you type.",
  positional: {
    placeholder: "<shell>",
    many: false,
    values: ["bash", "zsh", "fish"],
    help: "The shell: bash, zsh or fish.",
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
  details: "The help of all commands as one page, in the format of `man`.",
  options: [],
  examples: ["man | man -l -", "man > ~/.local/share/man/man1/lqa.1"],
  load: () => import("./commands/man.ts"),
};
