/**
 * Which entry of `rank_pattern` or `alpha_pattern` a module takes, by PEFT's rule: the first key, in the order of the
 * JSON text, for which Python's `re.match(rf"(.*\.)?({key})$", path)` succeeds.
 *
 * (This is the rule of PEFT 0.21. Version 0.9 looked for one key in both tables together, and 0.14 still required a dot
 * before the key. Few files say which version trained them, so the rule that loads them today is the one followed.)
 *
 * Matching takes time proportional to path times key, whatever the key is. Keys that are plain paths, which is nearly
 * all of them (EVA writes one per module), skip the automaton.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { quoteName } from "../json.ts";
import { compile, type Instruction } from "./pattern-syntax.ts";

/** One entry of a table. */
export interface PatternEntry {
  readonly key: string;
  readonly value: number;
  readonly matches: (path: string) => boolean;
}

/** Longest key: longer than any module path LQA can name, with room for escapes. */
const MAX_KEY_LENGTH = 2048;

/**
 * Compiles a table of the configuration, in its order.
 *
 * @throws LqaError SOURCE_CONFIG for a key that is no regular expression or uses what `pattern-syntax.ts` refuses.
 */
export function compilePatterns(table: ReadonlyMap<string, number>, field: string): PatternEntry[] {
  return [...table].map(([key, value]) => ({ key, value, matches: compileKey(key, field) }));
}

/** The value of the first entry that matches `path`, or `fallback`. */
export function lookUp(entries: readonly PatternEntry[], path: string, fallback: number): number {
  for (const { matches, value } of entries) if (matches(path)) return value;
  return fallback;
}

function compileKey(key: string, field: string): (path: string) => boolean {
  const where = `adapter_config.json field ${quoteName(field)}`;
  if (key.length > MAX_KEY_LENGTH) {
    fail(KIND.SOURCE_CONFIG, {
      where,
      expected: `keys of at most ${MAX_KEY_LENGTH} characters`,
      actual: key.length,
    });
  }
  if (/^\^?(?:[A-Za-z0-9_-]|\\?\.)+$/.test(key)) return plainMatcher(key);
  // The text is put together exactly as PEFT does it, so that a key with a stray ")|(" means what it means there.
  const program = compile(`(.*\\.)?(${key})$`, (reason) =>
    fail(KIND.SOURCE_CONFIG, {
      where,
      expected: "a regular expression this version understands",
      actual: `${quoteName(key)}, which has ${reason}`,
    }),
  );
  return (path) => run(program, path);
}

/**
 * A key of letters, digits and dots (each dot any character, `\.` a dot): a whole path or a tail of one. Python's rules
 * for line feeds are left out: no name in LQA has control characters.
 */
function plainMatcher(key: string): (path: string) => boolean {
  const anchored = key.startsWith("^");
  const parts = Array.from((anchored ? key.slice(1) : key).matchAll(/\\?./g), ([part]) => part);
  return (path) => {
    const characters = Array.from(path);
    const from = characters.length - parts.length;
    if (from < 0 || (from > 0 && (anchored || characters[from - 1] !== "."))) return false;
    return parts.every((part, index) => {
      const character = characters[from + index]!;
      return part === "." || character === (part === "\\." ? "." : part);
    });
  };
}

/** Whether the program matches from the start of `path`; like `re.match` it need not reach the end. */
function run(program: readonly Instruction[], path: string): boolean {
  const text = Array.from(path);
  const seen = new Int32Array(program.length).fill(-1);
  let threads: number[] = [];
  if (follow(program, 0, text, 0, threads, seen)) return true;
  for (let at = 0; at < text.length; at++) {
    const after: number[] = [];
    for (const thread of threads) {
      const instruction = program[thread]!;
      if (instruction.op !== "character" || !instruction.test(text[at]!)) continue;
      if (follow(program, instruction.next, text, at + 1, after, seen)) return true;
    }
    if (after.length === 0) return false;
    threads = after;
  }
  return false;
}

/** Adds to `threads` what `start` leads to without consuming. True if that includes the match. */
function follow(
  program: readonly Instruction[],
  start: number,
  text: readonly string[],
  at: number,
  threads: number[],
  seen: Int32Array,
): boolean {
  const pending = [start];
  for (;;) {
    const position = pending.pop();
    if (position === undefined) return false;
    if (seen[position] === at) continue;
    seen[position] = at;
    const instruction = program[position]!;
    if (instruction.op === "match") return true;
    if (instruction.op === "character") threads.push(position);
    else if (instruction.op === "split") pending.push(instruction.other, instruction.next);
    else if (instruction.op === "start") {
      if (at === 0) pending.push(instruction.next);
    } else if (at === text.length || (at === text.length - 1 && text[at] === "\n")) {
      // Python's $ also matches before a final line feed.
      pending.push(instruction.next);
    }
  }
}
