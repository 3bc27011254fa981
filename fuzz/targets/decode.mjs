// A file opened, verified, and everything in it decoded, with its parent if that is one of the corpus. After an error the other
// modules are still readable.
import { readFileSync } from "node:fs";
import { open } from "../../dist/core/read/file.js";
import { asyncOutcome, BUDGET, expect, target } from "../contract.mjs";
import { prepared, zstd } from "../file.mjs";

const PARENTS = [];
for (const name of ["root-modules", "root-start", "root"]) {
  const path = new URL(`../../conformance/suite/valid/parent/${name}.lqa`, import.meta.url);
  const file = await open(new Uint8Array(readFileSync(path)));
  await file.verify();
  PARENTS.push(file);
}

export const fuzz = target(async (input, variant) => {
  const bytes = prepared(input, variant);
  const how = { zstd, budgetBytes: BUDGET };
  let { value: file } = await asyncOutcome(() => open(bytes, how));
  if (file === undefined) return;
  const parent = PARENTS.find(({ verified }) => verified.contentId === file.parentId);
  if (parent !== undefined) {
    const { value, error } = await asyncOutcome(() => open(bytes, { ...how, parents: [parent] }));
    expect(value !== undefined || error.kind === "PARENT_MISMATCH", "a parent is refused for another reason");
    file = value ?? file;
  }
  const options = { budgetBytes: BUDGET, type: variant & 8 ? "f16" : "f32" };
  let failed = 0;
  for (const module of file.modules) {
    const { value, error } = await asyncOutcome(() => file.decode(module, options));
    if (error !== undefined && !["BUDGET", "PARENT_MISSING"].includes(error.kind)) failed++;
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
