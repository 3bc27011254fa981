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
import { type ModuleStart, STATE_DRAWS, STATE_WORDS, type Start, stateOf } from "./start.ts";

/** Blocks from one checkpoint to the next: at most 53 checkpoints of a state, 132 KB. */
const CHECKPOINT = 128;

/** Words of a block: draws 624 · block and on; block −1 is the state. */
interface Block {
  readonly words: Uint32Array;
  readonly block: number;
}

/** Blocks that are remembered: modules are drawn in another order than their names have, but those of a layer are near. */
const RECENT = 8;

/** Of each state the words before each {@link CHECKPOINT} blocks, and blocks where modules ended lately. */
interface Known {
  readonly checkpoints: Uint32Array[];
  readonly recent: Block[];
}

const known = new WeakMap<Start, Known[]>();

/** The same start without the draws before it, for one module: it can be handed to another thread. */
export function localStart({ start, position }: ModuleStart): ModuleStart {
  const draw = position % STATE_DRAWS;
  const state = blockOf(knownOf(start, position), Math.floor(draw / STATE_WORDS) - 1);
  return { start: { state }, position: draw % STATE_WORDS };
}

/** The generator before the first draw of a module. */
export function generatorOf({ start, position }: ModuleStart): Twister {
  const draw = position % STATE_DRAWS;
  const words = blockOf(knownOf(start, position), Math.floor(draw / STATE_WORDS));
  return { words, next: draw % STATE_WORDS };
}

/** Remembers the generator after all draws of a module: the next module is often near. */
export function keepGenerator(
  { start, position }: ModuleStart,
  drawn: number,
  { words, next }: Twister,
): void {
  const block = (position % STATE_DRAWS) + drawn - next;
  const { recent } = knownOf(start, position);
  if (recent.length === RECENT) recent.shift();
  recent.push({ words, block: block / STATE_WORDS });
}

/** Fills `draws` with the first draws of a module, by the kernel where there is one. @returns `draws` */
export function drawsOf(start: ModuleStart, draws: Int16Array): Int16Array {
  const twister = generatorOf(start);
  if (startKernel()?.draws(twister, draws) !== true) takeDraws(twister, draws);
  keepGenerator(start, draws.length, twister);
  return draws;
}

function knownOf(start: Start, position: number): Known {
  const number = stateOf(position);
  let states = known.get(start);
  if (states === undefined) known.set(start, (states = []));
  return (states[number] ??= { checkpoints: [stateWords(start, number)], recent: [] });
}

/** The words of a block, in an array of their own. */
function blockOf({ checkpoints, recent }: Known, block: number): Uint32Array {
  const wanted = Math.floor((block + 1) / CHECKPOINT);
  while (checkpoints.length <= wanted) checkpoints.push(advanced(checkpoints.at(-1)!, CHECKPOINT));
  let from: Block = { words: checkpoints[wanted]!, block: CHECKPOINT * wanted - 1 };
  for (const other of recent) if (other.block > from.block && other.block <= block) from = other;
  return advanced(from.words, block - from.block);
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
