/**
 * Runs the built program as a user would: in a process that is not that of the tests. Runs of one test file share a process
 * (`cli-shared.mjs`); a run that needs a process of its own has one.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { environment, runShared } from "./cli-shared.mjs";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** What a run left behind. */
export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** The JSON document on stdout; throws if there is none. */
  json<T = Record<string, never>>(): T;
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** The commands; test/cli/words.test.ts holds this list to the help. */
export const COMMANDS: string[] = [
  "encode",
  "decode",
  "convert",
  "inspect",
  "validate",
  "diff",
  "rebase",
  "compare",
  "push",
  "explain",
  "completion",
  "man",
];

/** The long options of a command, as the completion for fish has them; that of the program alone is not among them. */
export function optionsOf(command: string): string[] {
  const own = lqa("completion", "fish")
    .out.split("\n")
    .filter((line) => line.includes(`'__fish_seen_subcommand_from ${command}'`));
  return own.flatMap((line) => / -l (?!version)([a-z0-9-]+)/.exec(line)?.[1] ?? []);
}

/** Runs `lqa` with these words. */
export function lqa(...words: string[]): Run {
  return lqaIn({}, ...words);
}

/** Runs `lqa` in a directory, or with environment variables. */
export function lqaIn(
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> },
  ...words: string[]
): Run {
  const { COLUMNS, ...others } = options.env ?? {};
  const own = Object.keys(others).length > 0 || process.platform === "win32" || words.some(isStream);
  const ended = own
    ? alone(options, words)
    : runShared(options.cwd ?? process.cwd(), words, { env: { COLUMNS } });
  return { ...ended, json: <T>() => JSON.parse(ended.out) as T };
}

/** Runs `lqa` in a process of its own while this one goes on: servers of the tests must be able to answer. */
export function lqaApart(cwd: string, ...words: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...words], { cwd, env: { ...environment(), NO_COLOR: "1" } });
  let out = "";
  let err = "";
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (err += text));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, err })));
}

/** Standard streams are those of the process. */
const isStream = (word: string): boolean => word === "-" || word.includes("/dev/") || word.includes("/proc/");

function alone(options: Parameters<typeof lqaIn>[0], words: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], {
    cwd: options.cwd,
    env: { ...environment(), ...options.env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { code: status, out: stdout, err: stderr };
}
