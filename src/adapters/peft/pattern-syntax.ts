/**
 * Parses the regular expressions of `rank_pattern` and `alpha_pattern` into a tree, and compiles trees for `pattern.ts`.
 *
 * PEFT passes these keys to Python's `re`. JavaScript's `RegExp` is another language (`\Z`, `[]a]`, `{,3}` and `\-`
 * have another meaning or none), and both backtrack, so a hostile key could stall a converter for hours. This parser
 * covers what such keys use, with Python's meaning: literals, `.`, classes, groups, `|`, `* + ? {m,n}` greedy or lazy,
 * `^ $`, `\d \w \s` and escaped punctuation. It refuses the rest (look-around, back-references, flags) by name.
 *
 * Parsing is linear in the text. Every node of the tree knows the number of instructions that it compiles to, so the meter
 * counts bounded repetition, which multiplies instructions, before it is expanded.
 *
 * @module
 */
import {
  ANY,
  type CharacterSet,
  type CodeRange,
  characterSet,
  escapeSet,
  type UnicodeTable,
} from "./character-set.ts";

/** One instruction of a Thompson automaton. `next` and `other` are positions in the program. */
export type Instruction =
  | { readonly op: "literal"; readonly code: number; readonly next: number }
  | { readonly op: "set"; readonly set: CharacterSet; readonly next: number }
  | { readonly op: "start" | "end"; readonly next: number }
  | { readonly op: "split"; next: number; other: number }
  | { readonly op: "match" };

/** A part of an expression. `size`: the instructions that it compiles to; a part of size 0 emits none. */
export type Node =
  | { readonly kind: "literal"; readonly code: number; readonly size: 1 }
  | { readonly kind: "set"; readonly set: CharacterSet; readonly size: 1 }
  | { readonly kind: "start" | "end"; readonly size: 1 }
  | { readonly kind: "sequence" | "choice"; readonly items: readonly Node[]; readonly size: number }
  | Repeat;

interface Repeat {
  readonly kind: "repeat";
  readonly item: Node;
  readonly low: number;
  /** May be infinite. */
  readonly high: number;
  readonly size: number;
}

/** Deepest nesting of groups. Stops a key full of brackets from overflowing the stack. */
const MAX_NESTING = 32;

/** Called with the reason why a pattern is wrong or unsupported, e.g. `an unbalanced (`. Throws. */
export type Reject = (reason: string) => never;

interface Scanner {
  readonly text: readonly string[];
  at: number;
  readonly reject: Reject;
}

/** Parses a Python regular expression into a tree. Takes time and memory in proportion to the text. */
export function parsePattern(source: string, reject: Reject): Node {
  const scanner: Scanner = { text: Array.from(source), at: 0, reject };
  const tree = parseChoice(scanner, 0);
  if (scanner.at < scanner.text.length) reject("an unbalanced )");
  return tree;
}

/** Compiles a tree into a program of `size + 1` instructions. The caller has limited the size. */
export function compileTree(tree: Node): Instruction[] {
  const program: Instruction[] = [];
  emit(program, tree);
  program.push({ op: "match" });
  return program;
}

function parseChoice(scanner: Scanner, depth: number): Node {
  if (depth > MAX_NESTING) scanner.reject(`groups nested deeper than ${MAX_NESTING}`);
  const items: Node[] = [parseSequence(scanner, depth)];
  while (scanner.text[scanner.at] === "|") {
    scanner.at++;
    items.push(parseSequence(scanner, depth));
  }
  return items.length === 1
    ? items[0]!
    : { kind: "choice", items, size: sizeOf(items) + 2 * (items.length - 1) };
}

function parseSequence(scanner: Scanner, depth: number): Node {
  const items: Node[] = [];
  for (;;) {
    const character = scanner.text[scanner.at];
    if (character === undefined || character === "|" || character === ")") {
      return { kind: "sequence", items, size: sizeOf(items) };
    }
    items.push(parseRepeat(scanner, parseAtom(scanner, depth)));
  }
}

function sizeOf(items: readonly Node[]): number {
  return items.reduce((sum, { size }) => sum + size, 0);
}

function parseAtom(scanner: Scanner, depth: number): Node {
  if (readBounds(scanner) !== undefined) scanner.reject("nothing to repeat");
  const character = scanner.text[scanner.at++]!;
  if (character === "(") return parseGroup(scanner, depth);
  if (character === "[") return { kind: "set", set: parseClass(scanner), size: 1 };
  if (character === ".") return { kind: "set", set: ANY, size: 1 };
  if (character === "^") return { kind: "start", size: 1 };
  if (character === "$") return { kind: "end", size: 1 };
  if (character === "\\") return parseEscape(scanner);
  return literal(character);
}

function literal(character: string): Node {
  return { kind: "literal", code: character.codePointAt(0)!, size: 1 };
}

function parseGroup(scanner: Scanner, depth: number): Node {
  if (scanner.text[scanner.at] === "?") {
    if (scanner.text[scanner.at + 1] !== ":") scanner.reject("a (?…) group other than (?:…)");
    scanner.at += 2;
  }
  const inside = parseChoice(scanner, depth + 1);
  if (scanner.text[scanner.at++] !== ")") scanner.reject("an unbalanced (");
  return inside;
}

/** Parses `\d \w \s`, their negations, and escaped punctuation. The cursor is after the backslash. */
function parseEscape(scanner: Scanner): Node {
  const character = readEscaped(scanner);
  const named = escapeSet(character);
  return named === undefined
    ? literal(character)
    : { kind: "set", set: characterSet(named.ranges, named.tables), size: 1 };
}

