/**
 * What `lqa calibrate` and `lqa tune` of the Python package measure for each component: safetensors with the tensors
 * `<module>.components` `[components, 4]` (strength, b, a and joint of each, see `Sensitivity`) and `<module>.gains`
 * `[components]`. Gains are trained for the encoding that follows the sensitivities of the same file: its content id is in the
 * metadata, under `content_id`.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import type { ModuleShape } from "../../model/adapter.ts";
import type { Gains, Sensitivities, Sensitivity } from "../../model/calibration.ts";
import { toFloat64 } from "../elements.ts";
import { quoteName } from "../json.ts";
import { readSafetensors, type SafeTensor } from "../safetensors.ts";
import { assertSquares, unfit } from "./entry.ts";
import { byModuleName } from "./match.ts";

const SENSITIVITIES = ".components";
const GAINS = ".gains";
/** Key of the metadata with the content id. */
const CONTENT = "content_id";
/** Figures of a component: strength, b, a, joint. */
const FIGURES = 4;
/** Largest factor by which a gain may differ from 1. A gain beyond it corrects no encoding. */
const MOST_GAIN = 16;

/** What a calibration file holds per component. */
export interface ComponentFigures {
  /** Undefined if the file has none; then it has no gains either. */
  readonly sensitivities: Sensitivities | undefined;
  readonly gains: Gains | undefined;
  /** Names of tensors that belong to no module of the adapter. */
  readonly unmatched: readonly string[];
  /** The other tensors, which hold moments. */
  readonly others: ReadonlyMap<string, SafeTensor>;
}

/** Takes the figures of components out of a safetensors file. @throws LqaError SOURCE_IMPORTANCE; as `readSafetensors` */
export function readComponents(bytes: Uint8Array, modules: readonly ModuleShape[]): ComponentFigures {
  const { tensors, metadata } = readSafetensors(bytes);
  const find = byModuleName(modules);
  const sensitivities = new Map<string, Sensitivity[]>();
  const factors = new Map<string, Float64Array>();
  const unmatched: string[] = [];
  const others = new Map<string, SafeTensor>();
  for (const [name, tensor] of tensors) {
    const ending = [SENSITIVITIES, GAINS].find((one) => name.endsWith(one));
    if (ending === undefined) {
      others.set(name, tensor);
      continue;
    }
    const module = find(name.slice(0, -ending.length))[0]?.module;
    if (module === undefined) {
      unmatched.push(name);
      continue;
    }
    // A name may omit PEFT's prefix, so two names can mean one module.
    if ((ending === GAINS ? factors : sensitivities).has(module.name))
      unfit(name, { expected: `one tensor for module ${quoteName(module.name)}`, actual: "two" });
    if (ending === GAINS) factors.set(module.name, readGains(name, tensor, module));
    else sensitivities.set(module.name, readSensitivities(name, tensor, module));
  }
  for (const name of factors.keys())
    if (!sensitivities.has(name))
      unfit(name + GAINS, { expected: `a tensor ${quoteName(name + SENSITIVITIES)} too`, actual: "none" });
  const contentId = metadata?.get(CONTENT) ?? "";
  if (factors.size > 0 && !/^[0-9a-f]{64}$/.test(contentId))
    fail(KIND.SOURCE_IMPORTANCE, {
      where: "metadata of the calibration file",
      expected: `"${CONTENT}" of 64 hexadecimal digits`,
      actual: quoteName(contentId),
    });
  return {
    sensitivities: sensitivities.size > 0 ? sensitivities : undefined,
    gains: factors.size > 0 ? { contentId, factors } : undefined,
    unmatched,
    others,
  };
}

function readSensitivities(name: string, tensor: SafeTensor, module: ModuleShape): Sensitivity[] {
  const [components = 0, figures] = tensor.shape;
  if (tensor.shape.length !== 2 || figures !== FIGURES) wrongShape(name, tensor, `[components, ${FIGURES}]`);
  assertComponents(name, components, module);
  const values = toFloat64(tensor, `tensor "${name}"`);
  assertSquares(name, values);
  return Array.from({ length: components }, (_, i) => {
    const [strength, b, a, joint] = values.subarray(FIGURES * i, FIGURES * (i + 1));
    return { strength: strength!, b: b!, a: a!, joint: joint! };
  });
}

function readGains(name: string, tensor: SafeTensor, module: ModuleShape): Float64Array {
  const [components = 0] = tensor.shape;
  if (tensor.shape.length !== 1) wrongShape(name, tensor, "[components]");
  assertComponents(name, components, module);
  const values = toFloat64(tensor, `tensor "${name}"`);
  for (const [i, value] of values.entries())
    if (!(value >= 1 / MOST_GAIN && value <= MOST_GAIN))
      unfit(name, {
        expected: `factors from 1/${MOST_GAIN} to ${MOST_GAIN}`,
        actual: `${value} at index ${i}`,
      });
  return values;
}

function assertComponents(name: string, components: number, { rank, experts }: ModuleShape): void {
  if (experts !== 1) unfit(name, { expected: "a module without experts", actual: `${experts} experts` });
  if (components > rank) unfit(name, { expected: `at most ${rank} components`, actual: components });
}

function wrongShape(name: string, { shape }: SafeTensor, expected: string): never {
  return unfit(name, { expected, actual: `[${shape}]` });
}
