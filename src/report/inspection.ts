/**
 * Collects everything about an `.lqa` file for a report: its contents, the purpose of its bytes, the findings of the
 * validator and the singular values of its modules. With the source adapter, also the error of each module and its distance
 * from the rate-distortion bound.
 *
 * It also inspects damaged files: the inspection contains all that can be read, and says why the rest cannot. Without the
 * source, the only figure of loss is the one that the encoder wrote into the metadata.
 *
 * @module
 */

import {
  type ByteSource,
  decodeModule,
  encodingLabel,
  type LqaFile,
  type MetaMap,
  type ModuleRecord,
  memorySource,
  type OpenOptions,
  open,
  type SectionRecord,
  type TensorRecord,
  type Validation,
  type ValidationLevel,
  validate,
} from "../core/index.ts";
import { pieceCount } from "../core/reading.ts";
import { type BoundComponent, compareModules, paced } from "../encode/index.ts";
import { relativeBound } from "../encode/rooms.ts";

import { isLqaError } from "../errors.ts";
import {
  type Adapter,
  comparable,
  type LoraModule,
  type ModuleShape,
  type Origin,
  parameterCount,
  shapeOf,
  withFactors,
} from "../model/adapter.ts";
import { type ByteMap, mapBytes } from "./byte-map.ts";
import { type CodeCounts, countCodes } from "./code-counts.ts";
import { type LayerPlace, layerPlaces } from "./layers.ts";
import type { RdPoint } from "./rd-curve-svg.ts";
import { finite, spectrum } from "./spectrum.ts";

