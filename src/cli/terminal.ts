/**
 * The terminal as the commands see it: two streams, colours, a progress line, and text layout.
 *
 * Results go to stdout; progress and errors for people go to stderr. Colour needs a terminal and no `NO_COLOR`; the progress
 * line needs stderr to be a terminal. A reader that closes the pipe early (`| head`) is not an error.
 *
 * @module
 */
import picocolors from "picocolors";
import { printable } from "./format.ts";

type Colors = ReturnType<typeof picocolors.createColors>;

/** The streams of one run of the program. */
export interface Terminal {
  /** Writes to stdout. */
  out(text: string): void;
  /** Writes to stderr. */
  err(text: string): void;
  /** Columns for wrapped text: those of the terminal or of COLUMNS, from 60 to 100; 80 if unknown. */
  readonly width: number;
  /** Colours for stdout and for stderr. */
  readonly colors: Colors;
  readonly errorColors: Colors;
  /** Whether to print details. */
  readonly verbose: boolean;
  /** Shows progress, if stderr is a terminal or `verbose` is set. */
  progress(done: number, total: number, name: string): void;
  /** Removes the progress line. */
  endProgress(): void;
}

/** The terminal of this process. */
export function processTerminal({ verbose = false }: { readonly verbose?: boolean } = {}): Terminal {
  const { stdout, stderr } = process;
  // A process may run the program several times.
  for (const stream of [stdout, stderr])
    if (!stream.listeners("error").includes(onStreamError)) stream.on("error", onStreamError);
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
    width: textWidth(stdout),
    colors: picocolors.createColors(hasColors(stdout)),
    errorColors: picocolors.createColors(hasColors(stderr)),
    verbose,
    progress(done, total, name) {
      const now = performance.now();
      const line = pace(done, total, now / 1000);
      // Ten updates per second are enough to read; one line per second is enough for a log.
      if (now - shownAt < (verbose ? 1000 : 100)) return;
      shownAt = now;
      if ((verbose || stderr.isTTY) && !process.listeners("SIGINT").includes(onInterrupt))
        process.once("SIGINT", onInterrupt);
      if (verbose) {
        stderr.write(`${((now - started) / 1000).toFixed(1).padStart(7)} s  ${line}  ${printable(name)}\n`);
      } else if (stderr.isTTY) {
        shown = true;
        const text = `${progressBar(done, total)} ${line}  ${printable(name)}`;
        stderr.write(`\r\u001b[K${clip(text, stderr.columns || 80)}`);
      }
    },
    endProgress,
  };
}

/** The same terminal, reduced to errors. */
export function silent(terminal: Terminal): Terminal {
  return { ...terminal, out: () => {}, progress: () => {} };
}

/** Formats progress, rate and remaining time: `12/60  8.1/s  6 s left`. A changed total or a smaller count starts new work. */
export function progressPace(): (done: number, total: number, seconds: number) => string {
  let begin = { done: 0, total: -1, seconds: 0 };
  let last = 0;
  return (done, total, seconds) => {
    if (total !== begin.total || done < last) begin = { done, total, seconds };
    last = done;
    const [more, elapsed] = [done - begin.done, seconds - begin.seconds];
    // Too little time or too few items give no useful rate.
    if (more < 1 || elapsed < 0.5) return `${done}/${total}`;
    const rate = more / elapsed;
    const left = Math.ceil((total - done) / rate);
    const time =
      left < 90
        ? `${left} s`
        : left < 5400
          ? `${Math.round(left / 60)} min`
          : `${(left / 3600).toFixed(1)} h`;
    return `${done}/${total}  ${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s  ${time} left`;
  };
}

/** A bar in eighths of a character; `width` characters are a share of 1. Any share above 0 is visible. */
export function bar(share: number, width: number): string {
  if (!(share > 0)) return "";
  const eighths = Math.max(1, Math.round(8 * width * Math.min(1, share)));
  const rest = eighths % 8;
  return "█".repeat(eighths >> 3) + (rest === 0 ? "" : "▏▎▍▌▋▊▉"[rest - 1]!);
}

/** Lays rows out in columns, two spaces apart. Columns named in `right` are aligned to the right. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}

/** Wraps a text at spaces to lines of at most `width` characters. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function progressBar(done: number, total: number): string {
  const filled = total === 0 ? 20 : Math.round((20 * done) / total);
  return "█".repeat(filled) + "░".repeat(20 - filled);
}

function clip(text: string, width: number): string {
  return text.length < width ? text : `${text.slice(0, Math.max(0, width - 2))}…`;
}

/** Longer lines are hard to read; a narrower column than 60 has no room for the names of options. */
function textWidth(stream: NodeJS.WriteStream): number {
  const columns = stream.columns || Number(process.env.COLUMNS) || 80;
  return Math.min(Math.max(columns, 60), 100);
}

function hasColors(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== "") return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0") return true;
  return stream.isTTY === true && TERM !== "dumb";
}

function onStreamError(error: Error & { code?: string }): void {
  // The reader closed the pipe. There is nothing left to report to, and the work is done or useless.
  if (error.code === "EPIPE") process.exit();
  process.exit(2);
}
