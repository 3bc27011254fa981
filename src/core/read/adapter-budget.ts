/**
 * Budgets of whole adapters (spec clause 14), for readers that decode or compare all modules. Apart from `budget.ts`, so that opening a
 * file does not load them.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { parameterCount } from "../../model/adapter.ts";
import type { ModuleRecord } from "../container/types.ts";

/** Bytes of the decoded arrays of a whole adapter: 6 times those of rank 64 for all linear layers of a 7B model. */
export const ADAPTER_BUDGET: number = 4 * 2 ** 30;

/** However small a file is, its adapter, or one module of it, may decode to this much: 32 million weights. */
const DECODED_BYTES = 2 ** 27;
/** Weights of an eighth of a bit take this many times their bytes as f32. No encoding that keeps an adapter's effect is as small. */
const DECODED_TIMES = 256;
/** The same for one module: comparing two takes up to seven times the memory of its factors. */
const MODULE_TIMES = 64;

/**
 * Most bytes of decoded weights (f32) for commands that read whole files: codec `zero` declares gigabytes in a few hundred bytes, so the
 * limits grow with what is stored.
 *
 * @param stored bytes of the file, and of its parents
 */
export function decodedBudgets(stored: number): { readonly adapter: number; readonly module: number } {
  const most = (times: number): number => Math.min(ADAPTER_BUDGET, Math.max(DECODED_BYTES, times * stored));
  return { adapter: most(DECODED_TIMES), module: most(MODULE_TIMES) };
}

/**
 * Most pieces of a whole adapter, or one for every four bytes of its chunks if that is more. Each band of each expert is a piece; it takes
 * microseconds to decode and to compare, even if it is empty. Stops a million empty bands of experts in a file of 70 KB.
 */
const ADAPTER_PIECES = 2 ** 18;
const PIECE_BYTES = 4;

/** Bands of all experts of a module. */
export function pieceCount({ bands, experts }: Pick<ModuleRecord, "bands" | "experts">): number {
  return bands.length * experts;
}

/**
 * Checks, from the index alone, that a whole adapter may be decoded.
 *
 * @param budget most bytes of its factors as f32
 * @throws LqaError BUDGET
 */
export function assertAdapter(modules: readonly ModuleRecord[], budget: number = ADAPTER_BUDGET): void {
  const where = "the adapter";
  const bytes = 4 * modules.reduce((sum, record) => sum + parameterCount(record), 0);
  if (bytes > budget) fail(KIND.BUDGET, { where, expected: `at most ${budget} bytes`, actual: bytes });
  const pieces = modules.reduce((sum, record) => sum + pieceCount(record), 0);
  const stored = modules.reduce((sum, { chunk }) => sum + chunk.length, 0);
  const most = Math.max(ADAPTER_PIECES, stored / PIECE_BYTES);
  if (pieces > most)
    fail(KIND.BUDGET, {
      where,
      expected: `at most ${Math.floor(most)} bands of experts`,
      actual: pieces,
      advice: "Decode the modules that you need, one at a time. Most of these bands hold nothing.",
    });
}

/**
 * Most multiplications for comparing two adapters, or so many for each stored byte if that is more: each module takes its rank times its
 * weights. Real adapters of rank 64 take 340 for each byte. Stops components without bytes: comparing 1,024 of them in 364 bytes took 21 s.
 */
const COMPARING = 2 ** 31;
const COMPARING_TIMES = 2 ** 12;

/**
 * Checks, from the index alone, that the weights of an adapter may be compared with those of another one.
 *
 * @param stored bytes of the file, and of its parents
 * @throws LqaError BUDGET
 */
export function assertComparable(modules: readonly ModuleRecord[], stored: number): void {
  const work = modules.reduce((sum, record) => sum + parameterCount(record) * record.rank, 0);
  const most = Math.max(COMPARING, COMPARING_TIMES * stored);
  if (work > most)
    fail(KIND.BUDGET, {
      where: "the adapter",
      expected: `at most ${most} multiplications to compare it`,
      actual: work,
      advice:
        "Most of its components hold nothing. Compare single modules in a program, or decode without --rank.",
    });
}