/** How to inspect. */
export interface InspectOptions {
  /** The adapter that the file was made from. */
  readonly source?: Adapter | undefined;
  /** The file's parents, as in `open`. Without them, the inspection cannot decode modules that have a parent. */
  readonly parents?: OpenOptions["parents"];
  /** How much the validator checks. Default `values`; `structure` checks only prologue and index. */
  readonly level?: ValidationLevel | undefined;
  /** If false, the inspection reads no modules and has no singular values, codes and losses. Default true. */
  readonly weights?: boolean | undefined;
  /**
   * Approximate number of multiplications above which the inspection leaves out modules: a file of some kilobytes may hold
   * modules that take hours to decompose. Default 2³⁰ plus 2¹¹ for each byte of the file, at most 2³⁶. That is five times the
   * work of an adapter with 2 bits per weight and rank 64.
   */
  readonly work?: number | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The comparison of a module with the source. */
export interface ModuleLoss {
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖²; infinite if ΔW is zero and ΔŴ is not. */
  readonly relativeError: number;
  /** ‖ΔW‖². */
  readonly energy: number;
  /** ‖ΔW − ΔŴ‖². */
  readonly errorEnergy: number;
  /** Singular values of the source's ΔW, as in {@link InspectedModule.singularValues}. */
  readonly singularValues: Float64Array;
}

/** One module. */
export interface InspectedModule extends ModuleShape, LayerPlace {
  /** Bytes of its chunk. */
  readonly bytes: number;
  /** Bits of its chunk per parameter. */
  readonly bits: number;
  readonly parameters: number;
  /** The encodings as labels of `encodingLabel`. */
  readonly bands: readonly { readonly components: number; readonly b: string; readonly a: string }[];
  /**
   * Singular values of ΔŴ = multiplier · B · A, largest first, `[rank]`; with several experts, root mean squares over them.
   * Undefined if the module was not decoded.
   */
  readonly singularValues: Float64Array | undefined;
  /** Undefined if the module was not compared with a source. */
  readonly loss: ModuleLoss | undefined;
  /** Why the weights were not inspected. */
  readonly problem: string | undefined;
}

/** The whole file compared with its source. */
export interface SourceFindings {
  /** Σ ‖ΔW − ΔŴ‖² / Σ ‖ΔW‖² over the compared modules. */
  readonly relativeError: number;
  /** Number of modules compared. */
  readonly modules: number;
  /** Bits per weight, plain tensors not counted. */
  readonly bits: number;
  /** The smallest relative error that Gaussian components allow at these bits. */
  readonly bound: number;
  /** 10 log₁₀ (relativeError / bound); undefined if either is 0. */
  readonly aboveBoundDb: number | undefined;
  /** The bound from 0 bits to half again as many as the file has. */
  readonly boundCurve: readonly RdPoint[];
  /** Names of the source's modules that the file lacks, or has in another shape. */
  readonly onlyInSource: readonly string[];
  /** Names of the file's modules that the source lacks, or has in another shape. */
  readonly notInSource: readonly string[];
}

/** The result of {@link inspectLqa}. */
export interface Inspection {
  readonly fileLength: number;
  readonly version: string | undefined;
  readonly validation: Validation;
  readonly modules: readonly InspectedModule[];
  readonly tensors: readonly TensorRecord[];
  readonly sections: readonly SectionRecord[];
  readonly byteMap: ByteMap | undefined;
  readonly codes: readonly CodeCounts[];
  /** Undefined if META cannot be read. */
  readonly meta: MetaMap | undefined;
  readonly origin: Origin | undefined;
  readonly source: SourceFindings | undefined;
}

const MOST_WORK = 2 ** 36;
const LEAST_WORK = 2 ** 30;
const WORK_OF_A_BYTE = 2 ** 11;
/** Cost of decoding a weight compared with the decomposition, in the same unit. */
const DECODING = 16;
/** Fixed cost of a band of an expert, in addition to that of its weights. */
const PIECE = 2 ** 15;
const CURVE_POINTS = 24;

/**
 * Inspects a file in memory or behind a source of ranges, in bounded memory: one module at a time. With `level: "structure"` and
 * `weights: false` it reads only prologue, index and metadata.
 *
 * @param from bytes of the file, or a source of them
 *
 * @throws LqaError ABORTED; errors from reading either source; never because of the contents of the file
 */
export async function inspectLqa(
  from: Uint8Array | ByteSource,
  options: InspectOptions = {},
): Promise<Inspection> {
  const source = from instanceof Uint8Array ? memorySource(from) : from;
  const { level, signal } = options;
  const validation = await validate(source, { all: true, level, signal });
  // Show a damaged file as far as it can be read, with its findings; a digest mismatch must not hide the rest.
  const shown: ByteSource = validation.valid
    ? source
    : { size: source.size, stable: true, read: (...range) => source.read(...range) };
  const file = await attempt(() => open(shown, { parents: options.parents, signal }));
  const nothing = { modules: [], tensors: [], sections: [], codes: [], byteMap: undefined };
  if (file === undefined)
    return {
      ...nothing,
      fileLength: validation.bytes,
      version: undefined,
      validation,
      meta: undefined,
      origin: undefined,
      source: undefined,
    };
  const { prologue, index, tensors, sections } = file;
  const codes = new Map<string, CodeCounts>();
  const { modules, components } = await inspectModules(file, codes, options);
  return {
    fileLength: prologue.fileLength,
    version: `${prologue.major}.${prologue.minor}`,
    validation,
    modules,
    tensors,
    sections,
    byteMap: mapBytes(index, prologue.indexLength, prologue.fileLength),
    codes: [...codes.values()].sort((x, y) => y.components - x.components),
    meta: await attempt(() => file.meta()),
    origin: await attempt(() => file.origin()),
    source: options.source && findingsOf(file, options.source, modules, components),
  };
}

/**
 * The result of `read`, or undefined if the contents of the file make it fail; the validator reports the reason. Rethrows
 * errors of input and output.
 */
async function attempt<T>(read: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isLqaError(error) || error.class === "X") throw error;
    return undefined;
  }
}

