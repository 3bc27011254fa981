/**
 * Many adapters for tests: generated, encoded by processes that are not that of the tests, and what those left behind.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { encodeMany } from "../../src/node/index.ts";
import { writePeftDirectory } from "./peft.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** Goal of the adapters. */
export const SETTINGS = { quality: "high" } as const;
export const SETTINGS_WORDS = ["--quality", "high"] as const;

/** Writes so many small adapters, each another one, and returns their names in order. */
export function writeAdapters(folder: string, count: number, layers = 1): string[] {
  const names = Array.from(
    { length: count },
    (_, i) => `group-${i % 3}/adapter-${String(i).padStart(4, "0")}`,
  );
  names.forEach((name, i) => {
    writePeftDirectory(join(folder, name), { seed: 1000 + i, layers, width: 32 });
  });
  return names.sort();
}

/** Encodes what `writeAdapters` wrote in this process: what many must have made. */
export async function encodedAlone(folder: string, to: string): Promise<Map<string, Buffer>> {
  const items = await encodeMany([folder], to, { ...SETTINGS, workers: 1 });
  for (const item of items) if (item.state === "failed") throw item.error;
  return results(to);
}

/** Files of a target by name. */
export function results(folder: string): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const entry of readdirSync(folder, { recursive: true }).map(String).sort()) {
    if (statSync(join(folder, entry)).isDirectory()) continue;
    files.set(entry, readFileSync(join(folder, entry)));
  }
  return files;
}

/** A running `lqa`, with what it has written. */
export interface Process {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  out(): string;
  err(): string;
}

const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts `lqa` with these words. */
export function start(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  node: readonly string[] = [],
): Process {
  const child = spawn(process.execPath, [...node, MAIN, ...words], {
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const text = { out: "", err: "" };
  child.stdout!.on("data", (piece) => {
    text.out += piece;
  });
  child.stderr!.on("data", (piece) => {
    text.err += piece;
  });
  const ended = once(child, "close").then(([code, signal]) => {
    running.delete(child);
    return { code, signal };
  });
  return { child, ended, out: () => text.out, err: () => text.err };
}

/** Waits until something is so; a test that waits forever ends by its own limit. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A file of weights that is none. */
export function writePoison(path: string, text = "not tensors"): void {
  writeFileSync(path, text);
}
