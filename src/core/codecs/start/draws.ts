/**
 * Makes the draws of a module with a start, from a seed or state and a position in its stream (spec clause 8.8.3).
 *
 * A generator can only go from draw to draw, up to 2^22 of them to the first of a module. This file keeps checkpoints of each
 * state, as far as modules have needed them, so that a file of many modules costs one pass over its states. The limit of states
 * bounds memory and time.
 *
 * @module
 */

import { startKernel } from "../kernels/start-kernel.ts";
import { nextBlock, seedWords, type Twister, takeDraws } from "./mt19937.ts";
import { type ModuleStart, STATE_DRAWS, STATE_WORDS, type Start, stateCount, stateOf } from "./start.ts";

/**
 * Blocks from one checkpoint of a state to the next: `NEAR` times the number of states, at most `FAR`. The order of modules in
 * the stream is not that of their names, so each module may begin anywhere between two checkpoints. Checkpoints take at most
 * 1.1 MB with up to 8 states, and 132 KB for each state with more.
 */
const NEAR = 16;
const FAR = 128;

/** Checkpoints of one state, from the state itself on: the words before every NEAR · states (or FAR) blocks. */
type Checkpoints = Uint32Array[];

const known = new WeakMap<Start, Checkpoints[]>();

/** An equal start for one module alone, without the draws before it: small enough to send to another thread. */
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

/** Fills `draws` with the first draws of a module, with the kernel if there is one. @returns `draws` */
export function drawsOf(start: ModuleStart, draws: Int16Array): Int16Array {
  const twister = generatorOf(start);
  if (startKernel()?.draws(twister, draws) !== true) takeDraws(twister, draws);
  return draws;
}

/** The words of a block of a module's state, in a new array. Block −1 is the state itself. */
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

/** The words after some more blocks, in a new array. */
function advanced(words: Uint32Array, blocks: number): Uint32Array {
  const after = words.slice();
  if (blocks > 0 && startKernel()?.advance(after, blocks) !== true)
    for (let block = 0; block < blocks; block++) nextBlock(after);
  return after;
}
