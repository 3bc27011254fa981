/**
 * The line that says what is being done, how far it is and how long it will take, with a button that stops it.
 *
 * @module
 */
import type { Job, OnProgress } from "./client.ts";
import { byId } from "./dom.ts";

/** Milliseconds before a rate means anything. */
const SETTLED = 800;
/** Milliseconds between two announcements to a screen reader. */
const SPOKEN = 5000;

const line = byId("work");
const text = byId("work-text");
const bar = byId<HTMLProgressElement>("work-bar");
const status = byId("status");

let stopRunning: (() => void) | undefined;
let spoken = 0;

/** Says something to screen readers, and to nobody else. */
export function say(message: string): void {
  status.textContent = message;
}

/** Ends what is running, if anything is. */
export function stopWork(): void {
  stopRunning?.();
}

/**
 * Shows a piece of work until it ends. Another piece ends the one before it.
 *
 * @param start begins it
 * @param title what it is called
 * @returns the answer; undefined if it was stopped
 * @throws CallFailure
 */
export async function work<T>(
  title: string,
  start: (onProgress: OnProgress) => Job<T>,
): Promise<T | undefined> {
  stopWork();
  let phase = "";
  let begin = { at: performance.now(), done: 0 };
  spoken = 0;
  show(title, undefined);
  const job = start((done, total, what) => {
    const now = performance.now();
    // A rate holds for one kind of work: names of modules follow it.
    const kind = `${total} ${what.split(" ")[0]}`;
    if (kind !== phase) {
      phase = kind;
      begin = { at: now, done };
    }
    const elapsed = now - begin.at;
    const rate = (done - begin.done) / elapsed;
    const left = elapsed > SETTLED && rate > 0 ? (total - done) / rate / 1000 : undefined;
    show(`${title}: ${what}`.slice(0, 160), total === 0 ? 0 : done / total, left);
  });
  const stopped = new Promise<undefined>((resolve) => {
    stopRunning = () => {
      job.client.end();
      resolve(undefined);
    };
  });
  const own = stopRunning;
  try {
    return await Promise.race([job.answer, stopped]);
  } finally {
    if (stopRunning === own) {
      stopRunning = undefined;
      line.hidden = true;
    }
  }
}

function show(what: string, share: number | undefined, left?: number): void {
  line.hidden = false;
  const parts = [what];
  if (share !== undefined) parts.push(`${Math.floor(100 * share)} %`);
  if (left !== undefined) parts.push(left < 1.5 ? "about a second left" : `about ${timeText(left)} left`);
  text.textContent = parts.join(" · ");
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = share;
  const now = performance.now();
  if (now - spoken > SPOKEN) {
    spoken = now;
    say(text.textContent);
  }
}

function timeText(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

byId("work-stop").onclick = () => {
  stopWork();
  say("Stopped.");
};
