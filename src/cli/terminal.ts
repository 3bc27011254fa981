/**
 * What the commands know of the terminal: two streams, colours, a progress line, and laying out text.
 *
 * Results go to stdout; progress and errors for people go to stderr. Colour needs a terminal and no `NO_COLOR`; the
 * progress line needs stderr to be a terminal. A reader that stops reading (`| head`) is no error.
 *
 * @module
 */
import picocolors from "picocolors";

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
  /** Shows how far the work is, where somebody watches. */
  progress(done: number, total: number, name: string): void;
  /** Removes the progress line. */
  endProgress(): void;
}

/** The terminal this process was started in. */
export function processTerminal(): Terminal {
  const { stdout, stderr } = process;
  for (const stream of [stdout, stderr]) stream.on("error", onStreamError);
  let shownAt = 0;
  let shown = false;
  const endProgress = (): void => {
    if (shown) stderr.write("\r\u001b[K");
    shown = false;
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
    progress(done, total, name) {
      const now = Date.now();
      // Ten times a second is as fast as anyone reads, and costs the encoder nothing measurable.
      if (!stderr.isTTY || now - shownAt < 100) return;
      shownAt = now;
      shown = true;
      stderr.write(
        `\r\u001b[K${clip(`${progressBar(done, total)} ${done}/${total} ${name}`, stderr.columns || 80)}`,
      );
    },
    endProgress,
  };
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
      .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
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