/** Reads the escaped character: punctuation, or a letter that names a set. */
function readEscaped(scanner: Scanner): string {
  const character = scanner.text[scanner.at++];
  if (character === undefined) return scanner.reject("a trailing backslash");
  if (/^[A-Za-z0-9]$/.test(character) && escapeSet(character) === undefined)
    scanner.reject(`the escape \\${character}`);
  return character;
}

/** Parses a class; the cursor is after the opening bracket. */
function parseClass(scanner: Scanner): CharacterSet {
  const negated = scanner.text[scanner.at] === "^";
  if (negated) scanner.at++;
  const ranges: CodeRange[] = [];
  const tables: UnicodeTable[] = [];
  // In Python a bracket directly at the start is a literal.
  for (let first = true; first || scanner.text[scanner.at] !== "]"; first = false) {
    const low = scanner.text[scanner.at++];
    if (low === undefined) return scanner.reject("an unbalanced [");
    if (low === "\\") {
      const escaped = readEscaped(scanner);
      if (scanner.text[scanner.at] === "-" && scanner.text[scanner.at + 1] !== "]") {
        scanner.reject(`a range from the escape \\${escaped}`);
      }
      const named = escapeSet(escaped);
      if (named === undefined) ranges.push([escaped.codePointAt(0)!, escaped.codePointAt(0)!]);
      else {
        for (const range of named.ranges) ranges.push(range);
        tables.push(...named.tables);
      }
      continue;
    }
    const begin = low.codePointAt(0)!;
    const high = scanner.text[scanner.at + 1];
    if (scanner.text[scanner.at] !== "-" || high === undefined || high === "]") {
      ranges.push([begin, begin]);
      continue;
    }
    const end = high.codePointAt(0)!;
    if (high === "\\" || end < begin) scanner.reject(`the range ${low}-${high}`);
    scanner.at += 2;
    ranges.push([begin, end]);
  }
  scanner.at++;
  return characterSet(ranges, tables, negated);
}

function parseRepeat(scanner: Scanner, item: Node): Node {
  const bounds = readBounds(scanner);
  if (bounds === undefined) return item;
  if (item.kind === "start" || item.kind === "end") scanner.reject("a repeated anchor");
  // Lazy and greedy quantifiers match the same texts; they differ only in which match comes first.
  if (scanner.text[scanner.at] === "?") scanner.at++;
  else if (scanner.text[scanner.at] === "+") scanner.reject("a possessive quantifier");
  const [low, high] = bounds;
  if (high < low) scanner.reject(`the repetition {${low},${high}}`);
  if (readBounds(scanner) !== undefined) scanner.reject("a repeated repetition");
  // Repeating an empty expression gives an empty expression.
  if (item.size === 0) return item;
  const optional = Number.isFinite(high) ? (high - low) * (item.size + 1) : item.size + 2;
  return { kind: "repeat", item, low, high, size: low * item.size + optional };
}

/** Reads `*`, `+`, `?` or `{m,n}` at the cursor; undefined if there is none. Any other `{` is a literal. */
function readBounds(scanner: Scanner): readonly [number, number] | undefined {
  const character = scanner.text[scanner.at];
  if (character === "*" || character === "+" || character === "?") {
    scanner.at++;
    return [character === "+" ? 1 : 0, character === "?" ? 1 : Number.POSITIVE_INFINITY];
  }
  if (character !== "{") return undefined;
  const rest = scanner.text.slice(scanner.at, scanner.at + 24).join("");
  const found = /^\{(?!\})(\d*)(?:(,)(\d*))?\}/.exec(rest);
  if (found === null) return undefined;
  scanner.at += found[0].length;
  const low = Number(found[1]);
  if (found[2] === undefined) return [low, low];
  return [low, found[3] === "" ? Number.POSITIVE_INFINITY : Number(found[3])];
}

function emit(program: Instruction[], node: Node): void {
  const next = program.length + 1;
  if (node.kind === "literal") program.push({ op: "literal", code: node.code, next });
  else if (node.kind === "set") program.push({ op: "set", set: node.set, next });
  else if (node.kind === "sequence") for (const item of node.items) emit(program, item);
  else if (node.kind === "choice") emitChoice(program, node.items);
  else if (node.kind === "repeat") emitRepeat(program, node);
  else program.push({ op: node.kind, next });
}

function emitChoice(program: Instruction[], items: readonly Node[]): void {
  const exits: { next: number }[] = [];
  for (const item of items.slice(0, -1)) {
    const split = { op: "split" as const, next: program.length + 1, other: 0 };
    program.push(split);
    emit(program, item);
    const exit = { op: "split" as const, next: 0, other: 0 };
    program.push(exit);
    exits.push(exit);
    split.other = program.length;
  }
  emit(program, items[items.length - 1]!);
  for (const exit of exits) Object.assign(exit, { next: program.length, other: program.length });
}

function emitRepeat(program: Instruction[], { item, low, high }: Repeat): void {
  for (let count = 0; count < low; count++) emit(program, item);
  const splits: { other: number }[] = [];
  for (let count = low; count < (Number.isFinite(high) ? high : low + 1); count++) {
    const at = program.length;
    const split = { op: "split" as const, next: at + 1, other: 0 };
    program.push(split);
    splits.push(split);
    emit(program, item);
    if (!Number.isFinite(high)) program.push({ op: "split", next: at, other: at });
  }
  for (const split of splits) split.other = program.length;
}
