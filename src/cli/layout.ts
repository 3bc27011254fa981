/**
 * Lays out everything that the commands print: tables, facts, notes and wrapped text, in one style.
 *
 * On a terminal every line fits into its columns: names are cut in the middle, texts wrap with a hanging indent, and a table
 * that is still too wide omits its least important columns and says so. A pipe or a file has no width: nothing is cut, and each
 * row, fact or note is one line.
 *
 * @module
 */
import measured from "fast-string-truncated-width";
import type picocolors from "picocolors";

/** The properties of an output stream that a layout depends on. */
export interface Paper {
  /** Columns of the terminal; infinite for a pipe or a file. */
  readonly room: number;
  readonly colors: ReturnType<typeof picocolors.createColors>;
}

/** A column of a table. Two spaces separate columns. */
export interface Column {
  /** Its title; a table without titles has no title line. */
  readonly title?: string;
  /** Aligns to the right: for numbers. */
  readonly right?: boolean;
  /**
   * How the column shrinks in a narrow terminal: `cut` cuts a name in the middle, `wrap` wraps a text (only in the last column),
   * `omit` leaves the column out. Other columns keep their widths.
   */
  readonly narrow?: "cut" | "wrap" | "omit";
}

/** Columns by which a line is indented that belongs to the line above. */
const INDENT = 2;
const GAP = 2;
/** Columns of the word of a verdict, with the gap after it. */
const VERDICT = 9;
/** Most columns of a line of text; longer lines are hard to read. */
const MOST_TEXT = 100;
/** Least columns of a name; a shorter piece identifies nothing. */
const LEAST_NAME = 24;
/** Least columns of a text next to other columns; in a narrower column it goes below its row. */
const LEAST_TEXT = 40;

/** Columns for text: the room, up to {@link MOST_TEXT}. */
export function textRoom({ room }: Paper): number {
  return Number.isFinite(room) ? Math.min(room, MOST_TEXT) : room;
}

/** Columns that a text takes in a terminal: none for escape sequences, two for East Asian letters and emoji. */
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

/** Breaks a word that is longer than a line into pieces. */
function broken(word: string, width: number): string[] {
  if (textWidth(word) <= width) return [word];
  const pieces = [""];
  for (const { segment } of new Intl.Segmenter().segment(word)) {
    if (textWidth(pieces.at(-1)! + segment) > width) pieces.push("");
    pieces[pieces.length - 1] += segment;
  }
  return pieces;
}

/** Puts a label before a text and wraps the text with a hanging indent. The label may have colours. */
export function hanging(label: string, text: string, room: number): string[] {
  const indent = textWidth(label);
  return wrap(text, room - indent).map((line, i) => (i === 0 ? label : " ".repeat(indent)) + line);
}

/** The first line of a report: a name in bold, and a text about it. */
export function title(name: string, text: string, paper: Paper): string[] {
  const [first = "", ...rest] = wrap(text === "" ? name : `${name} ${text}`, textRoom(paper));
  return [first.startsWith(name) ? paper.colors.bold(name) + first.slice(name.length) : first, ...rest];
}

/** The result for one file in one line: `valid    adapter.lqa  151 KB`. A long name is cut in the middle. */
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
 * Names and values, indented below a title; values wrap. If a value has a word that does not fit next to its name, such as a
 * digest or an address, the value goes below the name, so that the user can copy the word in one piece.
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

/** States how many items a list omits, and which option shows them; empty if it omits none. */
export function more(hidden: number, option: string): string[] {
  return hidden > 0 ? [`${" ".repeat(INDENT)}… ${hidden.toLocaleString("en-US")} more; see ${option}`] : [];
}

/** Rows below titles, indented, with aligned columns. */
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

/** The columns to show, the width of each, and the column that goes below each row. */
interface Fit {
  readonly widths: readonly number[];
  readonly shown: readonly number[];
  readonly below?: number;
}

/** Fits columns of natural widths into the room. Shrinks the text first, then the names, then omits optional columns. */
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

/** A bar in eighths of a character; a share of 1 has `width` characters. Any share above 0 is visible. */
export function bar(share: number, width: number): string {
  if (!(share > 0)) return "";
  const eighths = Math.max(1, Math.round(8 * width * Math.min(1, share)));
  const rest = eighths % 8;
  return "█".repeat(eighths >> 3) + (rest === 0 ? "" : "▏▎▍▌▋▊▉"[rest - 1]!);
}
