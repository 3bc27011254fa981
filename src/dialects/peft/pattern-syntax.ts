/**
 * Parses the regular expressions of `rank_pattern` and `alpha_pattern` into a program for `pattern.ts`.
 *
 * PEFT hands these keys to Python's `re`. JavaScript's `RegExp` is not that language (`\Z`, `[]a]`, `{,3}` and `\-`
 * mean other things or nothing), and both backtrack, so that a hostile key could stall a converter for hours. This
 * covers what such keys use, with Python's meaning: literals, `.`, classes, groups, `|`, `* + ? {m,n}` greedy or lazy,
 * `^ $`, `\d \w \s` and escaped punctuation. The rest (look-around, back-references, flags) is refused by name.
 *
 * @module
 */

/** True for a code point (as a one-character string) that an instruction consumes. */
export type CharacterTest = (character: string) => boolean;

/** One instruction of a Thompson automaton. `next` and `other` are positions in the program. */
export type Instruction =
  | { readonly op: "character"; readonly test: CharacterTest; next: number }
  | { readonly op: "start" | "end"; next: number }
  | { readonly op: "split"; next: number; other: number }
  | { readonly op: "match" };

/** Cap on a program. Counted repetition multiplies: `((a{99}){99}){99}` would be a million instructions. */
const MAX_INSTRUCTIONS = 20_000;
const MAX_NESTING = 32;

/** Called with what is wrong or not understood, e.g. `an unbalanced (`. Throws. */
export type Reject = (reason: string) => never;

type Node =
  | { readonly kind: "test"; readonly test: CharacterTest }
  | { readonly kind: "start" | "end" }
  | { readonly kind: "sequence" | "choice"; readonly items: Node[] }
  | Repeat;

interface Repeat {
  readonly kind: "repeat";
  readonly item: Node;
  readonly low: number;
  readonly high: number;
}

interface Scanner {
  readonly text: readonly string[];
  at: number;
  readonly reject: Reject;
}

/** The program of a Python regular expression, anchored at the start by whoever runs it. */
export function compile(source: string, reject: Reject): Instruction[] {
  const scanner: Scanner = { text: Array.from(source), at: 0, reject };
  const tree = parseChoice(scanner, 0);
  if (scanner.at < scanner.text.length) reject("an unbalanced )");
  const program: Instruction[] = [];
  emit(program, tree, reject);
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
  return items.length === 1 ? items[0]! : { kind: "choice", items };
}

function parseSequence(scanner: Scanner, depth: number): Node {
  const items: Node[] = [];
  for (;;) {
    const character = scanner.text[scanner.at];
    if (character === undefined || character === "|" || character === ")") return { kind: "sequence", items };
    items.push(parseRepeat(scanner, parseAtom(scanner, depth)));
  }
}

