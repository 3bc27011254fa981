/**
 * Lays out what the commands print: tables, facts, notes and wrapped text, in one style for all of them.
 *
 * A terminal has a number of columns, and every line fits into it: names are cut in the middle, texts wrap below their own
 * beginning, and a table that is still too wide leaves out its least important columns and says so. A pipe or a file has no
 * width: there nothing is cut, and each row, fact or note is one line.
 *
 * @module
 */
import measured from "fast-string-truncated-width";
import type picocolors from "picocolors";

/** What a layout needs to know of the stream that it is for. */
export interface Paper {
  /** Columns of the terminal; infinite for a pipe or a file. */
  readonly room: number;
  readonly colors: ReturnType<typeof picocolors.createColors>;
}

/** A column of a table. Every column is two spaces from the next. */
export interface Column {
  /** Its title; a table without titles has no title line. */
  readonly title?: string;
  /** Aligns to the right: for numbers. */
  readonly right?: boolean;
  /**
   * What gives way in a narrow terminal: a name is cut in the middle, a text wraps (only in the last column), an optional column
   * is left out. Other columns keep their widths.
   */
  readonly narrow?: "cut" | "wrap" | "omit";
}

/** Columns between the edge of the terminal and a line that belongs to the line above. */
const INDENT = 2;
const GAP = 2;
/** Columns of the word of a verdict, and of the gap behind it. */
const VERDICT = 9;
/** Longer lines of text are hard to read. */
const MOST_TEXT = 100;
/** A name that is cut below this length says nothing. */
const LEAST_NAME = 24;
/** A text in a narrower column is hard to read; it goes below its row. */
const LEAST_TEXT = 40;

/** Columns for text: no more than can be read with ease. */
export function textRoom({ room }: Paper): number {
  return Number.isFinite(room) ? Math.min(room, MOST_TEXT) : room;
}

/** Columns that a text takes in a terminal: escape sequences none, East Asian letters and emoji two. */
export function textWidth(text: string): number {
  return measured(text).width;
}

/** Cuts a name in the middle, so that its beginning and its end stay: `model.layers.1…q_proj`. */
export function cutMiddle(name: string, width: number): string {
  if (textWidth(name) <= width) return name;
  const letters = Array.from(new Intl.Segmenter().segment(name), ({ segment }) => segment);
  let [begin, end] = [0, letters.length];
  let left = Math.max(0, width - 1);
  for (let front = false; begin < end; front = !front) {
    const letter = letters[front ? begin : end - 1]!;
    left -= textWidth(letter);
    if (left < 0) break;
    if (front) begin++;
    else end--;
  }
  return `${letters.slice(0, begin).join("")}…${letters.slice(end).join("")}`;
}

/** Wraps a text at spaces to lines of at most `width` columns; a longer word is broken. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((one) => broken(one, width))) {
    if (line !== "" && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** The pieces of a word that is longer than a line. */
function broken(word: string, width: number): string[] {
  if (textWidth(word) <= width) return [word];
  const pieces = [""];
  for (const { segment } of new Intl.Segmenter().segment(word)) {
    if (textWidth(pieces.at(-1)! + segment) > width) pieces.push("");
    pieces[pieces.length - 1] += segment;
  }
  return pieces;
}

/** Puts a label before a text, which wraps below its own beginning. The label may have colours. */
export function hanging(label: string, text: string, room: number): string[] {
  const indent = textWidth(label);
  return wrap(text, room - indent).map((line, i) => (i === 0 ? label : " ".repeat(indent)) + line);
}

/** The first line of a report: a name in bold, and what is said of it. */
export function title(name: string, text: string, paper: Paper): string[] {
  const [first = "", ...rest] = wrap(text === "" ? name : `${name} ${text}`, textRoom(paper));
  return [first.startsWith(name) ? paper.colors.bold(name) + first.slice(name.length) : first, ...rest];
}

/** What was found out about a file, in one line: `valid    adapter.lqa  151 KiB`. A long name is cut in the middle. */
export function verdict(
  word: "valid" | "signed" | "invalid" | "unread",
  name: string,
  text: string,
  { colors, room }: Paper,
): string {
  const good = word === "valid" || word === "signed";
  const rest = text === "" ? "" : " ".repeat(GAP) + text;
  const cut = cutMiddle(name, Math.max(LEAST_NAME, room - VERDICT - textWidth(rest)));
  return `${(good ? colors.green : colors.red)(word)}${" ".repeat(VERDICT - word.length)}${cut}${rest}`;
}

/** A name and its value; a fact without a value is not shown. */
export type Fact = readonly [name: string, value: string | undefined];

/**
 * Names and values, indented below a title; values wrap. A value with a word that is too long to stand beside its name, such as
 * a digest or an address, goes below the name, so that it can be copied in one piece.
 */
