// One process of a reader, which may hang, flood, crash or never start: everything it can do ends as a value here.
import { spawn } from "node:child_process";

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill();
});

/** Most bytes of standard error that are kept, its end. */
const STDERR = 2000;

/**
 * A process in a group of its own. `input` is what becomes of its standard input: a file descriptor or "pipe".
 * `ended` resolves to { code, signal, problem }; `problem` says why it could not be started.
 */
export class Child {
  stderr = "";

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
    }).finally(() => running.delete(this));
    this.process.stderr.on("data", (piece) => {
      this.stderr = (this.stderr + piece).slice(-STDERR);
    });
    // A reader may stop reading before it has everything: that is its right.
    this.process.stdin?.on("error", () => {});
    this.process.stdout.on("error", () => {});
  }

  /** Ends it and what it started. */
  kill() {
    try {
      if (process.platform === "win32") this.process.kill("SIGKILL");
      else if (this.process.pid !== undefined) process.kill(-this.process.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}

/** "ended with code 7", "ended by SIGSEGV", "could not be started: …" and the last line of standard error. */
export function describeEnd({ code, signal, problem }, stderr) {
  const last = stderr.trim().split("\n").at(-1);
  const how =
    problem !== undefined
      ? `could not be started: ${problem}`
      : signal
        ? `ended by ${signal}`
        : `ended with code ${code}`;
  return last ? `${how} (${last.slice(0, 300)})` : how;
}
