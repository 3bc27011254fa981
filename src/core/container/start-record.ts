/**
 * Reads the start of a file and the positions of its modules from the index (spec clause 8.8), and makes the `ModuleStart` of each
 * module. Readers import this file, with `rare-records.ts`, for the first file that has a start.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { START_WORK, STARTED_MODULES, STARTED_RANK, STARTS } from "../../limits.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import type { Band } from "../codecs/packed.ts";
import {
  type ModuleStart,
  MT19937,
  STATE_LENGTH,
  type Start,
  startOperations,
  stateCount,
  stateOf,
} from "../codecs/start/start.ts";
import type { LimitCheck, Where } from "./chunks-read.ts";
import type { ReadIndex } from "./index-read.ts";

/** Returns the starts of modules in their order. */
export interface StartReader {
  /**
   * The start of the next module that has one, number `record`.
   *
   * @param chunkLength bytes of its chunk
   * @throws LqaError BAND_PLAN, RECORD_REFERENCE, HARD_LIMIT, CORE_LIMIT
   */
  next(
    where: Where,
    shape: Omit<ModuleShape, "name">,
    bands: readonly Band[],
    chunkLength: number,
    record: number,
  ): ModuleStart;
  /** Checks that all positions were used. @throws LqaError RECORD_REFERENCE */
  finish(): void;
}

/** A reader for a file with the feature START. @throws LqaError UNSUPPORTED_CODEC, ENCODING_PARAMETER, HARD_LIMIT, CORE_LIMIT */
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
  if (words.length !== 2 && (words.length < 2 || (words.length - 1) % STATE_LENGTH !== 0))
    fail(KIND.ENCODING_PARAMETER, {
      where: "start",
      offset: read.locate("start")(0),
      expected: `a seed, or ${STATE_LENGTH} words for each state, after the generator`,
      actual: `${words.length - 1} words`,
    });
  const state = words.length === 2 ? words[1]! : Uint32Array.from(words.slice(1));
  const states = stateCount({ state });
  limit(states, STARTS, "start", 0, where);
  limit(count, STARTED_MODULES, "positions", 0, where);
  const start: Start = { state, positions: Array.from({ length: count }, (_, i) => column(i)) };
  let used = 0;
  const wrong = (
    where: string,
    offset: number | undefined,
    expected: string,
    actual: string | number,
  ): never => fail(KIND.RECORD_REFERENCE, { where, offset, expected, actual });
  return {
    next(name, shape, bands, chunkLength, record) {
      const offset = read.locate("modules")(record);
      if (shape.experts > 1)
        fail(KIND.BAND_PLAN, {
          where: name(),
          offset,
          expected: "a start of 1 expert",
          actual: shape.experts,
        });
      limit(shape.rank, STARTED_RANK, "modules", record, name);
      if (used === count) wrong(name(), offset, "a position for each module with a start", count);
      const position = column(used++);
      if (stateOf(position) >= states)
        wrong(name(), offset, `one of ${states} states`, `state ${stateOf(position)}`);
      limit(Math.ceil(startOperations(shape, bands) / chunkLength), START_WORK, "modules", record, name);
      return { start, position };
    },
    finish() {
      if (used !== count)
        wrong("start", read.locate("positions")(used), `${used} positions, all used`, count);
    },
  };
}
