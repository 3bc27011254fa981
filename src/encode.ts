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
  type ModuleShape,
  type PlainTensor,
  parameterCount,
} from "./model/adapter.ts";
import { quantizeAdapter } from "./quantize/adapter.ts";
import { type QuantizeOptions, resolveOptions } from "./quantize/profile.ts";
import { type ModuleQuality, totalQuality } from "./quantize/quality.ts";
import { nonfiniteElement } from "./validate/nonfinite.ts";
import { VERSION } from "./version.ts";
import { createWriter, type PackedModule, type SectionInput } from "./write/write.ts";

export interface EncodeOptions extends Partial<QuantizeOptions> {
  /** Chunk alignment in bytes, a power of two from 8 to 4096. Default 8. */
  readonly alignment?: number;
  /** Called after each piece of work; `total` counts pieces of work, not necessarily modules. */
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
  /** The options in force, defaults filled in. */
  readonly settings: QuantizeOptions;
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
  checkTensors(adapter.tensors);
  // In the order of the file, so that not even the rounding of a sum depends on the order of the source.
  const { items } = sortByName(
    adapter.modules,
    (module) => module.name,
    () => 0,
    "module",
  );
  const rest = {
    tensors: adapter.tensors,
    ...(options.alignment === undefined ? {} : { alignment: options.alignment }),
  };
  // Sections are of the same size whatever the error turns out to be.
  const draft = await createWriter({ ...rest, sections: adapterSections(adapter, quantize, 1 / 3) });
  const quantized = await quantizeAdapter(items, quantize, {
    fileLength: (modules) =>
      draft.fileLength(modules.map((module) => ({ ...module, ...recordShape(module) }))),
    tensorBytes: draft.tensorBytes,
    progress: paced(options),
  });
  const total = totalQuality(quantized.map(({ quality }) => quality));
  const writer = await createWriter({
    ...rest,
    sections: adapterSections(adapter, quantize, total.relativeError),
  });
  const file = writer.prepare(
    items.map((module, i): PackedModule => ({ ...recordShape(module), ...quantized[i]!.factors })),
  );
  const bytes = concat([...file.pieces()]);
  const parameters = adapter.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  return {
    bytes,
    report: {
      settings: quantize,
      parameters,
      outputBytes: bytes.length,
      averageBits: total.averageBits,
      bitsPerParameter: parameters === 0 ? 0 : (8 * (bytes.length - file.tensorBytes)) / parameters,
      relativeError: total.relativeError,
      snrDb: total.snrDb,
      tensors: adapter.tensors.length,
      tensorBytes: file.tensorBytes,
      modules: file.modules.map(({ bytes: size }, i) => {
        const { energy: _energy, errorEnergy: _errorEnergy, ...quality } = quantized[i]!.quality;
        return { ...quality, bytes: size, bitsPerParameter: (8 * size) / quality.parameters };
      }),
    },
  };
}

/** Reports progress, stops when asked to, and now and then lets the event loop run. */
function paced(options: EncodeOptions): (done: number, total: number, name: string) => Promise<void> {
  let pause = performance.now();
  return async (done, total, name) => {
    options.onProgress?.(done, total, name);
    if (performance.now() - pause > PAUSE_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      pause = performance.now();
    }
    if (options.signal?.aborted) fail("ABORTED", { cause: options.signal.reason });
  };
}

/** A module's shape without its factors, with alpha as f32 and a rule that holds for what will be stored. */
function recordShape(module: ModuleShape): ModuleShape {
  const { a: _a, b: _b, ...shape } = module as LoraModule;
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
