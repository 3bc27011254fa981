/**
 * Keys of a pattern table that are plain paths: literal characters, and dots that match any character.
 *
 * Nearly all keys are plain (EVA writes one per module, and so does `synthesize.ts`), and there may be as many keys as modules.
 * So they are not tried one after the other. Reversed and sorted, they are looked up together, from the end of a path to its
 * beginning. The keys that match so far and continue with the same character, or with any character, are a range; two binary
 * searches find it.
 *
 * @module
 */
import type { WorkMeter } from "../../meter.ts";
import { ANY } from "./character-set.ts";
import type { Node } from "./pattern-syntax.ts";

/** Sorted reversed keys, and their places in the table. */
export interface PlainKeys {
  readonly keys: readonly string[];
  readonly places: Int32Array;
}

/** Code of a dot that matches any character, in a reversed key; `ANCHOR` is the code of `^`. */
const WILD = 0;
const ANCHOR = 1;
const DOT = 0x2e;
const CARET = 0x5e;
/** Steps of narrowing a range of several keys, for the meter: four binary searches. */
const NARROWING = 8;

/** A key reversed; undefined unless it is plain, that is, its tree is a sequence of characters. */
export function plainKey(tree: Node): string | undefined {
  if (tree.kind !== "sequence") return undefined;
  const codes: number[] = [];
  for (const [i, node] of tree.items.entries()) {
    if (node.kind === "literal" && node.code > ANCHOR && node.code < 0x10000) codes.push(node.code);
    else if (node.kind === "set" && node.set === ANY) codes.push(WILD);
    else if (node.kind === "start" && i === 0) codes.push(ANCHOR);
    // A key always ends at the end of the path, so a final $ changes nothing.
    else if (node.kind !== "end" || i !== tree.items.length - 1) return undefined;
  }
  return String.fromCharCode(...codes.reverse());
}

/** {@link plainKey} for keys that need no parser (which takes ten times as long): names, dots, a caret at the beginning. */
export function pathKey(key: string): string | undefined {
  if (!/^\^?(?:[A-Za-z0-9_-]|\\?\.)+$/.test(key)) return undefined;
  const codes: number[] = [];
  for (let at = key.length - 1; at >= 0; at--) {
    const escaped = key[at - 1] === "\\";
    const code = key.charCodeAt(at);
    if (code === CARET) codes.push(ANCHOR);
    else codes.push(code === DOT && !escaped ? WILD : code);
    if (escaped) at--;
  }
  // In one call: a string that grows by single characters takes thirty bytes for each.
  return String.fromCharCode(...codes);
}

/** Makes a table of keys from {@link plainKey} and their places. Of equal keys, the first place counts. */
export function plainKeys(entries: readonly (readonly [key: string, place: number])[]): PlainKeys {
  const sorted = [...entries].sort(([a, i], [b, j]) => (a < b ? -1 : a > b ? 1 : i - j));
  const distinct = sorted.filter(([key], at) => at === 0 || key !== sorted[at - 1]![0]);
  return { keys: distinct.map(([key]) => key), places: Int32Array.from(distinct, ([, place]) => place) };
}

/**
 * The first place of a key that equals a path, or its end after a dot; infinity if there is none.
 *
 * This ignores Python's rules for line feeds: no name in LQA has control characters.
 *
 * @throws LqaError BUDGET
 */
export function findPlain({ keys, places }: PlainKeys, codes: readonly number[], meter: WorkMeter): number {
  let best = Number.POSITIVE_INFINITY;
  let ranges: number[] = keys.length === 0 ? [] : [0, keys.length];
  for (let depth = 0; ranges.length > 0; depth++) {
    const code = codes[codes.length - 1 - depth];
    const next: number[] = [];
    let steps = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      let from = ranges[i]!;
      const to = ranges[i + 1]!;
      steps += to - from === 1 ? 1 : NARROWING;
      if (keys[from]!.length === depth) {
        if (code === undefined || code === DOT) best = Math.min(best, places[from]!);
        from++;
      }
      if (code === undefined) {
        const at = firstFrom(keys, from, to, depth, ANCHOR);
        if (at < to && keys[at]!.charCodeAt(depth) === ANCHOR) best = Math.min(best, places[at]!);
        continue;
      }
      if (to - from === 1) {
        const own = keys[from]!.charCodeAt(depth);
        if (own === WILD || (own === code && own > ANCHOR)) next.push(from, to);
        continue;
      }
      // Literal or wild; plain keys have no literals above 16 bits.
      for (const wanted of code > ANCHOR && code < 0x10000 ? [WILD, code] : [WILD]) {
        const begin = firstFrom(keys, from, to, depth, wanted);
        const end = firstFrom(keys, begin, to, depth, wanted + 1);
        if (begin < end) next.push(begin, end);
      }
    }
    meter.charge("steps", steps);
    ranges = next;
  }
  return best;
}

/** The first key of a range whose character at `depth` is at least `code`. All keys of the range have that many characters. */
function firstFrom(keys: readonly string[], from: number, to: number, depth: number, code: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]!.charCodeAt(depth) < code) low = middle + 1;
    else high = middle;
  }
  return low;
}
