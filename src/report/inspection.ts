/**
 * Everything that can be said about an `.lqa` file for somebody who looks at it: what is in it, where the bytes went,
 * what the validator finds, the singular values of its modules, and, beside the adapter it was made from, what each module
 * lost and how far that is from the rate-distortion bound.
 *
 * Damage is no obstacle: what can be read is told, and what cannot be read says why. Without the source nothing is said
 * about errors but what the encoder wrote into the metadata.
 *
 * @module
 */
import { encodingLabel } from "../core/codecs/encoding.ts";
import type { MetaMap } from "../core/container/meta.ts";
import type { ModuleRecord, SectionRecord, TensorRecord } from "../core/container/types.ts";
import { type ByteSource, memorySource } from "../core/io/source.ts";
import { pieceCount } from "../core/read/budget.ts";
import { decodeModule } from "../core/read/decode.ts";
import { open } from "../core/read/file.ts";
import type { LqaFile } from "../core/read/lqa-file.ts";
import { type Validation, type ValidationLevel, validate } from "../core/validate/validate.ts";
import { paced } from "../encode/encode.ts";
import { type BoundComponent, relativeBound } from "../encode/quantize/bound.ts";
import { compareModules } from "../encode/quantize/quality.ts";
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

export interface InspectOptions {
  /** The adapter that the file was made from. */
  readonly source?: Adapter | undefined;
  /** How much the validator checks. Default `values`; at `structure` it looks at prologue and index alone. */
  readonly level?: ValidationLevel | undefined;
  /** False: the modules are not read, so that nothing is said of singular values, codes and losses. Default true. */
  readonly weights?: boolean | undefined;
  /**
   * Multiplications, about, above which modules are left out: a file of some kilobytes may hold modules that decompose for
   * hours. Default 2³⁰ and 2¹² for each byte of the file, ten times what an adapter of 2 bits and rank 64 takes, up to 2³⁶.
   */
  readonly work?: number | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the source says about a module. */
export interface ModuleLoss {
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖²; infinite where ΔW is zero and ΔŴ is not. */
  readonly relativeError: number;
  readonly energy: number;
  readonly errorEnergy: number;
  /** Of the source's ΔW, as {@link InspectedModule.singularValues}. */
  readonly singularValues: Float64Array;
}

/** One module. */
export interface InspectedModule extends ModuleShape, LayerPlace {
  /** Bytes of its chunk, and 8 times that a parameter. */
  readonly bytes: number;
  readonly bits: number;
  readonly parameters: number;
  /** With labels of `encodingLabel`. */
  readonly bands: readonly { readonly components: number; readonly b: string; readonly a: string }[];
  /**
   * Of ΔŴ = multiplier · B · A, largest first, `[rank]`; over several experts the root of the mean square. Undefined where
   * {@link problem} says why.
   */
  readonly singularValues: Float64Array | undefined;
  readonly loss: ModuleLoss | undefined;
  /** Why the weights were not looked into. */
  readonly problem: string | undefined;
}

/** The whole file beside its source. */
export interface SourceFindings {
  readonly relativeError: number;
  /** Modules compared. */
  readonly modules: number;
  /** Bits a weight of everything but plain tensors. */
  readonly bits: number;
  /** The least relative error that Gaussian components allow at so many bits. */
  readonly bound: number;
  /** 10 log₁₀ (relativeError / bound); undefined if either is 0. */
  readonly aboveBoundDb: number | undefined;
  /** The bound from 0 bits to half again as many as the file has. */
  readonly boundCurve: readonly RdPoint[];
  /** Names of modules that only one of both has, or in another shape. */
  readonly onlyInSource: readonly string[];
  readonly notInSource: readonly string[];
}

/** What {@link inspectLqa} found. */
export interface Inspection {
  readonly fileLength: number;
  readonly version: string | undefined;
  readonly validation: Validation;
  readonly modules: readonly InspectedModule[];
  readonly tensors: readonly TensorRecord[];
  readonly sections: readonly SectionRecord[];
  readonly byteMap: ByteMap | undefined;
  readonly codes: readonly CodeCounts[];
  /** Undefined where it cannot be read. */
  readonly meta: MetaMap | undefined;
  readonly origin: Origin | undefined;
  readonly source: SourceFindings | undefined;
}

const MOST_WORK = 2 ** 36;
const LEAST_WORK = 2 ** 30;
const WORK_OF_A_BYTE = 2 ** 12;
/** What decoding a weight costs beside the decomposition, in the same unit. */
const DECODING = 16;
/** What a band of an expert costs, however few its weights are. */
const PIECE = 2 ** 15;
const CURVE_POINTS = 24;

/**
 * Looks into a file in memory. Never throws for what is in `bytes`.
 *
 * @throws LqaError ABORTED; what reading the source throws
 */
export async function inspectLqa(bytes: Uint8Array, options: InspectOptions = {}): Promise<Inspection> {
  const validation = await validate(bytes, { all: true, level: options.level });
  return await inspect(memorySource(bytes), validation, options);
}

/**
 * Looks into a file behind a source of ranges, in bounded memory: one module at a time. With `level: "structure"` and
 * `weights: false` prologue, index and metadata are all that is read.
 *
 * @throws LqaError ABORTED; what reading either source throws; never for what is in the file
 */
export async function inspectSource(source: ByteSource, options: InspectOptions = {}): Promise<Inspection> {
  const { level, signal } = options;
  const validation = await validate(source, { all: true, level, signal });
  return await inspect(source, validation, options);
}

async function inspect(
  source: ByteSource,
  validation: Validation,
  options: InspectOptions,
): Promise<Inspection> {
  // A damaged file is shown as far as it can be read, with its findings: digests that fail must not hide the rest of it.
  const shown: ByteSource = validation.valid
    ? source
    : { size: source.size, stable: true, read: (...range) => source.read(...range) };
  const file = await attempt(() => open(shown));
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

/** The result, or undefined where the file does not allow it: the validator says why. A source that fails is another matter. */
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
          ? { problem: "left out: the modules before it took all the time that a report may take" }
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

/** What one module is looked at beside, and what is gathered from all of them. */
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
    // What a source fails with is no matter of the module.
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
  const known = new Set(compared.map(({ name }) => name));
  return {
    relativeError,
    modules: compared.length,
    bits,
    bound,
    aboveBoundDb: relativeError > 0 && bound > 0 ? 10 * Math.log10(relativeError / bound) : undefined,
    boundCurve: Array.from({ length: CURVE_POINTS + 1 }, (_, i): RdPoint => {
      // The bound bends most where bits are few.
      const at = (i / CURVE_POINTS) ** 1.5 * 1.5 * bits;
      return { bits: at, relativeError: boundAt(at * share) };
    }),
    onlyInSource: source.modules.map(({ name }) => name).filter((name) => !known.has(name)),
    notInSource: modules.map(({ name }) => name).filter((name) => !known.has(name)),
  };
}
