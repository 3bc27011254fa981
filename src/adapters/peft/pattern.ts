/**
 * Finds the entry of `rank_pattern` or `alpha_pattern` for a module, by PEFT's rule: the first key, in the order of the
 * JSON text, for which Python's `re.match(rf"(.*\.)?({key})$", path)` succeeds.
 *
 * (This is the rule of PEFT 0.21. Version 0.9 looked for one key in both tables together, and 0.14 still required a dot
 * before the key. Few files say which version trained them, so this follows the version that loads them today.)
 *
 * Keys that are plain paths are looked up together (`plain-keys.ts`). The others become automata, which take time
 * proportional to path times key. One meter counts compiling and matching of all patterns of a configuration.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { WorkMeter } from "../../meter.ts";
import { quoteName } from "../json.ts";
import { contains, lookUpSteps } from "./character-set.ts";
import { compileTree, type Instruction, type Node, parsePattern, type Reject } from "./pattern-syntax.ts";
import { findPlain, type PlainKeys, pathKey, plainKey, plainKeys } from "./plain-keys.ts";

/** A compiled table. */
export interface PatternTable {
  readonly values: readonly number[];
  readonly plain: PlainKeys;
  /** Programs of the other keys, by their places in the table. */
  readonly automata: readonly (readonly [place: number, program: readonly Instruction[]])[];
  readonly meter: WorkMeter;
  /** By instruction, the stamp of its last visit; all runs share it. */
  readonly visited: Int32Array;
  /** Counts runs and positions; marks a visit in {@link visited}. */
  stamp: number;
}

/** Longest key: longer than any module path that LQA can name, with room for escapes. */
const MAX_KEY_LENGTH = 2048;

/**
 * Compiles a table of the configuration, in its order.
 *
 * @param meter meter of the whole configuration; counts each character of an expression, and an object per instruction
 * @throws LqaError SOURCE_CONFIG for a key that is not a regular expression or uses what `pattern-syntax.ts` refuses; BUDGET
 */
export function compilePatterns(
  table: ReadonlyMap<string, number>,
  field: string,
  meter: WorkMeter,
): PatternTable {
  const plain: [string, number][] = [];
  const automata: [number, Instruction[]][] = [];
  let largest = 0;
  let place = -1;
  for (const key of table.keys()) {
    place++;
    checkLength(key, field);
    const path = pathKey(key);
    if (path !== undefined) {
      plain.push([path, place]);
      continue;
    }
    meter.charge("steps", PARSING * key.length);
    const tree = parseKey(key, field);
    // Usually `(.*\.)?`, the key and `$`; a key with a stray ")|(" has another tree.
    const inside = tree.kind === "sequence" && tree.items.length === 3 ? plainKey(tree.items[1]!) : undefined;
    if (inside !== undefined) plain.push([inside, place]);
    else {
      meter.charge("objects", tree.size + 1);
      const program = compileTree(tree);
      automata.push([place, program]);
      largest = Math.max(largest, program.length);
    }
  }
  const visited = new Int32Array(largest);
  return { values: [...table.values()], plain: plainKeys(plain), automata, meter, visited, stamp: 0 };
}

/** Steps of parsing one character, for the meter. */
const PARSING = 16;
const LINE_FEED = 10;

/** The value of the first entry that matches `path`, or `fallback`. @throws LqaError BUDGET */
export function lookUp(table: PatternTable, path: string, fallback: number): number {
  const { values, plain, automata, meter } = table;
  if (values.length === 0) return fallback;
  meter.charge("steps", path.length);
  const codes = Array.from(path, (character) => character.codePointAt(0)!);
  const found = findPlain(plain, codes, meter);
  for (const [place, program] of automata) {
    if (place > found) break;
    if (run(table, program, codes)) return values[place]!;
  }
  return found === Number.POSITIVE_INFINITY ? fallback : values[found]!;
}

/** Parses the pattern that PEFT makes from a key. Joined as text, so that a key with a stray ")|(" has PEFT's meaning. */
function parseKey(key: string, field: string): Node {
  const reject: Reject = (reason) =>
    fail(KIND.SOURCE_CONFIG, {
      where: `adapter_config.json field ${quoteName(field)}`,
      expected: "a regular expression this version understands",
      actual: `${quoteName(key)}, which has ${reason}`,
    });
  return parsePattern(`(.*\\.)?(${key})$`, reject);
}

function checkLength(key: string, field: string): void {
  if (key.length <= MAX_KEY_LENGTH) return;
  fail(KIND.SOURCE_CONFIG, {
    where: `adapter_config.json field ${quoteName(field)}`,
    expected: `keys of at most ${MAX_KEY_LENGTH} characters`,
    actual: key.length,
  });
}

/** Whether the program matches from the start of a path; like `re.match`, a match may end before the path does. */
function run(table: PatternTable, program: readonly Instruction[], codes: readonly number[]): boolean {
  let threads: number[] = [];
  if (follow(table, program, [0], codes, 0, threads)) return true;
  for (let at = 0; at < codes.length && threads.length > 0; at++) {
    const passed: number[] = [];
    let steps = threads.length;
    for (const thread of threads) {
      const instruction = program[thread]!;
      if (instruction.op === "literal") {
        if (instruction.code === codes[at]) passed.push(instruction.next);
      } else if (instruction.op === "set") {
        steps += lookUpSteps(instruction.set);
        if (contains(instruction.set, codes[at]!)) passed.push(instruction.next);
      }
    }
    table.meter.charge("steps", steps);
    threads = [];
    if (follow(table, program, passed, codes, at + 1, threads)) return true;
  }
  return false;
}

/** Adds to `threads` the positions that `pending` reaches without consuming a character. True if the match is one of them. */
function follow(
  table: PatternTable,
  program: readonly Instruction[],
  pending: number[],
  codes: readonly number[],
  at: number,
  threads: number[],
): boolean {
  const { visited } = table;
  const stamp = ++table.stamp;
  let steps = 0;
  let matched = false;
  while (!matched) {
    const position = pending.pop();
    if (position === undefined) break;
    steps++;
    if (visited[position] === stamp) continue;
    visited[position] = stamp;
    const instruction = program[position]!;
    if (instruction.op === "match") matched = true;
    else if (instruction.op === "split") pending.push(instruction.other, instruction.next);
    else if (instruction.op === "start") {
      if (at === 0) pending.push(instruction.next);
    } else if (instruction.op === "end") {
      // Python's $ also matches before a final line feed.
      if (at === codes.length || (at === codes.length - 1 && codes[at] === LINE_FEED))
        pending.push(instruction.next);
    } else threads.push(position);
  }
  table.meter.charge("steps", steps);
  return matched;
}
