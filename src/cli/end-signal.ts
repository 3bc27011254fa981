/**
 * Tells commands that run until they are stopped when to stop.
 *
 * @module
 */

/** Exit codes after the signals, as shells have them. */
const CODES = { SIGTERM: 143, SIGINT: 130 } as const;

let listening = 0;

/** Whether a command decides what a signal does. */
export function decidesOnSignals(): boolean {
  return listening > 0;
}

/** A signal that aborts on SIGTERM or SIGINT; the second one ends the process, which removes its temporary files. */
export function endSignal(onFirst: (name: "SIGTERM" | "SIGINT") => void): {
  readonly signal: AbortSignal;
  end(): void;
} {
  const controller = new AbortController();
  const names = ["SIGTERM", "SIGINT"] as const;
  const stop = (name: (typeof names)[number]): void => {
    if (controller.signal.aborted) process.exit(CODES[name]);
    onFirst(name);
    controller.abort();
  };
  for (const name of names) process.on(name, stop);
  listening++;
  return {
    signal: controller.signal,
    end() {
      for (const name of names) process.off(name, stop);
      listening--;
    },
  };
}
