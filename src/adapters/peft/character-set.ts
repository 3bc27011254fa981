/**
 * Sets of characters of the regular expressions in a configuration, with the meaning of Python's `re` for texts.
 *
 * A set is a sorted list of ranges, so that looking up a character takes the logarithm of its length, whatever a class of a
 * hostile pattern lists. `\d` and `\w` depend on Unicode's tables, which the engine has: they are tests in addition to the
 * ranges.
 *
 * @module
 */

/** Code points from `low` to `high`, both included. */
export type CodeRange = readonly [low: number, high: number];

/** A set of code points. */
export interface CharacterSet {
  /** Bounds of ranges that do not touch, ascending: low, high, low, high, … */
  readonly bounds: readonly number[];
  /** Tables of Unicode that belong to the set, too: at most `\d \D \w \W`. */
  readonly tables: readonly UnicodeTable[];
  readonly negated: boolean;
}

/** `\d` or `\w`, or what is not in it. */
export interface UnicodeTable {
  readonly pattern: RegExp;
  readonly negated: boolean;
}

const DIGIT = /^\p{Nd}$/u;
const WORD = /^[\p{L}\p{N}_]$/u;
/** What `str.isspace` of Python 3 holds for. JavaScript's `\s` has U+FEFF, and lacks the separators from U+001C on. */
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

/** The set of some ranges, in any order, and tables. */
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

/** Everything but a line feed: `.` */
export const ANY: CharacterSet = characterSet([[10, 10]], [], true);

/** What `\d \D \w \W \s \S` stand for; undefined for another letter. */
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

/** What lies between sorted ranges. */
function outside(ranges: readonly CodeRange[]): CodeRange[] {
  const starts = [0, ...ranges.map(([, high]) => high + 1)];
  const ends = [...ranges.map(([low]) => low - 1), LAST];
  return starts.map((low, i): CodeRange => [low, ends[i]!]);
}

/** Whether a code point is in a set. */
export function contains({ bounds, tables, negated }: CharacterSet, code: number): boolean {
  let low = 0;
  let high = bounds.length;
  // The number of bounds at or below the code; a range's end belongs to it.
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

/** Steps that a look-up may take, in units of a comparison. */
export function lookUpSteps({ bounds, tables }: CharacterSet): number {
  return 1 + ((32 - Math.clz32(bounds.length)) >>> 1) + 4 * tables.length;
}
