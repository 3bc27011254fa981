/**
 * Runs the built program again and again in one process that is not that of the caller (`cli-host.mjs`), because a start costs more
 * than most commands.
 *
 * @module
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const HOST = fileURLToPath(new URL("cli-host.mjs", import.meta.url));

const hosts = new Map();

/** Two named pipes to a process, which can be waited for without an event loop. */
function start(node) {
  const folder = mkdtempSync(join(tmpdir(), "lqa-host-"));
  const [requests, answers] = [join(folder, "requests"), join(folder, "answers")];
  execFileSync("mkfifo", [requests, answers]);
  spawn(node, [HOST, requests, answers], {
    env: environment(),
    stdio: ["ignore", "ignore", "inherit"],
  }).unref();
  const pipes = { requests: openSync(requests, "w"), answers: openSync(answers, "r") };
  rmSync(folder, { recursive: true });
  return pipes;
}

/** That of this process, without settings of colours. */
export function environment() {
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...env } = process.env;
  return env;
}

/** Runs `lqa` with these words: by this Node or another, and with variables that it reads when it runs. */
export function runShared(cwd, words, { node = process.execPath, env } = {}) {
  if (!hosts.has(node)) hosts.set(node, start(node));
  const host = hosts.get(node);
  writeSync(host.requests, `${JSON.stringify({ cwd, words, env })}\n`);
  const pieces = [];
  for (;;) {
    const piece = Buffer.alloc(65536);
    const read = readSync(host.answers, piece);
    if (read === 0) {
      hosts.delete(node);
      throw new Error(`lqa ${words.join(" ")} ended its process`);
    }
    pieces.push(piece.subarray(0, read));
    if (piece[read - 1] === 10) return JSON.parse(Buffer.concat(pieces).toString());
  }
}