export function facts(rows: readonly Fact[], paper: Paper): string[] {
  const shown = rows.filter(([, value]) => value !== undefined);
  const widest = Math.max(0, ...shown.map(([name]) => textWidth(name)));
  const room = textRoom(paper);
  return shown.flatMap(([name, value]) => {
    const label = " ".repeat(INDENT) + paper.colors.dim(padded(name, widest));
    const longest = Math.max(...value!.split(" ").map(textWidth));
    const below = INDENT + widest + GAP + longest > room && 2 * INDENT + longest <= room;
    return below
      ? [label.trimEnd(), ...hanging(" ".repeat(2 * INDENT), value!, room)]
      : hanging(label + " ".repeat(GAP), value!, room);
  });
}

/** `  note: …`, or a warning in yellow, indented below a title. */
export function note(kind: "note" | "warning", text: string, paper: Paper): string[] {
  const label = kind === "warning" ? paper.colors.yellow("warning:") : "note:";
  return hanging(`${" ".repeat(INDENT)}${label} `, text, textRoom(paper));
}

/** Says that a list is not complete, and which option shows the rest; nothing if it is. */
export function more(hidden: number, option: string): string[] {
  return hidden > 0 ? [`${" ".repeat(INDENT)}… ${hidden.toLocaleString("en-US")} more; see ${option}`] : [];
}

/** Rows below titles, indented, with the columns aligned. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paper: Paper,
): string[] {
  const titled = columns.some(({ title }) => title !== undefined);
  const all = titled ? [columns.map(({ title = "" }) => title), ...rows] : rows;
  const natural = columns.map((_, i) => Math.max(0, ...all.map((row) => textWidth(row[i] ?? ""))));
  const { widths, shown, below } = fitted(columns, natural, paper.room - INDENT);
  const last = shown.at(-1)!;
  const lines = all.flatMap((row, place) => {
    const cells = shown.map((i) => {
      const cell = columns[i]!.narrow === "cut" ? cutMiddle(row[i] ?? "", widths[i]!) : (row[i] ?? "");
      return i === last && !columns[i]!.right ? cell : padded(cell, widths[i]!, columns[i]!.right);
    });
    const text = columns[last]!.narrow === "wrap" ? cells.pop()! : "";
    const line = " ".repeat(INDENT) + cells.map((cell) => cell + " ".repeat(GAP)).join("");
    const whole =
      text === "" ? [line.trimEnd()] : hanging(line, text, paper.room).map((each) => each.trimEnd());
    const texts =
      below === undefined || (titled && place === 0)
        ? []
        : hanging(" ".repeat(2 * INDENT), row[below] ?? "", paper.room);
    return [...(titled && place === 0 ? whole.map(paper.colors.dim) : whole), ...texts];
  });
  const omitted = columns.flatMap(({ title = "" }, i) => (shown.includes(i) || i === below ? [] : [title]));
  return omitted.length === 0
    ? lines
    : [...lines, ...note("note", `not shown in a terminal of this width: ${omitted.join(", ")}.`, paper)];
}

/** Which columns are shown, how wide each is, and which one goes below each row. */
interface Fit {
  readonly widths: readonly number[];
  readonly shown: readonly number[];
  readonly below?: number;
}

/** Fits columns of natural widths into the room: the text first, then the names, then the columns that can be left out. */
function fitted(columns: readonly Column[], natural: readonly number[], room: number): Fit {
  const last = columns.length - 1;
  const every = columns.map((_, i) => i);
  const excess = (shown: readonly number[], widths: readonly number[]): number =>
    shown.reduce((sum, i) => sum + widths[i]!, GAP * (shown.length - 1)) - room;
  const over = excess(every, natural);
  if (over <= 0) return { widths: natural, shown: every };
  const text = columns[last]!.narrow === "wrap";
  if (text && natural[last]! - over >= LEAST_TEXT) return { widths: natural, shown: every };
  const cut = (shown: readonly number[], least: number): Fit => {
    const widths = [...natural];
    for (const i of shown)
      if (columns[i]!.narrow === "cut")
        widths[i] = Math.min(widths[i]!, Math.max(least, widths[i]! - Math.max(0, excess(shown, widths))));
    return { widths, shown, ...(text ? { below: last } : {}) };
  };
  let shown = text ? every.slice(0, -1) : every;
  for (;;) {
    const fit = cut(shown, LEAST_NAME);
    if (excess(shown, fit.widths) <= 0) return fit;
    const omitted = shown.findLast((i) => columns[i]!.narrow === "omit");
    if (omitted === undefined) return cut(shown, 1);
    shown = shown.filter((i) => i !== omitted);
  }
}

function padded(text: string, width: number, right = false): string {
  const spaces = " ".repeat(Math.max(0, width - textWidth(text)));
  return right ? spaces + text : text + spaces;
}

/** A bar in eighths of a character; `width` characters are a share of 1. Any share above 0 is visible. */
export function bar(share: number, width: number): string {
  if (!(share > 0)) return "";
  const eighths = Math.max(1, Math.round(8 * width * Math.min(1, share)));
  const rest = eighths % 8;
  return "█".repeat(eighths >> 3) + (rest === 0 ? "" : "▏▎▍▌▋▊▉"[rest - 1]!);
}
