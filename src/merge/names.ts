/**
 * Which tensors of a base model an adapter changes.
 *
 * A model that was saved without the head its adapter was trained under has other prefixes (`h.0.…` for
 * `transformer.h.0.…`), so one change of the prefix is tried for all modules together; anything less regular is an error.
 *
 * @module
 */
import { quoteName } from "../dialects/json.ts";
import { fail } from "../errors.ts";
import type { Model, StoredTensor } from "../extract/model.ts";
import type { Adapter } from "../model/adapter.ts";

/** Prefixes that models have with a head and not without. */
const PREFIXES = ["model.", "transformer.", "base_model.", "gpt_neox.", "roberta.", "bert."];

/** Name of a base tensor by a name of the adapter's: of modules without `.weight`. */
export type Finder = (name: string) => StoredTensor | undefined;

/**
 * Finds all base tensors of an adapter.
 *
 * @throws LqaError BASE_MODULE_MISSING naming the first module whose weight is not there
 */
export function findBase({ modules }: Adapter, model: Model): Finder {
  const changes: ((name: string) => string)[] = [
    (name) => name,
    ...PREFIXES.flatMap((prefix) => [
      (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : name),
      (name: string) => prefix + name,
    ]),
  ];
  const weight = (name: string): StoredTensor | undefined => model.get(`${name}.weight`) ?? model.get(name);
  const change = changes.find((each) => modules.every(({ name }) => weight(each(name)) !== undefined));
  if (change !== undefined) return (name) => weight(change(name));
  const missing = modules.find(({ name }) => weight(name) === undefined)!;
  return fail("BASE_MODULE_MISSING", {
    where: `module ${quoteName(missing.name)}`,
    expected: `a base tensor ${quoteName(`${missing.name}.weight`)}`,
  });
}
