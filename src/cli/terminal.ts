/**
 * What the commands know of the terminal: two streams, colours, a progress line, and laying out text.
 *
 * Results go to stdout; progress and errors for people go to stderr. Colour needs a terminal and no `NO_COLOR`; the
 * progress line needs stderr to be a terminal. A reader that stops reading (`| head`) is no error.
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
  /** Colours for stdout, and for stderr. */
  readonly colors: Colors;
  readonly errorColors: Colors;
  /** Whether more is told than usual. */
  readonly verbose: boolean;
  /** Shows how far the work is, where somebody watches. */
  progress(done: number, total: number, name: string): void;
  /** Removes the progress line. */
  endProgress(): void;
}

/** The terminal this process was started in. */
export function processTerminal({ verbose = false }: { readonly verbose?: boolean } = {}): Terminal {
  const { stdout, stderr } = process;
  for (const stream of [stdout, stderr]) stream.on("error", onStreamError);
  const started = performance.now();
  const pace = progressPace();
  let shownAt = 0;
  let shown = false;
  const clear = (): void => {
    if (shown) stderr.write("\r\u001b[K");
    shown = false;
  };
  // Only while progress is shown: a listener lets a signal wait until the work at hand makes a pause.
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
    colors: picocolors.createColors(hasColors(stdout)),
    errorColors: picocolors.createColors(hasColors(stderr)),
    verbose,
    progress(done, total, name) {
      const now = performance.now();
      const line = pace(done, total, now / 1000);
      // Ten times a second is as fast as anyone reads, once a second as much as anyone keeps.
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

/** The same terminal, which shows errors alone. */
export function silent(terminal: Terminal): Terminal {
  return { ...terminal, out: () => {}, progress: () => {} };
}

/**
 * Says how far work is, how fast it goes and how long it will take: `12/60  8.1/s  6 s left`. A total that changes or a count
 * that falls is new work.
 */
export function progressPace(): (done: number, total: number, seconds: number) => string {
  let begin = { done: 0, total: -1, seconds: 0 };
  let last = 0;
  return (done, total, seconds) => {
    if (total !== begin.total || done < last) begin = { done, total, seconds };
    last = done;
    const [more, elapsed] = [done - begin.done, seconds - begin.seconds];
    // What a moment and a piece or two say is not worth telling.
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

/** A bar of eighths of a character, `width` characters for a share of 1. Anything above nothing is seen. */
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

/** Breaks a text into lines of at most `width` characters, at spaces. */
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

function hasColors(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== "") return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0") return true;
  return stream.isTTY === true && TERM !== "dumb";
}

function onStreamError(error: Error & { code?: string }): void {
  // The reader of a pipe went away: nobody is left to tell, and the work is done or worthless.
  if (error.code === "EPIPE") process.exit();
  process.exit(2);
}
