// One process of a reader, which may hang, flood, crash or never start: everything it can do ends as a value here.
import { spawn } from "node:child_process";

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill();
});
// Readers have process groups of their own, so Ctrl-C in a terminal does not reach them.
for (const [signal, number] of [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGTERM", 15],
])
  process.on(signal, () => process.exit(128 + number));

/** Most bytes of standard error that are kept, its end. */
const STDERR = 2000;

/**
 * A process in a group of its own. `input` is what becomes of its standard input: a file descriptor or "pipe".
 * `ended` resolves to { code, signal, problem }, and `end` is that from then on; `problem` says why it could not be started.
 */
export class Child {
  stderr = "";
  end;

  constructor([command, ...args], input, env = {}) {
    this.process = spawn(command, args, {
      stdio: [input, "pipe", "pipe"],
      detached: process.platform !== "win32",
      env: { ...process.env, ...env },
    });
    running.add(this);
    this.ended = new Promise((resolve) => {
      this.process.on("error", (error) => resolve({ problem: error.message }));
      this.process.on("close", (code, signal) => resolve({ code, signal }));
    }).then((end) => {
      running.delete(this);
      this.end = end;
      return end;
    });
    this.process.stderr.on("data", (piece) => {
      this.stderr = (this.stderr + piece).slice(-STDERR);
    });
    // A reader may stop reading before it has everything: that is its right.
    this.process.stdin?.on("error", () => {});
    this.process.stdout.on("error", () => {});
  }

  /** Ends it and what it started; what left its process group keeps neither its output nor the runner waiting. */
  kill() {
    this.process.stdout.destroy();
    this.process.stderr.destroy();
    try {
      if (process.platform === "win32") this.process.kill("SIGKILL");
      else if (this.process.pid !== undefined) process.kill(-this.process.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}

/** The text of an answer, or undefined if it is not UTF-8. */
export function textOf(pieces) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
  } catch {
    return undefined;
  }
}

/** "ended with code 7", "ended by SIGSEGV", "could not be started: …" and the line of standard error that says most. */
export function describeEnd({ code, signal, problem }, stderr) {
  // Neither the frames of a stack nor the version of Node.
  const lines = stderr
    .split("\n")
    .filter((line) => /^[^\s{}]/.test(line) && !/^(Node\.js v|file:)/.test(line));
  const last = lines.find((line) => /error|panic|assert|abort/i.test(line)) ?? lines.at(-1);
  const how =
    problem !== undefined
      ? `could not be started: ${problem}`
      : signal
        ? `ended by ${signal}`
        : `ended with code ${code}`;
  return last ? `${how} (${last.slice(0, 300)})` : how;
}
