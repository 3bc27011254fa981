/**
 * What `lqa calibrate` and `lqa tune` of the Python package measure for each component: safetensors with the tensors
 * `<module>.components` `[components, 4]` (strength, b, a and joint of each, see `Sensitivity`), `<module>.directions_b`
 * `[directions, out]` and `<module>.directions_a` `[directions, in]` (see `Directions`), `<module>.gains` `[components]`,
 * `<module>.tuned_b` `[components, out]` and `<module>.tuned_a` `[components, in]`. The last three are trained for the encoding
 * that follows the others of the same file: its content id is in the metadata, under `content_id`. If they measured that an
 * encoding without figures is better, the file has none, and says so in the metadata, under `kept`. Figures that are known up to a
 * common factor only, as from the gradients of a training, have the metadata `scale: relative`.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { inputLength, type ModuleShape } from "../../model/adapter.ts";
import type { Directions, Sensitivities, Sensitivity, Tuning } from "../../model/calibration.ts";
import { toFloat32, toFloat64 } from "../elements.ts";
import { quoteName } from "../json.ts";
import { readSafetensors, type SafeTensor } from "../safetensors.ts";
import { assertSquares, unfit } from "./entry.ts";
import { byModuleName } from "./match.ts";

const SENSITIVITIES = ".components";
const GAINS = ".gains";
const DIRECTIONS = { b: ".directions_b", a: ".directions_a" } as const;
const TUNED = { b: ".tuned_b", a: ".tuned_a" } as const;
const ENDINGS = [SENSITIVITIES, DIRECTIONS.b, DIRECTIONS.a, GAINS, TUNED.b, TUNED.a];
/** Key of the metadata with the content id. */
const CONTENT = "content_id";
/** Key and value of the metadata of a file without figures. */
const [KEPT, PLAIN] = ["kept", "without a calibration"];
/** Key and value of the metadata of figures whose common factor is unknown. */
const [SCALE, RELATIVE] = ["scale", "relative"];
/** Figures of a component: strength, b, a, joint. */
const FIGURES = 4;
/** Most directions of a factor: memory of the encoder grows with them. */
const MOST_DIRECTIONS = 64;
/** Largest sum of their squares for each weight: they were measured in binary32. */
const MOST_ENERGY = 1.001;
/** Largest factor by which a gain may differ from 1. A gain beyond it corrects no encoding. */
const MOST_GAIN = 16;

/** What a calibration file holds per component. */
export interface ComponentFigures {
  /** Whether the file has none because they do not help. */
  readonly plain: boolean;
  /** Whether the sensitivities are known up to a common factor only. */
  readonly relative: boolean;
  /** Undefined if the file has none. */
  readonly sensitivities: Sensitivities | undefined;
  readonly directions: ReadonlyMap<string, Directions> | undefined;
  readonly tuning: Tuning | undefined;
  /** Names of tensors that belong to no module of the adapter. */
  readonly unmatched: readonly string[];
  /** The other tensors, which hold moments. */
  readonly others: ReadonlyMap<string, SafeTensor>;
}

/** Takes the figures of components out of a safetensors file. @throws LqaError SOURCE_IMPORTANCE; as `readSafetensors` */
export function readComponents(bytes: Uint8Array, modules: readonly ModuleShape[]): ComponentFigures {
  const { tensors, metadata } = readSafetensors(bytes);
  const { sensitivities, gains, directed, tuned, unmatched, others } = collect(tensors, modules);
  const plain = metadata?.get(KEPT) === PLAIN;
  if (!plain)
    for (const name of gains.keys()) assertAlso(name, GAINS, SENSITIVITIES, sensitivities.has(name));
  const directions = pairsOf(directed, DIRECTIONS, SENSITIVITIES, sensitivities);
  const vectors = pairsOf(tuned, TUNED, GAINS, gains);
  assertCounts(vectors, gains, modules);
  const contentId = metadata?.get(CONTENT) ?? "";
  if (gains.size > 0 && !/^[0-9a-f]{64}$/.test(contentId))
    fail(KIND.SOURCE_IMPORTANCE, {
      where: "metadata of the calibration file",
      expected: `"${CONTENT}" of 64 hexadecimal digits`,
      actual: quoteName(contentId),
    });
  return {
    plain,
    relative: metadata?.get(SCALE) === RELATIVE,
    sensitivities: sensitivities.size > 0 ? sensitivities : undefined,
    directions: directions.size > 0 ? directions : undefined,
    tuning: gains.size > 0 ? { contentId, gains, vectors } : undefined,
    unmatched,
    others,
  };
}

/** Vectors of both factors, by module. */
interface FactorVectors {
  readonly b: Map<string, Float32Array>;
  readonly a: Map<string, Float32Array>;
}

