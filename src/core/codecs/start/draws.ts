/**
 * Makes the draws of a module with a start, from a seed or state and a position in its stream (spec clause 8.8.3).
 *
 * A generator can only go from draw to draw, up to 2^22 of them to the first of a module. If all positions are known, this file
 * passes over a state once and keeps the words at its modules, as far as modules have needed them. The limit of states bounds
 * memory and time.
 *
 * @module
 */

import {
  nextBlock,
  ownTwister,
  STATE_WORDS,
  seedWords,
  type Twister,
  takeDraws,
} from "../../../common/mt19937.ts";
import { startKernel } from "../kernels/start-kernel.ts";
import { type ModuleStart, STATE_DRAWS, type Start, stateCount, stateOf } from "./start.ts";

/**
 * Fewest blocks from one stop to the next: `NEAR` times the number of states, at most `FAR`. Modules in between begin at the stop
 * before them. Words at stops take at most 2.1 MB with up to 16 states, and 132 KB for each state with more.
 */
const NEAR = 8;
const FAR = 128;
/** Number of blocks of a state in which a module can begin. */
const BLOCKS: number = Math.ceil(STATE_DRAWS / STATE_WORDS);

/** Blocks at which modules begin, numbered through all states, in order; and the words of the first `made` of them. */
interface Stops {
  readonly blocks: readonly number[];
  readonly words: Uint32Array;
  made: number;
}

const known = new WeakMap<Start, Stops>();

/** An equal start for one module alone, without the draws before it: small enough to send to another thread. */
export function localStart(own: ModuleStart): ModuleStart {
  const draw = own.position % STATE_DRAWS;
  const state = blockOf(own, Math.floor(draw / STATE_WORDS) - 1);
  // Another thread gets a copy of the whole buffer of an array.
  return { start: { state: state.slice() }, position: draw % STATE_WORDS };
}

/** The generator before the first draw of a module. Its words belong to the start. */
export function generatorOf(own: ModuleStart): Twister {
  const draw = own.position % STATE_DRAWS;
  return { words: blockOf(own, Math.floor(draw / STATE_WORDS)), next: draw % STATE_WORDS };
}

/** Fills `draws` with the first draws of a module, with the kernel if there is one. @returns `draws` */
export function drawsOf(start: ModuleStart, draws: Int16Array): Int16Array {
  const twister = generatorOf(start);
  if (startKernel()?.draws(twister, draws) !== true) takeDraws(ownTwister(twister), draws);
  return draws;
}

function stopsOf(start: Start): Stops {
  let stops = known.get(start);
  if (stops === undefined) {
    const apart = Math.min(NEAR * stateCount(start), FAR);
    const blocks: number[] = [];
    for (const position of Float64Array.from(start.positions ?? []).sort()) {
      const block = BLOCKS * stateOf(position) + Math.floor((position % STATE_DRAWS) / STATE_WORDS);
      const last = blocks.at(-1);
      if (last === undefined || block - last >= apart || stateOfBlock(block) !== stateOfBlock(last))
        blocks.push(block);
    }
    known.set(start, (stops = { blocks, words: new Uint32Array(STATE_WORDS * blocks.length), made: 0 }));
  }
  return stops;
}

function stateOfBlock(block: number): number {
  return Math.floor(block / BLOCKS);
}

/** The words of a block of a module's state, which are not to be changed. Block −1 is the state itself. */
function blockOf({ start, position }: ModuleStart, block: number): Uint32Array {
  const stops = stopsOf(start);
  const { blocks } = stops;
  const state = stateOf(position);
  const wanted = BLOCKS * state + block;
  /** The last stop up to the block, −1 if there is none. */
  let stop = -1;
  for (let above = blocks.length; above - stop > 1; ) {
    const middle = (stop + above) >> 1;
    if (blocks[middle]! <= wanted) stop = middle;
    else above = middle;
  }
  for (; stops.made <= stop; stops.made++) {
    const next = blocks[stops.made]!;
    wordsAfter(start, stops, stops.made - 1, stateOfBlock(next), next, wordsOf(stops, stops.made));
  }
  return wordsAfter(start, stops, stop, state, wanted);
}

/**
 * The words of a block: those of a stop of the same state, or of the state, advanced.
 *
 * @param target receives them. Default: a new array if none has them
 */
function wordsAfter(
  start: Start,
  stops: Stops,
  stop: number,
  state: number,
  wanted: number,
  target?: Uint32Array,
): Uint32Array {
  const fromState = stop < 0 || stateOfBlock(stops.blocks[stop]!) !== state;
  const words = fromState ? stateWords(start, state) : wordsOf(stops, stop);
  const blocks = wanted - (fromState ? BLOCKS * state - 1 : stops.blocks[stop]!);
  if (blocks === 0 && target === undefined) return words;
  const after = target ?? new Uint32Array(STATE_WORDS);
  if (startKernel()?.advance(words, blocks, after) === true) return after;
  after.set(words);
  for (let block = 0; block < blocks; block++) nextBlock(after);
  return after;
}

function wordsOf({ words }: Stops, stop: number): Uint32Array {
  return words.subarray(STATE_WORDS * stop, STATE_WORDS * (stop + 1));
}

/** The words before draw 0 of a state. */
function stateWords({ state }: Start, number: number): Uint32Array {
  return typeof state === "number"
    ? seedWords(state)
    : state.subarray(STATE_WORDS * number, STATE_WORDS * (number + 1));
}
