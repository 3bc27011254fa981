/**
 * Calibration files, in several formats: measurements of an adapter's modules, made by running its base model on texts.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import type { Calibration } from "../../model/calibration.ts";
import { isGguf } from "../gguf/read.ts";
import { HEAD_BYTES, identify } from "../identify.ts";
import { quoteName } from "../json.ts";
import { type ComponentFigures, readComponents } from "./components.ts";
import { type MomentsEntry, unfit } from "./entry.ts";
import { datEntries, ggufEntries, isDat } from "./imatrix.ts";
import { assertLength, byGgufName, byModuleName, type Finder, momentsOf } from "./match.ts";
import { safetensorsEntries } from "./safetensors.ts";

/** What a calibration file holds for the modules of an adapter. */
export interface CalibrationFile extends Calibration {
  /** Names in the file that match no module of the adapter, or have no data. */
  readonly unmatchedTensors: readonly string[];
  /** Modules that the file does not mention: the encoder treats them as if there were no file. */
  readonly missingModules: readonly string[];
}

/**
 * Reads a calibration file for the modules of an adapter.
 *
 * - safetensors as `lqa calibrate` and `lqa tune` of the Python package write it: `<name>.components`
 *   `[components, 4]`, `<name>.gains` `[components]`, `<name>.tuned_b` `[components, out]` and `<name>.tuned_a`
 *   `[components, in]`, see `Sensitivity` and `Tuning`; without tensors if they do not help.
 * - safetensors with one tensor per module, named after the module, `<name>.weight`, or a PEFT key: `[in]` holds second moments
 *   of the module's inputs, `[samples, in]` holds activations, whose mean squares are the moments.
 * - GGUF or `.dat` importance matrices of llama.cpp; their names are matched to the modules' names.
 *
 * A convolution takes a moment for each input channel, or for each weight of `[in · kernel]`.
 *
 * @throws LqaError TRUNCATED_SOURCE, SOURCE_HEADER and SOURCE_ELEMENT_TYPE for a broken file; UNSUPPORTED_DIALECT for
 *   a file of another kind; SOURCE_IMPORTANCE for impossible values, and if the file does not fit the adapter: a
 *   wrong number of values, two entries for one module, no match at all, moments and components in one file
 */
export function readCalibration(bytes: Uint8Array, modules: readonly ModuleShape[]): CalibrationFile {
  const { entries, find, figures } = open(bytes, modules);
  const moments = new Map<string, Float64Array>();
  const sources = new Map<string, string>();
  const unmatchedTensors = [...(figures?.unmatched ?? [])];
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
    else for (const target of targets) moments.set(target.module.name, momentsOf(target, values));
  }
  // Sensitivities belong to the components of an encoder that does not weight by moments; with moments, components differ.
  const { plain = false, relative = false, sensitivities, directions, tuning } = figures ?? {};
  if (moments.size > 0 && sensitivities !== undefined)
    fail(KIND.SOURCE_IMPORTANCE, {
      where: "calibration file",
      expected: "either moments of inputs or figures of components",
      actual: "both",
    });
  const known = sensitivities ?? moments;
  const missingModules = modules.map(({ name }) => name).filter((name) => !known.has(name));
  if (missingModules.length === modules.length && modules.length > 0 && !plain)
    fail(KIND.SOURCE_IMPORTANCE, {
      where: "calibration file",
      expected: `names of modules, such as ${examples(missingModules)}`,
      actual: examples(unmatchedTensors),
    });
  return {
    moments,
    ...(sensitivities !== undefined && { sensitivities }),
    ...(relative && { relative }),
    ...(directions !== undefined && { directions }),
    ...(tuning !== undefined && { tuning }),
    source: bytes,
    unmatchedTensors,
    missingModules,
  };
}

function open(
  bytes: Uint8Array,
  modules: readonly ModuleShape[],
): { entries: MomentsEntry[]; find: Finder; figures?: ComponentFigures } {
  if (isGguf(bytes)) return { entries: ggufEntries(bytes), find: byGgufName(modules) };
  // A safetensors header begins with its length and a brace; in a .dat file this byte belongs to a name.
  if (bytes[8] === 0x7b) {
    const figures = readComponents(bytes, modules);
    return { entries: safetensorsEntries(figures.others), find: byModuleName(modules), figures };
  }
  if (isDat(bytes)) return { entries: datEntries(bytes), find: byGgufName(modules) };
  const found = identify({ name: "calibration", head: bytes.subarray(0, HEAD_BYTES), keys: [] });
  return fail(KIND.UNSUPPORTED_DIALECT, {
    ...(found === undefined ? {} : { summary: `This is ${found.what}.` }),
    where: "calibration file",
    expected: "safetensors, or an importance matrix of llama.cpp",
    advice: "Give a file of `lqa calibrate` or llama-imatrix, or save moments or activations as safetensors.",
  });
}

function examples(names: readonly string[]): string {
  if (names.length === 0) return "nothing";
  const shown = names.slice(0, 2).map(quoteName).join(", ");
  return names.length > 2 ? `${shown} and ${names.length - 2} more` : shown;
}
