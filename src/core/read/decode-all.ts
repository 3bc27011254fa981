/**
 * All modules of an open file, decoded in file order, with progress, an abort signal and a memory budget.
 *
 * @module
 */

import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { parameterCount } from "../../model/adapter.ts";
import type { PackedFactors } from "../codecs/packed.ts";
import type { ModuleRecord } from "../container/types.ts";
import { assertNotAborted } from "../io/source.ts";
import { ADAPTER_BUDGET } from "./budget.ts";
import { type DecodedFactors, type DecodeOptions, decodeFactors } from "./decode.ts";
import type { ModuleEvent } from "./events.ts";
import type { DecodeMemory } from "./memory.ts";
import { breather } from "./watch.ts";

export interface DecodeAllOptions extends Pick<DecodeOptions, "layout" | "type" | "multiplier"> {
  /** Most bytes of new arrays, of all modules together. Default 4 GiB. */
  readonly budgetBytes?: number;
  /** Arrays for a module, of exactly the right length; the same ones may be given again and again. */
  readonly into?: (module: ModuleRecord) => DecodedFactors;
  /**
   * Memory to decode each module into. What `onModule` is given is valid until it returns (or its promise resolves), and
   * the result is empty.
   */
  readonly memory?: DecodeMemory;
  /** Told each module when it is decoded, and waited for. What it throws ends the decoding. */
  readonly onModule?: (
    module: ModuleRecord,
    factors: DecodedFactors,
    progress: { readonly done: number; readonly total: number },
  ) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** What is decoded: a file that is open in memory, or one that is read by ranges. */
export type ModuleSource = { readonly modules: readonly ModuleRecord[] } & (
  | { packed(module: ModuleRecord): PackedFactors }
  | {
      fetchModules(
        modules?: undefined,
        options?: { readonly signal?: AbortSignal | undefined },
      ): AsyncIterable<Pick<ModuleEvent, "record" | "factors">>;
    }
);

/** The packed modules of a file in its order; of one that is read by ranges, by merged ranges. */
async function* packedModules(
  file: ModuleSource,
  signal: AbortSignal | undefined,
): AsyncGenerator<Pick<ModuleEvent, "record" | "factors">, void> {
  if ("fetchModules" in file) yield* file.fetchModules(undefined, { signal });
  else for (const record of file.modules) yield { record, factors: file.packed(record) };
}

/**
 * Decodes every module of a file.
 *
 * New arrays for all modules (neither `into` nor `memory`) take twice as long as arrays that were used before, and three
 * times as long as `memory`: pages that are touched for the first time cost more than the weights (docs/decoding.md).
 *
 * @returns the factors by module name, in file order
 * @throws LqaError BUDGET before anything is decoded; TARGET_SIZE, ABORTED; CHUNK_CRC and others as `packed` or
 *   `fetchModules` of the file.
 *   After an error `onModule` is not called again.
 */
export async function decodeAll(
  file: ModuleSource,
  options: DecodeAllOptions = {},
): Promise<Map<string, DecodedFactors>> {
  const { into, memory, onModule, signal, budgetBytes = ADAPTER_BUDGET, ...how } = options;
  const breathe = breather(signal);
  const elementBytes = how.type === "f16" ? 2 : 4;
  const bytes = elementBytes * file.modules.reduce((sum, module) => sum + parameterCount(module), 0);
  if (into === undefined && memory === undefined && bytes > budgetBytes)
    fail(KIND.BUDGET, { where: "the adapter", expected: `at most ${budgetBytes} bytes`, actual: bytes });
  const found = new Map<string, DecodedFactors>();
  const total = file.modules.length;
  let done = 0;
  for await (const { record: module, factors: planes } of packedModules(file, signal)) {
    assertNotAborted(signal);
    const target = into?.(module);
    const factors = decodeFactors(module, planes, {
      ...how,
      budgetBytes,
      ...(target === undefined ? (memory === undefined ? {} : { memory }) : { into: target }),
    });
    if (memory === undefined || target !== undefined) found.set(module.name, factors);
    const told = onModule?.(module, factors, { done: ++done, total });
    if (told !== undefined) await told;
    await breathe();
  }
  return found;
}
