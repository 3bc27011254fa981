/**
 * The terminal as the commands see it: two streams with their colours and widths, and a progress line.
 *
 * Results go to stdout; progress and errors for people go to stderr. Colour needs a terminal and no `NO_COLOR`; the progress
 * line needs stderr to be a terminal. A reader that closes the pipe early (`| head`) is not an error.
 *
 * @module
 */
import picocolors from "picocolors";
import * as KIND from "../error-catalogue.ts";
import { LqaError } from "../errors.ts";
import { osError } from "../node/files/os-error.ts";
import { printable, remaining } from "./format.ts";
import { cutMiddle, type Paper, textWidth } from "./layout.ts";
import { errorLines } from "./report-error.ts";

/** The streams of one run of the program. `room` and `colors` are those of stdout. */
export interface Terminal extends Paper {
  /** Writes to stdout. */
  out(text: string): void;
  /** Writes to stderr. */
  err(text: string): void;
  /** Columns for help and explanations, which wrap in a pipe too: those of the terminal or of COLUMNS, from 60 to 100; else 80. */
  readonly width: number;
  /** Room and colours of stderr. */
  readonly errors: Paper;
  /** Whether to print details. */
  readonly verbose: boolean;
  /** Shows progress, if stderr is a terminal or `verbose` is set. The total may be unknown. */
  progress(done: number, total: number | undefined, name: string): void;
  /** Removes the progress line. */
  endProgress(): void;
}

/** The terminal of this process. */
export function processTerminal({ verbose = false }: { readonly verbose?: boolean } = {}): Terminal {
  const { stdout, stderr } = process;
  // A process may run the program several times.
  for (const [stream, onError] of [
    [stdout, onOutputError],
    [stderr, onReportError],
  ] as const)
    if (!stream.listeners("error").includes(onError)) stream.on("error", onError);
  const started = performance.now();
  const pace = progressPace();
  let shownAt = 0;
  let shown = false;
  const clear = (): void => {
    if (shown) stderr.write("\r\u001b[K");
    shown = false;
  };
  // Only while progress is shown: a listener delays a signal until the current work pauses.
  const onInterrupt = (): void => {
    clear();
    stderr.write("lqa: stopped\n");
    process.kill(process.pid, "SIGINT");
  };
  const endProgress = (): void => {
    clear();
    process.off("SIGINT", onInterrupt);
  };
  return {
    out(text) {
      endProgress();
      stdout.write(text);
    },
    err(text) {
      endProgress();
      stderr.write(text);
    },
    width: Math.min(Math.max(columnsOf(stdout) ?? 80, 60), 100),
    ...paperOf(stdout),
    errors: paperOf(stderr),
    verbose,
    progress(done, total, name) {
      if (total === 0) return;
      const now = performance.now();
      const line = pace(done, total, now / 1000);
      // Ten updates per second are enough to read; one line per second is enough for a log.
      if (now - shownAt < (verbose ? 1000 : 100)) return;
      shownAt = now;
      const ours = process.listeners("SIGINT").includes(onInterrupt) || decidesOnSignals();
      if ((verbose || stderr.isTTY) && !ours) process.once("SIGINT", onInterrupt);
      if (verbose) {
        stderr.write(`${((now - started) / 1000).toFixed(1).padStart(7)} s  ${line}  ${printable(name)}\n`);
      } else if (stderr.isTTY) {
        shown = true;
        const bar = total === undefined ? "" : `${progressBar(done, total)} `;
        stderr.write(`\r\u001b[K${fitted(`${bar}${line}  `, name)}`);
      }
    },
    endProgress,
  };
}

/** The same terminal, reduced to errors. */
export function silent(terminal: Terminal): Terminal {
  return { ...terminal, out: () => {}, progress: () => {} };
}

/**
 * Formats progress, rate and remaining time: `12/60  8.1/s  6 s left`; without a total only `12  8.1/s`. A changed total or a
 * smaller count starts new work.
 */
export function progressPace(): (done: number, total: number | undefined, seconds: number) => string {
  let begin: { done: number; total: number | undefined; seconds: number } = {
    done: 0,
    total: -1,
    seconds: 0,
  };
  let last = 0;
  return (done, total, seconds) => {
    if (total !== begin.total || done < last) begin = { done, total, seconds };
    last = done;
    const [more, elapsed] = [done - begin.done, seconds - begin.seconds];
    // Too little time or too few items give no useful rate.
    const counts = total === undefined ? String(done) : `${done}/${total}`;
    if (more < 1 || elapsed < 0.5) return counts;
    const rate = more / elapsed;
    const left = total === undefined ? "" : `  ${remaining((total - done) / rate)} left`;
    return `${counts}  ${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s${left}`;
  };
}

/** A line of progress that does not reach the edge: it would wrap, and could not be removed. */
function fitted(text: string, name: string): string {
  const room = Math.max(1, (process.stderr.columns || 80) - 1 - textWidth(text));
  return `${text}${cutMiddle(printable(name), room)}`;
}

function progressBar(done: number, total: number): string {
  const filled = Math.round((20 * done) / total);
  return "█".repeat(filled) + "░".repeat(20 - filled);
}

/** Columns of a terminal, or those that COLUMNS names; undefined for a pipe or a file. */
function columnsOf(stream: NodeJS.WriteStream): number | undefined {
  return stream.columns || Number(process.env.COLUMNS) || undefined;
}

/** Least columns of a layout. In a narrower terminal the terminal itself breaks lines. */
const LEAST_ROOM = 40;

function paperOf(stream: NodeJS.WriteStream): Paper {
  return {
    room: Math.max(columnsOf(stream) ?? Number.POSITIVE_INFINITY, LEAST_ROOM),
    colors: picocolors.createColors(hasColors(stream)),
  };
}

function hasColors(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== "") return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0") return true;
  return stream.isTTY === true && TERM !== "dumb";
}

/** Standard output failed. A closed pipe is the reader's choice; of anything else, people hear on stderr. */
function onOutputError(error: Error & { code?: string }): void {
  if (error.code === "EPIPE") process.exit();
  const { actual, advice, cause } = osError(error, "standard output", "write");
  const told = new LqaError(KIND.IO, { where: "standard output", actual, advice, cause });
  process.stderr.write(`${errorLines(told, paperOf(process.stderr)).join("\n")}\n`);
  process.exit(2);
}

/** Standard error failed: nothing is left to say it to. */
function onReportError(error: Error & { code?: string }): void {
  process.exit(error.code === "EPIPE" ? undefined : 2);
}

/** Exit codes after the signals, as shells have them. */
const CODES = { SIGTERM: 143, SIGINT: 130 } as const;

let listening = 0;

/** Whether a command decides what a signal does. */
function decidesOnSignals(): boolean {
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
