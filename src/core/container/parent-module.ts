/**
 * Whether a module of a parent fits the module that adds to it (spec clause 8.9.3).
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import type { ModuleRecord } from "./types.ts";

/** Checks that the parent has a module that fits. @param modules those of the parent @throws LqaError PARENT_MISMATCH */
export function checkParentModule(record: ModuleRecord, modules: readonly ModuleShape[]): void {
  const { parentModule, name, rank } = record;
  if (parentModule === undefined) return;
  const wrong = (expected: string, actual: string): never =>
    fail(KIND.PARENT_MISMATCH, { where: `parent of module "${name}"`, expected, actual });
  const own = modules[parentModule] ?? wrong(`a module number ${parentModule}`, `${modules.length} modules`);
  if (shapeOf(own) !== shapeOf(record)) wrong(shapeOf(record), shapeOf(own));
  if (own.rank > rank) wrong(`a rank of at most ${rank}`, `${own.rank}`);
}

/** The sizes that must be equal in child and parent. */
function shapeOf({ out, in: n, kernel, experts }: ModuleShape): string {
  return `out ${out}, in ${[n, ...kernel].join("×")}, experts ${experts}`;
}
