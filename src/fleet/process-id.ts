/**
 * Processes of this machine by a name that is not used again: number and time of start. Leases in directories are held by
 * them, and end when they end: no clock is asked.
 *
 * @module
 */
import { readFileSync } from "node:fs";

let own: string | undefined;

/** Of this process, as a part of a path. */
export function thisProcess(): string {
  own ??= `${process.pid}-${startOf(process.pid) ?? 0}`;
  return own;
}

/** Whether the process of that name is running. */
export function isAlive(name: string): boolean {
  const [, pid, start] = /^(\d+)-(\d+)$/.exec(name) ?? [];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    // Of another user, but there.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const now = startOf(Number(pid));
  return now === undefined || now === start;
}

/** When a process started, in ticks since the machine did; undefined where the system does not say, and of zombies. */
function startOf(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold anything.
    const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "0" : fields[19];
  } catch {
    return undefined;
  }
}
