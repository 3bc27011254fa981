/**
 * Matches the entries of a calibration file to modules of an adapter, and lays their moments out like A.
 *
 * @module
 */
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import { ggufKeys, moduleKey } from "../gguf/names.ts";
import { quoteName } from "../json.ts";
import { PREFIX, unwrap } from "../peft/keys.ts";
import { type MomentsEntry, unfit } from "./entry.ts";

/** A module that an entry names, and the index of its expert (undefined: all experts). */
export interface Target {
  readonly module: ModuleShape;
  readonly expert: number | undefined;
}

/** Finds the modules that a name in the file matches. */
export type Finder = (name: string) => readonly Target[];

/**
 * Matches by the module's own name, with or without PEFT's prefix and wrappers, or with `.weight`: the names in forward hooks
 * and state dicts. `lora_A.default`, the factor as a layer, has the module's inputs. `lora_A.weight` does not match: it is a
 * tensor of an adapter file and has no inputs.
 */
export function byModuleName(modules: readonly ModuleShape[]): Finder {
  const named = new Map(modules.map((module) => [module.name, module]));
  return (name) => {
    const rest = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;
    const layer = rest.replace(/\.weight$|\.lora_A\.(?!weight$)[^.]+$/, "");
    const module = named.get(name) ?? named.get(unwrap(layer));
    return module === undefined ? [] : [{ module, expert: undefined }];
  };
}

/**
 * Matches by the names in GGUF files.
 *
 * @throws (the finder) LqaError SOURCE_IMPORTANCE if a name could mean two modules
 */
export function byGgufName(modules: readonly ModuleShape[]): Finder {
  const keyed = new Map<string, Target[]>();
  for (const module of modules) {
    const { key, expert } = moduleKey(module.name) ?? {};
    if (key === undefined) continue;
    const targets = keyed.get(key) ?? [];
    targets.push({ module, expert });
    keyed.set(key, targets);
  }
  return (name) => {
    const targets = ggufKeys(name).flatMap((key) => keyed.get(key) ?? []);
    const seen = new Map<number | undefined, ModuleShape>();
    for (const { module, expert } of targets) {
      const other = seen.get(expert);
      if (other !== undefined) {
        const actual = `${quoteName(other.name)} and ${quoteName(module.name)}`;
        unfit(name, {
          expected: "one module of the adapter that it names",
          actual,
          advice: "Save the moments as safetensors under the names of the modules.",
        });
      }
      seen.set(expert, module);
    }
    return targets;
  };
}

/**
 * Checks the number of moments: one for each input, or one for each input channel of a convolution; for each
 * expert, or once for all of them. If the target names an expert, the entry must have it.
 *
 * @throws LqaError SOURCE_IMPORTANCE
 */
export function assertLength({ module, expert }: Target, entry: MomentsEntry): void {
  const inputs = inputLength(module);
  const { length, channels } = entry;
  const fits =
    expert === undefined
      ? [1, module.experts].some((experts) => length === experts * inputs || length === experts * module.in)
      : length % module.in === 0 && expert < length / module.in;
  if (!fits || (channels !== undefined && channels !== module.in && channels !== length))
    wrongLength(module, expert, entry);
}

/**
 * The moments of a module, `[experts][in · kernel]`, from an entry whose length {@link assertLength} accepted. All positions
 * of a kernel share the moment of their channel.
 */
export function momentsOf({ module, expert }: Target, all: Float64Array): Float64Array {
  const inputs = inputLength(module);
  const values = expert === undefined ? all : all.slice(expert * module.in, (expert + 1) * module.in);
  if (values.length === module.experts * inputs) return values;
  const moments = new Float64Array(module.experts * inputs);
  // In both layouts the channel is outside the kernel's positions, and the expert is outside the channel.
  const repeat = values.length % inputs === 0 ? 1 : inputs / module.in;
  for (let i = 0; i < moments.length; i++) moments[i] = values[Math.floor(i / repeat) % values.length]!;
  return moments;
}

function wrongLength(module: ModuleShape, expert: number | undefined, { name, length }: MomentsEntry): never {
  const inputs = inputLength(module);
  const each = inputs === module.in ? "" : ` (or ${inputs})`;
  const many = expert === undefined ? "" : ` for each of more than ${expert} experts`;
  return unfit(name, {
    expected: `${module.in}${each} moments for module ${quoteName(module.name)}${many}`,
    actual: length,
  });
}
