/**
 * Sets of characters in the regular expressions of a configuration, with the meaning that Python's `re` gives them for text.
 *
 * A set is a sorted list of ranges. A look-up takes logarithmic time in its length, even for a hostile pattern's class with
 * many characters. `\d` and `\w` depend on Unicode's tables, which the JavaScript engine has, so they are tests in addition to
 * the ranges.
 *
 * @module
 */

/** Code points from `low` to `high`, both included. */
export type CodeRange = readonly [low: number, high: number];

/** A set of code points. */
export interface CharacterSet {
  /** Bounds of ranges that do not touch, ascending: low, high, low, high, … */
  readonly bounds: readonly number[];
  /** Unicode tables that also belong to the set: at most `\d \D \w \W`. */
  readonly tables: readonly UnicodeTable[];
  readonly negated: boolean;
}

/** `\d` or `\w`, or its complement. */
export interface UnicodeTable {
  readonly pattern: RegExp;
  readonly negated: boolean;
}

const DIGIT = /^\p{Nd}$/u;
const WORD = /^[\p{L}\p{N}_]$/u;
/** The characters for which Python's `str.isspace` is true. JavaScript's `\s` adds U+FEFF and lacks U+001C–1F and U+0085. */
const SPACE: readonly CodeRange[] = [
  [9, 13],
  [28, 32],
  [0x85, 0x85],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
];
const LAST = 0x10ffff;

/** Makes a set from ranges, in any order, and tables. */
export function characterSet(
  ranges: readonly CodeRange[],
  tables: readonly UnicodeTable[] = [],
  negated = false,
): CharacterSet {
  const bounds: number[] = [];
  for (const [low, high] of [...ranges].sort(([a], [b]) => a - b)) {
    const end = bounds[bounds.length - 1];
    if (end === undefined || low > end + 1) bounds.push(low, high);
    else if (high > end) bounds[bounds.length - 1] = high;
  }
  const distinct = tables.filter(
    (one, i) => tables.findIndex((two) => two.pattern === one.pattern && two.negated === one.negated) === i,
  );
  return { bounds, tables: distinct, negated };
}

/** `.`: every character except a line feed. */
export const ANY: CharacterSet = characterSet([[10, 10]], [], true);

/** The set of `\d \D \w \W \s \S`; undefined for another letter. */
export function escapeSet(
  letter: string,
): { ranges: readonly CodeRange[]; tables: readonly UnicodeTable[] } | undefined {
  const negated = letter < "a";
  switch (letter.toLowerCase()) {
    case "d":
      return { ranges: [], tables: [{ pattern: DIGIT, negated }] };
    case "w":
      return { ranges: [], tables: [{ pattern: WORD, negated }] };
    case "s":
      return { ranges: negated ? outside(SPACE) : SPACE, tables: [] };
    default:
      return undefined;
  }
}

/** The ranges between sorted ranges. */
function outside(ranges: readonly CodeRange[]): CodeRange[] {
  const starts = [0, ...ranges.map(([, high]) => high + 1)];
  const ends = [...ranges.map(([low]) => low - 1), LAST];
  return starts.map((low, i): CodeRange => [low, ends[i]!]);
}

/** Whether a code point is in a set. */
export function contains({ bounds, tables, negated }: CharacterSet, code: number): boolean {
  let low = 0;
  let high = bounds.length;
  // Counts the bounds at or below the code; the end of a range belongs to it.
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (bounds[middle]! <= code) low = middle + 1;
    else high = middle;
  }
  const inside = low % 2 === 1 || bounds[low - 1] === code;
  return (
    (inside || tables.some((table) => table.pattern.test(String.fromCodePoint(code)) !== table.negated)) !==
    negated
  );
}

/** Steps that a look-up takes, for the meter. A Unicode table counts as four. */
export function lookUpSteps({ bounds, tables }: CharacterSet): number {
  return 1 + ((32 - Math.clz32(bounds.length)) >>> 1) + 4 * tables.length;
}
