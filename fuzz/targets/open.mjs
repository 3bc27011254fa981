// Prologue, index and everything they say: the part of a file that is read before anything is handed out.
import { outcome, target } from "../contract.mjs";
import { sealHeader, sealRecords } from "../seal.mjs";
import { openIndex } from "../steps.mjs";

export const fuzz = target((input, variant) => {
  // A quarter of the inputs stay as they are; half have every count and length put right.
  const bytes = [() => input, sealHeader, (b) => sealRecords(b).bytes, (b) => sealRecords(b).bytes][
    variant & 3
  ](input);
  outcome(() => openIndex(bytes, (variant & 4) === 0 ? "core" : "hard"));
});
