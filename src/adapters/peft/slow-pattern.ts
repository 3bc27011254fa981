/**
 * Regular expressions that a matcher with backtracking, as Python's `re` is, may search for longer than anybody waits.
 *
 * PEFT matches `target_modules`, `exclude_modules`, `layers_pattern` and the keys of its patterns with every layer of a model.
 * This library has a matcher of its own (`pattern.ts`), whose time is bounded; PEFT has not.
 *
 * @module
 */

/** Unsloth's patterns, the longest that programs write, have five. */
const MOST_REPEATS = 6;

/**
 * True if a group that is repeated contains a choice or another repetition, as in `(a+)+` and `(a|a)*`, which can take exponential time,
 * or if there are more than six repetitions, each of which adds a power to the time.
 *
 * It reads groups, classes and escapes, and nothing else of the syntax: a pattern that it takes for slow may be fast.
 */
export function searchesLong(pattern: string): boolean {
  const outer: boolean[] = [];
  let repeats = 0;
  let chooses = false; // whether the group being read contains a choice or a repetition
  let ended = false; // the same of the part before `place`, if that part is a group
  for (let place = 0; place < pattern.length; place++) {
    const character = pattern[place]!;
    const before = ended;
    ended = false;
    if (character === "\\") place++;
    else if (character === "[") place = classEnd(pattern, place);
    else if (character === "(") {
      outer.push(chooses);
      chooses = false;
      if (pattern[place + 1] === "?") place++;
    } else if (character === ")") {
      ended = chooses;
      chooses = (outer.pop() ?? false) || chooses;
    } else if (character === "|" || character === "?") chooses = true;
    else if (character === "*" || character === "+" || isCount(pattern, place)) {
      if (before || ++repeats > MOST_REPEATS) return true;
      chooses = true;
    }
  }
  return false;
}

/** Whether a counted repetition begins here: `{2}`, `{2,}`, `{1,100}`. */
function isCount(pattern: string, place: number): boolean {
  return pattern[place] === "{" && /^\{\d*,?\d*\}/.test(pattern.slice(place, place + 24));
}

/** The place of the bracket that closes the class. */
function classEnd(pattern: string, start: number): number {
  let place = start + 1;
  if (pattern[place] === "^") place++;
  if (pattern[place] === "]") place++;
  while (place < pattern.length && pattern[place] !== "]") place += pattern[place] === "\\" ? 2 : 1;
  return place;
}