function parseAtom(scanner: Scanner, depth: number): Node {
  const character = scanner.text[scanner.at++]!;
  if (character === "(") return parseGroup(scanner, depth);
  if (character === "[") return { kind: "test", test: parseClass(scanner) };
  if (character === ".") return { kind: "test", test: (c) => c !== "\n" };
  if (character === "^") return { kind: "start" };
  if (character === "$") return { kind: "end" };
  if (character === "\\") return { kind: "test", test: parseEscape(scanner) };
  if (character === "*" || character === "+" || character === "?") scanner.reject("nothing to repeat");
  return { kind: "test", test: (c) => c === character };
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

const WORD = /^[\p{L}\p{N}_]$/u;
const DIGIT = /^\p{Nd}$/u;
const SPACE = /^\s$/u;

/** `\d \w \s`, their negations, and escaped punctuation. The cursor is after the backslash. */
function parseEscape(scanner: Scanner): CharacterTest {
  const character = scanner.text[scanner.at++];
  if (character === undefined) scanner.reject("a trailing backslash");
  if (character === "d") return (c) => DIGIT.test(c);
  if (character === "D") return (c) => !DIGIT.test(c);
  if (character === "w") return (c) => WORD.test(c);
  if (character === "W") return (c) => !WORD.test(c);
  if (character === "s") return (c) => SPACE.test(c);
  if (character === "S") return (c) => !SPACE.test(c);
  if (/^[A-Za-z0-9]$/.test(character)) scanner.reject(`the escape \\${character}`);
  return (c) => c === character;
}

/** The cursor is after the opening bracket. */
function parseClass(scanner: Scanner): CharacterTest {
  const negated = scanner.text[scanner.at] === "^";
  if (negated) scanner.at++;
  const tests: CharacterTest[] = [];
  // In Python a bracket right at the start is a literal.
  for (let first = true; first || scanner.text[scanner.at] !== "]"; first = false) {
    const low = scanner.text[scanner.at++];
    if (low === undefined) scanner.reject("an unbalanced [");
    if (low === "\\") {
      const punctuation = scanner.text[scanner.at];
      tests.push(parseEscape(scanner));
      if (scanner.text[scanner.at] === "-" && scanner.text[scanner.at + 1] !== "]") {
        scanner.reject(`a range from the escape \\${punctuation}`);
      }
      continue;
    }
    const high = scanner.text[scanner.at + 1];
    if (scanner.text[scanner.at] !== "-" || high === undefined || high === "]") {
      tests.push((c) => c === low);
      continue;
    }
    if (high === "\\" || high.codePointAt(0)! < low.codePointAt(0)!)
      scanner.reject(`the range ${low}-${high}`);
    scanner.at += 2;
    tests.push((c) => c.codePointAt(0)! >= low.codePointAt(0)! && c.codePointAt(0)! <= high.codePointAt(0)!);
  }
  scanner.at++;
  return (c) => tests.some((test) => test(c)) !== negated;
}

function parseRepeat(scanner: Scanner, item: Node): Node {
  const bounds = readBounds(scanner);
  if (bounds === undefined) return item;
  if (item.kind === "start" || item.kind === "end") scanner.reject("a repeated anchor");
  // Lazy or greedy finds the same matches; only which one is found first differs.
  if (scanner.text[scanner.at] === "?") scanner.at++;
  else if (scanner.text[scanner.at] === "+") scanner.reject("a possessive quantifier");
  const [low, high] = bounds;
  if (high < low) scanner.reject(`the repetition {${low},${high}}`);
  const repeated: Node = { kind: "repeat", item, low, high };
  if (readBounds(scanner) !== undefined) scanner.reject("a repeated repetition");
  return repeated;
}

/** `*`, `+`, `?` or `{m,n}` at the cursor, consumed; undefined if there is none. Any other `{` is a literal. */
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

function emit(program: Instruction[], node: Node, reject: Reject): void {
  if (program.length > MAX_INSTRUCTIONS) reject("repetitions that multiply to too many states");
  if (node.kind === "test") program.push({ op: "character", test: node.test, next: program.length + 1 });
  else if (node.kind === "sequence") for (const item of node.items) emit(program, item, reject);
  else if (node.kind === "choice") emitChoice(program, node.items, reject);
  else if (node.kind === "repeat") emitRepeat(program, node, reject);
  else program.push({ op: node.kind, next: program.length + 1 });
}

function emitChoice(program: Instruction[], items: readonly Node[], reject: Reject): void {
  const exits: { next: number }[] = [];
  for (const item of items.slice(0, -1)) {
    const split = { op: "split" as const, next: program.length + 1, other: 0 };
    program.push(split);
    emit(program, item, reject);
    const exit = { op: "split" as const, next: 0, other: 0 };
    program.push(exit);
    exits.push(exit);
    split.other = program.length;
  }
  emit(program, items[items.length - 1]!, reject);
  for (const exit of exits) Object.assign(exit, { next: program.length, other: program.length });
}

function emitRepeat(program: Instruction[], node: Repeat, reject: Reject): void {
  const { item, low, high } = node;
  if (low > MAX_INSTRUCTIONS || (Number.isFinite(high) && high > MAX_INSTRUCTIONS)) {
    reject("repetitions that multiply to too many states");
  }
  for (let count = 0; count < low; count++) emit(program, item, reject);
  const splits: { other: number }[] = [];
  for (let count = low; count < (Number.isFinite(high) ? high : low + 1); count++) {
    const at = program.length;
    const split = { op: "split" as const, next: at + 1, other: 0 };
    program.push(split);
    splits.push(split);
    emit(program, item, reject);
    if (!Number.isFinite(high)) program.push({ op: "split", next: at, other: at });
  }
  for (const split of splits) split.other = program.length;
}
