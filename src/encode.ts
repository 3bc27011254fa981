/**
 * Adapter → `.lqa`: quantize each module, then write. The one place where the rooms on the way in meet.
 *
 * @module
 */

import { concat } from "./container/bytes.ts";
import { encodeMeta } from "./container/meta.ts";
import { sortByName } from "./container/names.ts";
import { fail } from "./errors.ts";
import {
  type Adapter,
  consistentMultiplier,
  type LoraModule,
  type PlainTensor,
  parameterCount,
} from "./model/adapter.ts";
import { type QuantizeOptions, quantizeModule, resolveOptions } from "./quantize/profile.ts";
import { type ModuleQuality, totalQuality } from "./quantize/quality.ts";
import { nonfiniteElement } from "./validate/nonfinite.ts";
import { VERSION } from "./version.ts";
import { type PackedModule, prepareFile, type SectionInput } from "./write/write.ts";

export interface EncodeOptions extends Partial<QuantizeOptions> {
  /** Chunk alignment in bytes, a power of two from 8 to 4096. Default 8. */
  readonly alignment?: number;
  /** Called after each module. */
  readonly onProgress?: (done: number, total: number, name: string) => void;
  readonly signal?: AbortSignal;
}

/** Quality and size of one module. */
export interface ModuleReport extends Omit<ModuleQuality, "energy" | "errorEnergy"> {
  /** Bytes of its chunk, with CRC-32 and padding. */
  readonly bytes: number;
  /** 8 · bytes / parameters. */
  readonly bitsPerParameter: number;
}

/** What an encoding cost and kept. */
export interface EncodeReport {
  /** Parameters of all factors: Σ rank · (out + in · kernel). Plain tensors are not counted. */
  readonly parameters: number;
  readonly outputBytes: number;
  /** The paper's count: codes, scales and zero points (LoRAQuant §4), averaged over parameters. */
  readonly averageBits: number;
  /** 8 · (outputBytes − plain tensor bytes) / parameters: everything else counts, index and metadata included. */
  readonly bitsPerParameter: number;
  /** ‖ΔW − ΔŴ‖² / ‖ΔW‖² over all modules. */
  readonly relativeError: number;
  readonly snrDb: number;
  /** Plain tensors: how many, and their stored bytes. */
  readonly tensors: number;
  readonly tensorBytes: number;
  readonly modules: readonly ModuleReport[];
}

export interface Encoded {
  readonly bytes: Uint8Array;
  readonly report: EncodeReport;
}

/** How long the encoder computes before it lets timers, abort signals and progress lines run. */
const PAUSE_MS = 50;

/**
 * Encodes an adapter. The result depends on the adapter and the options alone: same bytes on every runtime.
 *
 * @throws LqaError SOURCE_NONFINITE, SOURCE_RANGE, HARD_LIMIT, NAME_ENCODING, NAME_ORDER (two modules of one name),
 *   TENSOR_RECORD, MULTIPLIER, ABORTED
 */
export async function encodeAdapter(adapter: Adapter, options: EncodeOptions = {}): Promise<Encoded> {
  const quantize = resolveOptions(options);
  const modules: PackedModule[] = [];
  const qualities = new Map<string, ModuleQuality>();
  checkTensors(adapter.tensors);
  let pause = performance.now();
  // In the order of the file, so that not even the rounding of a sum depends on the order of the source.
  const { items } = sortByName(
    adapter.modules,
    (module) => module.name,
    () => 0,
    "module",
  );
  for (const [i, module] of items.entries()) {
    if (options.signal?.aborted) fail("ABORTED", { cause: options.signal.reason });
    const { factors, quality } = quantizeModule(module, quantize);
    qualities.set(module.name, quality);
    modules.push({ ...recordShape(module), ...factors });
    options.onProgress?.(i + 1, adapter.modules.length, module.name);
    if (performance.now() - pause > PAUSE_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      pause = performance.now();
    }
  }
  const total = totalQuality([...qualities.values()]);
  const file = await prepareFile({
    modules,
    tensors: adapter.tensors,
    sections: adapterSections(adapter, quantize, total.relativeError),
    ...(options.alignment === undefined ? {} : { alignment: options.alignment }),
  });
  const bytes = concat([...file.pieces()]);
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  return {
    bytes,
    report: {
      parameters,
      outputBytes: bytes.length,
      averageBits: total.averageBits,
      bitsPerParameter: parameters === 0 ? 0 : (8 * (bytes.length - file.tensorBytes)) / parameters,
      relativeError: total.relativeError,
      snrDb: total.snrDb,
      tensors: adapter.tensors.length,
      tensorBytes: file.tensorBytes,
      modules: file.modules.map(({ name, bytes: size }) => {
        const { energy: _energy, errorEnergy: _errorEnergy, ...quality } = qualities.get(name)!;
        return { ...quality, bytes: size, bitsPerParameter: (8 * size) / quality.parameters };
      }),
    },
  };
}

/** A module's shape without its factors, with alpha as f32 and a rule that holds for what will be stored. */
function recordShape(module: LoraModule): Omit<LoraModule, "a" | "b"> {
  const { a: _a, b: _b, ...shape } = module;
  const stored = { ...shape, alpha: Math.fround(shape.alpha) };
  return consistentMultiplier(stored) ? stored : { ...stored, rule: "explicit" };
}

function checkTensors(tensors: readonly PlainTensor[]): void {
  for (const { name, element, data } of tensors) {
    const at = nonfiniteElement(element, data);
    if (at >= 0) fail("SOURCE_NONFINITE", { where: `tensor "${name}"`, actual: `element ${at}` });
  }
}

/**
 * The META and ORIG sections of an adapter (spec 10.2, 10.3). META is never compressed: a reader without zstd can
 * show it.
 */
export function adapterSections(
  adapter: Pick<Adapter, "meta" | "origin">,
  options: QuantizeOptions,
  relativeError: number,
): SectionInput[] {
  const settings = Object.entries(options).filter(([, value]) => value !== undefined);
  const encoder = [`lqa/${VERSION}`, ...settings.map(([key, value]) => `${key}=${value}`)].join(" ");
  const meta = encodeMeta({ ...adapter.meta, encoder, relative_error: relativeError }, "META");
  const sections: SectionInput[] = [
    { type: "META", critical: false, safeToCopy: true, data: meta, compress: false },
  ];
  if (adapter.origin !== undefined)
    sections.push({
      type: "ORIG",
      critical: false,
      safeToCopy: false,
      data: encodeMeta(adapter.origin, "ORIG"),
      compress: true,
    });
  return sections;
}
