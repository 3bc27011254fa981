// Repair: what it gives back is valid and of the ids it says, and it leaves the input alone; it refuses with the first error
// that the validator finds, or because trying would inflate more than its budget.
import { repairLqa } from "../../dist/core/repair.js";
import { validate } from "../../dist/core/validate/validate.js";
import { asyncOutcome, expect, target } from "../contract.mjs";
import { prepared, zstd } from "../file.mjs";

export const fuzz = target(async (input, variant) => {
  const bytes = prepared(input, variant);
  const before = bytes.slice();
  const { value, error } = await asyncOutcome(() => repairLqa(bytes, { zstd }));
  expect(Buffer.compare(before, bytes) === 0, "the input was changed");
  const original = await validate(bytes, { zstd });
  if (value === undefined) {
    expect(!original.valid, "a valid file was refused");
    const kinds = [original.error.kind, "BUDGET"];
    expect(kinds.includes(error.kind), `refused with ${error.kind}, not ${original.error.kind}`);
    return;
  }
  const changed = Buffer.compare(bytes, value.bytes) !== 0;
  expect(changed === value.repairs.length > 0, "changed without a word, or a word without a change");
  const { valid, ids } = await validate(value.bytes, { zstd });
  expect(valid, "what was repaired is not valid");
  expect(ids.fileId === value.fileId && ids.contentId === value.contentId, "other ids than it says");
});
