/**
 * The parents of an adapter's modules in the encoder (spec clause 8.9): modules of the parent by name, decoded.
 *
 * @module
 */
import { decodeModule, type LqaFile } from "../core/index.ts";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { GENERATIONS } from "../limits.ts";
import { comparable, type LoraModule, type ModuleShape } from "../model/adapter.ts";
import type { ParentFactors } from "./quantize/parent/align.ts";
import { noiseOf } from "./quantize/parent/noise.ts";

/** A parent's modules. */
export interface Parents {
  /** Content id of the parent, hexadecimal. */
  readonly id: string;
  /** By the name of the child's module: number of the parent's module in its file, and its factors. */
  readonly modules: ReadonlyMap<string, { readonly number: number; readonly factors: ParentFactors }>;
}

/**
 * Decodes the modules of a parent that can be parents of a child's modules: with equal name and shape, and no larger rank. Takes
 * four bytes per weight of them.
 *
 * @throws LqaError USAGE if no module fits; CORE_LIMIT if the parent has too many parents; as `verify` and `decode` of the file
 */
export async function decodeParents(
  modules: readonly LoraModule[],
  file: LqaFile,
  signal: AbortSignal | undefined,
): Promise<Parents> {
  const { contentId } = await file.verify({ signal });
  const generations = 1 + file.parents.length;
  if (generations > GENERATIONS.core)
    fail(KIND.CORE_LIMIT, {
      where: "parents one behind the other",
      expected: `at most ${GENERATIONS.core}`,
      actual: generations,
      advice: "Make the parent whole first: lqa rebase.",
    });
  const numbers = new Map(file.modules.map(({ name }, number) => [name, number]));
  const found = new Map<string, { number: number; factors: ParentFactors }>();
  for (const module of modules) {
    const number = numbers.get(module.name);
    const record = number === undefined ? undefined : file.modules[number]!;
    if (record === undefined || !fits(module, record)) continue;
    const packed = await file.packed(record, { signal });
    const { b, a } = decodeModule(record, packed, { layout: "component" });
    const noise = noiseOf(record, packed);
    found.set(module.name, { number: number!, factors: { rank: record.rank, b: b.data, a: a.data, noise } });
  }
  if (found.size === 0)
    fail(KIND.USAGE, {
      where: "parent",
      expected:
        "an adapter of the same base model, with modules of the same names and shapes and no larger ranks",
      actual: `${file.modules.length} modules, none of which fits`,
      advice: "Encode without a parent, or compare the names: lqa inspect --modules.",
    });
  return { id: contentId, modules: found };
}

function fits(module: ModuleShape, parent: ModuleShape): boolean {
  return comparable(module, parent) && parent.rank <= module.rank;
}
