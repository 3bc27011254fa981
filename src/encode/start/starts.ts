/**
 * The starts of an adapter's modules in the encoder.
 *
 * @module
 */

import { STATE_WORDS, seedWords, skipDraws, twisterAt } from "../../common/mt19937.ts";
import type { ModuleStart, Start } from "../../core/index.ts";
import { STATE_DRAWS } from "../../core/rooms.ts";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { STARTED_MODULES, STARTED_RANK, STARTS } from "../../limits.ts";
import { inputLength, type LoraModule } from "../../model/adapter.ts";
import { spacingsOf } from "./orders.ts";
import { recoverStart } from "./recover.ts";

/**
 * If there are at least this many draws before the first module, the file has states of 2,496 bytes each instead of the seed: a
 * reader would take longer to reach the module than to decode it.
 */
const FAR = STATE_DRAWS / 2;

/** No start, a search, or a known seed. */
export type StartChoice = "none" | "auto" | number;

/**
 * Finds starts, by the names of their modules.
 *
 * @param dialect dialect of the source, if it is known
 * @throws LqaError USAGE
 */
export function startsOf(
  modules: readonly LoraModule[],
  dialect: string | undefined,
  choice: StartChoice,
): ReadonlyMap<string, ModuleStart> {
  if (
    choice !== "none" &&
    choice !== "auto" &&
    !(Number.isInteger(choice) && choice >= 0 && choice < 2 ** 32)
  )
    fail(KIND.USAGE, { where: "start", expected: "none, auto or a seed from 0 to 2^32 - 1", actual: choice });
  if (choice === "none" || modules.length > STARTED_MODULES.core) return new Map();
  // Before any training every B is zero: nothing is stored that a start could save.
  if (modules.every(({ b }) => b.every((value) => value === 0))) return new Map();
  const found = recoverStart(
    modules.map((module) => ({
      name: module.name,
      // The draws of experts are not searched for.
      a: module.experts === 1 && module.rank <= STARTED_RANK.core ? module.a : new Float32Array(0),
      inputs: inputLength(module),
      sizeB: module.out * module.rank,
    })),
    spacingsOf(dialect),
    choice === "auto" ? undefined : choice,
  );
  if (found === undefined) return new Map();
  const placed = [...found.positions].sort(([, x], [, y]) => x - y);
  const { state, positions } = placedIn(
    found.state,
    placed.map(([, position]) => position),
  );
  const start: Start = { state, positions };
  return new Map(positions.map((position, k) => [modules[placed[k]![0]]!.name, { start, position }]));
}

/**
 * The seed if all positions are near, else states before them; the returned positions count from these.
 *
 * @param positions ascending; those that the largest number of states does not reach are left out
 */
function placedIn(
  origin: number | Uint32Array,
  positions: readonly number[],
): { state: number | Uint32Array; positions: number[] } {
  if (typeof origin === "number" && positions[0]! < FAR && positions.at(-1)! < STATE_DRAWS)
    return { state: origin, positions: [...positions] };
  const twister = twisterAt(typeof origin === "number" ? seedWords(origin) : origin);
  const states: Uint32Array[] = [];
  const placed: number[] = [];
  let base = 0;
  for (const position of positions) {
    if (states.length === 0 || position - base >= STATE_DRAWS) {
      if (states.length === STARTS.core) break;
      const next = position - (position % STATE_WORDS);
      skipDraws(twister, next - base);
      base = next;
      states.push(twister.words.slice());
    }
    placed.push(STATE_DRAWS * (states.length - 1) + position - base);
  }
  const state = new Uint32Array(STATE_WORDS * states.length);
  for (const [i, words] of states.entries()) state.set(words, STATE_WORDS * i);
  return { state, positions: placed };
}