/** The vectors of both factors of one module. */
type VectorPair = Readonly<Record<"b" | "a", Float32Array>>;

/** The tensors of a file, by module and meaning. */
function collect(tensors: ReadonlyMap<string, SafeTensor>, modules: readonly ModuleShape[]) {
  const find = byModuleName(modules);
  const sensitivities = new Map<string, Sensitivity[]>();
  const gains = new Map<string, Float64Array>();
  const directed: FactorVectors = { b: new Map(), a: new Map() };
  const tuned: FactorVectors = { b: new Map(), a: new Map() };
  const unmatched: string[] = [];
  const others = new Map<string, SafeTensor>();
  for (const [name, tensor] of tensors) {
    const ending = ENDINGS.find((one) => name.endsWith(one));
    if (ending === undefined) {
      others.set(name, tensor);
      continue;
    }
    const module = find(name.slice(0, -ending.length))[0]?.module;
    if (module === undefined) {
      unmatched.push(name);
      continue;
    }
    const put = <T>(map: Map<string, T>, value: T): void => {
      // A name may omit PEFT's prefix, so two names can mean one module.
      if (map.has(module.name))
        unfit(name, { expected: `one tensor for module ${quoteName(module.name)}`, actual: "two" });
      map.set(module.name, value);
    };
    if (ending === SENSITIVITIES) put(sensitivities, readSensitivities(name, tensor, module));
    else if (ending === DIRECTIONS.b) put(directed.b, readDirections(name, tensor, module, module.out));
    else if (ending === DIRECTIONS.a)
      put(directed.a, readDirections(name, tensor, module, inputLength(module)));
    else if (ending === GAINS) put(gains, readGains(name, tensor, module));
    else if (ending === TUNED.b) put(tuned.b, readVectors(name, tensor, module, module.out));
    else put(tuned.a, readVectors(name, tensor, module, inputLength(module)));
  }
  return { sensitivities, gains, directed, tuned, unmatched, others };
}

function assertAlso(name: string, own: string, other: string, has: boolean): void {
  if (!has) unfit(name + own, { expected: `a tensor ${quoteName(name + other)} too`, actual: "none" });
}

/** Both factors' vectors together. Their modules must have both, and another tensor too. */
function pairsOf(
  { b, a }: FactorVectors,
  own: typeof TUNED | typeof DIRECTIONS,
  other: string,
  others: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, VectorPair> {
  for (const name of b.keys()) {
    assertAlso(name, own.b, own.a, a.has(name));
    assertAlso(name, own.b, other, others.has(name));
  }
  for (const name of a.keys()) assertAlso(name, own.a, own.b, b.has(name));
  return new Map([...b].map(([name, values]) => [name, { b: values, a: a.get(name)! }]));
}

/** Checks that a module has as many gains and tuned vectors of A' as of B'. */
function assertCounts(
  vectors: ReadonlyMap<string, VectorPair>,
  gains: ReadonlyMap<string, Float64Array>,
  modules: readonly ModuleShape[],
): void {
  const known = new Map(modules.map((module) => [module.name, module]));
  for (const [name, { b, a }] of vectors)
    for (const [ending, count] of [
      [GAINS, gains.get(name)!.length] as const,
      [TUNED.a, a.length / inputLength(known.get(name)!)] as const,
    ]) {
      const wanted = b.length / known.get(name)!.out;
      if (count !== wanted)
        unfit(name + ending, { expected: `as many as vectors of B': ${wanted}`, actual: count });
    }
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

/** Directions of second moments whose diagonal has a mean of 1, of which they are a part. */
function readDirections(name: string, tensor: SafeTensor, module: ModuleShape, length: number): Float32Array {
  const values = readVectors(name, tensor, { ...module, rank: MOST_DIRECTIONS }, length);
  const sum = values.reduce((total, value) => total + value * value, 0);
  if (!(sum <= MOST_ENERGY * length))
    unfit(name, { expected: `squares with a sum of at most ${length}`, actual: sum });
  return values;
}

/** Vectors of a module, at most as many as its rank. */
function readVectors(name: string, tensor: SafeTensor, module: ModuleShape, length: number): Float32Array {
  const [components = 0, own] = tensor.shape;
  if (tensor.shape.length !== 2 || own !== length) wrongShape(name, tensor, `[components, ${length}]`);
  assertComponents(name, components, module);
  const values = toFloat32(tensor, `tensor "${name}"`);
  const stray = values.findIndex((value) => !Number.isFinite(value));
  if (stray >= 0)
    unfit(name, {
      expected: "finite weights",
      actual: `${values[stray]} at index ${stray}`,
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
