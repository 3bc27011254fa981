/**
 * Reading as steps. What is checked, and in which order, is written once (`header.ts`, `verify.ts`), as generators that
 * ask for the next bytes of the file; where the bytes come from is the affair of who runs them: an array here, pieces
 * that arrive in `intake.ts`. So an array, a stream cut anywhere and a server all have the same first error.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";

/** What a step asks for: the next bytes of the file. It gets fewer only where the file ends before them. */
export interface Need {
  /** 0: a pause, in which whoever runs the steps may let other work run. */
  readonly bytes: number;
  /** They are a compressed chunk: an implementation of zstd must be there before the step goes on. */
  readonly compressed?: boolean;
}

/** Asks for nothing: there has been some work. */
export const PAUSE: Need = { bytes: 0 };

/**
 * Checks under way: asks, is answered, and returns a result or throws the first error. Behind the header, what it was
 * given is not looked at again once it has asked for more, so that whoever runs it may use the memory again.
 */
export type Steps<T> = Generator<Need, T, Uint8Array>;

/** Runs steps over an array, from `at` on. They get views. */
export function runOver<T>(bytes: Uint8Array, at: number, steps: Steps<T>): T {
  let position = at;
  let step = steps.next();
  while (step.done !== true) {
    const piece = bytes.subarray(position, position + step.value.bytes);
    position += piece.length;
    step = steps.next(piece);
  }
  return step.value;
}

/**
 * Asks for bytes that must all be there.
 *
 * @param at position of the first of them in the file
 * @throws LqaError TRUNCATED_FILE at the first byte that is missing
 */
export function* need(
  bytes: number,
  at: number,
  where: string,
  expected: number,
  compressed = false,
): Steps<Uint8Array> {
  const piece = yield { bytes, compressed };
  if (piece.length < bytes) truncated(at + piece.length, expected, where);
  return piece;
}

/** @throws LqaError TRUNCATED_FILE */
export function truncated(length: number, expected: number, where?: string): never {
  return fail(KIND.TRUNCATED_FILE, { where, offset: length, expected: `${expected} bytes`, actual: length });
}
