/**
 * Generates completion scripts for shells from the command table: commands, options, allowed values, and file names for file
 * arguments. The scripts are self-contained, so completing a word starts no program.
 *
 * @module
 */
import type { CommandSpec, OptionSpec, ProgramTable } from "./command.ts";

/** The script generators, by shell. */
export const COMPLETIONS: Readonly<Record<"bash" | "zsh" | "fish", (table: ProgramTable) => string>> = {
  bash,
  zsh,
  fish,
};

/** Placeholders for which the shell offers files. */
const FILES = /<(file|path|dir|model|a>|from>)/;

function optionsOf(command: CommandSpec, { globalOptions }: ProgramTable): readonly OptionSpec[] {
  return [...command.options, ...globalOptions];
}

function spellings({ short, name }: OptionSpec): string[] {
  return [...(short === undefined ? [] : [`-${short}`]), `--${name}`];
}

/** The first sentence of a help text, cut to fit one line of a menu. */
function brief(help: string): string {
  const [sentence] = help.split(/(?<=\.) /);
  return sentence!.length > 72 ? `${sentence!.slice(0, 71)}…` : sentence!;
}

/** Whether the value of an option, or the arguments of a command, are files. */
function isFile(placeholder: string | undefined): boolean {
  return placeholder !== undefined && FILES.test(placeholder);
}

function bash(table: ProgramTable): string {
  const { commands } = table;
  const words = (list: readonly string[]): string =>
    `COMPREPLY=($(compgen -W '${list.join(" ")}' -- "$word"))`;
  const values = commands.flatMap((command) =>
    optionsOf(command, table)
      .filter(({ type }) => type !== "flag")
      .map((option) => {
        const { placeholder, values: known } = option;
        const action = known !== undefined ? words(known) : isFile(placeholder) ? "compopt -o default" : ":";
        return `    ${spellings(option)
          .map((one) => `"${command.name} ${one}"`)
          .join("|")}) ${action}; return ;;`;
      }),
  );
  const options = commands.map(
    (command) => `      "${command.name}") ${words(optionsOf(command, table).flatMap(spellings))} ;;`,
  );
  const positionals = commands.map(({ name, positional }) => {
    const { values: known, placeholder } = positional ?? {};
    return `    "${name}") ${known !== undefined ? words(known) : isFile(placeholder) ? "compopt -o default" : ":"} ;;`;
  });
  const names = commands.map(({ name }) => name);
  return `# bash completion for lqa, made by: lqa completion bash
_lqa() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    ${words([...names, "help", ...table.globalOptions.flatMap(spellings)])}
    return
  fi
  case "$command $before" in
    help*) ${words(names)}; return ;;
${values.join("\n")}
  esac
  case "$word" in
    -*)
      case "$command" in
${options.join("\n")}
      esac
      return ;;
  esac
  case "$command" in
${positionals.join("\n")}
  esac
}
complete -F _lqa lqa
`;
}

/** Quotes a text with single quotes of a Bourne shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function zsh(table: ProgramTable): string {
  // These characters end a part in a specification of _arguments.
  const told = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");
  const action = (placeholder: string | undefined, known: readonly string[] | undefined): string => {
    const name = told((placeholder ?? "value").replace(/[<>.]/g, ""));
    return known !== undefined
      ? `${name}:(${known.join(" ")})`
      : `${name}:${isFile(placeholder) ? "_files" : ""}`;
  };
  const cases = table.commands.map((command) => {
    const { positional } = command;
    const lines = optionsOf(command, table).map((option) => {
      const { type, placeholder, values, help } = option;
      const rest = quoted(
        `[${told(brief(help))}]${type === "flag" ? "" : `:${action(placeholder, values)}`}`,
      );
      const names = spellings(option);
      // A star lets the shell offer the option again.
      if (option.repeated === true) return `'*'${names[0]}${rest}`;
      return names.length === 1 ? `${names[0]}${rest}` : `'(${names.join(" ")})'{${names.join(",")}}${rest}`;
    });
    if (positional !== undefined)
      lines.push(
        quoted(`${positional.many ? "*" : "1"}:${action(positional.placeholder, positional.values)}`),
      );
    return `    ${quoted(command.name)})\n      _arguments -s \\\n        ${lines.join(" \\\n        ")}\n      ;;`;
  });
  const described = ({ name, summary }: CommandSpec): string => `    ${quoted(`${name}:${told(summary)}`)}`;
  return `#compdef lqa
# zsh completion for lqa, made by: lqa completion zsh
_lqa() {
  local -a commands
  commands=(
${table.commands.map(described).join("\n")}
    'help:Explain a command.'
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
    help) _describe command commands ;;
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _lqa ]; then _lqa "$@"; else compdef _lqa lqa; fi
`;
}

function fish(table: ProgramTable): string {
  const { commands } = table;
  // Inside single quotes fish has two escapes.
  const text = (words: string): string => `'${words.replace(/[\\']/g, "\\$&")}'`;
  const lines = commands.flatMap((command) => {
    const { name, summary, positional } = command;
    const within = `complete -c lqa -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c lqa -n __fish_use_subcommand -a ${name} -d ${text(summary)}`,
      ...optionsOf(command, table).map(({ name: long, short, type, values, placeholder, help }) => {
        const value =
          type === "flag"
            ? ""
            : values !== undefined
              ? ` -x -a ${text(values.join(" "))}`
              : isFile(placeholder)
                ? " -r -F"
                : " -x";
        return `${within}${short === undefined ? "" : ` -s ${short}`} -l ${long}${value} -d ${text(brief(help))}`;
      }),
      ...(positional?.values === undefined ? [] : [`${within} -a ${text(positional.values.join(" "))}`]),
      ...(isFile(positional?.placeholder) ? [`${within} -F`] : []),
    ];
  });
  return `# fish completion for lqa, made by: lqa completion fish
complete -c lqa -f
${lines.join("\n")}
`;
}
