/**
 * Plans a file from the lengths of its chunks: index, layout and prologue (spec clauses 4 to 6). A plan needs no payload, so
 * the encoder knows the size of a file before it codes a weight.
 *
 * @module
 */

import { align, crc32 } from "../../common/bytes.ts";
import type { Band } from "../codecs/packed.ts";
import { withoutPauses } from "../container/chunks-read.ts";
import { readIndex } from "../container/index-read.ts";
import { writeIndex } from "../container/index-write.ts";
import { type FileLayout, layOut } from "../container/layout.ts";
import {
  PROLOGUE_BYTES,
  type Prologue,
  readPrologue,
  requiredBits,
  vectorsWith,
  writePrologue,
} from "../container/prologue.ts";
import { interpretRareIndex } from "../container/rare-records.ts";
import { writeRecords } from "../container/records-write.ts";
import type { ModuleRecord, SectionRecord, TensorRecord, Unplaced } from "../container/types.ts";

/** The version of every file that this library writes (spec 5.1). */
const VERSION: Pick<Prologue, "major" | "minor"> = { major: 1, minor: 0 };
/** Alignments to choose from by default: the largest whose padding is at most a thousandth of the chunks, or the smallest. */
const ALIGNMENTS = [64, 32, 16, 8, 4];
const PADDING_SHARE = 1e-3;

/** Records with the lengths of their chunks, in file order. */
export interface FileRecords {
  readonly modules: readonly Unplaced<ModuleRecord>[];
  readonly tensors: readonly Unplaced<TensorRecord>[];
  readonly sections: readonly Unplaced<SectionRecord>[];
  /** Names of modules and tensors in the same order. */
  readonly utf8: { readonly modules: readonly Uint8Array[]; readonly tensors: readonly Uint8Array[] };
}

/** The bytes before the chunks, and the layout of the file. */
export interface FilePlan {
  readonly prologue: Uint8Array;
  readonly index: Uint8Array;
  readonly layout: FileLayout;
  readonly alignment: number;
}

/**
 * Plans a file.
 *
 * @param alignment chunk alignment in bytes; by default up to 64, as long as it costs less than 0.1 %
 * @throws LqaError for names, shapes or counts that the format does not allow: the function reads the index back with the
 *   checks of a reader
 */
export function planFile(records: FileRecords, alignment?: number): FilePlan {
  const { modules, tensors, sections } = records;
  const index = writeIndex(writeRecords(modules, tensors, sections, records.utf8));
  const lengths = [...modules, ...tensors, ...sections].map((record) => record.chunkLength);
  const unit = alignment ?? defaultAlignment(lengths);
  const layout = layOut(index.length, lengths, unit);
  const encodings = modules.flatMap((module) => module.bands.flatMap(({ b, a }: Band) => [b, a]));
  const required = requiredBits(modules, tensors, encodings);
  const prologue = writePrologue({
    ...VERSION,
    required,
    readOnlyCompatible: 0,
    compatible: 0,
    fileLength: layout.fileLength,
    indexLength: index.length,
    modules: modules.length,
    tensors: tensors.length,
    sections: sections.length,
    alignment: unit,
    indexCrc: crc32(index),
  } satisfies Prologue);
  // The checks of a reader, so that every file that this writer emits passes them.
  withoutPauses(
    interpretRareIndex(readIndex(index, PROLOGUE_BYTES, vectorsWith({ required })), {
      prologue: readPrologue(prologue, "hard"),
      limits: "hard",
    }),
  );
  return { prologue, index, layout, alignment: unit };
}

/** Alignment costs nearly nothing with large chunks and much with small ones (spec/rationale.md). */
function defaultAlignment(lengths: readonly number[]): number {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const padding = (unit: number): number =>
    lengths.reduce((sum, length) => sum + align(length, unit) - length, 0);
  return (
    ALIGNMENTS.find((unit) => padding(unit) <= total * PADDING_SHARE) ?? ALIGNMENTS[ALIGNMENTS.length - 1]!
  );
}
