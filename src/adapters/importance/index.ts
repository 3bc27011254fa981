/**
 * Importance files: second moments of the inputs of a model's layers on calibration data, in whichever format.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import type { Importance } from "../../model/importance.ts";
import { isGguf } from "../gguf/read.ts";
import { HEAD_BYTES, identify } from "../identify.ts";
import { quoteName } from "../json.ts";
import { type Entry, unfit } from "./entry.ts";
import { datEntries, ggufEntries, isDat } from "./imatrix.ts";
import { assertLength, byGgufName, byModuleName, type Finder, layOut } from "./match.ts";
import { safetensorsEntries } from "./safetensors.ts";

/** What an importance file says of the modules of an adapter. */
export interface ImportanceFile extends Importance {
  /** Names in the file that stand for no module of the adapter, or have no data. */
  readonly unmatchedTensors: readonly string[];
  /** Modules without moments: they count as before. */
  readonly missingModules: readonly string[];
}

/**
 * Reads an importance file for the modules of an adapter.
 *
 * - safetensors: a tensor for each module under its name, `<name>.weight`, or a key of PEFT's; `[in]` for moments,
 *   `[samples, in]` for activations to take the mean squares of.
 * - GGUF or `.dat` importance matrices of llama.cpp, whose names are matched with the modules'.
 *
 * A convolution takes a moment for each input channel, or for each weight of `[in · kernel]`.
 *
 * @throws LqaError TRUNCATED_SOURCE, SOURCE_HEADER and SOURCE_ELEMENT_TYPE for a broken file; UNSUPPORTED_DIALECT for
 *   one of another kind; SOURCE_IMPORTANCE for values that are no moments, and if the file does not fit the adapter: a
 *   wrong number of moments, two candidates for one place, no match at all
 */
export function readImportance(bytes: Uint8Array, modules: readonly ModuleShape[]): ImportanceFile {
  const { entries, find } = open(bytes, modules);
  const moments = new Map<string, Float64Array>();
  const sources = new Map<string, string>();
  const unmatchedTensors: string[] = [];
  for (const entry of entries) {
    const targets = find(entry.name);
    for (const target of targets) {
      const { name } = target.module;
      const other = sources.get(name);
      if (other !== undefined) {
        const actual = `${quoteName(other)} and ${quoteName(entry.name)}`;
        unfit(entry.name, { expected: `one tensor for module ${quoteName(name)}`, actual });
      }
      sources.set(name, entry.name);
      assertLength(target, entry);
    }
    const values = targets.length === 0 ? undefined : entry.read();
    if (values === undefined) unmatchedTensors.push(entry.name);
    else for (const target of targets) moments.set(target.module.name, layOut(target, values));
  }
  const missingModules = modules.map(({ name }) => name).filter((name) => !moments.has(name));
  if (moments.size === 0 && modules.length > 0)
    fail(KIND.SOURCE_IMPORTANCE, {
      where: "importance file",
      expected: `names of modules, such as ${examples(missingModules)}`,
      actual: examples(unmatchedTensors),
    });
  return { moments, source: bytes, unmatchedTensors, missingModules };
}

function open(bytes: Uint8Array, modules: readonly ModuleShape[]): { entries: Entry[]; find: Finder } {
  if (isGguf(bytes)) return { entries: ggufEntries(bytes), find: byGgufName(modules) };
  // A safetensors header begins with its length and a brace; in a .dat file, a name stands there.
  if (bytes[8] === 0x7b) return { entries: safetensorsEntries(bytes), find: byModuleName(modules) };
  if (isDat(bytes)) return { entries: datEntries(bytes), find: byGgufName(modules) };
  const found = identify({ name: "importance", head: bytes.subarray(0, HEAD_BYTES), keys: [] });
  return fail(KIND.UNSUPPORTED_DIALECT, {
    ...(found === undefined ? {} : { summary: `This is ${found.what}.` }),
    where: "importance file",
    expected: "safetensors, or an importance matrix of llama.cpp",
    advice: "Save moments or activations as safetensors, or give the file that llama-imatrix wrote.",
  });
}

function examples(names: readonly string[]): string {
  if (names.length === 0) return "nothing";
  const shown = names.slice(0, 2).map(quoteName).join(", ");
  return names.length > 2 ? `${shown} and ${names.length - 2} more` : shown;
}