async function inspectModules(
  file: LqaFile,
  codes: Map<string, CodeCounts>,
  options: InspectOptions,
): Promise<{ modules: InspectedModule[]; components: BoundComponent[] }> {
  const places = layerPlaces(file.modules.map(({ name }) => name));
  const sources = new Map(options.source?.modules.map((module) => [module.name, module]));
  const progress = paced({
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const components: BoundComponent[] = [];
  const modules: InspectedModule[] = [];
  const allowed = Math.min(MOST_WORK, LEAST_WORK + WORK_OF_A_BYTE * file.prologue.fileLength);
  let work = 0;
  for (const [i, record] of file.modules.entries()) {
    await progress(i, file.modules.length, record.name);
    work += parameterCount(record) * (record.rank + DECODING) + PIECE * pieceCount(record);
    const found =
      options.weights === false
        ? {}
        : work > (options.work ?? allowed)
          ? { problem: "left out: the modules before it used up the time limit of a report" }
          : await lookInto(file, record, { source: sources.get(record.name), codes, components, options });
    const parameters = parameterCount(record);
    modules.push({
      ...shapeOf(record),
      ...places[i]!,
      bytes: record.chunk.length,
      bits: (8 * record.chunk.length) / parameters,
      parameters,
      bands: record.bands.map(({ components, b, a }) => ({
        components,
        b: encodingLabel(b),
        a: encodingLabel(a),
      })),
      singularValues: undefined,
      loss: undefined,
      problem: undefined,
      ...found,
    });
  }
  return { modules, components };
}

type Found = Partial<Pick<InspectedModule, "singularValues" | "loss" | "problem">>;

/** The data that a module is compared with, and the totals over all modules. */
interface Beside {
  readonly source: LoraModule | undefined;
  readonly codes: Map<string, CodeCounts>;
  readonly components: BoundComponent[];
  readonly options: InspectOptions;
}

async function lookInto(
  file: LqaFile,
  record: ModuleRecord,
  { source, codes, components, options }: Beside,
): Promise<Found> {
  try {
    const factors = await file.packed(record, { signal: options.signal });
    countCodes(record, factors, codes);
    const { b, a } = decodeModule(record, factors);
    const decoded = { ...shapeOf(record), b: b.data, a: a.data };
    if (!finite(decoded)) return { problem: "has weights that are not finite" };
    const singularValues = spectrum(decoded);
    if (source === undefined || !comparable(source, decoded)) return { singularValues };
    const original = withFactors(source);
    if (!finite(original)) return { singularValues, problem: "the source has weights that are not finite" };
    const { energy, errorEnergy } = compareModules(original, decoded);
    const relativeError = errorEnergy === 0 ? 0 : errorEnergy / energy;
    const loss = { relativeError, energy, errorEnergy, singularValues: spectrum(original, components) };
    return { singularValues, loss };
  } catch (error) {
    // Errors from reading the source are not problems of the module.
    if (!isLqaError(error) || error.class === "X") throw error;
    return { problem: error.message };
  }
}

function findingsOf(
  file: LqaFile,
  source: Adapter,
  modules: readonly InspectedModule[],
  components: readonly BoundComponent[],
): SourceFindings {
  const compared = modules.filter(({ loss }) => loss !== undefined);
  const energy = compared.reduce((sum, { loss }) => sum + loss!.energy, 0);
  const errorEnergy = compared.reduce((sum, { loss }) => sum + loss!.errorEnergy, 0);
  const relativeError = errorEnergy === 0 ? 0 : errorEnergy / energy;
  const parameters = modules.reduce((sum, module) => sum + module.parameters, 0);
  const tensorBytes = file.tensors.reduce((sum, { chunk }) => sum + chunk.length, 0);
  const bits = parameters === 0 ? 0 : (8 * (file.prologue.fileLength - tensorBytes)) / parameters;
  const boundAt = relativeBound(components);
  const share = compared.reduce((sum, module) => sum + module.parameters, 0);
  const bound = boundAt(bits * share);
  const inSource = new Set(source.modules.map(({ name }) => name));
  // A module that was not read may be the one of the source.
  const known = new Set(
    modules
      .filter(
        ({ name, loss, problem }) => loss !== undefined || (problem !== undefined && inSource.has(name)),
      )
      .map(({ name }) => name),
  );
  return {
    relativeError,
    modules: compared.length,
    bits,
    bound,
    aboveBoundDb: relativeError > 0 && bound > 0 ? 10 * Math.log10(relativeError / bound) : undefined,
    boundCurve: Array.from({ length: CURVE_POINTS + 1 }, (_, i): RdPoint => {
      // The bound bends most at few bits.
      const at = (i / CURVE_POINTS) ** 1.5 * 1.5 * bits;
      return { bits: at, relativeError: boundAt(at * share) };
    }),
    onlyInSource: [...inSource].filter((name) => !known.has(name)),
    notInSource: modules.map(({ name }) => name).filter((name) => !known.has(name)),
  };
}
