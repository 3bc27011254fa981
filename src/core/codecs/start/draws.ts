/**
 * The draws of a module with a start: a seed or a state, and a position, to the numbers of the generator from there on (spec clause
 * 8.8.3).
 *
 * A generator can only be followed from draw to draw, at most 2^22 of them to a module. Checkpoints of each state are kept, as far as
 * modules have asked, so that a file of many modules costs one pass over its states. The limit of states bounds both.
 *
 * @module
 */

import { startKernel } from "../kernels/start-kernel.ts";
import { nextBlock, seedWords, type Twister, takeDraws } from "./mt19937.ts";
import { type ModuleStart, STATE_DRAWS, STATE_WORDS, type Start, stateCount, stateOf } from "./start.ts";

/**
 * Blocks from one checkpoint of a state to the next: modules are drawn in another order than their names have, and each begins between
 * two checkpoints. At most 1.1 MB for a start of one state, and for others 1.1 MB, or 132 KB for each of their states.
 */
const NEAR = 16;
const FAR = 128;

/** Of each state the words before each so many blocks. */
type Checkpoints = Uint32Array[];

const known = new WeakMap<Start, Checkpoints[]>();

/** The same start without the draws before it, for one module: it can be handed to another thread. */
export function localStart(own: ModuleStart): ModuleStart {
  const draw = own.position % STATE_DRAWS;
  const state = blockOf(own, Math.floor(draw / STATE_WORDS) - 1);
  return { start: { state }, position: draw % STATE_WORDS };
}

/** The generator before the first draw of a module. */
export function generatorOf(own: ModuleStart): Twister {
  const draw = own.position % STATE_DRAWS;
  return { words: blockOf(own, Math.floor(draw / STATE_WORDS)), next: draw % STATE_WORDS };
}

/** Fills `draws` with the first draws of a module, by the kernel where there is one. @returns `draws` */
export function drawsOf(start: ModuleStart, draws: Int16Array): Int16Array {
  const twister = generatorOf(start);
  if (startKernel()?.draws(twister, draws) !== true) takeDraws(twister, draws);
  return draws;
}

/** The words of a block of the state that a module begins in, in an array of their own. */
function blockOf({ start, position }: ModuleStart, block: number): Uint32Array {
  const number = stateOf(position);
  const apart = Math.min(NEAR * stateCount(start), FAR);
  let states = known.get(start);
  if (states === undefined) known.set(start, (states = []));
  const checkpoints = (states[number] ??= [stateWords(start, number)]);
  const wanted = Math.floor((block + 1) / apart);
  while (checkpoints.length <= wanted) checkpoints.push(advanced(checkpoints.at(-1)!, apart));
  return advanced(checkpoints[wanted]!, block + 1 - apart * wanted);
}

/** A copy of the words before draw 0 of a state. */
function stateWords({ state }: Start, number: number): Uint32Array {
  return typeof state === "number"
    ? seedWords(state)
    : state.slice(STATE_WORDS * number, STATE_WORDS * (number + 1));
}

/** Words some blocks on. */
function advanced(words: Uint32Array, blocks: number): Uint32Array {
  const after = words.slice();
  if (blocks > 0 && startKernel()?.advance(after, blocks) !== true)
    for (let block = 0; block < blocks; block++) nextBlock(after);
  return after;
}
