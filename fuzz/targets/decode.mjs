// A file opened, verified, and everything in it decoded. After an error the other modules are still readable.
import { open } from "../../dist/core/read/file.js";
import { asyncOutcome, BUDGET, expect, target } from "../contract.mjs";
import { prepared, zstd } from "../file.mjs";

export const fuzz = target(async (input, variant) => {
  const bytes = prepared(input, variant);
  const { value: file } = await asyncOutcome(() => open(bytes, { zstd, budgetBytes: BUDGET }));
  if (file === undefined) return;
  const options = { budgetBytes: BUDGET, type: variant & 8 ? "f16" : "f32" };
  let failed = 0;
  for (const module of file.modules) {
    const { value, error } = await asyncOutcome(() => file.decode(module, options));
    if (error !== undefined && error.kind !== "BUDGET") failed++;
    if (value !== undefined)
      expect(value.b.data.length === module.experts * module.out * module.rank, "B has the wrong length");
  }
  for (const tensor of file.tensors) {
    const { value, error } = await asyncOutcome(() => file.tensor(tensor));
    if (error !== undefined) failed++;
    if (value !== undefined) expect(value.data.length === tensor.payload, "a tensor has the wrong length");
  }
  if ((await asyncOutcome(() => file.meta())).error !== undefined) failed++;
  if ((await asyncOutcome(() => file.origin())).error !== undefined) failed++;
  const verified = await asyncOutcome(() => file.verify());
  expect(verified.error !== undefined || failed === 0, "a file that verifies has a part that does not read");
});
