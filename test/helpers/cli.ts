/**
 * Runs the built program as a user would: as a process of its own.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** What a run left behind. */
export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** The JSON document on stdout; throws if there is none. */
  json<T = Record<string, never>>(): T;
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
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...env } = process.env;
  const result = spawnSync(process.execPath, [MAIN, ...words], {
    cwd: options.cwd,
    env: { ...env, ...options.env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return {
    code: result.status,
    out: result.stdout,
    err: result.stderr,
    json: <T>() => JSON.parse(result.stdout) as T,
  };
}
