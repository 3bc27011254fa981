/**
 * Byte goals of the `rd` profile: allocates so that the file, not only its codes, has at most some size.
 *
 * @module
 */
import type { Band } from "../../../core/index.ts";
import * as KIND from "../../../error-catalogue.ts";
import { fail } from "../../../errors.ts";
import { type ModuleShape, shapeOf } from "../../../model/adapter.ts";
import type { Choice, Goal } from "./allocate.ts";
import { planBands } from "./join-bands.ts";
import type { Subject } from "./subject.ts";

/** Allocates for a goal; choices by module and component. */
export type Choose = (goal: Goal) => { choices: Choice[][]; bits: number };

/** Length of the file if its modules have these bands. */
export type FileLength = (
  modules: readonly (ModuleShape & { readonly bands: readonly Band[]; readonly fromParent: boolean })[],
) => number;

/** `where` of the error of a size that no encoding of the adapter reaches. */
export const TOO_SMALL = "this adapter";
/** Most rounds that correct the budget of an allocation by the size of the file. */
const FITTING_ROUNDS = 8;
/** A byte goal is met if at most this share of the vectors' size is left. */
const SLACK = 0.002;

/**
 * Allocates and codes so that the file has at most `maxBytes`. The size is known before coding, unless a scale needs
 * another type than usual and splits a band; then another round saves the excess elsewhere.
 *
 * @throws LqaError USAGE
 */
export async function approachBytes(
  subjects: readonly Subject[],
  maxBytes: number,
  fileLength: FileLength,
  choose: Choose,
  code: (choices: readonly Choice[][]) => Promise<void>,
): Promise<Choice[][]> {
  for (let goal = maxBytes; ; ) {
    const choices = chooseForBytes(subjects, goal, fileLength, choose);
    await code(choices);
    const over = sizeOf(subjects, choices, fileLength) - maxBytes;
    if (over <= 0) return choices;
    goal -= over;
  }
}

function sizeOf(subjects: readonly Subject[], choices: readonly Choice[][], fileLength: FileLength): number {
  return fileLength(
    subjects.map((subject, i) => ({
      ...shapeOf(subject.module),
      bands: planBands(subject, choices[i]!),
      fromParent: subject.survey.left !== undefined,
    })),
  );
}

/** Allocates so that the file is at most, and close to, `maxBytes`. @throws LqaError USAGE */
function chooseForBytes(
  subjects: readonly Subject[],
  maxBytes: number,
  fileLength: FileLength,
  choose: Choose,
): Choice[][] {
  let budget = 8 * maxBytes;
  let best: { choices: Choice[][]; bytes: number } | undefined;
  for (let round = 0; round < FITTING_ROUNDS; round++) {
    const { choices, bits } = choose({ bits: budget });
    const bytes = sizeOf(subjects, choices, fileLength);
    if (bytes <= maxBytes && (best === undefined || bytes > best.bytes)) best = { choices, bytes };
    if (best !== undefined && maxBytes - best.bytes <= (SLACK * bits) / 8) break;
    // Index and padding hardly depend on the choices, so one step corrects the excess or the rest.
    budget = bits + 8 * (maxBytes - bytes);
  }
  if (best !== undefined) return best.choices;
  // The file's size is not quite monotone in the bits: near the smallest size, the floors themselves decide.
  const floors = choose({ bits: 0 }).choices;
  const least = sizeOf(subjects, floors, fileLength);
  if (least <= maxBytes) return floors;
  return fail(KIND.USAGE, {
    where: TOO_SMALL,
    expected: `at least ${least} bytes`,
    actual: maxBytes,
    advice: "Allow more bytes or bits per weight, or a lower floor if there is one.",
  });
}
