/**
 * One encoding of an adapter: quantized with given starts and a given parent, and laid out as a file. `encode.ts` makes several
 * and chooses one.
 *
 * @module
 */

import { concat, toHex } from "../common/bytes.ts";
import {
  type createWriter,
  hasStart,
  type ModuleInput,
  type PlannedModule,
  type SectionInput,
} from "../core/format.ts";
import type { ModuleStart } from "../core/index.ts";
import { consistentMultiplier, type LoraModule, type ModuleShape, shapeOf } from "../model/adapter.ts";
import type { Calibration } from "../model/calibration.ts";
import type { Parents } from "./parents.ts";
import { quantizeAdapter, type Surroundings } from "./quantize/adapter.ts";
import type { QuantizedModule, QuantizeSettings } from "./quantize/profile.ts";
import { type ModuleQuality, type Quality, totalQuality } from "./quantize/quality.ts";
import { refusedStarts } from "./results.ts";

/** What `createWriter` makes. */
type FileWriter = Awaited<ReturnType<typeof createWriter>>;

/** What all encodings of an adapter have in common. */
export interface Encodable {
  /** The modules, in the order of the file. */
  readonly items: readonly LoraModule[];
  readonly settings: QuantizeSettings;
  readonly calibration: Calibration | undefined;
  readonly writer: FileWriter;
  /** META, which states the error. */
  readonly meta: (error: number) => SectionInput;
  readonly surroundings: Pick<Surroundings, "executor" | "progress">;
}

/** An encoding, as far as choice and report need it. */
export interface EncodedAdapter {
  readonly items: readonly LoraModule[];
  readonly quantized: readonly QuantizedModule[];
  readonly qualities: readonly ModuleQuality[];
  readonly total: Quality;
  /** The parent that the file needs; undefined if no module is stored as a difference. */
  readonly parent: { readonly contentId: string; readonly modules: number } | undefined;
  readonly modules: readonly ModuleInput[];
  readonly file: ReturnType<FileWriter["prepare"]>;
  readonly bytes: Uint8Array;
  /** Names of modules with a start that readers may refuse. */
  readonly refused: ReadonlySet<string>;
  /** The content id that a tuning was made for; undefined without one. */
  readonly untuned: string | undefined;
}

/** Encodes with known starts, and against a parent. @throws LqaError as `quantizeAdapter` and the writer */
export async function encodeWith(
  { items, settings, calibration, writer, meta, surroundings }: Encodable,
  starts: ReadonlyMap<string, ModuleStart>,
  parents?: Parents,
): Promise<EncodedAdapter> {
  const planned = (
    module: ModuleShape,
    bands: PlannedModule["bands"],
    fromParent = false,
  ): PlannedModule => ({
    ...recordShape(module),
    bands,
    ...(fromParent && {
      parentModule: parents!.modules.get(module.name)!.number,
      parentId: parents!.id,
    }),
  });
  const fileLength: Surroundings["fileLength"] = (modules) =>
    writer.fileLength(
      modules.map((module) => ({
        ...planned(module, module.bands, module.fromParent),
        start: starts.get(module.name),
      })),
    );
  const factors = new Map([...(parents?.modules ?? [])].map(([name, own]) => [name, own.factors]));
  const around = { ...surroundings, fileLength, tensorBytes: writer.tensorBytes };
  const quantized = await quantizeAdapter(items, settings, around, calibration, starts, factors);
  const qualities = quantized.map(({ quality }) => quality);
  const total = totalQuality(qualities);
  const packed = (own: "factors" | "untuned"): ModuleInput[] =>
    items.flatMap((module, i) => {
      const { [own]: factors, fromParent } = quantized[i]!;
      if (factors === undefined) return [];
      const start = hasStart(factors.bands) ? starts.get(module.name) : undefined;
      return [{ ...planned(module, factors.bands, fromParent), ...factors, ...(start && { start }) }];
    });
  const modules = packed("factors");
  const file = writer.prepare(modules, meta(total.relativeError));
  const untuned = packed("untuned");
  const children = quantized.filter(({ fromParent = false }) => fromParent).length;
  return {
    ...{ items, quantized, qualities, total, modules, file },
    parent: children === 0 ? undefined : { contentId: parents!.id, modules: children },
    bytes: concat([...file.pieces()]),
    refused: refusedStarts(modules),
    untuned: untuned.length === 0 ? undefined : toHex(writer.prepare(untuned).contentId()),
  };
}

/** A module's shape without its factors, with alpha as f32 and a rule that agrees with the stored numbers. */
function recordShape(module: ModuleShape): ModuleShape {
  const shape = shapeOf(module);
  const stored = { ...shape, alpha: Math.fround(shape.alpha) };
  return consistentMultiplier(stored, stored.rank) ? stored : { ...stored, rule: "explicit" };
}
