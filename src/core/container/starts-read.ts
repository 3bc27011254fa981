/**
 * The start of a file, and the positions of its modules (spec clause 8.8), between the vectors of the index and what the decoder
 * takes.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { STARTED_MODULES, STARTED_RANK, STARTS } from "../../limits.ts";
import {
  type ModuleStart,
  STATE_DRAWS,
  STATE_WORDS,
  type Start,
  stateCount,
  stateOf,
} from "../codecs/start/start.ts";
import type { LimitCheck, Where } from "./chunk-rules.ts";
import type { ReadIndex } from "./index-read.ts";

/** Number of the generator MT19937. */
const MT19937 = 1;

/** The vectors of a file whose modules have these starts, all of one {@link Start}. */
export function startVectors(starts: readonly ModuleStart[]): { start: number[]; positions: number[] } {
  const { state } = starts[0]!.start;
  return {
    start: [MT19937, ...(typeof state === "number" ? [state] : state)],
    positions: starts.map(({ position }) => position),
  };
}

/** What of the start of a module is part of its content (spec 8.8.5): generator, seed or state, and draw. */
export function startContent({ start, position }: ModuleStart): number[] {
  const { state } = start;
  const at = STATE_WORDS * stateOf(position);
  const words = typeof state === "number" ? [state] : state.subarray(at, at + STATE_WORDS);
  return [MT19937, ...words, position % STATE_DRAWS];
}

/** Hands out the starts of modules in their order. */
export interface StartReader {
  /** The start of a module, number `record`. @throws LqaError RECORD_REFERENCE, HARD_LIMIT */
  next(where: Where, rank: number, record: number): ModuleStart;
  /** All positions must have been taken. */
  finish(): void;
}

/** Reads the start of a file that has the feature. @throws LqaError UNSUPPORTED_CODEC, ENCODING_PARAMETER, HARD_LIMIT, CORE_LIMIT */
export function startReader(read: ReadIndex, limit: LimitCheck): StartReader {
  const where = (): string => "start";
  const [words, column] = [read.vectors.start!, read.column("positions")];
  const [generator = 0] = words;
  const count = read.count("positions");
  if (generator !== MT19937)
    fail(KIND.UNSUPPORTED_CODEC, {
      where: "start",
      offset: read.locate("start")(0),
      expected: `generator ${MT19937}`,
      actual: words.length === 0 ? "none" : generator,
    });
  if (words.length !== 2 && (words.length < 2 || (words.length - 1) % STATE_WORDS !== 0))
    fail(KIND.ENCODING_PARAMETER, {
      where: "start",
      offset: read.locate("start")(0),
      expected: `a seed, or ${STATE_WORDS} words for each state, after the generator`,
      actual: `${words.length - 1} words`,
    });
  const start: Start = { state: words.length === 2 ? words[1]! : Uint32Array.from(words.slice(1)) };
  const states = stateCount(start);
  limit(states, STARTS, "start", 0, where);
  limit(count, STARTED_MODULES, "positions", 0, where);
  let used = 0;
  const wrong = (
    where: string,
    offset: number | undefined,
    expected: string,
    actual: string | number,
  ): never => fail(KIND.RECORD_REFERENCE, { where, offset, expected, actual });
  return {
    next(name, rank, record) {
      limit(rank, STARTED_RANK, "modules", record, name);
      const offset = read.locate("modules")(record);
      if (used === count) wrong(name(), offset, "a position for each module with a start", count);
      const position = column(used++);
      if (stateOf(position) >= states)
        wrong(name(), offset, `one of ${states} states`, `state ${stateOf(position)}`);
      return { start, position };
    },
    finish() {
      if (used !== count)
        wrong("start", read.locate("positions")(used), `${used} positions, all used`, count);
    },
  };
}
