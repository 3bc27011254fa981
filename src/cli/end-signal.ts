/**
 * Tells commands that run until they are stopped when to stop.
 *
 * @module
 */

/** A signal that aborts on SIGTERM or SIGINT; the second one has its default effect. */
export function endSignal(onFirst: (name: string) => void): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const names = ["SIGTERM", "SIGINT"] as const;
  const stop = (name: string): void => {
    end();
    onFirst(name);
    controller.abort();
  };
  const end = (): void => {
    for (const name of names) process.off(name, stop);
  };
  for (const name of names) process.on(name, stop);
  return { signal: controller.signal, end };
}
